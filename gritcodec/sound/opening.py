"""Which reader a file or a pipe gets: our own for samples as they are, then libsndfile, then PyAV."""

from __future__ import annotations

import io
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from gritcodec.errors import AudioError, UsageError
from gritcodec.sound import behind, endings, ends, ffmpeg, flac, following, frames, headers, id3, mpeg, ogg, tags, voc
from gritcodec.sound.chain import ChainReader
from gritcodec.sound.inputs import Input
from gritcodec.sound.joined import JoinedReader, Sound
from gritcodec.sound.layouts import Layout
from gritcodec.sound.libsndfile import Handle, SndReader
from gritcodec.sound.lost import CUT_INSIDE, cut_off
from gritcodec.sound.pcm import PcmReader

AV_HINT = "pip install 'gritcodec[av]' to read m4a, amr, wma, webm, mp4 and others too"
_HEAD = 1 << 16
# Samples by which encoder and decoder of Layer II are late; no file says it.
_MP2_DELAY = 481
# By how many times what seems to be missing a stream is made longer.
_MPEG_RESERVE = 4
# What wav files call Layers I and II, and III.
_MPEG_IN_WAV = (0x50, 0x55)
# GSM 06.10 in wav files, bytes and samples of its blocks.
_GSM_IN_WAV, _GSM_BLOCK_BYTES, _GSM_BLOCK_SAMPLES = 0x31, 65, 320
_TAGS = 1 << 20


def open_sound(source: Input, track: int | None = None) -> Sound:
    """Open an input with the first reader that knows it.

    Args:
        source: at its beginning.
        track: of a film or the like, from 1; PyAV reads it then.

    Raises:
        AudioError: nobody does, or there is no sound in it.
        UsageError: there is no such track.
    """
    if not source.peek(1):
        raise AudioError(f"{source.name} is empty (0 bytes)")
    if track is not None and not endings.loads_av():
        raise UsageError("--track needs PyAV: pip install 'gritcodec[av]'")
    layout = headers.parse(source) if track is None else None
    if layout is not None and layout.kind is not None:
        return PcmReader(source, layout)
    stream = source.rewound()
    parts = following.parts(stream)
    if len(parts) > 1 or parts[0].end < stream.seek(0, os.SEEK_END):
        return _joined(source, stream, parts, track)
    return _one(source, layout, track)


def _joined(source: Input, stream: Any, parts: list[following.Part], track: int | None) -> Sound:
    """Return what reads several files that follow each other."""

    def opened(part: following.Part) -> Sound:
        there = Input(io.BufferedReader(following.Section(stream, part)), source.name, close=False)
        return _one(there, headers.parse(there) if track is None else None, track)

    first, *others = [partial(opened, part) for part in parts if part.is_read]
    left = sum(part.end - part.begin for part in parts if not part.is_read)
    return JoinedReader(first(), others, source.close, behind.left_out(left) if left else "")


def _one(source: Input, layout: Layout | None, track: int | None) -> Sound:
    if track is not None:
        return _through_av(source, track)
    try:
        return _through_libsndfile(source, layout)
    except AudioError as error:
        head = source.rewound().read(_HEAD)
        if (missing := endings.lacks_header(source.name, head)) is not None and not ends.is_for_av(head):
            raise AudioError(missing) from error
        if not endings.loads_av():
            hint = AV_HINT if _may_be_for_av(source, head, layout is not None or "unsupported" in str(error)) else ""
            raise AudioError("; ".join(filter(None, [str(error), hint]))) from error
        try:
            return _through_av(source, None)
        except AudioError as other:
            if _is_known_to_av(other):
                raise other from error
            raise error from None


def _is_known_to_av(error: AudioError) -> bool:
    """Whether FFmpeg knew the format, so that its word is the better one."""
    return "Invalid data found" not in str(error)


def _may_be_for_av(source: Input, head: bytes, is_known: bool) -> bool:
    """Whether PyAV is worth a word, by the name, the beginning, or a container whose coding is not read here."""
    is_named = endings.of_name(source.name) in endings.WITH_AV
    return is_known or not source.path or is_named or ends.is_for_av(head)


