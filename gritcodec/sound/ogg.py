"""Ogg: the links of a chain one by one, since libsndfile plays the first alone; and what is damaged in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gritcodec.containers.pages import FIRST, LAST, Page, PageReader

VORBIS, OPUS, FLAC, SPEEX = "vorbis", "opus", "flac", "speex"
_MAGICS = {b"\x01vorbis": VORBIS, b"OpusHead": OPUS, b"\x7fFLAC": FLAC, b"Speex   ": SPEEX}
_COMMENT_MAGIC_BYTES = {VORBIS: 7, OPUS: 8, FLAC: 4}
# Granule positions of Opus count at this rate whatever the sound's own is.
_OPUS_RATE = 48_000


@dataclass
class Link:
    """One logical stream of sound.

    Attributes:
        codec: what it is coded with.
        pages: all whole ones.
        gaps: how often pages are missing between them.
    """

    codec: str
    pages: list[Page] = field(default_factory=list)
    gaps: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether the last page does not say that it is the last."""
        return not self.pages[-1].flags & LAST

    def promised_seconds(self, sample_rate: int) -> float:
        """Return how long the positions on its pages say that it is."""
        last = max((page.granule for page in self.pages if page.granule is not None), default=0)
        return samples_at(self, last, sample_rate) / sample_rate

    def comments(self) -> bytes:
        """Return the Vorbis comments, from their vendor on; empty where there are none."""
        packets = _packets(self.pages)
        next(packets, b"")
        return next(packets, b"")[_COMMENT_MAGIC_BYTES.get(self.codec, 0) :]


def links(stream: Any) -> tuple[list[Link], int]:
    """Return the streams of sound in a file, one after the other, and how many bytes are no whole page.

    Of several at once the first one that is sound is taken.
    """
    reader = PageReader(stream)
    found: list[Link] = []
    current: Link | None = None
    serial, in_heads = -1, False
    while (page := reader.next()) is not None:
        if page.flags & FIRST:
            codec = _codec(page)
            if not in_heads:
                # Another link begins.
                current, serial = None, -1
            in_heads = True
            if current is None and codec is not None:
                current, serial = Link(codec, [page]), page.serial
                found.append(current)
            continue
        in_heads = False
        if current is not None and page.serial == serial:
            if page.sequence != (current.pages[-1].sequence + 1) & 0xFFFFFFFF:
                current.gaps += 1
            current.pages.append(page)
    return found, reader.skipped


def native_flac(link: Link) -> bytes:
    """Return the FLAC file in Ogg: libsndfile reads FLAC in Ogg from a path alone, and not of unknown length."""
    packets = _packets(link.pages)
    # A byte, a name, two bytes of version and two of the number of headers come before the file's own beginning.
    return next(packets)[9:] + b"".join(packets)


def samples_at(link: Link, granule: int, sample_rate: int) -> float:
    """Return the sample at `sample_rate` for a position on a page."""
    if link.codec == OPUS:
        skipped = int.from_bytes(link.pages[0].pieces[0][10:12], "little")
        return max(granule - skipped, 0) * sample_rate / _OPUS_RATE
    return float(granule)


def segments(link: Link) -> list[tuple[bytes, int | None]]:
    """Return the parts between missing pages, each with the headers before it, and the position at its end.

    They are for libsndfile, which goes on by itself behind a gap: where a part begins it tells by its positions, and
    what is lost between two can so be filled with silence.
    """
    heads = 1
    while heads < len(link.pages) and (link.pages[heads].granule or 0) == 0:
        heads += 1
    head = link.pages[:heads]
    parts: list[list[Page]] = [[]]
    for before, page in zip(link.pages[heads - 1 :], link.pages[heads:], strict=False):
        if page.sequence != (before.sequence + 1) & 0xFFFFFFFF and parts[-1]:
            parts.append([])
        parts[-1].append(page)
    found = []
    for number, part in enumerate(parts):
        if number == 1 and link.codec == OPUS:
            # libsndfile would leave out what is skipped at the very beginning once more, at the end of a later part.
            start = head[0].pieces[0]
            head = [replace(head[0], pieces=(start[:10] + bytes(2) + start[12:],)), *head[1:]]
        end = max((page.granule for page in part if page.granule is not None), default=None)
        found.append((b"".join(page.to_bytes() for page in _numbered([*head, *part])), end))
    return found


def _numbered(pages: list[Page]) -> Iterator[Page]:
    for number, page in enumerate(pages):
        yield replace(page, sequence=number)


def _codec(page: Page) -> str | None:
    head = page.pieces[0] if page.pieces else b""
    return next((codec for magic, codec in _MAGICS.items() if head.startswith(magic)), None)


def _packets(pages: list[Page]) -> Iterator[bytes]:
    part = b""
    for page in pages:
        for number, piece in enumerate(page.pieces):
            part += piece
            if page.open and number == len(page.pieces) - 1:
                continue
            yield part
            part = b""
