"""What entropy coding saves on a folder of clips, how fast a codec is with it, and how evenly codes are used.

    python benchmarks/entropy.py FOLDER [--corpus data/debian-speech]

Savings are those of the packets' bodies against plain packing, at equal codes: of files in packets of some frames, and
of live streams in chained packets of some frames, a key packet about once a second (blocks alone, as where a transport
tells lengths). Speed is of `compress` and `decompress` of all clips in one, on one thread. With --corpus: share of
codes used and entropy of every stage on half an hour of voices that it holds out.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import torch
import typer

import gritcodec
from gritcodec import bitstream, model_store
from gritcodec.bitstream.chained import KEY_FRAMES, Chain
from gritcodec.engine import store
from gritcodec.sound.audio import audio_files
from gritcodec.train.config import DataConfig
from gritcodec.train.contexts import draw_codes
from gritcodec.train.data import open_corpus

BITRATES = (1.5, 3.0, 6.0)
FILE_FRAMES = (64, 128, 256, 512)
LIVE_FRAMES = (1, 2, 4, 16, 64)
_HALF_AN_HOUR = 1406  # packets of 1.28 s


def saving(codec: gritcodec.Codec, clips: list[np.ndarray], rate: int, frames: int) -> float:
    """Percent of the bytes of all packets' bodies, of `frames` frames each; clips: codes [channels, stages, frames]."""
    plain = coded = 0
    for codes in clips:
        bits = int(codec.contexts.size).bit_length() - 1 if codec.contexts else 10
        header = bitstream.Header(
            bytes(8), rate, codes.shape[0], 0, codes.shape[1], bits, coding=bitstream.ENTROPY if codec.contexts else 0
        )
        coding = bitstream.coding_for(header, codec.contexts)
        for start in range(0, codes.shape[2], frames):
            packet = codes[:, :, start : start + frames]
            coded += len(coding.pack(packet))
            plain += packet.shape[1] * header.block_bytes(packet.shape[2])
    return 100 * (1 - coded / plain)


def chained_saving(codec: gritcodec.Codec, codes: list[np.ndarray], frames: int) -> float:
    """Percent of the bytes of all blocks of `frames` frames, of codes [channels, stages, frames] of each clip."""
    plain = chained = 0
    for clip in codes:
        bits, keys = (
            int(codec.contexts.size if codec.contexts else 1024).bit_length() - 1,
            KEY_FRAMES // frames * frames or frames,
        )
        header = bitstream.Header(
            bytes(8), 16000, clip.shape[0], None, clip.shape[1], bits, coding=bitstream.CHAINED, key_frames=keys
        )
        chain = Chain(header, codec.contexts)
        for start in range(0, clip.shape[2], frames):
            packet = clip[:, :, start : start + frames]
            chained += len(chain.pack(packet, start))
            plain += header.body_bytes(packet.shape[1], packet.shape[2])
    return 100 * (1 - chained / plain)


def main(
    folder: Annotated[Path, typer.Argument(help="Clips, mono, all at one rate.", exists=True)],
    model: Annotated[str, typer.Option(help="Model name or folder.")] = "speech-16k",
    corpus: Annotated[str, typer.Option(help="A packed corpus.")] = "",
) -> None:
    """Print tables."""
    torch.set_num_threads(1)
    codec = gritcodec.load(model)
    read = [soundfile.read(path, dtype="float32", always_2d=True) for path in audio_files(folder)]
    clips = [(waveform.T[:1], rate) for waveform, rate in read]
    whole, rate = np.concatenate([waveform for waveform, _ in clips], axis=1), clips[0][1]
    print(
        f"| kbps | {' | '.join(f'packets of {n}' for n in FILE_FRAMES)} | encode, x real time | decode, x real time |"
    )
    print("| --- |" + " --- |" * (len(FILE_FRAMES) + 2))
    for kbps in BITRATES:
        began = time.perf_counter()
        data = codec.compress(whole, rate, kbps)
        middle = time.perf_counter()
        codec.decompress(data)
        ended = time.perf_counter()
        seconds = whole.shape[1] / rate
        speeds = f"{seconds / (middle - began):.0f} | {seconds / (ended - middle):.0f}"
        codes = [codec.encode(waveform, rate, kbps).indices for waveform, rate in clips]
        saved = " | ".join(f"{saving(codec, codes, rate, frames):.1f} %" for frames in FILE_FRAMES)
        print(f"| {kbps:g} | {saved} | {speeds} |")
    if codec.contexts:
        print(f"\n| kbps | {' | '.join(f'{n} frames' for n in LIVE_FRAMES)} |\n| --- |{' --- |' * len(LIVE_FRAMES)}")
        for kbps in BITRATES:
            codes = [codec.encode(waveform, rate, kbps).indices for waveform, rate in clips]
            lives = (f"{chained_saving(codec, codes, frames):.1f} %" for frames in LIVE_FRAMES)
            print(f"| {kbps:g} | {' | '.join(lives)} |")
    if corpus:
        network = store.load(model_store.resolve(codec.name))
        data_config = DataConfig(corpus=corpus, segment=2.56, quiet_share=0.0)
        opened = open_corpus(data_config, network.config.sample_rate, "valid")
        drawn = draw_codes(network, opened, data_config, 5, _HALF_AN_HOUR).numpy()
        print("\n| stage | codes used | entropy, bits |\n| --- | --- | --- |")
        for stage in range(drawn.shape[1]):
            counts = np.bincount(drawn[:, stage].ravel(), minlength=network.config.quantizer.codebook_size)
            share = counts[counts > 0] / counts.sum()
            print(f"| {stage + 1} | {(counts > 0).mean():.1%} | {-(share * np.log2(share)).sum():.2f} |")


if __name__ == "__main__":
    typer.run(main)
