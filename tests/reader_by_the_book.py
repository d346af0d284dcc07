"""A reader of .grit files written from docs/bitstream.md alone."""

from dataclasses import replace

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

    def number(self, count):
        return int.from_bytes(self.take(count), "little")

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
        assert self.take(5) == b"grit\x01"
        fingerprint = self.take(8)
        rate, channels, samples = self.varint(), self.varint(), self.varint()
        packed = self.number(1)
        stages, frames, frame_rate, extra = self.varint(), self.varint(), self.varint(), self.varint()
        fields, tags = Bytes(self.take(extra)), []
        while fields.at < extra:
            assert fields.varint() == 2
            tags.append(tuple(fields.take(fields.varint()).decode().split("=", 1)))
        check = crc_by_the_book(self.data[start : self.at])
        assert self.number(4) == check
        samples = samples - 1 if samples else None
        bits, coding = packed % 16 + 1, packed // 16
        return Header(fingerprint, rate, channels, samples, stages, bits, frames, frame_rate, coding, tuple(tags))


def read_by_the_book(data):
    """Return header and codes of a file whose packets all have the same stages."""
    file = Bytes(data)
    header = file.header()
    positions, packets = [], []
    while data[file.at] != 0x80:
        start = file.at
        positions.append(start)
        mark = file.number(1)
        assert mark // 64 in (1, 3)
        stages, frames = mark % 64, file.varint() if mark // 64 == 3 else header.packet_frames
        codes = np.zeros((header.channels, stages, frames), dtype=int)
        for stage in range(stages):
            size = -(-header.channels * frames * header.code_bits // 8)
            block, left = int.from_bytes(file.take(size), "big"), 8 * size
            for channel in range(header.channels):
                for frame in range(frames):
                    left -= header.code_bits
                    codes[channel, stage, frame] = block >> left & ((1 << header.code_bits) - 1)
        number = len(packets).to_bytes(4, "little")
        check = crc_by_the_book(data[start : file.at] + number)
        assert file.number(4) == check
        packets.append(codes)
    start = file.at
    assert file.number(1) == 0x80
    assert replace(file.header(), num_samples=None) == replace(header, num_samples=None)
    assert file.varint() == len(packets)
    steps = [file.varint() for _ in range(max(len(packets) - 1, 0) // 8)]
    assert steps == [positions[8 * i + 8] - positions[8 * i] for i in range(len(steps))]
    assert file.number(4) == len(data) - start
    check = crc_by_the_book(data[start : file.at])
    assert file.number(4) == check and file.at == len(data)
    return header, np.concatenate(packets, axis=2)
