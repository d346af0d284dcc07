#!/usr/bin/env bash
# FFmpeg 8.1.2 (PyAV 18.1.0): its filters `afftdn`, `anlmdn`, `adrc`, `afftfilt` and `superequalizer` give as many samples as they get,
# from time 0 on, but late: their own delay stands as silence in front, and as much of the end is thrown away. Nothing
# tells, nor do the timestamps. Others do it right: `afwtdn` is in time, `firequalizer` late but whole.
# Seen, at 16 kHz, each set to change nothing: afftdn 400 samples late (25 ms), anlmdn 128, adrc 192, afftfilt 3,072 (192 ms),
# superequalizer 4,095 (256 ms), and the last that many samples are lost.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "av==18.1.0"
cat >ask.py <<'P'
from fractions import Fraction

import av
import numpy as np

rate = 16000
sound = np.convolve(0.2 * np.random.default_rng(0).standard_normal(2 * rate), np.ones(3) / 2, "same").astype(np.float32)


def filtered(name, options):
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=rate, layout="mono", time_base=Fraction(1, rate))
    middle, sink = graph.add(name, options), graph.add("abuffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    out, first = [], None

    def drain():
        nonlocal first
        while True:
            try:
                frame = sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            first = frame.pts if first is None else first
            out.append(frame.to_ndarray()[0])

    for at in range(0, len(sound), 1024):
        frame = av.AudioFrame.from_ndarray(sound[None, at : at + 1024], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        source.push(frame)
        drain()
    source.push(None)
    drain()
    return np.concatenate(out), first


def late(found):
    size = 1 << 17
    match = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(sound, size)), size)
    place = int(match.argmax())
    return place if place < size // 2 else place - size


for name, options, want in (
    ("afftdn", "nr=0.01", 400),
    ("anlmdn", "s=0.00001", 128),
    ("adrc", None, 192),
    ("afftfilt", "real=re:imag=im", 3072),
    ("superequalizer", None, 4095),
    ("afwtdn", "sigma=0", 0),
):
    found, first = filtered(name, options)
    delay = late(found)
    alike = np.corrcoef(found[delay:], sound[: len(sound) - delay])[0, 1]
    print(f"{name}: {len(sound):,} samples in, {len(found):,} out from {first} on, {delay:,} late, else alike to {alike:.4f}")
    assert len(found) == len(sound) and first == 0 and delay == want and alike > 0.999, "it is otherwise now"
P
env/bin/python ask.py
