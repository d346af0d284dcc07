"""RTP: payloads with copies of earlier stages, layers, losses, the wrong order, pauses, descriptions."""

import random
from dataclasses import replace

import pytest
from bare_streams import make, packet, pause, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from gritcodec.bitstream import CHAINED, ENTROPY, PLAIN, coding_for
from gritcodec.containers import bare, rtp
from gritcodec.containers.payload import first_stages, pack, thin, unpack
from gritcodec.containers.rtp import Copy, Datagram, Receiver, Sender
from gritcodec.errors import CorruptFileError, FormatError, UsageError

# Chained packets have no copies and no layers.
LAYERED = st.sampled_from([PLAIN, ENTROPY])


def stages_kept(item, header, count):
    """The first stages of a packet, by its codes where these can be read."""
    if header.coding != PLAIN:
        return first_stages(item, header, count)
    coding = coding_for(header)
    stages, frames, at = bare.stages_of(item), bare.frames_of(item, header), bare.head_bytes(item)
    codes = coding.unpack(item[at:], stages, frames)
    kept = min(count, stages)
    return bytes([item[0] - stages + kept]) + item[1:at] + coding.pack(codes[:, :kept])


def received(receiver, datagrams):
    return [arrived for data in datagrams for arrived in receiver.push(data)] + receiver.flush()


@settings(max_examples=100, deadline=None)
@given(streams(coding=LAYERED), st.integers(1, 4), st.integers(1, 4))
def test_payloads_come_back(stream, offset, copied):
    header, draw = stream.header, random.Random(len(stream.items))
    copy = Copy(offset, packet(header, min(copied, header.stages), header.packet_frames, draw))
    for item in stream.items:
        assert unpack(pack(item, header), header) == (item, None)
        if not bare.is_chunk(item):
            payload = pack(item, header, copy)
            assert unpack(payload, header) == (item, copy)
            assert len(payload) <= 1 + len(item) + len(copy.packet) - 1


def test_the_layout_is_as_written():
    """A packet of 20 ms with six stages, and one stage of the one before: 8 + 60 + 10 bits and two of filling."""
    header = make("", packet_frames=1).header
    codes = [1, 2, 3, 4, 5, 1023]
    bits = "".join(f"{code:010b}" for code in codes)
    item = b"\x46" + int(bits + "0000", 2).to_bytes(8, "big")
    copy = Copy(1, b"\x41" + int(f"{682:010b}" + "000000", 2).to_bytes(2, "big"))
    payload = pack(item, header, copy)
    both = int(bits + f"{682:010b}" + "00", 2).to_bytes(9, "big")
    assert payload == bytes([0b1010_0110]) + both
    assert len(item) == 9 and len(payload) == 10
    # What the short form has no room for: a packet further back, more stages, another item than an ordinary packet.
    assert pack(item, header, Copy(3, copy.packet)) == bytes([0b1001_1000]) + b"\x46" + both
    # Behind a pause, which is whole bytes, and behind entropy-coded blocks the copy begins with a byte.
    assert pack(pause(7), header, copy) == bytes([0b1001_0000]) + pause(7) + copy.packet[1:]


@settings(max_examples=100, deadline=None)
@given(streams(coding=LAYERED), st.integers(1, 12), st.booleans())
def test_relays_leave_out_stages(stream, keep, copies):
    header = stream.header
    sender = Sender(header, copied=min(2, header.stages))
    for item in stream.items:
        payload = rtp.parse(sender.push(item)).payload
        _, copy = unpack(payload, header)
        found, found_copy = unpack(thin(payload, header, keep, copies), header)
        assert found == (stages_kept(item, header, keep) if bare.is_packet(item) else item)
        if copy is None or not copies:
            assert found_copy is None
        else:
            assert found_copy == Copy(copy.offset, stages_kept(copy.packet, header, keep))


@settings(max_examples=100, deadline=None)
@given(
    streams(coding=LAYERED), st.integers(0, 4), st.integers(1, 4), st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)
)
def test_without_losses_everything_arrives_at_once(stream, copied, offset, timestamp, sequence):
    header = stream.header
    sender = Sender(header, min(copied, header.stages), offset, 111, 9, sequence, timestamp)
    receiver = Receiver(header)
    at = 0
    for item in stream.items:
        frames = bare.frames_of(item, header)
        assert receiver.push(sender.push(item)) == [(at, frames, item, False)]
        at += frames
    assert receiver.flush() == [] and sender.push(bare.end_item(header)) is None


