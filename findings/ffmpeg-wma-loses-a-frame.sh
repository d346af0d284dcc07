#!/usr/bin/env bash
# What FFmpeg (PyAV 18.1.0) codes as WMA and reads back begins a frame too late in the sound: its decoder leaves out two frames at the
# beginning, and its encoder is late by one alone. So the first 512 samples at 16 kHz, 2048 at 44.1 kHz (46 ms), are lost, all that
# follows is early by as much, and nothing in the file tells. Frames that say their time begin at 64 and 92 ms, not at 0.
# Seen (lag of what comes back, by cross-correlation, in samples; negative is early):
#   wmav2, 16 kHz: -512   wmav2, 44.1 kHz: -2048   wmav1, 44.1 kHz: -2048
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "av==18.1.0"
cat >ask.py <<'P'
import av
import numpy as np


def lag(codec: str, rate: int) -> int:
    noise = np.convolve(np.random.default_rng(0).standard_normal(2 * rate), np.ones(6) / 6, "same")
    sound = (0.25 * noise * np.hanning(2 * rate)).astype(np.float32)
    with av.open("a.wma", "w", format="asf") as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 64000
        stream.codec_context.open()
        size = stream.codec_context.frame_size
        for at in range(0, len(sound), size):
            frame = av.AudioFrame.from_ndarray(sound[None, at : at + size], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open("a.wma") as file:
        back = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)[0]
    count = min(len(back), len(sound))
    spectra = np.fft.rfft(back[:count], 2 * count) * np.conj(np.fft.rfft(sound[:count], 2 * count))
    found = int(np.argmax(np.fft.irfft(spectra)))
    found -= 2 * count if found > count else 0
    print(f"{codec}, {rate} Hz: frames of {size}, {len(sound)} samples in, {len(back)} out, lag {found}")
    assert found == -size
    return found


for codec, rate in (("wmav2", 16000), ("wmav2", 44100), ("wmav1", 44100)):
    lag(codec, rate)
P
env/bin/python ask.py
