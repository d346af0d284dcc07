#!/usr/bin/env bash
# Two measures of speech give silence a number, where PESQ (pesq 0.0.4) raises: a codec that lost everything can look good.
# - visqol-python 3.8.0 with its lattice model, speech mode: a sound that was never there scores 4.71 of 5 against a silent
#   reference; silence against silence is NaN.
# - pystoi 0.4.1, extended=True: a silent clip is compared by the dither that pystoi adds to it, from the global random numbers:
#   another value on every call, around 0, for identical inputs.
# Seen: ViSQOL 4.71; ESTOI of the same two arrays, three calls: -0.004, 0.003, -0.005 or so; PESQ raises NoUtterancesError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "visqol-python[lattice]==3.8.0" "pystoi==0.4.1" "pesq==0.0.4" 2>/dev/null
cat >silence.py <<'P'
import logging
import sys

import numpy as np
from pesq import pesq
from pystoi import stoi
from visqol import VisqolApi

rate = 16000
time = np.arange(4 * rate) / rate
sound = 0.2 * sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 20)) * np.sin(5 * time) ** 2
silence = np.zeros(len(sound))
logging.disable(logging.CRITICAL)
api = VisqolApi()
api.create(mode="speech", use_lattice_model=True)
visqol = float(api.measure_from_arrays(silence, sound, rate).moslqo)
estoi = [float(stoi(sound, silence, rate, extended=True)) for _ in range(3)]
try:
    said = f"PESQ {pesq(rate, silence.astype(np.float32), sound.astype(np.float32), 'wb'):.2f}"
except Exception as error:
    said = f"PESQ raises {type(error).__name__}"
print(f"ViSQOL {visqol:.2f} ESTOI", *(f"{value:.4f}" for value in estoi), said)
if not (visqol > 4 and len(set(estoi)) == 3 and max(map(abs, estoi)) < 0.2):
    sys.exit("silence is scored in another way now")
P
env/bin/python silence.py 2>/dev/null || { echo "silence is scored in another way now"; exit 1; }
echo "as described"
