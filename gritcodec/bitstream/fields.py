"""The optional fields of a header: key, length and bytes; two bits of a key say what to do with an unknown one."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gritcodec.bitstream import varint
from gritcodec.errors import CorruptFileError, FormatError, UnsupportedVersionError, UsageError

REQUIRED = 1
UNSAFE = 2
MAX_EXTRA_BYTES = 65_535
TAG = 4
_LIMIT_63 = 1 << 63

Tags = tuple[tuple[str, str], ...]
Unknown = tuple[tuple[int, bytes], ...]


class _Kind(NamedTuple):
    """How a field is written and read; `read` gives None for bytes that are no such field."""

    name: str
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


def _read_varint(data: bytes) -> int | None:
    try:
        value, end = varint.read(data, 0)
    except CorruptFileError:
        return None
    return value if end == len(data) else None


def _fixed(size: int, signed: bool) -> tuple[Callable[[int], bytes], Callable[[bytes], int | None]]:
    def write(value: int) -> bytes:
        return value.to_bytes(size, "little", signed=signed)

    def read(data: bytes) -> int | None:
        return int.from_bytes(data, "little", signed=signed) if len(data) == size else None

    return write, read


# What a header may say once, by key; docs/bitstream.md has the meanings.
KINDS: Mapping[int, _Kind] = {
    2: _Kind("start_time", *_fixed(8, True)),
    5: _Kind("key_frames", varint.write, lambda data: _read_varint(data) or None),
    6: _Kind("start_trim", varint.write, _read_varint),
    8: _Kind("encoder", str.encode, lambda data: data.decode("utf-8", "replace")),
    9: _Kind("bare", lambda _: b"", lambda data: True if not data else None),
    10: _Kind("first_segment", varint.write, _read_varint),
    12: _Kind("channel_mask", *_fixed(4, False)),
    16: _Kind("gain", *_fixed(2, True)),
}
# What stands for a field that is not there.
ABSENT: Mapping[str, Any] = {kind.name: None for kind in KINDS.values()} | {"start_trim": 0, "bare": False}


def write(values: Mapping[str, Any], tags: Tags, unknown: Unknown) -> bytes:
    """Return the bytes of all fields, in the order of their keys.

    Args:
        values: by the names in `KINDS`; those that are as in `ABSENT` are left out.
        tags: names and values.
        unknown: keys and bytes of fields that are passed on.
    """
    found = [(TAG, f"{name}={value}".encode()) for name, value in tags]
    for key, kind in KINDS.items():
        value = values[kind.name]
        if value != ABSENT[kind.name]:
            found.append((key, kind.write(value)))
    found += unknown
    # Sorting keeps the order of fields of one key.
    return b"".join(
        varint.write(key) + varint.write(len(value)) + value for key, value in sorted(found, key=lambda f: f[0])
    )


def read(extra: bytes) -> tuple[dict[str, Any], Tags, Unknown]:
    """Return the values by name, the tags, and what is not known.

    Raises:
        FormatError: a field goes beyond the end, or a required one makes no sense.
        UnsupportedVersionError: a required field is not known.
    """
    values: dict[str, Any] = {}
    tags: list[tuple[str, str]] = []
    unknown: list[tuple[int, bytes]] = []
    at = 0
    while at < len(extra):
        key, at = varint.read(extra, at)
        length, at = varint.read(extra, at)
        if at + length > len(extra):
            raise FormatError("the header of this .grit file makes no sense: a field goes beyond its end")
        data = extra[at : at + length]
        at += length
        kind = KINDS.get(key)
        if key == TAG:
            name, _, value = data.decode("utf-8", "replace").partition("=")
            tags.append((name, value))
        elif kind is not None:
            value = kind.read(data)
            if value is not None:
                values.setdefault(kind.name, value)
            elif key & REQUIRED:
                raise FormatError(f"the header of this .grit file makes no sense: its field {key} is not one")
        elif key & REQUIRED:
            raise UnsupportedVersionError(f"this .grit file needs feature {key}, which a newer gritcodec may have")
        else:
            unknown.append((key, data))
    return values, tuple(tags), tuple(unknown)


def problem(values: Mapping[str, Any], tags: Tags) -> str | None:
    """Return what a writer may not write, or None."""
    if any("=" in name for name, _ in tags):
        return "the name of a tag cannot contain ="
    try:
        "".join(name + value for name, value in tags).encode()
        (values["encoder"] or "").encode()
    except UnicodeEncodeError:
        return "a tag or the encoder's name is not valid text"
    limits = {
        "start_time": (-_LIMIT_63, _LIMIT_63 - 1),
        "key_frames": (1, 1 << 32),
        "start_trim": (0, (1 << 42) - 2),
        "first_segment": (0, (1 << 42) - 2),
        "channel_mask": (0, (1 << 32) - 1),
        "gain": (-32768, 32767),
    }
    for name, (low, high) in limits.items():
        value = values[name]
        if value is not None and not low <= value <= high:
            return f"its {name.replace('_', ' ')} is {value:,}, and must be from {low:,} to {high:,}"
    return None


def is_new_tag(name: str, value: str) -> bool:
    """Whether a tag may be written that was not read from a file."""
    printable = not any(ord(letter) < 32 or ord(letter) == 127 for letter in name)
    return bool(name) and printable and problem(ABSENT, ((name, value),)) is None


def check_tags(tags: Tags) -> None:
    """Raise UsageError where a name cannot be a new tag's; what old files have may be passed on."""
    found = problem(ABSENT, tags)
    if found is None and not all(is_new_tag(name, value) for name, value in tags):
        found = "the name of a tag cannot be empty, nor contain control characters"
    if found is not None:
        raise UsageError(found)
