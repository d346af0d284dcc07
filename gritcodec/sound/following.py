"""Files that follow each other in one: their readers play the first alone, or the header of the next one as sound.

FLAC and MP3 are taken apart by their own frames, Vorbis, Opus and FLAC in Ogg by `ogg.links`; here is the rest.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gritcodec.sound import behind, ends, frames
from gritcodec.sound.inputs import is_no_place

_HEAD = 1 << 16
_READ = 1 << 22
# Tags behind a file, pictures among them.
_TAGS = 1 << 24
_TTA_BYTES = 22
_FLV_BYTES = 9
_WAVPACK_BYTES, _WAVPACK_FIRST = 32, 1 << 11
_OGG_BYTES, _OGG_FIRST = 27, 2
_SPEEX = b"Speex   "
_CAF_BYTES, _AU_UNKNOWN = 8, 0xFFFFFFFF
# Of a transport stream, and how many are read at once.
_PACKET, _PACKETS = 188, 20_000
_SPHERE, _SPHERE_SIZES = 1024, (b"sample_count ", b"channel_count ", b"sample_n_bytes ")
# Kinds of tags: sound, pictures, and words.
_FLV_TAGS = (8, 9, 18)
# Bits that are 0 in the first byte of a frame.
_AMR_ZEROS = 0x83
_BOXES = (*ends.ISO, b"mfra", b"meta", b"uuid", b"udta", b"emsg", b"prft", b"ssix", b"pdin", b"bloc", b"ftyp")
# More than any file has, and less than a place in one may be.
_MOST_BYTES = 1 << 48
# Of formats that say nothing of their end, how many bytes at the beginning of the first the others have too.
_MARKS = {b"2BIT": 16, b" paf": 16, b"fap ": 16, b"PVF1\n": 5, b"ALawSoundFile**\0": 16, b".SoX": 8}
_MARKS |= {b"XoS.": 8, b"MATLAB 5.0 MAT-file": 19, b".RMF\0\0\0\x12": 8, b".ra\xfd": 6}
_MARKS |= {
    bytes.fromhex(magic): 16 for magic in ("64a30100", "64a30200", "64a30300", "64a30400", "0001a364", "0002a364")
}

# What returns where a file that begins at a place ends; None: nobody knows.
_EndOf = Callable[[Any, int], int | None]


class Part(NamedTuple):
    """One of several files: where it begins and ends, and whether it is read, as one of the first's format is."""

    begin: int
    end: int
    is_read: bool


def parts(stream: Any) -> list[Part]:
    """Return the files that follow each other in a seekable stream; one where it is one, or nothing here knows.

    What is no part of the last one's sound, and stands in its reader's way, may be left out at its end.
    """
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(_HEAD)
    start = frames.after_id3(head)
    if head[:4] == b"OggS":
        return _ogg(stream, length, _SPEEX in head)
    for magic, size in _MARKS.items():
        if head.startswith(magic):
            return _cut_at(_places(stream, head[:size]), length)
    for magic, place, end_of, is_read in _KINDS:
        if head.startswith(magic, start + place):
            return _walked(stream, length, start, end_of, (magic, place) if is_read else None)
    if head[: 3 * _PACKET : _PACKET] == b"GGG":
        return _walked(stream, length, 0, _packets_end, None)
    for size_of in (frames.adts, frames.ac3):
        if frames.follow(head, start, size_of):
            return _walked(stream, length, start, partial(_frames_end, size_of=size_of), None)
    return [Part(0, length, True)]


def _cut_at(begins: list[int], length: int) -> list[Part]:
    return [Part(begin, end, True) for begin, end in zip(begins, [*begins[1:], length], strict=True)]


def _walked(stream: Any, length: int, at: int, end_of: _EndOf, alike: tuple[bytes, int] | None) -> list[Part]:
    """Return what begins behind the end of each file; `alike`: what stands where in those that are read too."""
    found, begin = list[Part](), 0
    while (end := _told(stream, at, end_of)) is not None and at < end < length:
        stream.seek(end)
        data = stream.read(min(length - end, _TAGS))
        behind_tags = frames.after_tags(data, 0, with_id3=False)
        # Some readers take one of these for a broken piece.
        last = behind_tags - frames.ID3V1_BYTES
        sound_end = end + (last if last >= 0 and data.startswith(b"TAG", last) else behind_tags)
        if behind_tags == len(data):
            return [*found, Part(begin, sound_end, True)]
        # A byte may make it even.
        for place in (behind_tags, behind_tags + 1):
            is_alike = alike is not None and data.startswith(alike[0], frames.after_id3(data, place) + alike[1])
            if is_alike or behind.begins(data, place):
                break
        else:
            break
        found.append(Part(begin, min(sound_end, end + place), True))
        begin, at = end + place, end + frames.after_id3(data, place)
        if not is_alike:
            return [*found, Part(begin, length, False)]
    return [*found, Part(begin, length, True)]


