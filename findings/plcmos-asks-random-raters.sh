#!/usr/bin/env bash
# PLCMOS v2 (speechmos 0.0.1.1), the measure of packet loss concealment, asks 15 listeners whom it draws from numpy's global random
# numbers at every call. The same clip scores otherwise each time, unless np.random.seed comes before each call (which no option
# does, and lists of clips go through threads); DNSMOS of the same package stays the same. And it hears the edges of a loss, not the
# loss: zeros for 3 seconds in the middle cost less than for 0.2 seconds, and without their last 30 % clips score better than whole.
# Seen (four clips of flite 2.2, 7 to 8 s):
#   one clip, 20 times: 3.91 to 3.98
#   mean of four: whole 3.94; zeros for 0.06 s 3.76, 0.2 s 3.68, 1 s 3.76, 3 s 3.80; for the last 30 % 4.12, for the last 70 % 3.82
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
[[ $(dpkg-query -W -f '${Version}' flite 2>/dev/null) == 2.2-5* ]] || { echo "needs flite 2.2-5 of Debian 12"; exit 1; }
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "speechmos==0.0.1.1" "onnxruntime==1.22.1" "librosa==0.11.0" 2>/dev/null
first="The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to tell the depth of a well."
second="These days a chicken leg is a rare dish. Rice is often served in round bowls. The juice of lemons makes fine punch."
for voice in slt rms; do
  flite -voice $voice -t "$first" -o "$voice-1.wav"
  flite -voice $voice -t "$second" -o "$voice-2.wav"
done
cat >raters.py <<'P'
import wave
from glob import glob

import numpy as np
from speechmos import dnsmos, plcmos


def clip(path):
    with wave.open(path) as stream:
        assert stream.getframerate() == 16000
        return np.frombuffer(stream.readframes(stream.getnframes()), "<i2").astype(np.float32) / 32768


def score(sound):
    return float(plcmos.run(sound.astype(np.float32), 16000)["plcmos"])


clips = [clip(path) for path in sorted(glob("*.wav"))]
many = [score(clips[0]) for _ in range(20)]
np.random.seed(1)
seeded = [score(clips[0])]
np.random.seed(1)
seeded.append(score(clips[0]))
other = {dnsmos.run(clips[0], 16000)["ovrl_mos"] for _ in range(3)}
print(f"20 times the same clip: {min(many):.2f} to {max(many):.2f}, with a seed {seeded[0]:.4f} {seeded[1]:.4f}, DNSMOS {other}")
assert len(set(many)) == 20 and max(many) - min(many) > 0.04, "it scores a clip the same each time"
assert seeded[0] == seeded[1] and len(other) == 1


def lost(seconds):
    scores = []
    for sound in clips:
        time = np.arange(len(sound))
        for place in 0.35, 0.5, 0.65:
            start = int(place * len(sound) - seconds * 8000)
            scores.append(score(np.where((time >= start) & (time < start + seconds * 16000), 0, sound)))
    return np.mean(scores)


whole = np.mean([score(sound) for sound in clips for _ in range(3)])
gaps = {seconds: lost(seconds) for seconds in (0.06, 0.2, 1, 3)}
ends = {share: np.mean([score(np.where(np.arange(len(s)) < len(s) * (1 - share), s, 0)) for s in clips]) for share in (0.3, 0.7)}
print(f"whole {whole:.2f}; seconds lost", *(f"{each}: {value:.2f}," for each, value in gaps.items()), end=" ")
print("share lost at the end", *(f"{each}: {value:.2f}" for each, value in ends.items()))
assert gaps[3] > gaps[0.2] and ends[0.3] > whole, "it hears that something is missing"
P
env/bin/python raters.py && echo "as described"
