"""WAV in its kinds: RIFF, RIFX, RF64 and BW64 of 64-bit sizes, Sony's Wave64."""

from __future__ import annotations

import struct

from gritcodec.errors import AudioError
from gritcodec.sound import behind
from gritcodec.sound.inputs import Input
from gritcodec.sound.layouts import ALAW, ULAW, Layout

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
# Chunks that stand behind the samples, or before them.
_KNOWN = (
    b"LIST id3  ID3  bext fact cue  smpl PEAK JUNK junk FLLR iXML afsp inst PAD  axml chna _PMX plst DISP data levl"
)
_KNOWN_NAMES = {_KNOWN[at : at + 4] for at in range(0, len(_KNOWN), 5)}
# A chunk that is looked into, and not only passed over.
_MOST_BYTES = 1 << 20
INFO_NAMES = {
    "INAM": "title",
    "IART": "artist",
    "IPRD": "album",
    "ICRD": "date",
    "ICMT": "comment",
    "ILNG": "language",
    "IGNR": "genre",
    "ITRK": "tracknumber",
    "IPRT": "tracknumber",
    "ICOP": "copyright",
}
_WAVE_64 = bytes.fromhex("72696666 2e91cf11 a5d628db 04c10000")
_WAVE_64_TAIL = bytes.fromhex("f3acd311 8cd100c0 4f8edb8a")


