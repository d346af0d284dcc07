#!/usr/bin/env bash
# pedalboard 0.9.26: `Limiter` makes everything louder, and the more so the lower its threshold: it holds make-up gain that cannot be turned
# off, and a hard clipper at 0 dBFS. A sound far below the threshold comes out 34 dB louder at -30 dB, 13.8 dB at -10 dB (the default),
# 3.7 dB at 0 dB, and the peaks of one that is limited to -30 dB stand at 0 dBFS, clipped. Its manual tells of two compressors and the
# clipper, and not of the gain. Whoever puts it into augmentation as a guard against clipping gets clipping.
# Seen, a sine of 440 Hz, times its own amplitude:
#   threshold     -30     -20     -10      -1       0 dB
#   -60 dBFS   48.697  15.399   4.870   1.728   1.540
#   -20 dBFS   10.000  10.000   4.870   1.728   1.540   (10: it stands at full scale)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "pedalboard==0.9.26"
cat >ask.py <<'P'
import numpy as np
from pedalboard import Limiter

rate = 44100
sine = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
gains = {-30: 48.70, -20: 15.40, -10: 4.87, -1: 1.73, 0: 1.54}
for level in -60, -40, -20:
    amplitude = 10 ** (level / 20)
    heard = [Limiter(threshold_db=at)((amplitude * sine).astype(np.float32), rate)[rate // 2 :] for at in gains]
    found = [float(np.abs(sound).max() / amplitude) for sound in heard]
    print(f"{level} dBFS:", *(f"{at} dB x{gain:.3f}" for at, gain in zip(gains, found, strict=True)))
    for gain, want, sound in zip(found, gains.values(), heard, strict=True):
        # More than full scale is clipped.
        assert abs(gain - min(want, 1 / amplitude)) < 0.01 * gain, "it is otherwise now"
        assert (np.mean(np.abs(sound) > 0.999) > 0.2) == (want * amplitude > 1.1), "the clipping is otherwise now"
default = np.abs(Limiter()((0.01 * sine).astype(np.float32), rate)[rate // 2 :]).max() / 0.01
assert abs(default - 4.87) < 0.05, "the default is otherwise now"
P
env/bin/python ask.py
