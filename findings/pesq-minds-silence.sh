#!/usr/bin/env bash
# PESQ (pesq 0.0.4) counts silence that belongs to neither sound: zeros behind both, the same, change the score of what was said. Up to about
# the length of the speech they lower it, more raise it, wide band and narrow band alike: ITU's code sets the level of both over all of the
# file, and means the damage over all of it. STOI (pystoi 0.4.1) leaves silence out, and stays as it is.
# Whoever compares corpora that were trimmed otherwise, or joins clips with pauses, compares pauses.
# Seen, 8 s of voice with noise on it, and zeros behind both:
#   zeros       0 s    2 s    4 s    8 s   16 s   30 s
#   PESQ-NB    2.75   2.68   2.62   2.55   2.89   3.30
#   PESQ-WB    2.36   2.27   2.23   2.19   2.63   3.18   (a tenth of the noise)
#   STOI       0.98 for all
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "pesq==0.0.4" "pystoi==0.4.1"
cat >ask.py <<'P'
import numpy as np
from pesq import pesq
from pystoi import stoi

rate = 16000
time = np.arange(8 * rate) / rate
phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(4 * time)) / rate
voice = sum(np.sin(k * phase) / k for k in range(1, 25)) * np.sin(5 * time) ** 2
voice /= 2 * np.abs(voice).max()
noise = np.sin(5 * time) ** 2 * np.random.default_rng(0).standard_normal(len(time))


def scores(amount, mode):
    found = []
    for seconds in 0, 2, 4, 8, 16, 30:
        zeros = np.zeros(seconds * rate)
        clean, noisy = (np.concatenate([sound, zeros]).astype(np.float32) for sound in (voice, voice + amount * noise))
        found.append(float(pesq(rate, clean, noisy, mode) if mode in ("wb", "nb") else stoi(clean, noisy, rate)))
    print(mode, *(f"{score:.2f}" for score in found))
    return found


for amount, mode in (0.015, "nb"), (0.0015, "wb"):
    nothing, two, four, eight, sixteen, thirty = scores(amount, mode)
    assert nothing > two > four > eight and nothing - eight > 0.1, "silence does not lower it any more"
    assert eight < sixteen < thirty and thirty - nothing > 0.3, "silence does not raise it any more"
assert np.ptp(scores(0.015, "stoi")) < 0.003, "STOI minds silence now"
P
env/bin/python ask.py