def is_wave(start: bytes) -> bool:
    """Whether the first 16 bytes begin a file of these."""
    return (start[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and start[8:12] == b"WAVE") or start[:16] == _WAVE_64


def parse(source: Input) -> Layout:
    """Read to where the samples begin; `AudioError` where there are none."""
    if source.peek(16) == _WAVE_64:
        return _Wave64(source).parse()
    return _Riff(source).parse()


def read_trailer(source: Input, layout: Layout) -> None:
    """Read what stands behind the samples, of which the input has passed the last one."""
    if layout.container != "wav":
        return
    if not behind.follows(source):
        source.skip(source.tell() % 2)
    while not behind.follows(source) and len(head := source.read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        _take(head[:4], source, size, layout)


class _Riff:
    def __init__(self, source: Input) -> None:
        self._source = source
        head = source.read(12)
        self._order = ">" if head[:4] == b"RIFX" else "<"
        self._size: int = struct.unpack(f"{self._order}I", head[4:8])[0]
        self._big: tuple[int, int] | None = None
        self._said = Layout("wav", None, 0, 0)
        self._has_format = False

    def parse(self) -> Layout:
        while True:
            head = self._source.read(8)
            if len(head) < 8:
                raise AudioError(f"{self._source.name}: the wav file has no samples")
            size = struct.unpack(f"{self._order}I", head[4:])[0]
            if head[:4] == b"data":
                break
            self._chunk(head[:4], size)
        if not self._has_format:
            raise AudioError(f"{self._source.name}: the wav file does not say how its samples lie")
        said = self._said
        said.check(self._source.name)
        said.size_field = self._source.tell() - 4, size, f"{self._order}I"
        said.size = self._data_size(size)
        return said

    def _chunk(self, name: bytes, size: int) -> None:
        if name == b"fmt " or (name == b"ds64" and self._big is None):
            body = self._source.read(min(size, 4096))
            if len(body) < 16:
                raise AudioError(f"{self._source.name}: the header of the wav file is damaged or cut")
            if name == b"fmt ":
                read_format(body, self._order, self._said)
                self._has_format = True
            else:
                self._big = struct.unpack("<QQ", body[:16])
            rest = size - len(body) + size % 2
            self._source.skip(rest)
        else:
            _take(name, self._source, size, self._said)

    def _data_size(self, size: int) -> int | None:
        """Return the bytes of samples; None: to the end, as where the writer could not go back to say it."""
        if self._big is not None and size == 0xFFFFFFFF:
            return self._big[1] or None
        # 0x7FFFF000 is SoX's word for it, rounded to whole samples.
        if size >= 0xFFFFFF00 or 0x7FFFEF00 <= size <= 0x7FFFFFFF:
            return None
        return 0 if size == 0 and self._is_empty() else size or None

    def _is_empty(self) -> bool:
        """Whether a file of no samples means it: what follows is another chunk, within what the file counts."""
        head = self._source.peek(8)
        if len(head) < 8:
            return True
        inside = self._source.tell() + 8 + struct.unpack(f"{self._order}I", head[4:])[0]
        return head[:4] in _KNOWN_NAMES and inside <= self._size + 9


class _Wave64:
    def __init__(self, source: Input) -> None:
        self._source = source
        source.read(40)

    def parse(self) -> Layout:
        said, has_format = Layout("w64", None, 0, 0), False
        while True:
            head = self._source.read(24)
            if len(head) < 24 or head[4:16] != _WAVE_64_TAIL:
                raise AudioError(f"{self._source.name}: the Wave64 file has no samples")
            size = int.from_bytes(head[16:], "little") - 24
            if head[:4] == b"data":
                break
            body = self._source.read(min(max(size, 0), 4096))
            if head[:4] == b"fmt " and len(body) >= 16:
                read_format(body, "<", said)
                has_format = True
            self._source.skip(max(size, 0) - len(body) + -size % 8)
        if not has_format:
            raise AudioError(f"{self._source.name}: the Wave64 file does not say how its samples lie")
        said.check(self._source.name)
        said.size_field = self._source.tell() - 8, size + 24, "<Q"
        # FFmpeg says the largest number there is where it cannot go back.
        said.size = size if 0 < size < 1 << 62 else None
        return said


def read_format(body: bytes, order: str, said: Layout) -> None:
    """Take in a `fmt ` chunk."""
    code, channels, rate, byte_rate, align, bits = struct.unpack(f"{order}HHIIHH", body[:16])
    if code == _EXTENSIBLE and len(body) >= 26:
        code = struct.unpack(f"{order}H", body[24:26])[0]
    width = align // channels if channels and align and align % channels == 0 else (bits + 7) // 8
    said.channels, said.sample_rate, said.byte_rate, said.coding = channels, rate, byte_rate, code
    if code == _PCM and 1 <= width <= 4:
        # 12 bits lie at the top of 16, as 24 do of 32.
        said.kind = "u1" if width == 1 else f"{order}i{width}"
    elif code == _FLOAT and width in (4, 8):
        said.kind = f"{order}f{width}"
    elif code in (_ALAW, _ULAW) and bits == 8:
        said.kind = ALAW if code == _ALAW else ULAW


def text(data: bytes) -> str:
    """Return text that nobody says the encoding of."""
    data = data.split(b"\0")[0]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _take(name: bytes, source: Input, size: int, said: Layout) -> None:
    """Take in a chunk of which name and size are read."""
    body = b""
    if name in (b"LIST", b"cue ", b"fact"):
        body = source.read(min(size, _MOST_BYTES))
    source.skip(size - len(body) + size % 2)
    if name == b"fact" and len(body) >= 4:
        said.frames = int.from_bytes(body[:4], "little")
    elif name == b"cue ":
        for at in range(4, len(body) - 23, 24):
            said.cues[int.from_bytes(body[at : at + 4], "little")] = int.from_bytes(body[at + 20 : at + 24], "little")
    elif name == b"LIST" and body[:4] in (b"INFO", b"adtl"):
        at = 4
        while at + 8 <= len(body):
            key, length = body[at : at + 4], int.from_bytes(body[at + 4 : at + 8], "little")
            value = body[at + 8 : at + 8 + length]
            at += 8 + length + length % 2
            if body[:4] == b"adtl":
                if key == b"labl":
                    said.labels[int.from_bytes(value[:4], "little")] = text(value[4:])
            elif (known := INFO_NAMES.get(key.decode("latin-1").upper())) is not None:
                said.tags.append((known, text(value)))
