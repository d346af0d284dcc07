"""Damages .grit files in many ways and checks what the reader makes of them; optionally guided by coverage.

    python benchmarks/fuzz_container.py --files 20000        # random damage of whole files, every claim checked
    pip install atheris
    python benchmarks/fuzz_container.py --atheris -runs=1000000 [CORPUS_FOLDER]

The first reports how many files were read whole, in part and not at all. A crash, a hang, too much memory, or a
packet or pause that is neither lost nor what was written ends it with an error, and the file that did it lies in the
current folder. The second is a libFuzzer target; everything after --atheris is libFuzzer's.
"""

import argparse
import hashlib
import io
import random
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gritcodec import bitstream
from gritcodec.bitstream import MAGIC, Body, Chunk, ContextModel, Header, Item, Packet, Part, Pause
from gritcodec.bitstream.crc import crc32c
from gritcodec.bitstream.items import layout_of
from gritcodec.bitstream.reader import MAX_MISSING
from gritcodec.errors import FormatError, GritcodecError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "golden"))

import contexts

# Seconds of CPU and bytes that reading one file of a few kB may take.
MOST_SECONDS = 10.0
MOST_BYTES = 16 << 20


class Original(NamedTuple):
    """A sound file: its bytes, its packets and pauses by their first frames, and what codes are read with."""

    data: bytes
    items: dict[int, Item]
    contexts: ContextModel | None


def original(seed: int) -> Original:
    """Return a random sound file of up to some kB: packets, pauses, chunks, several joined, plain and entropy-coded."""
    draw = np.random.default_rng(seed)
    channels, stages = int(draw.integers(1, 4)), int(draw.integers(1, 9))
    frames, bits = int(draw.integers(1, 700)), int(draw.integers(4, 12))
    tags = (("title", "x" * int(draw.integers(0, 30))),) if draw.random() < 0.3 else ()
    entropy = draw.random() < 0.4
    model = small_contexts(seed, stages, bits) if entropy else None
    coding_number = bitstream.ENTROPY if entropy else bitstream.PLAIN
    header = Header(draw.bytes(8), 16000, channels, 0, stages, bits, coding=coding_number, tags=tags)
    coding = bitstream.coding_for(header, model)
    # Half of the codes are the same, so that blocks have all sorts of lengths.
    codes = draw.integers(0, 1 << bits, (channels, stages, frames)) * draw.integers(0, 2, (channels, stages, 1))
    parts: list[Part] = []
    for start in range(0, frames, 64):
        if draw.random() < 0.2:
            parts.append(Pause(0, int(draw.integers(1, 4097)), draw.bytes(int(draw.choice([0, 0, 5, 32]))), 0))
        if draw.random() < 0.2:
            parts.append(Chunk(0, int(draw.choice([0x01, 0x21, 0x3F])), draw.bytes(int(draw.integers(0, 400))), 0))
        part = codes[:, : int(draw.integers(1, stages + 1)), start : start + 64].astype(np.uint16)
        parts.append(Body.of(coding, part))
    samples = 320 * sum(part.frames for part in parts)
    if draw.random() < 0.3:
        writer = bitstream.Writer(replace(header, num_samples=None))
        data = b"".join([writer.begin(), *map(writer.add, parts), writer.finish(samples)])
    else:
        data = bitstream.assemble(replace(header, num_samples=samples), parts)
    if draw.random() < 0.2:
        data = bitstream.join([data, data])
    items = {item.start: item for item in bitstream.read_contents(data, strict=True).items if item.frames}
    return Original(data, items, model)


def small_contexts(seed: int, stages: int, bits: int) -> ContextModel:
    """Return contexts with random numbers: what they are worth does not matter here."""
    return contexts.model(stages=stages, bits=bits, dim=2, units=4, seed=seed, narrow=2, middle=3)


