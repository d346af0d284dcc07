#!/usr/bin/env bash
# sphn 0.2.1: the first 74 ms of what `sphn.write_opus` writes are lost for every reader that follows the standard: its header says that
# 3,840 samples are to be skipped, but no such samples are put before the sound (only the codec's own 312 are there). `sphn.read_opus`
# hides it, as it skips nothing: of anybody else's Opus files it gives the codec's start-up too, and what pads the last packet.
# Seen (2 s at 48 kHz): written by sphn    libsndfile and FFmpeg 92,160 of 96,000 samples, 3,528 early; read_opus 96,000, 312 late
#                       written by libopus libsndfile 96,000, in time;                                  read_opus 96,480, 312 late
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "sphn==0.2.1" "soundfile==0.14.0" "av==18.1.0"
cat >ask.py <<'P'
import av
import numpy as np
import soundfile
import sphn

rate = 48000
sound = np.convolve(0.3 * np.random.default_rng(0).standard_normal(2 * rate), np.ones(6) / 4, "same").astype(np.float32).clip(-0.9, 0.9)


def late(found):
    size = 1 << 18
    match = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(sound, size)), size)
    place = int(match.argmax())
    return place if place < size // 2 else place - size


def ffmpeg(name):
    with av.open(name) as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)[0]


sphn.write_opus("sphn.opus", sound, rate)
soundfile.write("libopus.opus", sound, rate, format="OGG", subtype="OPUS")
found = {}
for name in "sphn", "libopus":
    path = f"{name}.opus"
    for reader, samples in ("libsndfile", soundfile.read(path)[0]), ("FFmpeg", ffmpeg(path)), ("sphn", sphn.read_opus(path)[0][0]):
        found[name, reader] = len(samples), late(samples)
        print(f"{name} wrote, {reader} reads: {len(samples):,} of {len(sound):,} samples, {late(samples):,} late")
for reader in "libsndfile", "FFmpeg":
    length, delay = found["sphn", reader]
    assert length == len(sound) - 3840 and -3540 < delay < -3520, "the beginning is there now"
    assert found["libopus", reader] in {(len(sound), 0), (len(sound), 1)}, "another writer's is not in time"
assert found["libopus", "sphn"] == (len(sound) + 480, 312), "read_opus skips what is to be skipped now"
P
env/bin/python ask.py
