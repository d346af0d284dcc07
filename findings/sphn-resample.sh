#!/usr/bin/env bash
# sphn 0.2.1 (the audio library of Moshi): `sphn.resample`, and `sphn.read(sample_rate=...)` with it, gives the sound late by the
# resampler's delay, 11 to 64 ms here, and the end is lost for it: the last block is filled up and nothing is drawn after it. So the
# output is longer than the ratio says, and all the same lacks the end. No word is said of it. One second with an impulse at 0.25 s and
# another 50 samples before the end:
#   16 -> 24 kHz   24,576 samples (24,000 meant), first at 6,768 (6,000 meant: 32 ms late), second lost
#    8 -> 16 kHz   16,384 (16,000)                first at 5,024 (4,000: 64 ms late)        second lost
#   48 -> 24 kHz   24,064 (24,000)                first at 6,256 (6,000: 11 ms late)        second lost
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "sphn==0.2.1" "soundfile==0.14.0"
cat >ask.py <<'P'
import numpy as np
import soundfile
import sphn

for rate, to in (16000, 24000), (8000, 16000), (48000, 24000):
    sound = np.zeros(rate, dtype=np.float32)
    sound[rate // 4] = sound[-50] = 1
    (out,) = sphn.resample(sound[None], rate, to)
    first, end = int(out[: to // 2].argmax()), float(np.abs(out[to // 2 :]).max() / out.max())
    delay = (first / to - 0.25) * 1000
    print(f"{rate:,} -> {to:,}: {len(out):,} samples, first at {first:,} ({delay:.0f} ms late), the second's peak {end:.3f}")
    assert len(out) > to and first - to // 4 > to // 100, "it is in time now"
    assert end < 0.05, "the end is there now"
    soundfile.write("a.wav", sound, rate, subtype="FLOAT")
    read, _ = sphn.read("a.wav", sample_rate=to)
    assert np.array_equal(read[0], out), "read(sample_rate=...) does otherwise"
P
env/bin/python ask.py