def _through_libsndfile(source: Input, layout: Layout | None) -> Sound:
    stream = source.rewound()
    head = stream.read(_HEAD)
    stream.seek(0)
    if head[:4] == b"OggS":
        links, skipped = ogg.links(stream)
        if not links:
            raise AudioError(f"cannot read {source.name} as audio: this Ogg file holds no Vorbis, Opus, FLAC or Speex")
        return ChainReader(source.name, links, skipped, source.close)
    ending = endings.of_name(source.name)
    if head[: len(voc.MAGIC)] == voc.MAGIC and (blocks := voc.read(source.name, stream)) is not None:
        return voc.VocReader(stream, blocks, source.close)
    if head[frames.after_id3(head) :][:4] != b"fLaC" and _may_be_mpeg(head, ending):
        data = stream.read()
        stream.seek(0)
        if found := mpeg.scan_all(data):
            reader = _mpeg(source, found)
            reader.tags, reader.chapters = id3.read(data)
            return reader
    if layout is not None:
        return _other_wav(source, stream, layout)
    if (start := flac.start(stream)) is not None:
        return _flac(source, stream, flac.parts(stream, start))
    is_cut = ending == ".gsm" and ends.is_cut(stream, source.name)
    whole = stream.seek(0, os.SEEK_END) // ends.GSM_BYTES * ends.GSM_SAMPLES if is_cut else None
    stream.seek(0)
    quiet, is_gsm = _may_be_mpeg(head, ending), ending == ".gsm"
    handle = Handle(source.name, source.path, None if source.path else stream, quiet, is_gsm)
    if handle.file.format == "RAW" and (refused := endings.lacks_header(source.name, head)) is not None:
        handle.close()
        raise AudioError(refused)
    # libsndfile decodes what there is of a last frame of GSM, and whatever comes of it.
    reader = SndReader(handle, source.close, [CUT_INSIDE] if is_cut else None, whole)
    reader.notes += endings.assumed(source.name)
    if (missing := _sphere_missing(head, handle)) is not None:
        reader.damage.append(missing)
    return reader


def _flac(source: Input, stream: Any, parts: list[tuple[int, int, bool]]) -> Sound:
    """Return what reads one FLAC file, or several that follow each other."""
    stream.seek(0)
    comments = tags.flac_comments(stream.read(_TAGS))
    if len(parts) == 1:
        stream.seek(0)
        reader = SndReader(Handle(source.name, source.path, None if source.path else stream), source.close)
        reader.tags, reader.chapters = tags.chapters(comments or reader.tags)
        return reader

    def opened(begin: int, end: int) -> SndReader:
        stream.seek(begin)
        return SndReader(Handle(source.name, None, io.BytesIO(stream.read(end - begin))), _nothing)

    files = [partial(opened, begin, end) for begin, end, is_flac in parts if is_flac]
    left = sum(end - begin for begin, end, is_flac in parts if not is_flac)
    joined = JoinedReader(files[0](), files[1:], source.close, behind.left_out(left) if left else "")
    joined.tags, joined.chapters = tags.chapters(comments or joined.tags)
    return joined


def _nothing() -> None:
    """Close nothing: somebody else does."""


def _through_av(source: Input, track: int | None) -> Sound:
    stream, path = source.rewound(), source.path
    if ends.lacks_index(stream):
        raise AudioError(
            f"cannot read {source.name} as audio: what says where its sound lies (moov, which most recorders write at "
            "its end) is missing, as where a recording was cut off"
        )
    is_cut, lost = ends.is_cut(stream, source.name), ends.damaged_bytes(stream)
    stream.seek(0)
    reader = ffmpeg.AvReader(source.name, path or stream, source.close, track, is_cut)
    if lost:
        reader.damage.append(f"{lost:,} bytes of it are damaged: what they held is missing")
    return reader


def _may_be_mpeg(head: bytes, ending: str) -> bool:
    at = frames.after_id3(head)
    return head[:3] == b"ID3" or frames.parse_frame(head, at) is not None or ending in (".mp3", ".mpga")


def _mpeg(source: Input, found: list[mpeg.Scan]) -> SndReader | JoinedReader:
    """Return what reads whole frames of MPEG audio, of one file or of several that follow each other."""
    if len(found) == 1:
        return _frames(source.name, source.close, found[0])
    first, *others = [partial(_frames, source.name, _nothing, one) for one in found]
    return JoinedReader(first(), others, source.close)