@settings(max_examples=150, deadline=None)
@given(streams(coding=LAYERED), st.integers(0, 3), st.integers(1, 3), st.integers(0, 3), st.data())
def test_what_is_lost_is_told_or_copied(stream, copied, offset, hold, data_of):
    """Every frame from the first packet that came to the last is given once, in order: whole, coarser, or as lost."""
    header = stream.header
    copied = min(copied, header.stages)
    sender = Sender(header, copied, offset)
    sent = [(item, sender.push(item)) for item in stream.items]
    lost = data_of.draw(st.sets(st.integers(1, max(len(sent) - 1, 1))))
    kept = [data for number, (_, data) in enumerate(sent) if number not in lost]
    found = [arrived for arrived in received(Receiver(header, hold), kept) if arrived.frames]
    whole = {placed.start: placed for placed in bare.in_place(stream.items, header)}
    arrived_items = {
        placed.start
        for number, placed in enumerate(bare.in_place(stream.items, header))
        if number not in lost and placed.frames
    }
    at = found[0].start if found else 0
    for arrived in found:
        # More than ten seconds at once are a stream that begins anew.
        assert arrived.start == at or arrived.start - at > 500
        at = arrived.start + arrived.frames
        if arrived.item is None:
            assert all(not at - arrived.frames <= start < at for start in arrived_items)
        elif arrived.is_copy:
            assert arrived.start not in arrived_items
            assert arrived.item == stages_kept(whole[arrived.start].data, header, copied)
        elif arrived.start in arrived_items:
            assert arrived.item == next(p.data for p in [whole[arrived.start]] if p.frames)
    assert {arrived.start for arrived in found if not arrived.is_copy and arrived.item} >= arrived_items


@pytest.mark.parametrize(
    ("offset", "hold", "recovered"), [(1, 0, [3, 7]), (2, 0, [6]), (2, 1, [3, 6, 7]), (3, 2, [6, 7])]
)
def test_copies_fill_in(offset, hold, recovered):
    stream = make("p" * 12, packet_frames=1)
    sender = Sender(stream.header, 2, offset)
    sent = [sender.push(item) for item in stream.items]
    kept = [data for number, data in enumerate(sent) if number not in (3, 6, 7)]
    found = received(Receiver(stream.header, hold), kept)
    assert [arrived.start for arrived in found if arrived.is_copy] == recovered
    for arrived in found:
        if arrived.is_copy:
            assert arrived.item == stages_kept(stream.items[arrived.start], stream.header, 2)
    lost = [
        frame
        for arrived in found
        if arrived.item is None
        for frame in range(arrived.start, arrived.start + arrived.frames)
    ]
    assert sorted(lost + recovered) == [3, 6, 7]


def test_the_wrong_order_is_put_right_while_held_back():
    stream = make("p" * 9, packet_frames=2)
    sender = Sender(stream.header)
    sent = [sender.push(item) for item in stream.items]
    order = [0, 2, 1, 3, 3, 6, 5, 4, 7, 8]
    found = received(Receiver(stream.header, hold=2), [sent[number] for number in order])
    assert [arrived.item for arrived in found] == stream.items
    late = received(Receiver(stream.header), [sent[number] for number in order])
    assert [arrived.item for arrived in late] == [
        *stream.items[:1],
        None,
        stream.items[2],
        *stream.items[3:4],
        None,
        *stream.items[6:],
    ]


def test_a_pause_goes_on_until_something_comes():
    """The sender of a pause need not know how long it gets: one packet is enough, and silence costs nothing."""
    header = make("", packet_frames=1).header
    draw = random.Random(1)
    items = [packet(header, 6, 1, draw), pause(3, b"\x30"), packet(header, 6, 1, draw)]
    sender = Sender(header)
    data = [sender.push(items[0]), sender.push(items[1])]
    sender.skip(5000)
    data.append(sender.push(items[2]))
    assert [rtp.parse(each).marker for each in data] == [True, False, True]
    found = received(Receiver(header), data)
    assert found == [
        (0, 1, items[0], False),
        (1, 3, items[1], False),
        (4, 4096, pause(4096, b"\x30"), False),
        (4100, 904, pause(904, b"\x30"), False),
        (5004, 1, items[2], False),
    ]
    # With a packet missing in between nobody knows.
    lost = rtp.parse(data[2])._replace(sequence=3, timestamp=404 * 960).to_bytes()
    assert received(Receiver(header), [*data[:2], lost])[2] == (4, 400, None, False)
    # A pause carries what was said before it.
    sender = Sender(header, copied=1)
    sent = [sender.push(item) for item in (*items[:1], items[0], *items[1:])]
    found = received(Receiver(header), [sent[0], *sent[2:]])
    assert found[1] == (1, 1, stages_kept(items[0], header, 1), True)


