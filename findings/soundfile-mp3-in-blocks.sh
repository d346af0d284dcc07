#!/usr/bin/env bash
# python-soundfile 0.14.0 with libsndfile 1.2.2: an MP3 that is read in blocks (`soundfile.blocks`, or `read(n)` again and again) holds
# other samples than the same MP3 read at once. soundfile seeks after every read, and libsndfile's seek into an MP3 goes back too few
# frames for layer III's bit reservoir: where the frames are small, as in speech at a low rate, the first frames behind it lack
# their bits and come back as other sound. So do the beginnings of `read(start=...)`. Nothing is raised; libmpg123 writes
# "part2_3_length too large" to stderr for some. The file is soundfile's own, written with no options. Seen (16 kHz, 10 s, VBR):
#   blocks of  512: 35,729 of 160,137 samples wrong by more than 0.001, up to 0.60 of full scale
#   blocks of 4096: 10,557                                              up to 0.56
#   sought by none (`seekable` says no): all as read at once; a FLAC of the same sound: all right in every case
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "soundfile==0.14.0"
cat >ask.py <<'P'
import numpy as np
import soundfile

rate = 16000
time = np.arange(10 * rate + 137) / rate
# A buzz of 120 Hz in syllables, with pauses between them.
buzz = sum(np.sin(2 * np.pi * 120 * k * time + k) / k for k in range(1, 30))
sound = 0.25 * buzz * np.clip(np.sin(2 * np.pi * 1.5 * time), 0, 1)
soundfile.write("a.mp3", sound, rate)
soundfile.write("a.flac", sound, rate)


class Forward(soundfile.SoundFile):
    def seekable(self):
        return False


def in_blocks(kind, name, size):
    with kind(name) as file:
        parts = []
        while len(part := file.read(size)):
            parts.append(part)
    return np.concatenate(parts)


def wrong(found, whole):
    assert len(found) == len(whole)
    away = np.abs(found - whole)
    return int((away > 1e-3).sum()), float(away.max())


whole, _ = soundfile.read("a.mp3")
assert len(whole) == len(sound)
for size in 512, 4096:
    count, most = wrong(np.concatenate(list(soundfile.blocks("a.mp3", size))), whole)
    print(f"blocks of {size:4}: {count:,} of {len(whole):,} samples wrong, up to {most:.2f}")
    assert count > 5000 and most > 0.3, "MP3 in blocks is right now"
    assert wrong(in_blocks(soundfile.SoundFile, "a.mp3", size), whole) == (count, most)
    assert wrong(in_blocks(Forward, "a.mp3", size), whole)[0] == 0, "without seeking it is wrong too"
    assert wrong(np.concatenate(list(soundfile.blocks("a.flac", size))), soundfile.read("a.flac")[0]) == (0, 0.0)
begins = [start for start in range(0, 150000, 2000) if wrong(soundfile.read("a.mp3", 1000, start)[0], whole[start : start + 1000])[0]]
print(f"read(start=...): {len(begins)} of 75 places wrong")
assert begins
P
env/bin/python ask.py 2>/dev/null
