"""Packets, pauses and marks on their way into a file."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from gritcodec.bitstream import Body, Chunk, CodeArray, Coding, Part, Pause, pause_parts
from gritcodec.bitstream.entropy import TOGETHER, EntropyCoding
from gritcodec.bitstream.items import MARK, mark_payload
from gritcodec.sound.pauses import Quiet


def packed(coding: Coding, parts: Iterable[CodeArray | Quiet]) -> Iterator[Body | Quiet]:
    """Pack codes, several packets at a time where that is faster."""
    waiting: list[CodeArray] = []
    together = TOGETHER if isinstance(coding, EntropyCoding) else 1
    for part in itertools.chain(parts, [None]):
        alike = part is not None and not isinstance(part, Quiet) and (not waiting or part.shape == waiting[0].shape)
        if waiting and (not alike or len(waiting) == together):
            bodies = coding.pack_many(waiting) if isinstance(coding, EntropyCoding) else map(coding.pack, waiting)
            yield from (Body(c.shape[1], c.shape[2], data) for c, data in zip(waiting, bodies, strict=True))
            waiting = []
        if isinstance(part, Quiet):
            yield part
        elif part is not None:
            waiting.append(part)


def with_marks(
    parts: Sequence[Part], marks: Sequence[tuple[int, str]], samples_per_frame: float, num_samples: int
) -> list[Part]:
    """Return packets and pauses with marks put before the ones that hold their samples.

    Args:
        parts: of a recording, from its beginning.
        marks: (sample, name) each.
        samples_per_frame: at the recording's rate.
        num_samples: of the recording; marks beyond its end are left out.
    """
    waiting = sorted(mark for mark in marks if mark[0] <= num_samples)
    found: list[Part] = []
    frame = 0
    for part in parts:
        frame += 0 if isinstance(part, Chunk) else part.frames
        while waiting and waiting[0][0] < frame * samples_per_frame:
            found.append(Chunk(0, MARK, mark_payload(*waiting.pop(0)), 0))
        found.append(part)
    return found + [Chunk(0, MARK, mark_payload(*each), 0) for each in waiting]


def merged(parts: Sequence[Part]) -> list[Part]:
    """Return parts in which pauses of silence that follow each other are one."""
    found: list[Part] = []
    silent = 0
    for part in [*parts, None]:
        if isinstance(part, Pause) and not part.noise:
            silent += part.frames
            continue
        found += pause_parts(silent)
        silent = 0
        if part is not None:
            found.append(part)
    return found
