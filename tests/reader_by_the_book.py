"""A reader of .grit files written from docs/bitstream.md alone."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from gritcodec.bitstream import Header


def crc_by_the_book(data):
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


class Bytes:
    """A file read with nothing but the words of docs/bitstream.md."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count, signed=False):
        return int.from_bytes(self.take(count), "little", signed=signed)

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def header(self):
        start = self.at
        assert self.take(8) == b"\xf5GRIT\r\n\x01"
        fingerprint = self.take(8)
        rate, channels, samples = self.varint(), self.varint(), self.varint()
        packed = self.number(1)
        stages, frames, frame_rate, extra = self.varint(), self.varint(), self.varint(), self.varint()
        found = self.fields(extra)
        check = crc_by_the_book(self.data[start : self.at])
        assert self.number(4) == check
        samples = samples - 1 if samples else None
        bits, coding = packed % 16 + 1, packed // 16
        return Header(fingerprint, rate, channels, samples, stages, bits, frames, frame_rate, coding, **found)

    def fields(self, extra):
        end = self.at + extra
        tags, unknown, found = [], [], {}
        while self.at < end:
            key, length = self.varint(), self.varint()
            value = Bytes(self.take(length))
            if key == 4:
                name, _, text = value.data.decode("utf-8", "replace").partition("=")
                tags.append((name, text))
            elif key == 2:
                found["start_time"] = value.number(8, signed=True)
            elif key == 5:
                found["key_frames"] = value.varint()
            elif key == 6:
                found["start_trim"] = value.varint()
            elif key == 8:
                found["encoder"] = value.data.decode()
            elif key == 10:
                found["first_segment"] = value.varint()
            elif key == 12:
                found["channel_mask"] = value.number(4)
            elif key == 16:
                found["gain"] = value.number(2, signed=True)
            else:
                assert key % 2 == 0, "required, and not known"
                unknown.append((key, value.data))
        assert self.at == end
        return {"tags": tuple(tags), "unknown": tuple(unknown), **found}


def codes_by_the_book(body, channels, stages, frames, bits):
    """Codes [channels, stages, frames] of a body of coding 0."""
    codes = np.zeros((channels, stages, frames), dtype=int)
    whole, left = int.from_bytes(body, "big"), 8 * len(body)
    for stage in range(stages):
        for channel in range(channels):
            for frame in range(frames):
                left -= bits
                codes[channel, stage, frame] = whole >> left & ((1 << bits) - 1)
    assert left < 8 and whole & ((1 << left) - 1) == 0
    return codes


def zigzag_by_the_book(number):
    return number // 2 if number % 2 == 0 else -(number + 1) // 2


def items_by_the_book(data):
    """Return header and items of a plainly coded file: (position, kind, what it holds ...)."""
    file = Bytes(data)
    header = file.header()
    first = file.at
    items, places, position = [], [(file.at, 0)], 0
    while data[file.at] != 0x80:
        start = file.at
        mark, frames = file.number(1), 0
        if mark & 0x40:
            stages, frames = mark % 64, file.varint() if mark // 64 == 3 else header.packet_frames
            assert 1 <= stages <= header.stages and 1 <= frames <= header.packet_frames
            body = file.take(-(-stages * header.channels * frames * header.code_bits // 8))
            codes = codes_by_the_book(body, header.channels, stages, frames, header.code_bits)
            packets = sum(item[1] == "packet" for item in items)
            if packets and packets % 8 == 0:
                places.append((start, position))
            items.append((position, "packet", codes))
        elif mark == 0x81:
            frames, noise = file.varint(), file.take(file.varint())
            assert 1 <= frames <= 4096 and len(noise) <= 32
            items.append((position, "pause", frames, noise))
        else:
            assert 0x01 <= mark <= 0x3F, "required, and not known"
            items.append((position, "chunk", mark, file.take(file.varint())))
        check = crc_by_the_book(data[start : file.at] + position.to_bytes(4, "little"))
        assert file.number(4) == check
        position += frames
    start = file.at
    assert file.number(1) == 0x80
    assert replace(file.header(), num_samples=None) == replace(header, num_samples=None)
    kinds = [item[1] for item in items]
    splices = sum(item[1] == "chunk" and item[2] == 0x22 for item in items)
    counts = start, position, kinds.count("packet"), kinds.count("chunk"), splices
    assert tuple(file.varint() for _ in range(5)) == counts
    steps = [
        (file.varint(), zigzag_by_the_book(file.varint()) + 8 * header.packet_frames)
        for _ in range(max(kinds.count("packet") - 1, 0) // 8)
    ]
    assert places[0] == (first, 0)
    assert steps == [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(places)]
    assert file.number(4) == len(data) - start
    check = crc_by_the_book(data[start : file.at])
    assert file.number(4) == check and file.at == len(data)
    return header, items


def read_by_the_book(data):
    """Return header and codes of a file whose packets all have the same stages."""
    header, items = items_by_the_book(data)
    return header, np.concatenate([item[2] for item in items if item[1] == "packet"], axis=2)
