"""What the page's buttons do: from a visitor's wish to a piece of HTML. No Gradio here, no network."""

import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

from gritcodec import console
from gritcodec.bitstream import Header, parse_header
from gritcodec.codec import Codec
from gritcodec.demo import coding, compare, markup, opus, packetloss, pictures
from gritcodec.demo.blindtest import Examiner
from gritcodec.demo.coding import Recording, Take, Watch
from gritcodec.demo.limits import Limits
from gritcodec.demo.workspace import Session, Workspace, adopt, safe_stem
from gritcodec.errors import GritcodecError, UsageError
from gritcodec.playback import Span

_HERE, _PACKAGE = Path(__file__).parent / "clips", Path(__file__).parent.parent / "clips"
# What the page calls them, and where they are.
CLIPS = {
    "Jane Austen, read aloud": _PACKAGE / "austen.flac",
    "Jane Austen, more of it": _HERE / "austen-two.flac",
    "A telephone prompt in Italian": _HERE / "italian.flac",
}
PAIRS = {
    "original or gritcodec": ("original", "gritcodec"),
    "gritcodec or Opus": ("gritcodec", "Opus"),
    "original or Opus": ("original", "Opus"),
}
_NO_RECORDING = "choose a recording first"
_NO_ORIGINAL = "a .grit file holds no original to compare with: choose a recording instead"

_P = ParamSpec("_P")


def one_line(error: Exception, session: Session | None = None) -> str:
    """Return an error as one line, without the names of folders on this machine."""
    _, text = console.explain(error)
    recording = session.things.get("recording") if session else None
    if isinstance(recording, Recording):
        text = text.replace(str(recording.path), recording.name)
    return text if session is None else text.replace(f"{session.folder}/", "")


_Work = Callable[Concatenate["Views", Session, _P], str]
_Asked = Callable[Concatenate["Views", str, _P], str]


def _view(ends_others: bool = False) -> Callable[[_Work[_P]], _Asked[_P]]:
    """Let a view work for the visitor of a key, one wish at a time, and turn errors into one line of HTML.

    Args:
        ends_others: whether it ends a wish of this kind that is being worked on: an hour is not coded for nobody.
    """

    def decorate(work: _Work[_P]) -> _Asked[_P]:
        @wraps(work)
        def run(self: "Views", key: str, *args: _P.args, **kwargs: _P.kwargs) -> str:
            session = self._workspace.session(key)
            # Before the lock is waited for: whoever holds it finds out and lets go.
            number = session.wish() if ends_others else None
            with session.lock:
                try:
                    session.begin(number)
                    return work(self, session, *args, **kwargs)
                except Exception as error:
                    if not isinstance(error, GritcodecError):
                        console.note(one_line(error))
                    return markup.problem(one_line(error, session))

        return run

    return decorate


