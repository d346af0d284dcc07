#!/usr/bin/env bash
# FFmpeg 8.1.2 (PyAV 18.1.0; Debian's 5.1.9 does the same) reads Musepack (SV8) 481 samples late and up to 1,632 too long: the head of the
# file tells how many samples there are, and every decoder of it must leave out the delay of the filter bank, as Musepack's own mpcdec
# (r495) does; FFmpeg gives whole frames from the first on. Nothing tells: first timestamp 0, no error.
# Seen: of 88,337 samples at 44.1 kHz mpcdec gives 88,337, 0 late; FFmpeg 89,856, 481 late (11 ms). At 32 and 48 kHz 481, too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -q "musepack-tools=2:0.1~r495-2" "libmpcdec6=2:0.1~r495-2" >/dev/null 2>&1 || { echo "apt-get update first"; exit 1; }
for package in *.deb; do dpkg-deb -x "$package" root; done
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "av==18.1.0" "soundfile==0.14.0"
cat >ask.py <<'P'
import os
import subprocess
from glob import glob

import av
import numpy as np
import soundfile

environment = {**os.environ, "LD_LIBRARY_PATH": os.path.dirname(glob("root/usr/lib/*/libmpcdec.so.6")[0])}


def late(found, sound):
    size = 1 << 18
    match = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(sound, size)), size)
    return int(match.argmax()) if match.argmax() < size // 2 else int(match.argmax()) - size


for rate, count in (32000, 64137), (44100, 88337), (44100, 80 * 1152), (48000, 96137):
    sound = 0.2 * np.convolve(np.random.default_rng(0).standard_normal(count), np.ones(8) / 3, "same")
    soundfile.write("a.wav", sound, rate)
    for command in "mpcenc --overwrite a.wav a.mpc", "mpcdec a.mpc b.wav":
        subprocess.run(["root/usr/bin/" + command.split()[0], *command.split()[1:]], check=True, capture_output=True, env=environment)
    own = soundfile.read("b.wav", always_2d=True)[0][:, 0]
    with av.open("a.mpc") as file:
        frames = list(file.decode(audio=0))
    found = np.concatenate([frame.to_ndarray().reshape(frame.layout.nb_channels, -1)[0] for frame in frames]).astype(float)
    by_own, by_ffmpeg = (len(own), late(own, sound)), (len(found), late(found, sound))
    print(f"{count:,} samples at {rate} Hz: mpcdec {by_own[0]:,}, {by_own[1]} late; FFmpeg {by_ffmpeg[0]:,}, {by_ffmpeg[1]} late")
    assert by_own == (count, 0), "mpcdec is otherwise now"
    # Whole frames of 1,152, as many as hold the sound and its delay.
    assert frames[0].pts == 0 and by_ffmpeg == (-(-(count + 481) // 1152) * 1152, 481), "FFmpeg is otherwise now"
P
env/bin/python ask.py
