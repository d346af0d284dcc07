"""What the page's buttons do: from a visitor's wish to a piece of HTML. No Gradio here, no network."""

import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

from gritcodec import messages
from gritcodec.bitstream import Header, parse_header
from gritcodec.codec.codec import Codec
from gritcodec.codec.playback import Span
from gritcodec.demo import coding, compare, markup, opus, packetloss, pictures, sidebyside, visit
from gritcodec.demo.coding import Recording, Take, Watch
from gritcodec.demo.limits import Limits
from gritcodec.demo.workspace import Session, Workspace, adopt, safe_stem
from gritcodec.errors import GritcodecError, UsageError

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
_NO_ORIGINAL = "a .grit file holds no original to compare with: choose a recording instead"

_P = ParamSpec("_P")


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
                        messages.note(visit.one_line(error))
                    return markup.problem(visit.one_line(error, session))

        return run

    return decorate


class Views:
    """The page's views; every public method takes the key of a visitor's session and returns HTML."""

    def __init__(self, codec: Codec, workspace: Workspace, limits: Limits) -> None:
        """Serve one model."""
        self.codec = codec
        self.limits = limits
        self._workspace = workspace

    def refusal(self, bitrate: float | None) -> str:
        """Return the line that says why a bitrate cannot be taken; empty if it can."""
        try:
            self._check(bitrate)
        except UsageError as error:
            return markup.problem(str(error))
        return ""

    def postponed(self, key: str, bitrate: float) -> str:
        """Return the line that says to press the button, for a recording that is too long to be coded unasked.

        Empty for others, and where the result is there already. Neither waits for work nor ends any: what is being
        coded goes on, and what was coded stays.
        """
        session = self._workspace.session(key)
        recording = session.things.get("recording")
        if not isinstance(recording, Recording) or (recording.seconds or 0) <= self.limits.short_seconds:
            return ""
        if bitrate in session.things.get("takes", {}):
            return ""
        minutes = (recording.seconds or 0) / 60
        return markup.hint(f"Press Listen for {bitrate:g} kbps: all {minutes:.1f} minutes are coded then.")

    def channels_of(self, key: str) -> int:
        """Return how many channels the open recording has; 1 without one."""
        recording = self._workspace.session(key).things.get("recording")
        return recording.channels if isinstance(recording, Recording) else 1

    def is_asked(self, key: str) -> bool:
        """Whether a blind trial waits for its answer."""
        return visit.examiner(self._workspace.session(key)).trial is not None

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
        self._check(bitrate)
        visit.forget(session)
        source = CLIPS[clip]
        session.things["recording"] = coding.open_recording(source, source.stem, self.limits, clip)
        return self._listen(session, bitrate, watch, play)

    @_view(ends_others=True)
    def open_upload(self, session: Session, upload: str, bitrate: float, watch: Watch) -> str:
        """Open an uploaded or recorded file; a .grit file is played as it is."""
        visit.forget(session)
        path = adopt(session, Path(upload), self._workspace.uploads)
        # Until it is known to be good, so that an error calls it by the visitor's name.
        session.things["recording"] = Recording(path, path.name, False, None, 1, 1)
        try:
            recording = coding.open_recording(path, safe_stem(path.name), self.limits, Path(upload).stem)
        except GritcodecError as error:
            text = visit.one_line(error, session)
            visit.forget(session)
            return markup.problem(text)
        session.things["recording"] = recording
        if recording.is_grit:
            return self._listen(session, coding.own_bitrate(recording), watch, play=True)
        self._check(bitrate)
        return self._listen(session, bitrate, watch, play=True)

    @_view(ends_others=True)
    def listen(self, session: Session, bitrate: float, original: bool, watch: Watch) -> str:
        """Play the open recording at a bitrate, in kbps a channel, or the original."""
        recording = visit.recording(session)
        if original:
            return self._original(session, recording, watch)
        self._check(bitrate)
        return self._listen(session, bitrate, watch, play=True)

    @_view()
    def comparison(self, session: Session, bitrate: float, watch: Watch) -> str:
        """Show every bitrate, and Opus, side by side; the one at hand first."""
        self._check(bitrate)
        if "comparison" not in session.things:
            excerpt = self._excerpt(session, watch)
            folder = session.fresh("x").parent
            session.things["comparison"] = compare.compare(self.codec, excerpt, folder, self._present(session, watch))
        lacks = [] if opus.available() else ["apt-get install opus-tools puts Opus beside it"]
        if "PESQ" not in (measures := compare.measures()):
            lacks.append("pip install pesq adds PESQ")

        def address(column: compare.Column) -> tuple[str, str]:
            return session.publish(column.wav, column.wav.name), session.publish(column.picture, column.picture.name)

        return sidebyside.comparison(session.things["comparison"], bitrate, address, measures, "; ".join(lacks))

    @_view()
    def loss(self, session: Session, bitrate: float, percent: float, seed: int, watch: Watch) -> str:
        """Drop packets of the recording's file and play what is left."""
        recording = visit.recording(session)
        self._check(bitrate)
        made = list(visit.takes(session).values())
        # Of a long recording, what is there: another bitrate would take its place.
        is_long = (recording.seconds or 0) > self.limits.short_seconds
        whole = made[-1] if made and is_long else self._take(session, bitrate, watch)
        lossy = packetloss.drop_packets(whole.grit.read_bytes(), percent, seed)
        grit = session.fresh(f"{whole.grit.stem}-{percent:g}-percent-lost.grit")
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
        recording = visit.recording(session)
        self._check(bitrate)
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
        addresses = []
        for name, png in (("codes.png", pictures.codes_png(codes)), ("kept.png", pictures.kept_png(kept, len(codes)))):
            target = session.fresh(name)
            target.write_bytes(png)
            addresses.append(session.publish(target, name))
        return sidebyside.codes((addresses[0], addresses[1]), kept, len(codes), rates, chosen, frame_rate)

    @_view()
    def ask(self, session: Session, pair: str, bitrate: float, watch: Watch) -> str:
        """Begin a blind trial: three players under names that tell nothing."""
        if pair not in PAIRS:
            raise UsageError("choose what to compare")
        self._check(bitrate)
        sounds = self._sounds(session, bitrate, watch)
        if missing := [name for name in PAIRS[pair] if name not in sounds]:
            raise UsageError(f"{missing[0]} is not here: install opusenc (opus-tools) and start the page again")
        trial = visit.examiner(session).ask(PAIRS[pair])
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
        examiner = visit.examiner(session)
        if examiner.trial is None:
            raise UsageError("begin a trial first")
        trial, right = examiner.answer(says_a)
        pair = trial.a, trial.b
        known = next(known for known in PAIRS.values() if set(known) == set(pair))
        return markup.verdict(trial, right, session.things["abx-names"]) + markup.score(known, examiner.score(pair))

    def leave(self, key: str) -> None:
        """Remove what a visitor had."""
        self._workspace.leave(key)

    def _check(self, bitrate: float | None) -> None:
        """Refuse what is no bitrate of the model: the page's number box takes anything."""
        rates = self.codec.bitrates
        if not isinstance(bitrate, int | float) or not rates[0] <= bitrate <= rates[-1]:
            number = f"{bitrate:g}" if isinstance(bitrate, int | float) else bitrate
            given = "there is no bitrate here" if bitrate is None else f"{number} kbps is no bitrate of this model"
            raise UsageError(f"{given}: type a number from {rates[0]:g} to {rates[-1]:g}")

    def _listen(self, session: Session, bitrate: float, watch: Watch, play: bool) -> str:
        take = self._take(session, bitrate, watch)
        if "listen" not in visit.take_addresses(session).get(bitrate, {}):
            visit.take_addresses(session)[bitrate] = {
                "listen": session.publish(take.wav, take.wav.name),
                "grit": session.publish(take.grit, take.grit.name),
            }
        addresses = visit.take_addresses(session)[bitrate]
        recording = visit.recording(session)
        label = "as uploaded"
        if not coding.is_as_uploaded(recording, bitrate):
            label = f"{bitrate:g} kbps" + (" per channel" if recording.channels > 1 else "")
        return markup.take(recording, label, take, addresses["listen"], addresses["grit"], play)

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
        return markup.original(recording, address, size, seconds)

    def _take(self, session: Session, bitrate: float, watch: Watch) -> Take:
        recording, takes = visit.recording(session), visit.takes(session)
        if bitrate not in takes:
            grit = session.fresh(f"{coding.file_name(recording, bitrate)}.grit")
            watch = self._present(session, watch)
            try:
                take = coding.make_take(self.codec, recording, bitrate, grit, self.limits, watch)
            except BaseException:
                shutil.rmtree(grit.parent, ignore_errors=True)
                raise
            if (recording.seconds or 0) > self.limits.short_seconds:
                # An hour of WAV is large: only the last take of a long recording is kept, until there is another.
                visit.drop_takes(session)
            takes[bitrate] = take
        return takes[bitrate]

    def _excerpt(self, session: Session, watch: Watch) -> Path:
        recording = visit.recording(session)
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
            short = Recording(excerpt, "excerpt", False, None, 1, visit.recording(session).channels)
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