def test_a_clock_that_jumps_begins_anew():
    header = make("", packet_frames=1).header
    item = packet(header, 6, 1, random.Random(1))
    receiver = Receiver(header)
    assert receiver.push(Datagram(5, 100, item).to_bytes()) == [(0, 1, item, False)]
    assert receiver.push(Datagram(6, 100 + 960 * 10_000, item).to_bytes()) == [(10_000, 1, item, False)]
    assert receiver.push(Datagram(6, 100, item).to_bytes()) == []


@given(st.binary(max_size=60))
def test_garbage_is_as_good_as_lost(data):
    stream = make("pp", packet_frames=1)
    receiver = Receiver(stream.header)
    for arrived in receiver.push(data) + receiver.push(b"\x80\x60\0\0\0\0\0\0\0\0\0\0" + data):
        assert bare.seal(arrived.item, 0, stream.header)


def test_what_cannot_be_is_refused():
    stream = make("pp")
    with pytest.raises(UsageError, match="up to 4 stages of one up to 4"):
        Sender(stream.header, copied=5)
    chained = make("", coding=CHAINED, key_frames=50).header
    with pytest.raises(UsageError, match="all key packets"):
        Sender(chained)
    with pytest.raises(UsageError, match="needs the model"):
        thin(b"\x41", chained, 1)
    with pytest.raises(CorruptFileError):
        rtp.parse(b"\x80" + bytes(10))
    with pytest.raises(CorruptFileError):
        unpack(b"", stream.header)
    assert Sender(make("pf", coding=ENTROPY).header, copied=3)


def test_rtp_headers_are_read_by_the_book():
    """Contributing sources, an extension and padding stand around the payload."""
    data = (
        bytes([0xB2, 0x80 | 97, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4])
        + bytes(8)
        + b"\xbe\xde\0\1"
        + bytes(4)
        + b"\x41ab"
        + b"\0\0\3"
    )
    assert rtp.parse(data) == (258, 3, b"\x41ab", True, 97, 4)


def test_scapy_agrees_about_the_header():
    layers = pytest.importorskip("scapy.layers.rtp")
    data = Datagram(65_535, 2**32 - 1, b"\x46payload", True, 111, 0xDEADBEEF).to_bytes()
    found = layers.RTP(data)
    assert (found.version, found.padding, found.extension, found.numsync) == (2, 0, 0, 0)
    assert (found.marker, found.payload_type, found.sequence) == (1, 111, 65_535)
    assert (found.timestamp, found.sourcesync, bytes(found.payload)) == (2**32 - 1, 0xDEADBEEF, b"\x46payload")
    built = layers.RTP(sequence=7, timestamp=8, sourcesync=9, payload_type=97, marker=1) / b"\x41ab"
    assert rtp.parse(bytes(built)) == (7, 8, b"\x41ab", True, 97, 9)


def test_descriptions_carry_the_header():
    stream = make("p", channels=2, packet_frames=2, tags=(("TITLE", "a; b=c"),))
    text = rtp.describe(stream.header, 97, 5004, copied=1)
    lines = text.split("\r\n")
    assert lines[0] == "m=audio 5004 RTP/AVP 97" and lines[1] == "a=rtpmap:97 vnd.gritcodec/48000/2"
    assert lines[2].startswith("a=fmtp:97 header=") and lines[2].endswith("; copied=1") and lines[3] == "a=ptime:40"
    assert rtp.header_of(lines[2].removeprefix("a=fmtp:")) == replace(stream.header, num_samples=None)
    with pytest.raises(UsageError, match="no header"):
        rtp.header_of("97 copied=1")
    with pytest.raises(FormatError):
        rtp.header_of("97 header=!!")
    with pytest.raises(FormatError):
        rtp.header_of("97 header=AAAA")