class Views:
    """The page's views; every public method takes the key of a visitor's session and returns HTML."""

    def __init__(self, codec: Codec, workspace: Workspace, limits: Limits) -> None:
        """Serve one model."""
        self.codec = codec
        self.limits = limits
        self._workspace = workspace

    def bitrate_of(self, key: str) -> float | None:
        """Return the highest of the bitrates that an uploaded .grit file costs at least; None for audio."""
        recording = self._workspace.session(key).things.get("recording")
        if not isinstance(recording, Recording) or not recording.is_grit:
            return None
        rates, own = self.codec.bitrates, coding.own_bitrate(recording)
        return max([rate for rate in rates if rate <= own], default=rates[0])

    @_view(ends_others=True)
    def open_clip(self, session: Session, clip: str, bitrate: float, watch: Watch, play: bool = True) -> str:
        """Open a bundled clip and play it at a bitrate."""
        if clip not in CLIPS:
            raise UsageError("there is no such clip")
        source = CLIPS[clip]
        self._open(session, source, source.stem)
        return self._listen(session, bitrate, watch, play)

    @_view(ends_others=True)
    def open_upload(self, session: Session, upload: str, bitrate: float, watch: Watch) -> str:
        """Open an uploaded or recorded file; a .grit file is played as it is."""
        _forget(session)
        path = adopt(session, Path(upload), self._workspace.uploads)
        # Until it is known to be good, so that an error calls it by the visitor's name.
        session.things["recording"] = Recording(path, path.name, False, None, 1, 1)
        try:
            recording = coding.open_recording(path, safe_stem(path.name), self.limits)
        except GritcodecError as error:
            text = one_line(error, session)
            _forget(session)
            return markup.problem(text)
        session.things["recording"] = recording
        if recording.is_grit:
            bitrate = coding.own_bitrate(recording)
        return self._listen(session, bitrate, watch, play=True)

    @_view(ends_others=True)
    def listen(self, session: Session, bitrate: float, off: bool, asked: bool, watch: Watch) -> str:
        """Play the open recording at a bitrate, or the original.

        Args:
            session: the visitor's.
            bitrate: kbps a channel.
            off: the original.
            asked: whether a button was pressed; moving the slider does not start the coding of a long recording.
            watch: called as the work goes on.
        """
        recording = _recording(session)
        if off:
            return self._original(session, recording, watch)
        if not asked and (recording.seconds or 0) > self.limits.short_seconds and bitrate not in _takes(session):
            minutes = (recording.seconds or 0) / 60
            return markup.hint(f"{minutes:.1f} minutes: press Listen to code all of it at {bitrate:g} kbps.")
        return self._listen(session, bitrate, watch, play=True)

    @_view()
    def comparison(self, session: Session, watch: Watch) -> str:
        """Show every bitrate, and Opus, side by side."""
        if "comparison" not in session.things:
            excerpt = self._excerpt(session, watch)
            folder = session.fresh("x").parent
            session.things["comparison"] = compare.compare(self.codec, excerpt, folder, self._present(session, watch))
        note = "" if opus.available() else "With opusenc installed there would be Opus as well."

        def address(column: compare.Column) -> tuple[str, str]:
            return session.publish(column.wav, column.wav.name), session.publish(column.picture, column.picture.name)

        return markup.comparison(session.things["comparison"], address, compare.missing_measures(), note)

    @_view()
    def loss(self, session: Session, bitrate: float, percent: float, seed: int, watch: Watch) -> str:
        """Drop packets of the recording's file and play what is left."""
        recording = _recording(session)
        whole = self._take(session, bitrate, watch)
        lossy = packetloss.drop_packets(whole.grit.read_bytes(), percent, seed)
        grit = session.fresh(f"{recording.name}-{percent:g}-percent-lost.grit")
        grit.write_bytes(lossy.data)
        span = Span(0, self.limits.short_seconds) if whole.seconds > self.limits.short_seconds else None
        take = coding.play_take(self.codec, recording, grit, self.limits, self._present(session, watch), span=span)
        addresses = session.publish(take.wav, take.wav.name), session.publish(grit, grit.name)
        return (
            markup.strip(lossy.packets, lossy.lost)
            + markup.hint(
                f"{len(lossy.lost)} of {lossy.packets} packets are gone: {len(lossy.data):,} bytes of {whole.size:,}."
            )
            + markup.player(addresses[0], "with packets lost", "loss", play=True)
            + markup.damage(take.damage)
            + markup.link(addresses[1], grit.name, "Download the file with packets missing", "download-lossy")
        )

    @_view()
    def codes(self, session: Session, bitrate: float, watch: Watch) -> str:
        """Draw the codes, and the stages that each bitrate keeps."""
        recording = _recording(session)
        if recording.is_grit:
            data = recording.path.read_bytes()
        elif (recording.seconds or 0) > self.limits.short_seconds:
            short = Recording(self._excerpt(session, watch), recording.name, False, None, 1, recording.channels)
            grit = session.fresh("excerpt.grit")
            rate = self.codec.bitrates[-1]
            data = coding.make_take(self.codec, short, rate, grit, self.limits, watch).grit.read_bytes()
        else:
            data = self._take(session, self.codec.bitrates[-1], watch).grit.read_bytes()
        header = parse_header(data)[0]
        rates = self._rates_of(recording, header)
        frame_rate = header.frame_rate / 100
        frames = round(self.limits.excerpt_seconds * frame_rate)
        kept = pictures.stages_kept(data, rates, frames)
        chosen = max(sum(rate <= bitrate + 1e-6 for rate in rates) - 1, 0)
        codes = pictures.read_codes(coding.codec_for(self.codec, header), data, frames)
        target = session.fresh("codes.png")
        target.write_bytes(pictures.codes_png(codes, kept, rates, chosen, frame_rate))
        text = f"the codes of {recording.name}, stages by time, and the stages that each bitrate keeps"
        return f'<img class="codes" src="{session.publish(target, target.name)}" alt="{text}">'

    @_view()
    def ask(self, session: Session, pair: str, bitrate: float, watch: Watch) -> str:
        """Begin a blind trial: three players under names that tell nothing."""
        if pair not in PAIRS:
            raise UsageError("choose what to compare")
        sounds = self._sounds(session, bitrate, watch)
        if missing := [name for name in PAIRS[pair] if name not in sounds]:
            raise UsageError(f"{missing[0]} is not here: install opusenc (opus-tools) and start the page again")
        trial = _examiner(session).ask(PAIRS[pair])
        session.things["abx-names"] = {name: label for name, (_, label) in sounds.items()}
        addresses = []
        for letter, name in (("A", trial.a), ("B", trial.b), ("X", trial.x)):
            # A copy, not a link: size and date of X must not match those of A or B alone.
            copy = session.fresh(f"{letter}.wav")
            shutil.copyfile(sounds[name][0], copy)
            addresses.append((letter, session.publish(copy, copy.name)))
        return markup.trial(addresses)

    @_view()
    def answer(self, session: Session, says_a: bool) -> str:
        """Judge an answer and tell the score."""
        examiner = _examiner(session)
        if examiner.trial is None:
            raise UsageError("begin a trial first")
        trial, right = examiner.answer(says_a)
        pair = trial.a, trial.b
        known = next(known for known in PAIRS.values() if set(known) == set(pair))
        return markup.verdict(trial, right, session.things["abx-names"]) + markup.score(known, examiner.score(pair))

    def leave(self, key: str) -> None:
        """Remove what a visitor had."""
        self._workspace.leave(key)

    def _open(self, session: Session, path: Path, name: str) -> None:
        _forget(session)
        session.things["recording"] = coding.open_recording(path, name, self.limits)

    def _listen(self, session: Session, bitrate: float, watch: Watch, play: bool) -> str:
        take = self._take(session, bitrate, watch)
        if "listen" not in take_addresses(session).get(bitrate, {}):
            take_addresses(session)[bitrate] = {
                "listen": session.publish(take.wav, take.wav.name),
                "grit": session.publish(take.grit, take.grit.name),
            }
        addresses = take_addresses(session)[bitrate]
        recording = _recording(session)
        return markup.take(recording.name, recording.place, take, addresses["listen"], addresses["grit"], play)

    def _original(self, session: Session, recording: Recording, watch: Watch) -> str:
        if recording.is_grit:
            raise UsageError(_NO_ORIGINAL)
        if "original" not in session.things:
            wav = session.fresh(f"{recording.name}.wav")
            coding.write_wav(recording, wav, self.limits, self._present(session, watch))
            session.things["original"] = wav, session.publish(wav, wav.name)
        wav, address = session.things["original"]
        size = wav.stat().st_size
        seconds = size / (2 * recording.channels * recording.sample_rate)
        return markup.original(recording.name, recording.place, address, size, seconds)

    def _take(self, session: Session, bitrate: float, watch: Watch) -> Take:
        recording, takes = _recording(session), _takes(session)
        if bitrate not in takes:
            if (recording.seconds or 0) > self.limits.short_seconds:
                # An hour of WAV is large: only the last take of a long recording is kept.
                _drop_takes(session)
            grit = session.fresh(f"{recording.name}-{bitrate:g}kbps.grit")
            watch = self._present(session, watch)
            takes[bitrate] = coding.make_take(self.codec, recording, bitrate, grit, self.limits, watch)
        return takes[bitrate]

    def _excerpt(self, session: Session, watch: Watch) -> Path:
        recording = _recording(session)
        if recording.is_grit:
            raise UsageError(_NO_ORIGINAL)
        if "excerpt" not in session.things:
            wav = session.fresh("excerpt.wav")
            coding.write_wav(recording, wav, self.limits, self._present(session, watch), self.limits.excerpt_seconds)
            session.things["excerpt"] = wav
        excerpt: Path = session.things["excerpt"]
        return excerpt

    def _sounds(self, session: Session, bitrate: float, watch: Watch) -> dict[str, tuple[Path, str]]:
        """Return the excerpt's versions for the blind test: WAV file and description by name."""
        made: dict[float, dict[str, tuple[Path, str]]] = session.things.setdefault("abx", {})
        if bitrate not in made:
            excerpt = self._excerpt(session, watch)
            short = Recording(excerpt, "excerpt", False, None, 1, _recording(session).channels)
            grit = session.fresh("excerpt.grit")
            take = coding.make_take(self.codec, short, bitrate, grit, self.limits, self._present(session, watch))
            sounds = {
                "original": (excerpt, "the original"),
                "gritcodec": (take.wav, f"gritcodec at {take.kbps or 0:.2f} kbps"),
            }
            if opus.available():
                peer = opus.nearest(excerpt, take.kbps or 0, session.fresh("peer.wav"))
                sounds["Opus"] = peer.wav, f"Opus at {peer.kbps:.2f} kbps"
            made[bitrate] = sounds
        return made[bitrate]

    def _rates_of(self, recording: Recording, header: Header) -> tuple[float, ...]:
        """Return the bitrates that a file can be cut to, kbps a channel, its own last."""
        rates = self.codec.bitrates
        if not recording.is_grit:
            return rates
        own = min(coding.own_bitrate(recording), rates[-1])
        return *(rate for rate in rates[: header.stages] if rate < own - 0.2 * rates[0]), round(own, 2)

    def _present(self, session: Session, watch: Watch) -> Watch:
        """Return a callback that also ends the work of a visitor who has left."""

        def present(what: str, done: float, total: float | None) -> None:
            session.check_presence()
            watch(what, done, total)

        return present


def take_addresses(session: Session) -> dict[float, dict[str, str]]:
    """Return the addresses of the visitor's takes, by bitrate."""
    addresses: dict[float, dict[str, str]] = session.things.setdefault("addresses", {})
    return addresses


def _takes(session: Session) -> dict[float, Take]:
    takes: dict[float, Take] = session.things.setdefault("takes", {})
    return takes


def _drop_takes(session: Session) -> None:
    for take in _takes(session).values():
        shutil.rmtree(take.grit.parent, ignore_errors=True)
    _takes(session).clear()
    take_addresses(session).clear()


def _recording(session: Session) -> Recording:
    recording = session.things.get("recording")
    if not isinstance(recording, Recording):
        raise UsageError(_NO_RECORDING)
    return recording


def _examiner(session: Session) -> Examiner:
    examiner: Examiner = session.things.setdefault("examiner", Examiner())
    return examiner


def _forget(session: Session) -> None:
    """Forget the recording; the score of the blind test stays."""
    examiner = _examiner(session)
    examiner.trial = None
    session.clear()
    session.things["examiner"] = examiner