def damage(data: bytes, rng: random.Random) -> bytes:
    """Return a file with one to four pieces of damage, none of which repairs a checksum."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        size = rng.choice((1, 1, 2, 5, 50, 700))
        kind = rng.randrange(8)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + data[at + size :]
        elif kind == 2:
            data = data[:at] + rng.randbytes(size) + data[at:]
        elif kind == 3:
            data = data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]
        elif kind == 4:
            other = rng.randrange(len(data) + 1)
            data = data[:at] + data[other : other + size] + data[at + size :]
        else:
            changed = bytearray(data)
            for _ in range(rng.choice((1, 1, 3))):
                if data:
                    spot = rng.randrange(len(data)) if kind < 7 else rng.randrange(min(len(data), 48))
                    changed[spot] ^= 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(1, 256)
            data = bytes(changed)
    return data


def check(data: bytes, sound: Original, decode: bool = True) -> str:
    """Read a damaged file in every way; return `refused`, `whole` or `part`.

    Raises:
        AssertionError: a packet or pause came out that nobody wrote, or damage was not reported.
    """
    try:
        contents, *others = read_all(data)
    except FormatError:
        return "refused"
    if data != sound.data:
        assert contents.damage or others, "damage was not reported"
        try:
            bitstream.read_contents(data, strict=True)
        except FormatError:
            pass
        else:
            raise AssertionError("strict reading let damage pass")
    found = [item for item in contents.items if is_there(item)]
    for item in found:
        assert item == sound.items.get(item.start), f"what is at frame {item.start} is not what was written"
    received = sum(item.frames for item in found)
    assert contents.frames <= 2 * received + MAX_MISSING, "too many frames are believed to be missing"
    for stream in (Trickle(data), io.BytesIO(data)):
        try:
            reader = bitstream.Reader(stream)
        except FormatError:
            # A pipe's end cannot restore its header.
            assert isinstance(stream, Trickle)
            continue
        reader.use(sound.contexts)
        reader.seek(max(sound.items) // 2)
        for item in reader.items():
            if is_there(item):
                assert item == sound.items.get(item.start)
                if decode and isinstance(item, Packet):
                    reader.codes(item)
    return "whole" if len(found) == len(sound.items) else "part"


def read_all(data: bytes) -> list[bitstream.Contents]:
    """Return what a file holds, and those that follow it as far as they can be read."""
    contents = bitstream.read_all(data)
    found = [next(contents)]
    with suppress(FormatError):
        found += contents
    return found


def is_there(item: Item) -> bool:
    """Whether it is a packet or pause that was read."""
    return isinstance(item, Pause) or (isinstance(item, Packet) and item.body is not None)


class Trickle:
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read1(self, size: int = -1) -> bytes:
        """Return up to 100 bytes."""
        return self._stream.read(min(size, 100) if size >= 0 else 100)

    read = read1

    def seekable(self) -> bool:
        """Pipes are not."""
        return False


def campaign(files: int, seed: int = 0, originals: int = 200) -> Counter[str]:
    """Damage and read so many files; return how many were refused, read whole and read in part.

    Raises:
        SystemExit: one of them broke a promise; it is written to the current folder.
    """
    rng = random.Random(seed)
    sources = [original(seed + number) for number in range(min(originals, files))]
    counts: Counter[str] = Counter()
    for number in range(files):
        sound = sources[number % len(sources)]
        data = damage(sound.data, rng)
        # Tracing every allocation is slow: a part of the files stands for all.
        traced = number % 20 == 0
        if traced:
            tracemalloc.start()
        began = time.process_time()
        try:
            # Range decoding takes most of the time, and what is decoded is what was written: some files stand for all.
            counts[check(data, sound, decode=number % 8 == 0)] += 1
            assert time.process_time() - began < MOST_SECONDS, "too slow"
            assert not traced or tracemalloc.get_traced_memory()[1] < MOST_BYTES, "too much memory"
        except Exception as error:
            name = Path(f"broken-{hashlib.sha256(data).hexdigest()[:12]}.grit")
            name.write_bytes(data)
            raise SystemExit(f"{name}: {type(error).__name__}: {error}") from error
        finally:
            if traced:
                tracemalloc.stop()
    return counts


def guided(arguments: list[str]) -> None:
    """Run libFuzzer on the parser; checksums are made right first, so that it gets behind them."""
    import atheris

    with atheris.instrument_imports(include=["gritcodec.bitstream"]):
        for name in [name for name in sys.modules if name.startswith("gritcodec.bitstream")]:
            del sys.modules[name]
        from gritcodec.bitstream import Reader, join, read_contents, truncate

    model = small_contexts(0, 3, 4)

    def one(data: bytes) -> None:
        candidate, strict = _file(data), bool(data[:1] and data[0] & 8)
        try:
            contents = read_contents(candidate, strict)
        except FormatError:
            return
        # A pause of seven bytes stands for 4096 frames, and as many more may be missing.
        assert contents.frames <= 2 * 4096 * len(candidate) + MAX_MISSING
        reader = Reader(io.BytesIO(candidate))
        header = reader.header
        known = model if (header.code_bits, header.stages <= 3) == (4, True) else None
        reader.use(known)
        reader.seek(3)
        for packet in reader.packets():
            if packet.body is not None and (known or not header.coding):
                with suppress(FormatError):
                    reader.codes(packet)
        if not contents.damage:
            with suppress(GritcodecError):
                join([candidate, truncate(candidate, limit=len(candidate))])

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def _file(data: bytes) -> bytes:
    """Make a file of what libFuzzer came up with; the first byte says how much of it is made right.

    In one of eight cases nothing is: the search for what is wrong with a header takes tens of milliseconds. In one
    the header's fields are arbitrary and its checksum is right; in the others it is a sensible header. Then come
    packets and an end, each with its checksum.
    """
    kind, data = data[:1], data[1:]
    how = kind[0] & 7 if kind else 0
    if how == 0:
        return data
    if how == 1:
        head = MAGIC + b"\x01" + data[:20].ljust(20, b"\1")
        head += crc32c(head).to_bytes(4, "little")
    else:
        fields = data[:4].ljust(4, b"\1")
        samples = None if fields[3] & 1 else fields[2] * 640
        head = Header(
            bytes(8), 16000, 1 + fields[0] % 3, samples, 1 + fields[1] % 4, 3 + how % 2, 64, coding=fields[3] >> 1 & 1
        ).to_bytes()
    out, frame = head, 0
    try:
        header, _ = bitstream.parse_header(head)
        length = bitstream.coding_for(header).length
    except FormatError:
        return head
    for part in data[20 if how == 1 else 4 :].split(b"\xfe\xfe"):
        if part[:1] == b"\x80":
            end = b"\x80" + head + part[1:]
            end += (len(end) + 8).to_bytes(4, "little")
            out += end + crc32c(end).to_bytes(4, "little")
        else:
            layout = layout_of(part, header, length)
            out += part + crc32c(part + frame.to_bytes(4, "little")).to_bytes(4, "little")
            frame += layout.frames if layout else 0
    return out


def main() -> None:
    """Run the campaign that the arguments ask for."""
    if "--atheris" in sys.argv:
        guided(sys.argv[sys.argv.index("--atheris") + 1 :])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    counts = campaign(options.files, options.seed)
    print(f"{options.files:,} files in {time.perf_counter() - began:.0f} s: ", end="")
    print(", ".join(f"{count:,} {what}" for what, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
