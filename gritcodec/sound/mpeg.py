"""MPEG frames, found one by one: how many there are, what an Info frame promises, and what is damaged between them.

libmpg123 (in libsndfile) guesses the length of a file without an Info frame from its first frames, which loses a third
of one of variable bitrate; it leaves the encoder's delay in; and it gives up inside damage. Given a stream of whole
frames alone, with an Info frame that counts them before, it is exact. Layers I and II have no Info frame.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gritcodec.sound import behind
from gritcodec.sound.frames import Frame, after_id3, after_tags, parse_frame
from gritcodec.sound.lost import CUT_INSIDE, cut_off

# Delay of LAME's encoder, and of most that leave no word about it; the decoder has 529 more.
_USUAL_DELAY = 576
DECODER_DELAY = 529
_INFO_BYTES = 200
# Of a gap in the middle, no more than that is filled with silence.
_MOST_FRAMES = 10_000
# Frames that must follow each other for another file to be believed.
_ENOUGH = 4


@dataclass
class Scan:
    """What is in a stream.

    Attributes:
        data: an Info frame in Layer III, and all whole frames, silent ones where some are lost: for libmpg123.
        first: the first frame.
        frames: how many whole ones there are, the Info frame not counted.
        promised: how many the Info frame says; None: there is none.
        gaps: (seconds where it is, seconds lost) of damage in the middle.
        cut: whether the last frame is not whole.
        delay: samples at the beginning that were not in the original, the decoder's own not counted.
        padding: samples at its end that were not; 0 where nobody says.
        other: bytes behind it that are a file of another format.
        following: where another file of MPEG audio begins; None: there is none.
    """

    data: bytes
    first: Frame
    frames: int
    promised: int | None
    gaps: list[tuple[float, float]]
    cut: bool
    delay: int
    padding: int
    other: int
    following: int | None

    @property
    def samples(self) -> int:
        """How many samples all frames have together, lost ones too."""
        return (self.frames + self._lost) * self.first.samples

    @property
    def _lost(self) -> int:
        step = self.first.samples / self.first.sample_rate
        return sum(round(gap / step) for _, gap in self.gaps)

    def longer(self, samples: int) -> bytes:
        """Return `data` with silence of so many samples behind it."""
        return self.data + (samples // self.first.samples + 1) * _silent(self.first)

    def damage(self) -> list[str]:
        """Return a line for everything that is wrong."""
        rate, size, lost = self.first.sample_rate, self.first.samples, self._lost
        lines = [
            f"damaged at {at:.2f} s: about {gap:.2f} s are lost, silence is in their place" for at, gap in self.gaps
        ]
        missing = 0 if self.promised is None else self.promised - self.frames - lost
        # An encoder may count its Info frame, or not.
        if missing > 1 or (self.cut and missing > 0):
            have = max((self.frames + lost) * size - self.delay - DECODER_DELAY, 0)
            lines.append(cut_off(have / rate, ((self.promised or 0) * size - self.delay - self.padding) / rate, rate))
        elif self.cut:
            lines.append(CUT_INSIDE)
        return [*lines, behind.left_out(self.other)] if self.other else lines


def scan(data: bytes, start: int = 0) -> Scan | None:
    """Find the frames of a file, which begins at `start` in these bytes; None where it is none that this knows."""
    at = _next_frame(data, after_id3(data, start), None)
    if at is None:
        return None
    walk = _Walk(data, at)
    walk.run(at)
    return walk.scan() if walk.frames else None


def scan_all(data: bytes) -> list[Scan]:
    """Return the files that follow each other in these bytes."""
    found: list[Scan] = []
    start: int | None = 0
    while start is not None and (one := scan(data, start)) is not None:
        found.append(one)
        start = one.following
    return found


class _Walk:
    """From frame to frame of one file."""

    def __init__(self, data: bytes, at: int) -> None:
        first = parse_frame(data, at)
        assert first is not None
        self._data, self._first = data, first
        self._step = first.samples / first.sample_rate
        self._pieces: list[bytes] = []
        self._gaps: list[tuple[float, float]] = []
        self._info: tuple[int | None, int, int] | None = None
        self._cut, self._other = False, 0
        self._following: int | None = None
        self._size = self._lost = self.frames = 0

    def run(self, at: int) -> None:
        """Go to the end of the file, or to where another one begins."""
        data = self._data
        going: int | None = at
        while going is not None and going < len(data):
            at = going
            frame = parse_frame(data, at)
            if frame is None or not frame.alike(self._first):
                going = self._between(at)
                continue
            if at + frame.size > len(data):
                self._cut = True
                return
            body = data[at : at + frame.size]
            found = _info(body, frame)
            if found is None or (self._info is not None and not self.frames):
                self._add(body)
                self.frames += 1
            elif self.frames:
                # It stands at the beginning of a file.
                self._following = at
                return
            else:
                self._info = found
            going = at + frame.size

    def _between(self, at: int) -> int | None:
        """Return where the file goes on behind what is no frame of it; None: it does not."""
        data, first = self._data, self._first
        place = after_tags(data, at)
        frame = parse_frame(data, place)
        # A tag that stands at the beginning of files stands between the segments of a broadcast too.
        if frame is not None and frame.alike(first) and place == after_id3(data, at) > at:
            return place
        if _runs(data, place):
            self._following = place
            return None
        if behind.begins(data, place):
            self._other = len(data) - place
            return None
        # Behind the tags of its end there is no more of it.
        is_over = place > after_id3(data, at)
        going = None if is_over else _next_frame(data, place, first)
        if going is None:
            # Padding and tags of other kinds are no damage.
            other = _next_frame(data, place, None)
            while other is not None and not _runs(data, other):
                other = _next_frame(data, other + 1, None)
            self._following = other
            return None
        if self._is_whole and (frame := parse_frame(data, going)) and _info(data[going : going + frame.size], frame):
            # What fills a file up, and then the next one.
            self._following = going
            return None
        mean = self._size / len(self._pieces) if self._pieces else first.size
        lost = min(max(round((going - place) / mean), 1), _MOST_FRAMES)
        self._gaps.append(((self.frames + self._lost) * self._step, lost * self._step))
        for _ in range(lost):
            self._add(_silent(first))
        self._lost += lost
        return going

    @property
    def _is_whole(self) -> bool:
        """Whether all frames are there that an Info frame promised; it may be counted too."""
        promised = None if self._info is None else self._info[0]
        return promised is not None and self.frames + self._lost >= promised - 1

    def _add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def scan(self) -> Scan:
        """Return what was found."""
        first, frames, lost = self._first, self.frames, self._lost
        promised, delay, padding = self._info or (None, _USUAL_DELAY, 0)
        is_short = promised is not None and promised > frames + lost + 1
        head = b""
        if first.layer == 3:
            head = _info_frame(first, frames + lost, self._size, delay, 0 if is_short else padding)
        whole = b"".join([head, *self._pieces])
        told = self._other, self._following
        return Scan(whole, first, frames, promised, self._gaps, self._cut, delay, padding, *told)


def _next_frame(data: bytes, at: int, like: Frame | None) -> int | None:
    """Return where the next frame begins that another one follows, or the end."""
    while (at := data.find(b"\xff", at)) >= 0:
        frame = parse_frame(data, at)
        if frame is not None and (like is None or frame.alike(like)):
            after = at + frame.size
            following = parse_frame(data, after)
            ends = after == len(data) or _is_tail(data, after)
            if (following is not None and following.alike(frame)) or (ends and like is not None):
                return at
        at += 1
    return None


def _runs(data: bytes, at: int) -> bool:
    """Whether several frames of one stream follow each other from a place on."""
    first = parse_frame(data, at)
    for count in range(_ENOUGH):
        frame = parse_frame(data, at)
        if first is None or frame is None or not frame.alike(first):
            return count > 1 and at >= len(data)
        at += frame.size
    return True


def _is_tail(data: bytes, at: int) -> bool:
    """Whether tags begin here that stand at the end of a file."""
    return data[at : at + 3] == b"TAG" or data[at : at + 8] == b"APETAGEX" or data[at : at + 11] == b"LYRICSBEGIN"


def _info(body: bytes, frame: Frame) -> tuple[int | None, int, int] | None:
    """Return frames, delay and padding of an Info frame, as far as it says them; None where it is none."""
    if frame.layer != 3:
        return None
    at = 4 + frame.side + (0 if frame.word >> 16 & 1 else 2)
    if body[36:40] == b"VBRI":
        return int.from_bytes(body[50:54], "big") or None, _USUAL_DELAY, 0
    if body[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(body[at + 4 : at + 8], "big")
    frames = int.from_bytes(body[at + 8 : at + 12], "big") if flags & 1 else 0
    lame = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    delays = int.from_bytes(body[lame + 21 : lame + 24], "big")
    has_delays = len(body) >= lame + 24 and body[lame : lame + 4].strip(b"\0") and delays
    delay, padding = (delays >> 12, delays & 0xFFF) if has_delays else (_USUAL_DELAY, 0)
    return frames or None, delay, padding


def _info_frame(first: Frame, frames: int, size: int, delay: int, padding: int) -> bytes:
    for index in range(1, 15):
        # No CRC, no padding, mode and rate as they are.
        word = (first.word & 0xFFFF0CFF | 1 << 16 | index << 12) & 0xFFFFFDFF
        frame = parse_frame(word.to_bytes(4, "big"), 0)
        if frame is not None and frame.size >= _INFO_BYTES:
            break
    assert frame is not None
    head = word.to_bytes(4, "big") + bytes(frame.side)
    tag = b"Xing" + struct.pack(">III", 3, frames, size + frame.size)
    tag += b"LAME3.100" + bytes(12) + (delay << 12 | padding).to_bytes(3, "big")
    return (head + tag).ljust(frame.size, b"\0")


def _silent(first: Frame) -> bytes:
    word = (first.word | 1 << 16) & 0xFFFFFDFF
    frame = parse_frame(word.to_bytes(4, "big"), 0)
    assert frame is not None
    return word.to_bytes(4, "big") + bytes(frame.size - 4)