def _told(stream: Any, at: int, end_of: _EndOf) -> int | None:
    """Return what `end_of` does; None where a damaged header tells of a place that no file has."""
    try:
        return end_of(stream, at)
    except (OSError, OverflowError) as error:
        if not is_no_place(error):
            raise
        return None


def _places(stream: Any, mark: bytes) -> list[int]:
    """Return where bytes stand that a stream begins with."""
    found, at = list[int](), 0
    stream.seek(0)
    data = b""
    while more := stream.read(_READ):
        data += more
        place = data.find(mark)
        while place >= 0:
            found.append(at + place)
            place = data.find(mark, place + len(mark))
        # They may lie across two pieces.
        keep = min(len(mark) - 1, len(data))
        at += len(data) - keep
        data = data[len(data) - keep :]
    return found


def _ogg(stream: Any, length: int, is_cut: bool) -> list[Part]:
    """Return the links of a chain, which begin at first pages of streams behind others, or all as one."""
    begins, at, in_heads = [0], 0, True
    while at < length:
        stream.seek(at)
        head = stream.read(_OGG_BYTES)
        if len(head) < _OGG_BYTES or head[:5] != b"OggS\0":
            data = head + stream.read(_HEAD)
            if behind.begins(data):
                return [*_cut_at(begins, at), Part(at, length, False)]
            # Damaged: its reader tells.
            place = data.find(b"OggS\0", 1)
            at = length if len(data) < _OGG_BYTES else at + (place if place > 0 else len(data) - _OGG_BYTES + 1)
            continue
        is_first = bool(head[5] & _OGG_FIRST)
        if is_first and not in_heads and is_cut:
            begins.append(at)
        in_heads = is_first
        at += _OGG_BYTES + head[26] + sum(stream.read(head[26]))
    return _cut_at(begins, length)


def _frames_end(stream: Any, at: int, size_of: frames.SizeOf) -> int | None:
    stream.seek(at)
    data, place = stream.read(), 0
    while (size := size_of(data, place)) is not None:
        place += size
    return at + place


def _packets_end(stream: Any, at: int) -> int | None:
    """Return where the packets of a transport stream end: each begins with the same byte."""
    stream.seek(at)
    while data := stream.read(_PACKET * _PACKETS):
        firsts = data[::_PACKET]
        if count := len(firsts) - len(firsts.lstrip(b"G")):
            at += min(count * _PACKET, len(data))
        if count < len(firsts):
            break
    return at


def _sphere_end(stream: Any, at: int) -> int | None:
    """Return the end as the header tells it, of samples as they are; of others where the next begins."""
    stream.seek(at)
    head = stream.read(_SPHERE)
    words = [line.split()[-1] for line in head.split(b"\n") if line.startswith(_SPHERE_SIZES)]
    if b"sample_coding" not in head or re.search(rb"sample_coding -s\d+ (?:pcm|ulaw|alaw|mu-law)\s", head):
        numbers = [int(word) for word in words if word.isdigit()]
        size = head[8:16].strip()
        is_told = size.isdigit() and len(numbers) == len(_SPHERE_SIZES)
        return at + int(size) + math.prod(numbers) if is_told else None
    return next((place for place in _places(stream, head[:16]) if place > at), None)


def _asf_end(stream: Any, at: int) -> int | None:
    begin = at
    while True:
        stream.seek(at)
        head = stream.read(24)
        size = int.from_bytes(head[16:], "little")
        # Those of other kinds have another beginning.
        if len(head) < 24 or (at > begin and behind.begins(head)) or not 24 <= size < _MOST_BYTES:
            return at
        at += size


