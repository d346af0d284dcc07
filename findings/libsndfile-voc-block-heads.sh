#!/usr/bin/env bash
# libsndfile 1.2.2 (soundfile 0.13.1) reads a Creative VOC file of several sound blocks as if it had one: the four bytes at the head of
# each later block come back as two samples of sound, and so does the byte that ends the file. FFmpeg (PyAV 18.1.0) writes one block
# a packet, so its files are read longer than they are, with a click at every block; FFmpeg itself reads them back as they were.
# Seen (16,000 samples in four blocks): libsndfile 16,006 samples, the first wrong one at 4,000; FFmpeg 16,000, all right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "av==18.1.0" "soundfile==0.13.1"
cat >ask.py <<'P'
import av
import numpy as np
import soundfile

rate = 16000
sound = (8000 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate)).astype(np.int16)
with av.open("a.voc", "w", format="voc") as out:
    stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
    for at in range(0, rate, 4000):
        frame = av.AudioFrame.from_ndarray(sound[None, at : at + 4000], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, at
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
with av.open("a.voc") as file:
    ffmpeg = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)[0]
libsndfile, _ = soundfile.read("a.voc", dtype="int16")
wrong = np.flatnonzero(libsndfile[:rate] != sound)
print(f"libsndfile {soundfile.__libsndfile_version__}: {len(libsndfile):,} samples, wrong from {wrong[0]:,} on")
print(f"FFmpeg: {len(ffmpeg):,} samples, {np.abs(ffmpeg.astype(int) - sound).max()} off at most")
assert np.array_equal(ffmpeg, sound)
assert len(libsndfile) > rate and wrong[0] == 4000
P
env/bin/python ask.py
