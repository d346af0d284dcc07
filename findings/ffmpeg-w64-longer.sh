#!/usr/bin/env bash
# FFmpeg 8.1.2 (PyAV 18.1.0; 5.1.9 does the same) writes Wave64 files that are up to seven samples longer than the sound: it counts the
# bytes that fill a chunk to eight as part of the data chunk's size, and so every reader, itself included, takes them for silence. It
# is up to three samples of 16 bits in mono, two of 24, one of 32, seven of A-law. libsndfile's Wave64 of the same sound is right.
# Seen (16 bits, mono): 16,001 samples are read as 16,004 by FFmpeg and libsndfile, 16,002 as 16,004, 16,000 as 16,000.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "av==18.1.0" "soundfile==0.14.0"
cat >ask.py <<'P'
import av
import numpy as np
import soundfile

rate = 16000


def read(name):
    with av.open(name) as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)[0]


for count, extra in (16000, 0), (16001, 3), (16002, 2), (16003, 1):
    sound = np.random.default_rng(0).integers(-9000, 9000, count).astype(np.int16)
    with av.open("a.w64", "w", format="w64") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    soundfile.write("b.w64", sound, rate, format="W64", subtype="PCM_16")
    by_sndfile, by_ffmpeg = soundfile.read("a.w64", dtype="int16")[0], read("a.w64")
    print(f"{count:,} samples by FFmpeg: libsndfile reads {len(by_sndfile):,}, FFmpeg {len(by_ffmpeg):,}")
    for found in by_sndfile, by_ffmpeg:
        assert len(found) == count + extra, "the sizes are otherwise now"
        assert np.array_equal(found[:count], sound) and not found[count:].any()
    assert np.array_equal(read("b.w64"), sound), "libsndfile's Wave64 is read otherwise"
P
env/bin/python ask.py
