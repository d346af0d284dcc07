"""Recordings and what the codec makes of them: real .grit files and real WAV files, block by block."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gritcodec import bitstream, files, model_store
from gritcodec.codec import transfer
from gritcodec.codec.settings import Settings
from gritcodec.demo.limits import Limits
from gritcodec.errors import UsageError
from gritcodec.sound import audio

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec
    from gritcodec.codec.playback import Span

_MAGIC = b"grit"
# What `file_name` puts behind a name: a file of another bitrate does not carry it along.
_ASKED = re.compile(r"-\d+(\.\d+)?kbps$")

# Called with what is counted, how much of it is done and, where it is known, how much there is.
Watch = Callable[[str, float, float | None], None]


@dataclass(frozen=True)
class Recording:
    """What the visitor chose.

    Attributes:
        path: an audio file, or a .grit file.
        name: for downloads: no folders, no ending.
        is_grit: whether it is a .grit file: there is no original then.
        seconds: as its header tells; None where it does not.
        sample_rate: Hz.
        channels: 1 or more.
        title: what the page calls it; empty: its name.
    """

    path: Path
    name: str
    is_grit: bool
    seconds: float | None
    sample_rate: int
    channels: int
    title: str = ""

    @property
    def place(self) -> str:
        """What names it among all recordings of a visit: two may have the same name."""
        return f"{self.path.parent.name}/{self.name}"


@dataclass(frozen=True)
class Take:
    """A recording, coded and decoded.

    Attributes:
        grit: the file.
        wav: what it sounds like, 16-bit.
        size: bytes of the .grit file.
        wav_size: bytes of the WAV file.
        seconds: of sound.
        kbps: what the .grit file costs, all channels together.
        encode_speed: times real time; None for a file that was uploaded.
        decode_speed: times real time.
        damage: a line for everything that is wrong with the file.
    """

    grit: Path
    wav: Path
    size: int
    wav_size: int
    seconds: float
    kbps: float | None
    encode_speed: float | None
    decode_speed: float
    damage: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """How many times smaller than the WAV file."""
        return self.wav_size / self.size


def open_recording(path: Path, name: str, limits: Limits, title: str = "") -> Recording:
    """Look at a file and refuse what the page cannot take; `name` and `title` as in `Recording`.

    Raises:
        UsageError: too large or too long.
        AudioError, FormatError: it is neither audio nor a .grit file.
    """
    with files.open_bytes(path) as stream:
        is_grit = stream.read(len(_MAGIC)) == _MAGIC or path.suffix.lower() == ".grit"
    limits.check_size(path.stat().st_size, is_grit)
    if is_grit:
        with transfer.open_grit(path) as reader:
            header = reader.header
        facts = header.seconds, header.sample_rate, header.channels
    else:
        with audio.AudioReader(path) as source:
            facts = source.expected_seconds, source.sample_rate, source.channels
    limits.check_length(facts[0] or 0.0, facts[2], facts[1])
    return Recording(path, name, is_grit, *facts, title)


def limited(watch: Watch, what: str, recording: Recording, limits: Limits) -> Callable[..., None]:
    """Return a progress callback for `transfer` that also ends work on a recording longer than it said."""

    def progress(done: float, total: float | None, _: int = 0) -> None:
        limits.check_length(done, recording.channels, recording.sample_rate)
        watch(what, done, total)

    return progress


def make_take(codec: Codec, recording: Recording, bitrate: float, grit: Path, limits: Limits, watch: Watch) -> Take:
    """Code a recording at a bitrate and decode it.

    Args:
        codec: the page's model.
        recording: audio; or a .grit file, which loses stages where it has more than the bitrate needs.
        bitrate: kbps a channel.
        grit: where to write the .grit file; the WAV file gets its name.
        limits: of the page.
        watch: called as the work goes on; an exception from it ends the work.

    Raises:
        GritcodecError: as in `transfer`.
    """
    speed = None
    if recording.is_grit:
        files.write_bytes(grit, _lowered(recording, bitrate))
    else:
        progress = limited(watch, "seconds compressed", recording, limits)
        settings = Settings(bitrate, effort=limits.effort, overwrite=True)
        outcome = transfer.compress(codec, recording.path, grit, settings, progress)
        speed = outcome.seconds / max(outcome.took, 1e-9)
    return play_take(codec, recording, grit, limits, watch, speed)


def play_take(
    codec: Codec,
    recording: Recording,
    grit: Path,
    limits: Limits,
    watch: Watch,
    encode_speed: float | None = None,
    span: Span | None = None,
) -> Take:
    """Decode a .grit file of a recording, through damage, into a WAV file beside it."""
    wav = grit.with_suffix(".wav")
    progress = limited(watch, "seconds decoded", recording, limits)
    with transfer.open_grit(grit) as reader:
        made_by = codec_for(codec, reader.header)
        outcome = transfer.decompress(made_by, reader, wav, span, overwrite=True, progress=progress)
    size = grit.stat().st_size
    whole = outcome.header.seconds or outcome.seconds
    return Take(
        grit,
        wav,
        size,
        wav.stat().st_size,
        outcome.seconds,
        8 * size / whole / 1000 if whole else None,
        encode_speed,
        outcome.seconds / max(outcome.took, 1e-9),
        outcome.damage,
    )


def codec_for(codec: Codec, header: bitstream.Header) -> Codec:
    """Return the codec for a file: the page's own, or the shipped model that made it.

    Raises:
        WrongModelError: it was made with a model that is not here.
    """
    if header.fingerprint.hex() == codec.fingerprint:
        return codec
    from gritcodec.codec.codec import load

    return load(model_store.find(header))


def write_wav(recording: Recording, target: Path, limits: Limits, watch: Watch, seconds: float | None = None) -> None:
    """Write an audio recording, or its first seconds, as the 16-bit WAV file that any browser plays."""
    progress = limited(watch, "seconds read", recording, limits)
    with audio.AudioReader(recording.path) as reader:
        rate, left = reader.sample_rate, None if seconds is None else round(seconds * reader.sample_rate)
        done = 0
        with audio.open_writer(target, rate, reader.channels, None) as writer:
            for block in reader.blocks():
                block = block if left is None else block[:, : left - done]
                writer.write(block)
                done += block.shape[1]
                progress(done / rate, reader.expected_seconds)
                if done == left:
                    return


def own_bitrate(recording: Recording) -> float:
    """Return what a .grit file costs, kbps a channel; infinite where its header does not know its length."""
    if not recording.seconds:
        return float("inf")
    return 8 * recording.path.stat().st_size / recording.seconds / 1000 / recording.channels


def is_as_uploaded(recording: Recording, bitrate: float) -> bool:
    """Whether a recording is a .grit file that a bitrate leaves as it is."""
    return recording.is_grit and bitrate >= own_bitrate(recording)


def file_name(recording: Recording, bitrate: float) -> str:
    """Return what downloads at a bitrate are called, without an ending: by what was asked for, not what it came to."""
    if is_as_uploaded(recording, bitrate):
        return recording.name
    name = _ASKED.sub("", recording.name) if recording.is_grit else recording.name
    return f"{name or recording.name}-{bitrate:g}kbps"


def _lowered(recording: Recording, bitrate: float) -> bytes:
    """Return a .grit file's bytes, with stages left out where it costs more than a bitrate."""
    data = recording.path.read_bytes()
    if is_as_uploaded(recording, bitrate):
        return data
    try:
        return bitstream.truncate(data, bitrate)
    except UsageError:
        # A short file costs more than its stages do: it may have none to spare at this bitrate.
        return data
