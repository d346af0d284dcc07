#!/usr/bin/env bash
# pydub 0.25.1 (CPython 3.11): `set_frame_rate` takes no filter when it lowers the rate. It draws straight lines between the samples and
# picks from them (audioop.ratecv), so that all that was above the new half rate stands folded in the voice's band, as loud as it was.
# From 48 to 16 kHz, where every third sample is kept, nothing is lost at all: a tone of 10 kHz comes out as one of 6 kHz. Nothing tells.
# Seen, 48 to 16 kHz, level of what must be gone: 9 kHz 0.0 dB at 7 kHz, 10 kHz 0.0 dB at 6 kHz, 15 kHz 0.0 dB at 1 kHz;
# 44.1 to 16 kHz: 9 kHz -1.2 dB at 7 kHz. soxr 1.1.0 on the same sounds: below -95 dB.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "pydub==0.25.1" "soxr==1.1.0"
cat >ask.py <<'P'
import warnings

warnings.filterwarnings("ignore")
import numpy as np
import soxr
from pydub import AudioSegment


def level(samples, tone):
    """Return the level of a tone at 16 kHz, in dB of half scale."""
    part = samples[4000:12000] * np.hanning(8000) / 2000
    return 20 * np.log10(abs(part @ np.exp(-2j * np.pi * tone * np.arange(8000) / 16000)) / 16384 + 1e-9)


for rate, tone, least in (48000, 9000, -0.1), (48000, 10000, -0.1), (48000, 15000, -0.1), (44100, 9000, -3), (44100, 10000, -3):
    sound = np.round(16384 * np.sin(2 * np.pi * tone * np.arange(rate) / rate)).astype("<i2")
    segment = AudioSegment(sound.tobytes(), sample_width=2, frame_rate=rate, channels=1).set_frame_rate(16000)
    folded = 16000 - tone
    by_pydub = level(np.array(segment.get_array_of_samples(), float), folded)
    by_soxr = level(soxr.resample(sound.astype(float), rate, 16000), folded)
    print(f"{tone} Hz, from {rate} to 16000 Hz: at {folded} Hz {by_pydub:.1f} dB by pydub, {by_soxr:.0f} dB by soxr")
    assert segment.frame_rate == 16000 and least < by_pydub < 0.1, "it is filtered now"
    assert by_soxr < -70
P
env/bin/python ask.py
