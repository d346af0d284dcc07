#!/usr/bin/env bash
# LAME 3.100 silently leaves out the Info frame where it does not fit into one frame of the constant bitrate: of mono at 16 kHz at all
# of 8 to 32 kbps. Delay and length are told nowhere then, so such an MP3 is read 1,105 samples (69 ms) late and two to three
# frames too long by libsndfile and FFmpeg (PyAV 18.1.0), where the same sound at 40 kbps, or at a variable rate, comes back to the
# sample. libsndfile 1.2.2 (soundfile 0.14.0) carries this LAME; the `lame` program with mpg123 does the same.
# Seen (32,137 samples): 8, 16, 24, 32 kbps 33,408 samples, 1,105 late; 40, 48 kbps and variable 32,137, in time.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "soundfile==0.14.0" "av==18.1.0"
cat >ask.py <<'P'
from pathlib import Path

import av
import numpy as np
import soundfile

rate, count = 16000, 32137
sound = np.convolve(0.3 * np.random.default_rng(0).standard_normal(count), np.ones(8) / 5, "same").clip(-0.9, 0.9)


def late(found):
    size = 1 << 17
    match = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(sound, size)), size)
    place = int(match.argmax())
    return place if place < size // 2 else place - size


def ffmpeg(name):
    with av.open(name) as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)[0]


for kbps in 8, 16, 24, 32, 40, 48, None:
    # libsndfile takes a constant rate as a fraction of the way from 160 to 8 kbps.
    level = None if kbps is None else min((160 - kbps) / 152, 0.9999)
    mode = "VARIABLE" if kbps is None else "CONSTANT"
    soundfile.write("a.mp3", sound, rate, bitrate_mode=mode, compression_level=level)
    data = Path("a.mp3").read_bytes()
    told = b"LAME3.100" in data[:200] and (b"Info" in data[:200] or b"Xing" in data[:200])
    found, other = soundfile.read("a.mp3")[0], ffmpeg("a.mp3")
    print(f"{kbps or 'variable'} kbps: Info {told}, {len(found):,} of {count:,} samples, {late(found):,} late; FFmpeg {late(other):,} late")
    if kbps is None or kbps >= 40:
        assert told and (len(found), late(found)) == (count, 0)
    else:
        assert not told and len(found) > count + 1105 and late(found) == late(other) == 1105, "the Info frame is there now"
P
env/bin/python ask.py
