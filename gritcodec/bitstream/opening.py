"""How a file is opened: its header, through damage, and the end that tells what a header may not know."""

from gritcodec.bitstream import varint
from gritcodec.bitstream.ending import Ending, ending_length, parse_ending
from gritcodec.bitstream.header import HEADER_LIMIT, MAGIC, Header, has_right_check, parse_header
from gritcodec.bitstream.items import END
from gritcodec.bitstream.repair import begins_almost_like_ours, repair_header
from gritcodec.bitstream.window import Window
from gritcodec.errors import FormatError

# With headers longer than this, one that the end repeats is likelier to be right than one with a byte mended.
_LONG_HEADER = 1024
_FIND = 1 << 16


def read_header(window: Window) -> tuple[Header, int, bool]:
    """Return the header at the beginning of a window, its bytes, and whether it is sound.

    A damaged one is repaired, or taken from the end of the file: its bytes are 0 then.

    Raises:
        FormatError: there is none, or it is beyond repair.
    """
    size = 64
    while True:
        try:
            return *parse_header(window.view(0, size)), True
        except varint.EndsTooSoonError as error:
            if size < HEADER_LIMIT and len(window.view(0, size)) == size:
                size *= 4
                continue
            return *_rescue(window, error), False
        except FormatError as error:
            if has_right_check(window.view(0, HEADER_LIMIT)):
                raise  # not damaged: it was written so
            return *_rescue(window, error), False


def last_ending(window: Window) -> Ending | None:
    """Return the end at the very end of a stream that can seek, or None."""
    if not window.seekable():
        return None
    tail, file_size = window.tail(8)
    length = ending_length(tail, file_size)
    if length is None:
        return None
    try:
        return parse_ending(window.tail(length)[0])
    except FormatError:
        return None


def _rescue(window: Window, error: FormatError) -> tuple[Header, int]:
    """Return the header with one byte repaired, or from an end; raise `error` where neither works."""
    start = window.view(0, HEADER_LIMIT + 1)
    repaired = repair_header(start) if begins_almost_like_ours(start) else None
    ending = _first_ending(window) if repaired is None or repaired[1] > _LONG_HEADER else None
    if ending is not None:
        return ending.header, 0
    if repaired is None:
        raise error
    return repaired


def _first_ending(window: Window) -> Ending | None:
    """Return the first end in a stream that can seek."""
    if not window.seekable():
        return None
    here, found = window.position, None
    wanted = bytes([END]) + MAGIC
    while found is None and len(block := window.view(0, _FIND)) >= len(wanted):
        at = block.find(wanted)
        if at >= 0:
            found, _ = ending_at(window, at)
        window.skip(at + 1 if at >= 0 else len(block) - len(wanted) + 1)
    window.move(here)
    return found


def ending_at(window: Window, at: int) -> tuple[Ending | None, int]:
    """Return the end that begins `at` bytes into the view, or None, and how many bytes were looked at."""
    size, seen = 256, 0
    while True:
        data = window.view(at, size)
        seen += len(data)
        try:
            return parse_ending(data), seen
        except varint.EndsTooSoonError:
            if len(data) < size:
                return None, seen
            size *= 4
        except FormatError:
            return None, seen
