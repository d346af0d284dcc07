#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2): a FLAC file that does not tell its length, as every encoder writes into a pipe, cannot be
# read to its end: python-soundfile seeks to where it stands after each read, and behind the last block that fails, with the
# samples of that block lost. A subclass whose seekable() says no reads all of it: libsndfile itself is right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --disable-pip-version-check "soundfile==0.14.0" "numpy>=2,<3"
"$work/env/bin/python" - "$work/a.flac" <<'P'
import sys

import numpy as np
import soundfile

sound = np.random.default_rng(0).integers(-9999, 9999, 100_000).astype(np.int16)
soundfile.write(sys.argv[1], sound, 16000)
data = bytearray(open(sys.argv[1], "rb").read())
# STREAMINFO's 36 bits of length: 0, as where the encoder cannot go back.
data[21] &= 0xF0
data[22:26] = bytes(4)
open(sys.argv[1], "wb").write(data)


class Forward(soundfile.SoundFile):
    def seekable(self):
        return False


def read(kind):
    blocks = []
    with kind(sys.argv[1]) as file:
        while True:
            try:
                block = file.read(16000, dtype="int16")
            except soundfile.LibsndfileError as error:
                return sum(map(len, blocks)), str(error)
            if not len(block):
                return sum(map(len, blocks)), ""
            blocks.append(block)


plain, forward = read(soundfile.SoundFile), read(Forward)
print("as it is:", plain, "never sought in:", forward)
assert forward == (100_000, ""), "libsndfile has changed"
assert plain[0] < 100_000 and plain[1], "python-soundfile has changed"
print("as described")
P
