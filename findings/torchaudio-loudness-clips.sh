#!/usr/bin/env bash
# torchaudio 2.11.1 (torch 2.13.0): `Loudness` clips what it measures. The filters of ITU-R BS.1770 lift highs by 4 dB, and torchaudio's
# `lfilter` cuts all beyond full scale off after each filter, unless it is told not to; `Loudness` does not tell it. Loud sound with highs
# is measured too quiet, and sound beyond full scale, which float samples may hold, ever more so. No word comes. The same holds for all of
# its filters (`highpass_biquad`, `bass_biquad` ...) on samples that count from -32768 to 32767, as Kaldi's do: they come back as -1 and 1.
# Seen, a tone of 5 kHz, LUFS by torchaudio and by pyloudnorm 0.2.0, which agree on quiet sound:
#   amplitude     0.1      0.5      0.9      1.0      4.0
#   torchaudio  -19.73    -5.75    -2.36    -2.14    -1.03
#   pyloudnorm  -19.73    -5.75    -0.65     0.27    12.31
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --no-compile --disable-pip-version-check "numpy==2.2.6" "torch==2.13.0" "scipy==1.15.3"
env/bin/pip install -q --no-compile --no-deps --disable-pip-version-check "torchaudio==2.11.1" "pyloudnorm==0.2.0"
# The compiled part wants CUDA beside it; without it the same lines run in Python.
rm -f env/lib/python3*/site-packages/torchaudio/lib/*.so
cat >ask.py <<'P'
import numpy as np
import pyloudnorm
import torch
import torchaudio.functional

rate = 48000
tone = np.sin(2 * np.pi * 5000 * np.arange(rate) / rate)
for amplitude, short in (0.1, 0), (0.5, 0), (0.9, 1.71), (1.0, 2.41), (4.0, 13.34):
    sound = (amplitude * tone).astype(np.float32)
    found = float(torchaudio.functional.loudness(torch.from_numpy(sound)[None], rate))
    right = pyloudnorm.Meter(rate).integrated_loudness(sound)
    print(f"amplitude {amplitude}: torchaudio {found:.2f} LUFS, pyloudnorm {right:.2f}")
    assert abs(right - found - short) < 0.05, "it is otherwise now"
count = torch.from_numpy(np.round(8000 * tone[:4800]).astype(np.float32))[None]
passed = torchaudio.functional.highpass_biquad(count, rate, 20.0)
print(f"a tone of +-8,000 through a high-pass at 20 Hz: from {passed.min():.0f} to {passed.max():.0f}")
assert (passed.min(), passed.max()) == (-1, 1), "the filters do not clip any more"
P
env/bin/python ask.py
