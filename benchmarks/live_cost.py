"""What a live signal costs, packet by packet: CPU seconds a second of sound, on whatever threads the engine takes.

    python benchmarks/live_cost.py

Every 20 ms of the speech inside the package go through `stream_encoder` and `stream_decoder` at 6 kbps by themselves,
for packets of 1, 2 and 16 frames, with both engines.
"""

import time
from pathlib import Path

import numpy as np
import soundfile

import gritcodec

SECONDS = 20
BLOCK = 320


def main() -> None:
    """Print a table."""
    clip, rate = soundfile.read(Path(gritcodec.__file__).parent / "clips" / "austen.flac", dtype="float32")
    waveform = np.resize(clip, SECONDS * rate)[None]
    print("| engine | frames a packet | encode | decode |\n| --- | --- | --- | --- |")
    for engine in ("onnx", "torch"):
        codec = gritcodec.load(engine=engine)
        for frames in (1, 2, 16):
            encoder, decoder = codec.stream_encoder(rate, 1, 6.0, frames), codec.stream_decoder()
            began = time.process_time()
            packets: list[bytes] = []
            for start in range(0, waveform.shape[1], BLOCK):
                packets += encoder.push(waveform[:, start : start + BLOCK])
            packets += encoder.flush()
            middle = time.process_time()
            for packet in packets:
                decoder.push(packet)
            spent = middle - began, time.process_time() - middle
            print(f"| {engine} | {frames} | {spent[0] / SECONDS:.3f} | {spent[1] / SECONDS:.3f} |", flush=True)


if __name__ == "__main__":
    main()
