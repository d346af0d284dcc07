#!/usr/bin/env bash
# FFmpeg 8.1.2 (PyAV 18.1.0; Debian's 5.1.9 does the same) reads the Opus in MP4 that it has written itself late, unless the sound went in
# at 48 kHz: the track counts time in samples of the input (8, 12, 16 or 24 kHz), the 6.5 ms that the decoder must leave out are told
# in this unit, and are taken for samples of 48 kHz. Nothing tells, and the same packets in Ogg are right to the sample.
# The edit list tells the right time: it is the reader that is wrong.
# Seen, samples of 48 kHz: 8 kHz in, 260 late (5.4 ms); 12 kHz, 234; 16 kHz, 208 (4.3 ms); 24 kHz, 156; 48 kHz, 0; Ogg: 0 for all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "av==18.1.0"
cat >ask.py <<'P'
import av
import numpy as np


def band_limited(seconds, rate, cut):
    """Return the same noise below `cut` Hz at any rate."""
    bins = seconds * cut
    spectrum = np.zeros(seconds * rate // 2 + 1, complex)
    spectrum[1:bins] = np.exp(2j * np.pi * np.random.default_rng(0).random(bins - 1))
    sound = np.fft.irfft(spectrum, seconds * rate) * rate
    return (0.2 * sound / np.abs(sound).max()).astype(np.float32)


def late(name, form, rate):
    sound = band_limited(2, rate, 3000)
    with av.open(name, "w", format=form) as out:
        stream = out.add_stream("libopus", rate=rate, layout="mono", format="flt")
        stream.bit_rate = 64000
        for at in range(0, len(sound), 960):
            frame = av.AudioFrame.from_ndarray(sound[None, at : at + 960], format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open(name) as file:
        frames = list(file.decode(audio=0))
    assert frames[0].sample_rate == 48000
    found, wanted = np.concatenate([frame.to_ndarray()[0] for frame in frames]), band_limited(2, 48000, 3000)
    size = 1 << 18
    match = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size)), size)
    return int(match.argmax()) if match.argmax() < size // 2 else int(match.argmax()) - size


for rate in 8000, 12000, 16000, 24000, 48000:
    ogg, mp4 = late("a.opus", "ogg", rate), late("a.mp4", "mp4", rate)
    # 312 samples at 48 kHz are to be left out: told in samples of the input, they are fewer.
    want = 312 - 312 * rate // 48000
    print(f"{rate} Hz: Ogg {ogg} samples late, MP4 {mp4}")
    assert abs(ogg) <= 1 and abs(mp4 - want) <= 1, "it is otherwise now"
P
env/bin/python ask.py
