(() => {
  // Where each recording was last heard: another bitrate goes on from there, in the middle of a word.
  const places = new Map();
  const follow = (event) => {
    const player = event.target;
    if (player.dataset?.recording) places.set(player.dataset.recording, player.ended ? 0 : player.currentTime);
  };
  document.addEventListener("timeupdate", follow, true);
  document.addEventListener("ended", follow, true);
  document.addEventListener("loadedmetadata", (event) => {
    const place = places.get(event.target.dataset?.recording);
    if (place && place < event.target.duration) event.target.currentTime = place;
  }, true);
  // One player at a time; the next of the same recording goes on from the same place.
  document.addEventListener("play", (event) => {
    const player = event.target;
    for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
    const place = places.get(player.dataset.recording);
    if (place !== undefined && place < player.duration && Math.abs(place - player.currentTime) > 0.1) player.currentTime = place;
  }, true);
  // The page replaces players piece by piece, which "autoplay" does not notice: each wish to play has a mark of its own.
  let played = "";
  new MutationObserver(() => {
    for (const player of document.querySelectorAll("audio[data-play]")) {
      if (player.dataset.play <= played) continue;
      played = player.dataset.play;
      player.play().catch(() => {});
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-play", "src"] });
})();
