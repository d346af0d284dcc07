"""What libsndfile does not read, through PyAV (FFmpeg): m4a, amr, wma, webm, the sound of films, and others.

FFmpeg takes off the beginning that an edit list or a container tells of, and leaves the end on; where a container tells
nothing its sound is late by the delay of the encoder. `DELAYS` has those that were measured (docs/reading.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from gritcodec.errors import AudioError, UsageError
from gritcodec.sound import endings, tags
from gritcodec.sound.chain import Adapter
from gritcodec.sound.libsndfile import gap_filled, quiet_blocks
from gritcodec.sound.lost import CUT_INSIDE, cut_off
from gritcodec.sound.waveforms import Waveform, block_samples

# Samples, at the decoder's own rate, by which sound is late where its container tells of no delay.
DELAYS = {
    "aac": 1024,
    "mp3": 1105,
    "mp3float": 1105,
    "mp2": 481,
    "mp2float": 481,
    "mpc8": 481,
    "ac3": 256,
    "eac3": 256,
    "libopencore_amrnb": 40,
    "amrnb": 40,
    "amrwb": 95,
    "adpcm_g722": 22,
    "g722": 22,
    "dca": 512,
    "g723_1": 60,
    "nellymoser": 128,
    "real_144": 160,
}
# Speex tells a part of it, of which FFmpeg takes nothing off.
_SPEEX_DELAYS = {8_000: 80, 16_000: 222, 32_000: 508}
# What libopus is late by, at 48 kHz, where nothing tells; and how long a frame of Windows Media Audio is by its rate.
_OPUS_DELAY = 312
_WMA_FRAMES = ((16_000, 512), (22_050, 1024))
_WMA_LONGEST = 2048
# FFmpeg's word in edit lists for AMR's delay, which is 40.
_AMR_EDIT = -50
# Headerless: known by the ending alone.
_BY_ENDING = {".g722": "g722", ".gsm": "gsm"}
# Containers that say how long they are; of others FFmpeg guesses it from the size.
_HONEST = ("mov", "matroska", "flv")
# And those that count samples, of sound alone.
_EXACT = ("nistsphere", "tta", "wv", "ape")
_MISSING_SECONDS = 0.1
# Packets whose times are further apart than that have lost some between them; beyond the most another clock begins.
_LEAST_GAP, _MOST_GAP = 0.1, 60
# What FFmpeg says of the system and of itself where it is the file that is at fault.
_PLAIN = {
    "End of file": "there is no frame or page of its format in it",
    "Operation not permitted": "its header is damaged, or of another format than its name",
    "Not yet implemented in FFmpeg, patches welcome": "FFmpeg does not read this kind of it",
}
_SCALES = {"u8": 1 / 128, "s16": 1 / 32768, "s32": 1 / 2147483648, "s64": 1 / 9223372036854775808}


class AvReader:
    """One track of sound; attributes as of `PcmReader`, and `notes` for what is worth a word though it is no damage."""

    def __init__(self, name: str, source: Any, close: Any, track: int | None = None, is_cut: bool = False) -> None:
        """Open a path or a seekable stream that is called `name` in messages; `track` counts from 1.

        `is_cut`: whether it is known to end too early.

        Raises:
            AudioError: FFmpeg does not know it, or there is no sound in it.
            UsageError: there is no such track.
        """
        import av

        self._name, self._close = name, close
        form = _BY_ENDING.get(endings.of_name(name))
        try:
            self._container: Any = av.open(source, "r", format=form, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            text = _reason(error)
            raise AudioError(f"cannot read {name} as audio: {_PLAIN.get(text, text)}") from error
        try:
            self._stream = self._choose(track)
            if self._stream.codec_context is None:
                raise AudioError(f"cannot read {name} as audio: FFmpeg does not know how its sound is coded")
            self.notes = endings.assumed(name)
            count = len(self._container.streams.audio)
            if count > 1 and track is None:
                self.notes.append(f"the first of its {count} tracks of sound is taken (--track has the others)")
            self.damage: list[str] = []
            self._is_cut = is_cut
            self._broken = self._broken_last = 0
            self._stop = ""
            self._packets = self._demuxed()
            self._span = _Span(self._container, self._stream)
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is None:
                raise AudioError(f"cannot read {name} as audio: no sound can be decoded from it")
        except BaseException:
            self._container.close()
            raise
        self._ahead: tuple[Waveform, int] | None = first
        self.sample_rate, self.channels = first[1], first[0].shape[0]
        self._describe()

    def close(self) -> None:
        """Close the file and its input."""
        self._container.close()
        self._close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield float32 [channels, samples]; what cannot be decoded is left out."""
        adapter, done = Adapter(self.sample_rate, self.channels), 0
        held: Waveform | None = None
        frame, self._ahead = self._ahead, None
        drop: int | None = None
        while frame is not None:
            block, rate = frame
            if drop is None:
                drop = self._span.delay(rate)
            cut = min(drop, block.shape[1])
            drop -= cut
            block = block[:, cut:]
            if rate == self.sample_rate:
                # The end is known once all packets are: until then what may lie behind it is held back.
                if held is not None and held.shape[0] != block.shape[0]:
                    # Broadcasts go from two channels to six and back; what was held back lies inside.
                    done += held.shape[1]
                    yield from adapter.push(held, rate)
                    held = None
                block = block if held is None else np.concatenate([held, block], axis=1)
                allowed = self._span.so_far(rate)
                room = block.shape[1] if allowed is None else max(min(allowed - done, block.shape[1]), 0)
                block, held = block[:, :room], block[:, room:]
            done += block.shape[1]
            if block.shape[1]:
                yield from adapter.push(block, rate)
            frame = next(self._frames, None)
        if held is not None and held.shape[1] and (end := self._span.so_far(self.sample_rate)) is not None:
            rest = held[:, : max(end - done, 0)]
            done += rest.shape[1]
            yield from adapter.push(rest, self.sample_rate)
        yield from adapter.finish()
        self._tell(done)

    def _choose(self, track: int | None) -> Any:
        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"cannot read {self._name} as audio: there is no sound in it")
        if not 1 <= (track or 1) <= len(streams):
            raise UsageError(f"{self._name} has {len(streams)} tracks of sound: there is no track {track}")
        return streams[(track or 1) - 1]

    def _demuxed(self) -> Iterator[Any]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self._stop = f"reading stopped inside the file: {_reason(error)}"
                return
            if packet is None:
                return
            yield packet

    def _decoded(self) -> Iterator[tuple[Waveform, int]]:
        import av

        given, shape = Fraction(0), (0, 0)
        for packet in self._packets:
            is_broken = bool(packet.size and packet.is_corrupt)
            gap = self._span.take(packet, given) if packet.size else 0
            if gap and shape[1]:
                self.damage.append(gap_filled(float(given), float(gap)))
                given += gap
                for silence in quiet_blocks(shape[0], round(gap * shape[1]), block_samples(shape[1])):
                    yield silence, shape[1]
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                frames, is_broken = [], True
            self._broken += is_broken
            if is_broken or packet.size:
                self._broken_last = self._broken_last + 1 if is_broken else 0
            for frame in frames:
                if frame.samples:
                    shape = frame.layout.nb_channels, frame.sample_rate
                    given += Fraction(frame.samples, frame.sample_rate)
                    yield _samples(frame), frame.sample_rate

    def _describe(self) -> None:
        container, stream = self._container, self._stream
        pairs = [*container.metadata.items(), *stream.metadata.items()]
        self.tags, self.chapters = tags.chapters([(name.lower(), value) for name, value in pairs])
        for chapter in container.chapters() if hasattr(container, "chapters") else ():
            seconds = float(chapter["start"] * chapter["time_base"])
            self.chapters.append((max(seconds, 0.0), dict(chapter["metadata"]).get("title", "")))
        self.chapters = sorted(set(self.chapters))
        self.expected_seconds = container.duration / 1e6 if container.duration else None

    def _tell(self, done: int) -> None:
        promised, seconds = self._span.promised, done / self.sample_rate
        is_short = promised is not None and seconds < promised - _MISSING_SECONDS
        is_cut = self._is_cut or (is_short and self._span.is_exact)
        # What is broken at the end of a file that is cut is what it is cut in.
        broken = self._broken - (self._broken_last if is_cut else 0)
        if self._stop and not is_cut:
            self.damage.append(self._stop)
        if broken:
            packets = "packets of it are" if broken > 1 else "packet of it is"
            self.damage.append(f"{broken:,} {packets} damaged, and may be missing")
        if is_cut:
            known = promised is not None and is_short
            self.damage.append(cut_off(seconds, promised or 0, self.sample_rate) if known else CUT_INSIDE)


