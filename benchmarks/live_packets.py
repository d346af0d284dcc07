"""What live packets of 20, 40 and 80 ms cost in sound, beside a file at the same bitrate.

    python benchmarks/live_packets.py FOLDER [--limit 0]

Every clip goes through `stream_encoder` and `stream_decoder`, with and without a check in each packet, and through
`compress`; PESQ-WB and ESTOI against the clip, means over the clips, bytes of all packets (of a file: all of it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer

import gritcodec
from gritcodec.bitstream import Packet, read_contents
from gritcodec.errors import AudioError
from gritcodec.evaluate import metrics
from gritcodec.sound.audio import audio_files

BITRATES = (3.0, 6.0)
FRAMES = (1, 2, 4)


def through_packets(
    codec: gritcodec.Codec, waveform: np.ndarray, rate: int, kbps: float, frames: int, check: bool
) -> tuple[np.ndarray, int, list[int]]:
    """Return what is heard, the bytes of packets, and the stages of each."""
    encoder = codec.stream_encoder(rate, waveform.shape[0], kbps, frames, check=check)
    header, *packets = encoder.push(waveform) + encoder.flush()
    decoder = codec.stream_decoder()
    blocks = [decoder.push(piece) for piece in (header, *packets)] + [decoder.flush()]
    heard = np.concatenate(blocks, axis=1)[:, : waveform.shape[1]]
    coded = [packet for packet in packets if packet[0] & 0x40]
    return heard, sum(map(len, coded)), [packet[0] & 0x3F for packet in coded]


def through_file(
    codec: gritcodec.Codec, waveform: np.ndarray, rate: int, kbps: float
) -> tuple[np.ndarray, int, list[int]]:
    """The same of a file."""
    data = codec.compress(waveform, rate, kbps)
    heard = codec.decompress(data)[0]
    return heard, len(data), [item.stages for item in read_contents(data).items if isinstance(item, Packet)]


def main(
    folder: Annotated[Path, typer.Argument(help="Clips.")],
    limit: Annotated[int, typer.Option(help="The first so many clips; 0: all.")] = 0,
) -> None:
    """Print a table."""
    codec = gritcodec.load()
    clips = [soundfile.read(path, dtype="float32", always_2d=True) for path in audio_files(folder)]
    clips = clips[: limit or None]
    print(
        "| kbps | packets | kbps of packets | stages, mean | PESQ-WB | ESTOI |\n| --- | --- | --- | --- | --- | --- |"
    )
    for kbps in BITRATES:
        ways: list[tuple[str, int, bool]] = [
            ("file", 0, True),
            *((f"{20 * n} ms{'' if c else ', no check'}", n, c) for c in (False, True) for n in FRAMES),
        ]
        for name, frames, check in ways:
            rows: list[list[float]] = []
            for samples, rate in clips:
                waveform = np.ascontiguousarray(samples.T)
                if frames:
                    heard, size, stages = through_packets(codec, waveform, rate, kbps, frames, check)
                else:
                    heard, size, stages = through_file(codec, waveform, rate, kbps)
                try:
                    scores = metrics.pesq_wb(waveform, heard, rate), metrics.estoi(waveform, heard, rate)
                except AudioError:
                    continue
                rows.append([8 * size * rate / waveform.shape[1] / 1000, float(np.mean(stages)), *scores])
            rate_, mean, pesq, estoi = np.mean(rows, axis=0)
            print(f"| {kbps:g} | {name} | {rate_:.2f} | {mean:.1f} | {pesq:.2f} | {estoi:.3f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
