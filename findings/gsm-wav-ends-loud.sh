#!/usr/bin/env bash
# libsndfile 1.2.2 (soundfile 0.14.0) takes the byte that WAV wants behind a chunk of odd length for one more block of GSM 6.10, where
# a file holds an odd number of them (65 bytes for 40 ms at 8 kHz). Half of all such files, also those it wrote itself, end in 320
# samples that nobody recorded: the last block once more with a zero for its first byte, often a burst louder than the speech.
# The data chunk says 65 bytes a block and the fact chunk how many samples; the count of frames has the burst in it all the same.
# Seen (a synthetic voice; blocks: samples of libsndfile / of FFmpeg (av 18.1.0), rms of the voice, rms and peak of what is too much):
#   10: 3200 / 3200, 3945                   100: 32000 / 32000, 3458                   250: 80000 / 80000, 3528
#   11: 3840 / 3520, 4044 10400 32768       101: 32640 / 32320, 3489 12424 32760       251: 80640 / 80320, 3523 478 1808
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "soundfile==0.14.0" "av==18.1.0" 2>/dev/null
cat >blocks.py <<'P'
import struct

import av
import numpy as np
import soundfile

rate, loudest = 8000, 0
for blocks in 10, 11, 100, 101, 102, 103, 250, 251:
    rng = np.random.default_rng(blocks)
    time = np.arange(320 * blocks) / rate
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(4 * time) + 5 * rng.standard_normal(len(time))) / rate
    sound = sum(np.sin(k * phase) / k for k in range(1, 12)) * np.sin(5 * time) ** 2
    soundfile.write("voice.wav", 0.35 * sound / np.abs(sound).max(), rate, subtype="GSM610")
    data = open("voice.wav", "rb").read()
    (said,) = struct.unpack("<I", data[data.index(b"data") + 4 :][:4])
    (fact,) = struct.unpack("<I", data[data.index(b"fact") + 8 :][:4])
    assert said == 65 * blocks and fact == 320 * blocks, "the file is written in another way"
    own = soundfile.read("voice.wav", dtype="int16")[0].astype(float)
    with av.open("voice.wav") as stream:
        other = np.concatenate([frame.to_ndarray().ravel() for frame in stream.decode(audio=0)])
    assert len(other) == 320 * blocks and np.array_equal(own[: len(other)], other), "the blocks themselves differ"
    tail = own[len(other) :]
    assert len(tail) == soundfile.info("voice.wav").frames - len(other) == 320 * (blocks % 2), "no block too many"
    line = f"{blocks}: {len(own)} / {len(other)}, {other.astype(float).std():.0f}"
    print(line, *([f"{tail.std():.0f} {np.abs(tail).max():.0f}"] if len(tail) else []))
    loudest = max(loudest, tail.std() / other.astype(float).std() if len(tail) else 0)
assert loudest > 1, "what is too much is quiet"
P
env/bin/python blocks.py && echo "as described"
