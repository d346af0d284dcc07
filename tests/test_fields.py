"""Optional fields of headers, and headers of which a byte is wrong."""

import io
import json
import random
from dataclasses import replace

import pytest
from grit_files import FINGERPRINT, damaged, field, forge, make

from gritcodec import bitstream
from gritcodec.bitstream import Header, Reader
from gritcodec.bitstream.crc import crc32c
from gritcodec.bitstream.repair import repair_header
from gritcodec.cli import app as cli
from gritcodec.errors import FormatError, UnsupportedVersionError


def without_end(data):
    return data[: data.rindex(b"\x80\xf5GRIT")]


def header_of(extra, **settings):
    return bitstream.read_contents(forge(extra=extra, **settings), strict=True).header


def test_unknown_fields():
    header = header_of(b"\x40\x03abc\x04\x03a=b")
    assert header.tags == (("a", "b"),) and header.unknown == ((0x40, b"abc"),)
    with pytest.raises(UnsupportedVersionError, match="feature 65"):
        bitstream.read_contents(forge(extra=b"\x41\x00"))
    with pytest.raises(FormatError, match="beyond its end"):
        bitstream.read_contents(forge(extra=b"\x40\x05abc"))


def test_unknown_fields_are_kept_or_dropped_by_their_bits():
    safe, unsafe = (0x40, b"safe"), (0x42, b"unsafe")
    _, _, data = make(frames=640, stages=4, unknown=(safe, unsafe, safe))
    assert bitstream.read_contents(data).header.unknown == (safe, safe, unsafe)
    clock = bitstream.Clock(16000, 320, 240, 60)
    for made in (bitstream.truncate(data, 1.0), bitstream.join([data, data]), bitstream.cut(data, 0, 9999, clock)):
        assert bitstream.read_contents(made, strict=True).header.unknown == (safe, safe)


KNOWN = {
    2: ("start_time", -(2**60), (-(2**60)).to_bytes(8, "little", signed=True), (b"", b"1234567", b"123456789")),
    5: ("key_frames", 300, b"\xac\x02", (b"", b"\0", b"\x80", b"\x05\x05")),
    6: ("start_trim", 300, b"\xac\x02", (b"", b"\x80", b"\x05\x05")),
    9: ("bare", True, b"", (b"\0",)),
    10: ("first_segment", 5, b"\x05", (b"", b"\xff", b"\x05\x05")),
    12: ("channel_mask", 4, b"\x04\0\0\0", (b"", b"\x04\0\0", b"\x03\0\0\0", bytes(4))),
    16: ("gain", -2, b"\xfe\xff", (b"", b"\0", b"123")),
}


@pytest.mark.parametrize("key", KNOWN)
def test_known_fields_and_those_that_are_none(key):
    """The first well-formed field of a key counts; others are passed over, or required ones refused."""
    name, value, data, wrong = KNOWN[key]
    head, _ = bitstream.parse_header(forge(extra=field(key, data)))
    assert getattr(head, name) == value
    for bad in wrong:
        if key % 2:
            with pytest.raises(FormatError):
                bitstream.parse_header(forge(extra=field(key, bad)))
        else:
            head, _ = bitstream.parse_header(forge(extra=field(key, bad)))
            assert getattr(head, name) == getattr(Header(bytes(8), 1, 1, 1, 1), name) and not head.unknown
            if key != 12:
                head, _ = bitstream.parse_header(forge(extra=field(key, bad) + field(key, data) + field(key, data)))
                assert getattr(head, name) == value


def test_bare_headers_are_none_of_a_file():
    with pytest.raises(FormatError, match="no checks"):
        Reader(io.BytesIO(forge(extra=field(9))))


def test_tags_as_they_are_found():
    """Without =, repeated, no UTF-8, with control characters: readers take what is there."""
    raw = [b"artist=A", b"lonely", b"artist=B", b"bad=\xff\xc3", b"=nameless", b"evil\x1b[2J=\x1b]0;x\x07\r\n", b""]
    header = header_of(b"".join(field(4, tag) for tag in raw))
    assert header.tags == (
        ("artist", "A"),
        ("lonely", ""),
        ("artist", "B"),
        ("bad", "\ufffd\ufffd"),
        ("", "nameless"),
        ("evil\x1b[2J", "\x1b]0;x\x07\r\n"),
        ("", ""),
    )


