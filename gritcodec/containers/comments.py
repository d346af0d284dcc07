"""The second packet of an Ogg stream: tags as Vorbis comments, where Ogg's tools expect them."""

from collections.abc import Iterator

from gritcodec.bitstream.fields import MAX_EXTRA_BYTES, Tags, is_new_tag

MAGIC = b"\xf5GRITTags"
VENDOR = "gritcodec"
# What a header has room for, with some left for its other fields.
_MOST_BYTES = MAX_EXTRA_BYTES - 512
_KEY_AND_LENGTH = 4


def build(tags: Tags) -> bytes:
    """Return the packet that holds (name, value) pairs."""
    comments = [f"{name}={value}".encode() for name, value in tags]
    parts = [VENDOR.encode(), *comments]
    strings = [len(part).to_bytes(4, "little") + part for part in parts]
    return MAGIC + strings[0] + len(comments).to_bytes(4, "little") + b"".join(strings[1:])


def parse(packet: bytes) -> Tags:
    """Return the (name, value) pairs of a packet that begins with `MAGIC`.

    What cannot be a tag of a .grit file is passed over: no name, control characters in it, more than a header holds.
    What stands before damage is kept.
    """
    tags: list[tuple[str, str]] = []
    room = _MOST_BYTES
    for name, value in pairs(packet[len(MAGIC) :]):
        cost = _KEY_AND_LENGTH + len(f"{name}={value}".encode())
        if cost <= room and is_new_tag(name, value):
            tags.append((name, value))
            room -= cost
    return tuple(tags)


def pairs(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the (name, value) pairs of Vorbis comments, as far as they are whole."""
    at = 4 + _number(data, 0)
    count = _number(data, at)
    at += 4
    for _ in range(count):
        size = _number(data, at)
        at += 4 + size
        if at > len(data):
            break
        name, sign, value = data[at - size : at].decode("utf-8", "replace").partition("=")
        if sign:
            yield name, value


def _number(packet: bytes, at: int) -> int:
    return int.from_bytes(packet[at : at + 4], "little")
