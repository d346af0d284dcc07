#!/usr/bin/env bash
# libsndfile 1.2.2 (soundfile 0.14.0): an MP3 of variable bitrate without an Info frame, as cameras, stations and
# `ffmpeg -write_xing 0` make them, is read short, and nobody says so: the number of samples is guessed from the size of the file
# and its first frames, and reading stops at the guess. The same frames behind an Info frame that counts them are read whole, and
# without the encoder's delay of 1105 samples.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check "soundfile==0.14.0" "av==18.1.0" "numpy>=2,<3"
"$work/env/bin/python" - "$work" <<'P'
import sys

import av
import numpy as np
import soundfile

SECONDS, RATE = 20, 16000
time = np.arange(SECONDS * RATE) / RATE
# Loud and full at first, then a low voice: the first frames are the large ones.
rng = np.random.default_rng(0)
sound = np.where(time < 4, 0.5 * rng.standard_normal(len(time)).clip(-2, 2) / 2, 0.05 * np.sin(2 * np.pi * 200 * time))


def frames_of(xing):
    path = f"{sys.argv[1]}/a{xing}.mp3"
    with av.open(path, "w", options={"write_xing": xing}) as target:
        stream = target.add_stream("libmp3lame", rate=RATE, layout="mono", options={"q": "5"})
        stream.codec_context.global_quality = 5 * 118
        stream.codec_context.flags |= 2  # by quality, not by bitrate
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = RATE
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with av.open(path) as source:
        whole = sum(frame.samples for frame in source.decode(audio=0))
    return len(soundfile.read(path)[0]), whole


without, ffmpeg_without = frames_of("0")
with_info, _ = frames_of("1")
print(f"{SECONDS * RATE} samples in; read with an Info frame {with_info}; without {without}, by FFmpeg {ffmpeg_without}")
assert with_info == SECONDS * RATE, "files with an Info frame have changed"
assert without < 0.8 * SECONDS * RATE <= ffmpeg_without, "libsndfile reads all of it now"
print("as described")
P
