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
  // One player at a time, those that are in no document included; the next of the same recording goes on from the same place.
  const unseen = new Set();
  const hush = (player) => {
    for (const other of [...document.querySelectorAll("audio"), ...unseen]) if (other !== player) other.pause();
    for (const other of unseen) if (other.paused) unseen.delete(other);
    if (!player.isConnected) unseen.add(player);
  };
  document.addEventListener("play", (event) => {
    const player = event.target;
    hush(player);
    const place = places.get(player.dataset.recording);
    if (place !== undefined && place < player.duration && Math.abs(place - player.currentTime) > 0.1) player.currentTime = place;
  }, true);
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    if (!this.isConnected) hush(this);
    return play.call(this);
  };
  // The table of all bitrates: a row is what its player plays and its second picture shows.
  const show = (view, row) => {
    const player = view.querySelector("audio"), figure = view.querySelector(".chosen"), image = figure.querySelector("img");
    if (player.getAttribute("src") !== row.dataset.wav) {
      const place = player.ended ? 0 : player.currentTime;
      player.addEventListener("loadedmetadata", () => { if (place < player.duration) player.currentTime = place; }, { once: true });
      player.src = row.dataset.wav;
      image.src = row.dataset.picture;
      image.alt = `spectrogram: ${row.dataset.label}`;
      figure.querySelector("figcaption").textContent = row.dataset.label;
      player.setAttribute("aria-label", row.dataset.label);
      for (const other of view.querySelectorAll("tr[aria-current]")) other.removeAttribute("aria-current");
      row.setAttribute("aria-current", "true");
    } else if (!player.paused) {
      player.pause();
      return;
    }
    player.play().catch(() => {});
  };
  document.addEventListener("click", (event) => {
    const row = event.target.closest?.(".compare tr[data-wav]");
    if (row) show(row.closest(".compare"), row);
  });
  for (const name of ["play", "pause", "ended", "emptied"]) document.addEventListener(name, (event) => {
    const view = event.target.closest?.(".compare");
    for (const button of view?.querySelectorAll(".hear") ?? []) {
      button.setAttribute("aria-pressed", String(!event.target.paused && button.closest("tr").hasAttribute("aria-current")));
    }
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
