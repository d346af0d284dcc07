"""The list of conformance vectors: a file for each rule of docs/bitstream.md that sound or codes depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

import gritcodec
from gritcodec import bitstream
from gritcodec.bitstream import varint
from gritcodec.codec.about import About
from tests.vectors.building import (
    RATE,
    Samples,
    Vector,
    as_plain,
    both_ways,
    clip,
    flipped,
    in_one_packet,
    live,
    places,
    recoded,
    sealed,
)


def sound_vectors(codec: gritcodec.Codec) -> Iterator[Vector]:
    """Yield files that encoders make."""
    speech = clip()
    short = speech[:, 8_000:16_000]
    coded = codec.compress(short, RATE, bitrate=3)
    yield from coding_vectors(codec, short, coded)
    yield from channel_vectors(codec, short)
    yield from recording_vectors(codec, speech, short, coded)
    yield from segment_vectors(codec, speech, short)


def coding_vectors(codec: gritcodec.Codec, short: Samples, coded: bytes) -> Iterator[Vector]:
    """Yield files in all codings, live and whole; `coded` is the plainest of `short`."""
    yield Vector("entropy", "coding 1, one packet, a block for each stage", coded, sound=True)
    yield Vector("plain", "coding 0: code bits without gaps", as_plain(codec, coded), sound=True)
    yield Vector(
        "stages-vary",
        "packets of 1, 2, ... stages and of frames of their own (mark c0); frames with fewer stages than others",
        as_plain(codec, coded, 7, vary=True),
        sound=True,
    )
    yield Vector("all-stages", "all 14 stages; entropy coding at its longest", codec.compress(short, RATE, bitrate=7))
    about = About(start_time=1_764_000_000_000_000, gain=-3.5, marks=((4_000, "m\u00f6glich"), (9_999, "")))
    about = replace(about, channel_mask=3).with_tags([("TITLE", "two = 2"), ("artist", "a"), ("artist", "")])
    yield Vector(
        "stereo",
        "two channels; start time, tags, gain, channel mask; marks",
        codec.compress(both_ways(short), RATE, bitrate=1.5, about=about),
        sound=True,
    )
    for frames in (1, 4):
        yield Vector(
            f"chained-{frames}",
            f"coding 2, packets of {frames} frames, key frames; samples told by the end",
            live(codec, short, bitrate=3, packet_frames=frames, chain=True),
            sound=frames == 4,
        )
    yield Vector("live", "coding 0, packets of one frame, the end's index", live(codec, short, bitrate=1.5))
    yield Vector(
        "chained-no-field",
        "coding 2 without field 5: every packet is a key packet",
        recoded(codec, coded, bitstream.CHAINED, 4),
    )


def channel_vectors(codec: gritcodec.Codec, short: Samples) -> Iterator[Vector]:
    """Yield files of several channels in the codings in which their order is not that of coding 1."""
    two = both_ways(short)
    yield Vector(
        "plain-stereo",
        "coding 0 of two channels: in each stage the first channel's codes, then the second's",
        as_plain(codec, codec.compress(two, RATE, bitrate=1.5), 7, vary=True),
        sound=True,
    )
    quiet = np.concatenate([two[:, :4_000], np.zeros((2, 9_000), np.float32), two[:, 4_000:]], axis=1)
    three = np.concatenate([quiet, quiet[:1] / 2])
    yield Vector(
        "chained-three",
        "coding 2 of three channels, packets of 3 frames, a pause",
        live(codec, three, bitrate=2, packet_frames=3, chain=True),
    )


def recording_vectors(codec: gritcodec.Codec, speech: Samples, short: Samples, coded: bytes) -> Iterator[Vector]:
    """Yield pauses, parts, other rates, and what may stand in a file or behind it."""
    quiet = np.concatenate([short[:, :4_000], np.zeros((1, 9_000), np.float32), short[:, 4_000:]], axis=1)
    paused = codec.compress(quiet, RATE, bitrate=3)
    yield Vector("pause", "a pause of silence: it fades, and the packet behind begins anew", paused, sound=True)
    yield Vector(
        "chained-pause",
        "coding 2: the first packet after a pause uses no frames before it",
        live(codec, quiet, bitrate=3, packet_frames=4, chain=True),
    )
    noise = np.random.default_rng(1).normal(0, 0.003, (1, 40_000)).astype(np.float32)
    noise[:, :6_000] += short[:, :6_000]
    yield Vector(
        "comfort-noise", "a pause with comfort noise, whose samples are free", codec.compress(noise, RATE, dtx=True)
    )
    part = bitstream.cut(codec.compress(speech, RATE, bitrate=3), 30_003, 8_000, codec.clock)
    yield Vector("start-trim", "a part cut out: start trim", part, sound=True)
    joined = bitstream.join([coded, part, codec.compress(short[:, :0], RATE), coded])
    yield Vector("splices", "segments: splices, field 10, a start trim behind a splice", joined, sound=True)
    yield Vector("one-sample", "a recording of one sample", codec.compress(short[:, :1], RATE), sound=True)
    yield Vector("empty", "a recording without samples", codec.compress(short[:, :0], RATE))
    faster = np.asarray(short[:, ::-1])
    for rate in (8_000, 44_100):
        yield Vector(
            f"rate-{rate}",
            "another sample rate: the number of samples; a resampler is free, and so the tolerance is wide",
            codec.compress(faster, rate, bitrate=3),
            sound=True,
            tolerance=0.01,
        )
    yield Vector("long", "more than 8 packets: steps of the index; a budget", codec.compress(speech, RATE, bitrate=1))
    yield Vector("chain-of-files", "files behind each other play one after the other", coded + part, sound=True)
    yield Vector(
        "another-behind",
        "a file of another number of channels behind: only the first plays",
        coded + codec.compress(both_ways(short), RATE, bitrate=1),
        plays=len(coded),
    )
    yield Vector(
        "another-rate-behind",
        "a file of another sample rate behind: only the first plays",
        coded + codec.compress(short[:, :4_000], 8_000, bitrate=1),
        plays=len(coded),
    )
    yield Vector("junk-behind", "what follows is no file", coded + b"ID3 and so on", plays=len(coded))
    contents = bitstream.read_contents(coded)
    header = replace(contents.header, unknown=((20, b"ab"), (22, b"c")))
    yield Vector(
        "unknown-field", "fields that are not known and not required", bitstream.assemble(header, contents.parts)
    )
    chunks = [bitstream.Chunk(0, 0x05, b"x" * 300, 0), bitstream.Chunk(0, 0x2F, b"", 0)]
    yield Vector(
        "unknown-chunk",
        "chunks that are not known",
        bitstream.assemble(contents.header, [*chunks, *contents.parts, *chunks]),
    )


def segment_vectors(codec: gritcodec.Codec, speech: Samples, short: Samples) -> Iterator[Vector]:
    """Yield long packets and pauses, and splices where they meet other rules."""
    yield Vector(
        "long-packet",
        "a packet of more than 64 frames: coding 1 with all that a frame's surroundings hold",
        in_one_packet(codec, codec.compress(speech[:, :40_000], RATE, bitrate=2)),
    )
    silence = np.zeros((1, 4_097 * 320), np.float32)
    yield Vector(
        "pauses",
        "pauses at the beginning, behind one another and at the end",
        codec.compress(np.concatenate([silence[:, :9_000], short, silence], axis=1), RATE, bitrate=1),
    )
    chained = live(codec, short, bitrate=3, packet_frames=4, chain=True)
    first = bitstream.cut(chained, 1_003, 5_000, codec.clock)
    yield Vector(
        "splices-chained",
        "coding 2: the first packet after a splice uses no frames before it, and key frames are counted from there; "
        "a start trim before the first splice",
        bitstream.join([first, chained]),
        sound=True,
    )
    slower = codec.compress(short[:, :3_001], 8_000, bitrate=2)
    yield Vector(
        "splices-8000",
        "splices at another sample rate: each segment ends and begins as a file does",
        bitstream.join([slower, slower]),
        sound=True,
        tolerance=0.01,
    )


def damaged_vectors(codec: gritcodec.Codec) -> Iterator[Vector]:
    """Yield files that were damaged."""
    data = codec.compress(clip()[:, :60_000], RATE, bitrate=3)
    items = places(data)
    size = items[0][0]

    second, end = items[1][0], items[-1][0] + items[-1][1]
    yield Vector(
        "hurt-packet",
        "a byte changed in a packet: its frames are lost, those behind are found",
        flipped(data, second + 20),
    )
    yield Vector("hurt-byte-lost", "a byte lost", data[: second + 20] + data[second + 21 :])
    yield Vector(
        "hurt-byte-more", "a byte put in between items: no frames are lost", data[:second] + b"\x47" + data[second:]
    )
    yield Vector("hurt-packet-gone", "a packet gone: its place shows it", data[:second] + data[second + items[1][1] :])
    yield Vector(
        "hurt-packet-twice",
        "a packet that stands twice",
        data[:second] + data[second : second + items[1][1]] + data[second:],
    )
    yield Vector("hurt-header", "a byte of the header changed: it is repaired", flipped(data, 17, 7))
    yield Vector("hurt-magic", "a byte of the header put in", data[:3] + b"\x00" + data[3:])
    yield Vector("hurt-header-gone", "no header: the end has it", data[size:])
    yield Vector("hurt-end", "a byte of the end changed", flipped(data, end + 12))
    yield Vector("hurt-end-gone", "no end: cut", data[:end])
    yield Vector("hurt-cut", "cut inside a packet", data[: second + 30])
    yield Vector("hurt-text", "line endings changed as a transfer of text would", data.replace(b"\r\n", b"\n"))
    joined = bitstream.join([data, data])
    at = next(start for start, _ in places(joined) if joined[start] == 0x22)
    yield Vector(
        "hurt-splice", "a splice lost: a segment begins with the item behind the last frame", flipped(joined, at + 2)
    )
    yield from _damaged_streams(codec)
    yield Vector("hurt-all", "every packet changed: refused", data[:size] + bytes(byte ^ 0x55 for byte in data[size:]))


def _damaged_streams(codec: gritcodec.Codec) -> Iterator[Vector]:
    speech = clip()
    chained = live(codec, speech[:, :24_000], bitrate=3, packet_frames=4, chain=True)
    at = places(chained)[5][0]
    yield Vector(
        "hurt-chained",
        "coding 2: what follows a lost packet is lost up to the next key packet",
        flipped(chained, at + 4),
    )
    single = live(codec, speech[:, :24_000], bitrate=3, packet_frames=1, chain=True)
    at = places(single)[20][0]
    yield Vector(
        "hurt-chained-1",
        "coding 2, packets of one frame: three in a row are gone",
        single[:at] + single[places(single)[23][0] :],
    )
    quiet = np.concatenate([speech[:, :20_000], np.zeros((1, 9_000), np.float32), speech[:, 20_000:30_000]], axis=1)
    paused = live(codec, quiet, bitrate=3, packet_frames=4, chain=True)
    at = max(start for start, _ in places(paused) if paused[start] == 0x81)
    yield Vector(
        "hurt-chained-pause",
        "coding 2: the last of several pauses lost; the packet behind is not taken for the first one after a pause",
        flipped(paused, at + 2),
    )
    parts = bitstream.join([chained, chained])
    at = places(parts)[8][0]
    yield Vector(
        "hurt-chained-splice",
        "coding 2 in a file with field 10: behind damage all is lost up to the next splice",
        flipped(parts, at + 4),
    )
    for rate in (RATE, 44_100):
        stream = live(codec, speech[:, :24_000], rate, bitrate=1)
        yield Vector(
            f"hurt-live-{rate}",
            "a live stream cut, whose number of samples nobody knows",
            stream[: places(stream)[20][0]],
        )


def refused_vectors(codec: gritcodec.Codec) -> Iterator[Vector]:
    """Yield files that a reader refuses."""
    data = codec.compress(clip()[:, :4_000], RATE, bitrate=1)

    def at(place: int, value: int) -> Callable[[bytearray], None]:
        return lambda header: header.__setitem__(place, value)

    rate = len(varint.write(RATE))
    coding = 16 + rate + 1 + len(varint.write(4_001))
    yield Vector("refused-version", "a version that is not 1", sealed(data, at(7, 2)))
    yield Vector("refused-model", "another model's fingerprint", sealed(data, at(8, data[8] ^ 1)))
    yield Vector("refused-coding", "a coding that is not known", sealed(data, at(coding, 0x39)))
    yield Vector("refused-code-bits", "another number of codes than the model has", sealed(data, at(coding, 0x18)))
    yield Vector("refused-stages", "more stages than the model has", sealed(data, at(coding + 1, 15)))
    yield Vector("refused-field", "a required field that is not known", sealed(data, lambda h: None, b"\x15\x00"))
    yield Vector(
        "refused-bare", "packets without a check do not stand in a file", sealed(data, lambda h: None, b"\x09\x00")
    )
    yield Vector("refused-old", "made before version 1 was fixed", b"GRIT" + data[4:20])
    yield Vector("refused-text", "no .grit file", b"hello")
    yield Vector("refused-nothing", "no bytes", b"")
    header = bitstream.parse_header(data)[0]
    parts = bitstream.read_contents(data).parts
    yield Vector(
        "refused-samples",
        "fewer frames than the samples make",
        bitstream.assemble(replace(header, num_samples=40_000), parts),
    )
    yield Vector(
        "refused-more-frames",
        "more frames than the samples make, and than a last packet may have beyond them",
        bitstream.assemble(replace(header, num_samples=4_000), [*parts, *parts, *parts, *parts, *parts, *parts]),
    )
    yield Vector(
        "refused-frame-rate", "another frame rate than the model's", sealed(data, at(coding + 3, data[coding + 3] ^ 1))
    )
    required = bitstream.Chunk(0, 0x82, b"x", 0)
    yield Vector("refused-chunk", "a required chunk that is not known", bitstream.assemble(header, [required, *parts]))
