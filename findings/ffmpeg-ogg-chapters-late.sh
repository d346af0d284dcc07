#!/usr/bin/env bash
# FFmpeg 8.1 (PyAV 18.1.0; Debian's 5.1.9 too): chapters written into Ogg, as CHAPTER001=00:00:02.500 among the comments, come
# out one second late where they begin in the second half of a second: the seconds are rounded, and then the milliseconds are
# written beside them. Matroska, MP4 and MP3 written by the same call are right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check "av==18.1.0" "numpy>=2,<3"
"$work/env/bin/python" - "$work" <<'P'
import sys
from fractions import Fraction

import av
import numpy as np

BEGINS = (2400, 2500, 4999)


def chapters_of(ending, codec):
    path = f"{sys.argv[1]}/a.{ending}"
    with av.open(path, "w") as target:
        stream = target.add_stream(codec, rate=48000, layout="mono")
        target.set_chapters([{"id": n, "start": start, "end": start + 1, "time_base": Fraction(1, 1000), "metadata": {}}
                             for n, start in enumerate(BEGINS)])
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 6 * 48000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with av.open(path) as source:
        return tuple(round(1000 * float(each["start"] * each["time_base"])) for each in source.chapters())


found = {ending: chapters_of(ending, codec) for ending, codec in (("opus", "libopus"), ("mka", "libopus"), ("m4a", "aac"))}
print(found)
assert found["mka"] == found["m4a"] == BEGINS, "the others have changed"
assert found["opus"] == (2400, 3500, 5999), "Ogg has changed"
print("as described")
P
