#!/usr/bin/env bash
# FFmpeg 8.1.2 (PyAV 18.1.0) loses up to 2,048 samples at the end of Apple Lossless in CAF when it reads: the container tells how many
# samples of the last packet do not count, the packet itself is that much shorter already, and FFmpeg cuts a second time. The file keeps
# them (FFmpeg 5.1 reads all), the durations that are told stay right, and m4a of the same sound is whole. The same file of libsndfile
# is read as short. Only a last packet less than half full, shorter than what would be cut, is left alone.
# Seen: 16,137 samples are read as 15,890 (4,096 - 3,849 = 247 fewer), 40,000 as 39,040; 8,292 whole.
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


def write(name, form, sound):
    with av.open(name, "w", format=form) as out:
        stream = out.add_stream("alac", rate=rate, layout="mono", format="s16p")
        for at in range(0, len(sound), 4096):
            frame = av.AudioFrame.from_ndarray(sound[None, at : at + 4096], format="s16p", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def read(name):
    with av.open(name) as file:
        (stream,) = file.streams.audio
        told = round(float(stream.duration * stream.time_base) * rate)
        return np.concatenate([frame.to_ndarray() for frame in file.decode(stream)], axis=1)[0], told


for count in 16137, 40000, 8292:
    sound = np.random.default_rng(0).integers(-9000, 9000, count).astype(np.int16)
    write("a.caf", "caf", sound)
    write("a.m4a", "ipod", sound)
    caf, told = read("a.caf")
    print(f"{count:,} samples: read as {len(caf):,}, {told:,} told")
    cut = -count % 4096
    assert len(caf) == (count if cut > count % 4096 else count - cut), "CAF is cut otherwise now"
    assert told == count and np.array_equal(caf, sound[: len(caf)]) and np.array_equal(read("a.m4a")[0], sound)
sound = np.random.default_rng(0).integers(-9000, 9000, 16137).astype(np.int16)
soundfile.write("b.caf", sound, rate, format="CAF", subtype="ALAC_16")
print(f"libsndfile wrote 16,137: FFmpeg reads {len(read('b.caf')[0]):,}, libsndfile {soundfile.info('b.caf').frames:,}")
assert len(read("b.caf")[0]) == 15890 and np.array_equal(soundfile.read("b.caf", dtype="int16")[0], sound)
P
env/bin/python ask.py
