"""Whether a result that is there already is the one that is asked for: otherwise that is said, and it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gritcodec import bitstream, files
from gritcodec.bitstream import Pause
from gritcodec.codec.described import DEFAULT_BITRATE
from gritcodec.codec.settings import Settings
from gritcodec.containers import remux
from gritcodec.errors import GritcodecError

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec

# Of the bitrate that was asked for a recording without pauses has at least so much; a short one costs some more.
_LEAST, _LEAST_OF_ALL, _MOST = 0.93, 0.85, 1.03
# Bytes beside the codes, which a budget counts from ten seconds on.
_BESIDE, _SHORT_SECONDS = 300, 10


def difference(source: Path, target: Path, settings: Settings, codec: Codec) -> str | None:
    """Return how a .grit file that is there differs from what would be made, as far as it tells; None: not known to."""
    try:
        size = target.stat().st_size
        with files.open_bytes(target) as stream:
            contents = bitstream.read_contents(remux.opened(stream).read())
    except (GritcodecError, OSError):
        return "no .grit file, or a damaged one"
    header = contents.header
    if header.fingerprint.hex() != codec.fingerprint:
        return f"made with another model ({header.encoder or header.fingerprint.hex()})"
    if source.stat().st_mtime > target.stat().st_mtime:
        return "older than the recording"
    frames = codec.frames_in_packet(settings.packet_seconds)
    if header.packet_frames != frames and len(contents.bodies) > 1:
        length = header.packet_frames / codec.frame_rate
        return f"made in packets of {length:g} s, not {frames / codec.frame_rate:g}"
    if settings.size_limit is not None:
        return f"{size:,} bytes, more than {settings.size_limit:,}" if size > settings.size_limit else None
    if not header.seconds:
        return None
    most = codec.bitrates[-1]
    asked = min(settings.bitrate or DEFAULT_BITRATE, most)
    expected = bitstream.granted_kbps(header, asked)
    found = 8 * size / header.seconds / 1000 / header.channels
    room = 8 * _BESIDE / header.seconds / 1000 if header.seconds < _SHORT_SECONDS else 0.0
    paused = any(isinstance(item, Pause) for item in contents.items)
    # All stages of a model may cost less than what the bitrate has room for.
    least = _LEAST_OF_ALL if asked == most else _LEAST
    if (found < least * expected and not paused) or found > _MOST * expected + room:
        return f"made at about {found:.2g} kbps, not {asked:g}"
    return None