def _frames(name: str, close: Callable[[], None], found: mpeg.Scan) -> SndReader:
    handle = _frames_handle(name, found.data)
    if found.first.layer == 3:
        return SndReader(handle, close, damage=found.damage())
    if (missing := found.samples - (handle.frames or 0)) > 0:
        # Its length is guessed from the first frames: behind the last one silence is put, and left out again.
        handle.close()
        handle = _frames_handle(name, found.longer(_MPEG_RESERVE * missing))
    late = _MP2_DELAY if found.first.layer == 2 else 0
    return SndReader(handle, close, found.damage(), found.samples, late)


def _frames_handle(name: str, data: bytes) -> Handle:
    return Handle(name, None, io.BytesIO(data), quiet=True)


def _other_wav(source: Input, stream: Any, layout: Layout) -> Sound:
    """Return what reads another coding than samples as they are, out of a wav file."""
    left = _behind_wav(source.name, stream, layout)
    if not left:
        return _coded_wav(source, stream, layout, source.path)
    # libsndfile refuses it with another file behind it.
    alone = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the reader
    stream.seek(0)
    shutil.copyfileobj(stream, alone)
    alone.truncate(alone.tell() - left)
    reader = _coded_wav(source, alone, layout, None)
    reader.damage.append(behind.left_out(left))
    return reader


def _behind_wav(name: str, stream: Any, layout: Layout) -> int:
    """Return the bytes of another file behind a wav file."""
    if layout.size is None or layout.size_field is None:
        return 0
    # What its chunks say is known.
    passed, there = replace(layout, tags=[], cues={}, labels={}), Input(stream, name, close=False)
    begin = layout.size_field[0] + struct.calcsize(layout.size_field[2])
    if begin + layout.size < there.length():
        there.seek(begin + layout.size)
        headers.read_trailer(there, passed)
    return passed.left_out


def _coded_wav(source: Input, stream: Any, layout: Layout, path: str | None) -> Sound:
    start = 0 if layout.size_field is None else layout.size_field[0] + struct.calcsize(layout.size_field[2])
    there = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    if layout.coding in _MPEG_IN_WAV and (found := mpeg.scan_all(stream.read(layout.size))):
        frames = _mpeg(source, found)
        if layout.size is not None and 0 < there < layout.size and isinstance(frames, SndReader):
            # FFmpeg's header has no bytes a second of MP3.
            only = found[0]
            late, rate = only.delay + mpeg.DECODER_DELAY, only.first.sample_rate
            promised = (only.samples * layout.size / there - late) / rate
            frames.damage = [line for line in frames.damage if line != CUT_INSIDE]
            frames.damage.append(cut_off((only.samples - late) / rate, promised, rate))
        frames.tags, frames.chapters = layout.tags, _chapters(layout)
        return frames
    stream.seek(0)
    given = stream
    damage: list[str] = []
    if layout.size is None and layout.size_field is not None:
        # libsndfile is told the size that the writer could not go back to tell.
        place, _, kind = layout.size_field
        path, given = None, tempfile.TemporaryFile()  # noqa: SIM115 - closed with the reader
        shutil.copyfileobj(stream, given)
        given.seek(place)
        given.write(struct.pack(kind, there))
    elif layout.size is not None and there < layout.size and layout.byte_rate:
        damage.append(cut_off(there / layout.byte_rate, layout.size / layout.byte_rate, layout.sample_rate))
    # The last block of ADPCM is filled up; `fact` tells how much of it is sound.
    most = layout.frames if layout.frames and not damage and layout.size is not None else None
    if layout.coding == _GSM_IN_WAV:
        # libsndfile takes the byte that makes an odd length even for one block more, often a loud one.
        size = there if layout.size is None else min(there, layout.size)
        whole = size // _GSM_BLOCK_BYTES * _GSM_BLOCK_SAMPLES
        most = whole if most is None else min(most, whole)
    reader = SndReader(Handle(source.name, path, None if path else given), source.close, damage or None, most)
    reader.tags = layout.tags or reader.tags
    reader.chapters = _chapters(layout)
    return reader


def _chapters(layout: Layout) -> list[tuple[float, str]]:
    return [(sample / layout.sample_rate, name) for sample, name in layout.marks]


def _sphere_missing(head: bytes, handle: Handle) -> str | None:
    """Say what a NIST file promised more than it has."""
    words = head[:1024].split()
    if head[:7] != b"NIST_1A" or b"sample_count" not in words or handle.frames is None:
        return None
    try:
        promised = int(words[words.index(b"sample_count") + 2])
    except (IndexError, ValueError):
        return None
    rate = handle.sample_rate
    return cut_off(handle.frames / rate, promised / rate, rate) if promised > handle.frames else None