def test_info_shows_tags_without_harm(tmp_path, capsys):
    raw = [b"artist=A", b"artist=B", b"artist=C", b"title=one", b"evil\x1b[2J=\x1b]0;x\x07\r\n\xc2\x9b31m", b"bad=\xff"]
    raw += [b"\xe2\x80\xae=right to left"]
    path = tmp_path / "x.grit"
    path.write_bytes(
        forge(extra=b"".join(field(4, tag) for tag in raw) + field(8, b"net\x1b[0m"), values=(8000, 1, 1, 1, 64, 5000))
    )
    assert cli.main(["info", str(path)]) == 0
    captured = capsys.readouterr()
    for letter in "\x1b\x07\r\x9b\u202e":
        assert letter not in captured.out + captured.err
    assert "artist=A; B; C, title=one" in captured.out
    assert "evil\\x1b[2J=\\x1b]0;x\\x07\\r\\n\\x9b31m" in captured.out and "net\\x1b[0m" in captured.out
    assert cli.main(["info", str(path), "--json"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    tags = json.loads(out)["tags"]
    assert tags["artist"] == ["A", "B", "C"] and tags["title"] == "one" and tags["bad"] == "\ufffd"
    assert tags["evil\x1b[2J"] == "\x1b]0;x\x07\r\n\x9b31m"


def test_tag_order_and_repetition_are_kept_by_what_is_made(tmp_path):
    tags = (("b", "1"), ("a", "2"), ("b", "3"))
    _, _, data = make(frames=640, tags=tags)
    for made in (bitstream.truncate(data, 1.0), bitstream.join([data, data])):
        assert bitstream.read_contents(made).header.tags == tags


def test_header_of_which_a_byte_is_wrong():
    header, _, data = make(tags=(("a", "b"),))
    size = len(header.to_bytes())
    for at in range(size):
        for broken in damaged(data, at):
            found = repair_header(broken)
            assert found is not None and found[0] == header, at
            contents = bitstream.read_contents(broken)
            assert len(contents.bodies) == 2 and contents.damage and None not in contents.bodies


@pytest.mark.parametrize("tag_bytes", [400, 5000])
def test_long_headers_of_which_a_byte_is_wrong_and_no_end(tag_bytes):
    """Anywhere in the header, each kind of damage, and the end of the file with its copy is cut off."""
    text = random.Random(3).randbytes(tag_bytes // 2 - 20).hex()
    tags = (("story", text[: tag_bytes // 2]), ("x", "y"), ("more", text[tag_bytes // 2 :]))
    header, _, data = make(frames=128, tags=tags, start_time=12345, encoder="net")
    size = len(header.to_bytes())
    assert size > tag_bytes - 60
    data = without_end(data)
    draw = random.Random(1)
    places = [*range(48), *draw.sample(range(48, size), 20), *range(size - 6, size)]
    for at in places:
        for kind, broken in enumerate(damaged(data, at)):
            reader = Reader(io.BytesIO(broken))
            assert reader.header == header and reader.damage, (at, kind)
            assert sum(packet.body is not None for packet in reader.packets()) == 2, (at, kind)


@pytest.mark.parametrize("tag_bytes", [400, 5000])
def test_long_headers_come_from_the_end_where_two_bytes_are_wrong(tag_bytes):
    header, _, data = make(frames=128, tags=(("story", "x" * tag_bytes),))
    for first, second in ((3, 40), (60, 61), (20, len(header.to_bytes()) - 1)):
        broken = bytearray(data)
        broken[first] ^= 3
        broken[second] ^= 5
        contents = bitstream.read_contents(bytes(broken))
        assert contents.header == header and len(contents.bodies) == 2 and None not in contents.bodies
    # Nothing is left of the magic: the copy is found nevertheless.
    assert bitstream.read_contents(bytes(20) + data[20:]).header == header


def test_magic_and_version_are_repaired():
    header, _, data = make()
    for at in range(8):
        for value in (0, 0x20, data[at] ^ 1, 0xFF):
            for whole in (data, without_end(data)):
                broken = whole[:at] + bytes([value]) + whole[at + 1 :]
                contents = bitstream.read_contents(broken)
                assert contents.header == header and len(contents.bodies) == 2, (at, value)


def test_a_later_version_is_not_repaired_away():
    """A whole header of version 2 is one of version 2; a damaged byte of version 1 is not."""
    data = forge(version=2, values=(16000, 1, 321, 1, 64, 5000))
    with pytest.raises(UnsupportedVersionError, match="version 2"):
        bitstream.read_contents(data)


def test_header_that_is_gone():
    header, _codes, data = make(frames=640)
    contents = bitstream.read_contents(bytes(20) + data[20:])
    assert contents.header == header and len(contents.bodies) == 10 and None not in contents.bodies


def test_a_copy_that_differs_belongs_to_another_file():
    """An end whose header says anything else than the first one is not believed."""
    _, _, data = make(frames=640)
    _, _, other = make(frames=640, tags=(("who", "else"),))
    tail = other[len(without_end(other)) :]
    contents = bitstream.read_contents(without_end(data) + tail)
    assert contents.damage and len(contents.bodies) == 10 and contents.header.tags == ()
    samples = replace(contents.header, num_samples=None)
    assert samples.fits(samples) and contents.header.fits(samples) and not samples.fits(contents.header)


def test_the_check_of_a_header_is_that_of_all_before_it():
    data = Header(FINGERPRINT, 16000, 1, 1, 1).to_bytes()
    assert crc32c(data[:-4]) == int.from_bytes(data[-4:], "little")