class _Span:
    """What a file says of its beginning and end, packet by packet."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._context = stream.codec_context
        self._codec: str = self._context.name
        self._kind: str = container.format.name
        self._base = Fraction(stream.time_base)
        self._sum = Fraction(0)
        self._is_timed = True
        self._first: int | None = None
        self._end: Fraction | None = None
        # Samples that FFmpeg takes off by itself; None: it was told to leave it to this.
        self._skipped: int | None = 0
        self._start = stream.start_time
        gapless = {**container.metadata, **stream.metadata}
        self._itunes = _itunes(next((gapless[key] for key in gapless if key.lower() == "itunsmpb"), ""))
        self._is_of_ffmpeg = container.metadata.get("encoder", "").startswith("Lavf")
        self.promised: float | None = None
        # A film's length may be that of its pictures.
        is_alone = self._kind.startswith(("matroska", "flv")) and len(container.streams) == 1
        self.is_exact = self._kind in _EXACT or is_alone
        if self.is_exact or self._kind.startswith(_HONEST):
            own = None if stream.duration is None else float(stream.duration * self._base)
            self.promised = own or (container.duration / 1e6 if container.duration else None)
        # Its last packet is as short as the sound is, and FFmpeg 8 cuts it by what is missing in it once more.
        # What the file says is the most there is: that of FFmpeg 5 counts whole packets.
        self._is_lossless_caf = self._kind == "caf" and self._codec == "alac"
        self._length = stream.duration * self._base if self._is_lossless_caf and stream.duration else None

    def take(self, packet: Any, given: Fraction) -> Fraction:
        """Note what a packet says, before it is decoded; return the seconds that are lost before it.

        `given`: seconds of what was decoded before.
        """
        if self._first is None:
            self._first = packet.pts if packet.pts is not None else 0
            if packet.has_sidedata("skip_samples"):
                self._skipped = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
            is_amr = self._kind.startswith("mov") and "amrnb" in self._codec and self._first == _AMR_EDIT
            if is_amr or self._is_lossless_caf or self._codec in ("wmav1", "wmav2"):
                from av.codec.context import Flags2

                self._context.flags2 |= Flags2.skip_manual
                self._skipped = None
        gap = self._gap(packet, given)
        self._sum += (packet.duration or 0) + gap / self._base
        self._is_timed = self._is_timed and bool(packet.duration)
        return gap

    def _gap(self, packet: Any, given: Fraction) -> Fraction:
        """Return by how much a packet is later than the end of what came before it, where that is more than unrest."""
        before, self._end = self._end, None
        if packet.pts is None:
            return Fraction(0)
        self._end = (packet.pts + (packet.duration or 0)) * self._base
        if before is None:
            return Fraction(0)
        gap = packet.pts * self._base - max(before, (self._first or 0) * self._base + given)
        return gap if _LEAST_GAP < gap < _MOST_GAP else Fraction(0)

    @property
    def _told(self) -> bool:
        """Whether the file told of a delay, which FFmpeg has taken off."""
        in_mp3 = self._kind == "mp3" and bool(self._start)
        return in_mp3 or (self._first is not None and self._first < 0) or self._itunes is not None

    def delay(self, rate: int) -> int:
        """Return samples to take off the beginning."""
        if self._codec in ("speex", "libspeex"):
            return _SPEEX_DELAYS.get(rate, 0)
        if self._codec in ("opus", "libopus"):
            return max(self._opus_delay() - (self._skipped or 0), 0)
        if self._codec in ("wmav1", "wmav2"):
            # Windows' encoder is two frames late, FFmpeg's own one; FFmpeg would take off two of both.
            return self._wma_frame(rate) * (1 if self._is_of_ffmpeg else 2)
        return 0 if self._told and self._skipped is not None else DELAYS.get(self._codec, 0)

    def _opus_delay(self) -> int:
        """Return what Opus' own header says, of which FFmpeg takes too little where a container has another rate."""
        head = self._context.extradata or b""
        if head[:8] != b"OpusHead" or self._kind == "mpegts":
            return _OPUS_DELAY
        return int.from_bytes(head[10:12], "little")

    def _wma_frame(self, rate: int) -> int:
        if self._codec == "wmav1" and 22_050 < rate <= 32_000:
            return 1024
        return next((size for most, size in _WMA_FRAMES if rate <= most), _WMA_LONGEST)

    def so_far(self, rate: int) -> int | None:
        """Return the samples of all packets that were taken so far; None where the file does not tell to the sample."""
        if self._itunes is not None:
            return self._itunes
        if self._length is not None:
            return round(self._length * rate)
        is_mov = self._kind.startswith("mov")
        in_ogg = self._kind == "ogg" and self._codec in ("speex", "libspeex")
        if not self._is_timed or not (is_mov or in_ogg):
            return None
        skipped = min(self._first or 0, 0) if self._skipped is not None else 0
        length = (self._sum + skipped) * self._base * rate
        # An edit list tells all of the delay, also where FFmpeg takes a part of it off.
        return max(round(length) - (self.delay(rate) if is_mov and not skipped else 0), 0)


def _itunes(text: str) -> int | None:
    """Return the samples that the tag of iTunes tells: after a number, the delay, the padding, and so many."""
    words = text.split()
    try:
        return int(words[3], 16) or None
    except (IndexError, ValueError):
        return None


def _samples(frame: Any) -> Waveform:
    """Return float32 [channels, samples] of a decoded frame."""
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        array = array.reshape(-1, channels).T
    name = frame.format.name.rstrip("p")
    if name not in _SCALES:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(array, dtype=np.float32)
    shift = 128 if name == "u8" else 0
    return np.ascontiguousarray((array.astype(np.float64) - shift) * _SCALES[name], dtype=np.float32)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())