def _tta_end(stream: Any, at: int) -> int | None:
    """Return the end by the table of sizes: a frame has 256/245 s."""
    stream.seek(at)
    head = stream.read(_TTA_BYTES)
    rate, samples = int.from_bytes(head[10:14], "little"), int.from_bytes(head[14:18], "little")
    count = -(-samples // max(256 * rate // 245, 1))
    table = stream.read(4 * count + 4)
    # No more than there is: a damaged header may tell of anything.
    sizes = (int.from_bytes(table[place : place + 4], "little") for place in range(0, min(4 * count, len(table)), 4))
    return at + len(head) + len(table) + sum(sizes)


def _wavpack_end(stream: Any, at: int) -> int | None:
    """Return where there is no block any more, or a first one again."""
    has_sound = False
    while True:
        stream.seek(at)
        head = stream.read(_WAVPACK_BYTES)
        if len(head) < _WAVPACK_BYTES or head[:4] != b"wvpk":
            return at
        index, samples = int.from_bytes(head[16:20], "little") | head[10] << 32, int.from_bytes(head[20:24], "little")
        if index == 0 and samples and has_sound and int.from_bytes(head[24:28], "little") & _WAVPACK_FIRST:
            return at
        has_sound = has_sound or samples > 0
        at += 8 + int.from_bytes(head[4:8], "little")


def _flv_end(stream: Any, at: int) -> int | None:
    at, before = at + _FLV_BYTES, 0
    while True:
        stream.seek(at)
        # The size of the tag before, and then a tag.
        head = stream.read(15)
        if len(head) < 4 or int.from_bytes(head[:4], "big") != before:
            return at
        if len(head) < 15 or head[4] & 0x1F not in _FLV_TAGS or any(head[12:15]):
            return at + 4
        before = 11 + int.from_bytes(head[5:8], "big")
        at += 4 + before


def _amr_end(stream: Any, at: int, magic: bytes) -> int | None:
    stream.seek(at)
    data, place, sizes = stream.read(), len(magic), ends.AMR[magic]
    while place < len(data):
        size = 0 if data[place] & _AMR_ZEROS else sizes[data[place] >> 3 & 15]
        # The first bytes of some are those of a frame.
        if behind.is_met(data, place) or (not size and behind.begins(data, place)):
            break
        place += size or 1
    return at + min(place, len(data))


def _avi_end(stream: Any, at: int) -> int | None:
    """Return the end of its pieces, of which later ones have another name."""
    while True:
        stream.seek(at)
        size = int.from_bytes(stream.read(8)[4:], "little")
        if size == 0 or size >= ends.UNKNOWN_31:
            return None
        at += 8 + size + size % 2
        stream.seek(at)
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"AVIX":
            return at


def _matroska_end(stream: Any, at: int) -> int | None:
    stream.seek(at)
    end = ends.segment_end(stream.read(_HEAD))
    return None if end is None else at + end


def _form_end(stream: Any, at: int) -> int | None:
    """Return the end of AIFF, 8SVX or MAUD; sizes of 0 and all ones are of those who could not go back."""
    stream.seek(at + 4)
    size = int.from_bytes(stream.read(4), "big")
    return None if size in (0, _AU_UNKNOWN) else at + 8 + size


def _au_end(stream: Any, at: int) -> int | None:
    stream.seek(at)
    head = stream.read(12)
    start, size = (int.from_bytes(head[place : place + 4], "big") for place in (4, 8))
    return None if size in (0, _AU_UNKNOWN) else at + start + size


def _caf_end(stream: Any, at: int) -> int | None:
    at += _CAF_BYTES
    while True:
        stream.seek(at)
        head = stream.read(12)
        size = int.from_bytes(head[4:], "big", signed=True)
        # The next file's name is no chunk's.
        if len(head) < 12 or behind.begins(head + bytes(4)) or not head[:4].isascii():
            return at
        if size < 0:
            return None
        at += 12 + size


def _iso_end(stream: Any, at: int) -> int | None:
    """Return where another mp4 begins, or the end of the last box; each is read from its index alone.

    In a broadcast each piece may begin so, and goes on in time.
    """
    begin, is_broadcast = at, False
    for number, (name, end) in enumerate(ends.boxes(stream)):
        if number and name == b"ftyp" and not is_broadcast:
            stream.seek(begin)
            is_broadcast = not _begins_in_time(stream.read(_HEAD))
        if (name == b"ftyp" and number and not is_broadcast) or name not in _BOXES:
            return begin
        begin = end
    return begin


def _begins_in_time(head: bytes) -> bool:
    """Whether an mp4 counts its time from 0: in its index, or in the first of its fragments."""
    place = head.find(b"tfdt")
    if place < 0 or head.find(b"moof") < 0:
        return True
    size = 8 if head[place + 4 : place + 5] > b"\0" else 4
    return not any(head[place + 8 : place + 8 + size])


# Beginning, where in the file it stands, what finds the end, and whether those that follow are read.
_KINDS: list[tuple[bytes, int, _EndOf, bool]] = [
    (ends.ASF, 0, _asf_end, True),
    (b"TTA1", 0, _tta_end, True),
    (b"wvpk", 0, _wavpack_end, True),
    (b"FLV\1", 0, _flv_end, True),
    (b"AVI ", 8, _avi_end, True),
    (b"NIST_1A\n", 0, _sphere_end, True),
    (ends.EBML, 0, _matroska_end, True),
    *((magic, 0, partial(_amr_end, magic=magic), True) for magic in ends.AMR),
    (b"FORM", 0, _form_end, False),
    (b".snd", 0, _au_end, False),
    (b"caff", 0, _caf_end, False),
    (b"ftyp", 4, _iso_end, False),
]


class Section(io.RawIOBase):
    """A part of a seekable stream, as a file of its own; several share the stream, one at a time."""

    def __init__(self, stream: Any, part: Part) -> None:
        """Begin at the beginning of the part."""
        self._stream, self._begin, self._size, self._at = stream, part.begin, part.end - part.begin, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read what there is room for, no further than the end of the part."""
        self._stream.seek(self._begin + self._at)
        data = self._stream.read(max(min(len(buffer), self._size - self._at), 0))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
