#!/usr/bin/env bash
# audioread 3.1.0 (CPython 3.11) gives noise for AIFF and AU of 24 and 32 bits: it makes 16 bits of the samples first, as if they lay in the
# machine's order, and turns the bytes round after that. 8 bits in AIFF and AU come out 36 dB too quiet and distorted, and 8 bits in
# WAV, which are unsigned, as a roar between both ends of the scale. No error; length, rate and channels are right. 16 bits are right everywhere,
# 24 and 32 in WAV too. It is what `audio_open` takes for these files by itself, before FFmpeg and the others.
# Seen (correlation with the sound, level): AIFF and AU of 24 and 32 bits 0.00 to -0.02, +9 dB; 8 bits in WAV -0.71, +13 dB.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -q --disable-pip-version-check "numpy==2.2.6" "audioread==3.1.0" "soundfile==0.14.0"
cat >ask.py <<'P'
import audioread
import numpy as np
import soundfile

rate = 16000
sound = 0.2 * np.random.default_rng(0).standard_normal(rate).clip(-4, 4)
wrong = {
    ("wav", "PCM_U8"), ("aiff", "PCM_S8"), ("aiff", "PCM_24"), ("aiff", "PCM_32"), ("au", "PCM_S8"), ("au", "PCM_24"), ("au", "PCM_32"),
}
right = {("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_32"), ("aiff", "PCM_16"), ("au", "PCM_16")}
for ending, subtype in sorted(wrong | right):
    soundfile.write(f"a.{ending}", sound, rate, subtype=subtype)
    want = soundfile.read(f"a.{ending}", dtype="int16")[0].astype(int)
    with audioread.audio_open(f"a.{ending}") as file:
        assert (type(file).__name__, file.samplerate, file.channels) == ("RawAudioFile", rate, 1)
        found = np.frombuffer(b"".join(file), "<i2").astype(int)
    alike = np.corrcoef(found, want)[0, 1]
    print(f"{ending} {subtype}: alike to {alike:.2f}, level {20 * np.log10(found.std() / want.std()):.0f} dB")
    assert len(found) == len(want)
    assert (np.abs(found - want).max() > 20000) == ((ending, subtype) in wrong), "it is otherwise now"
    if ending != "wav" and subtype in ("PCM_24", "PCM_32"):
        assert abs(alike) < 0.05, "it is no noise any more"
P
env/bin/python ask.py
