"""Headers that tell of what no file has, and streams that change on the way: read as far as they go, or refused."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from conftest import tone

from gritcodec.errors import GritcodecError
from gritcodec.sound import audio

RATE = 16_000
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.wav"
    soundfile.write(path, tone(1, RATE, RATE)[0], RATE)
    return path


def coded(clip, name, *options):
    made = clip.parent / name
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, *options, made], check=True)
    return bytearray(made.read_bytes())


def outcome(path, data):
    """Samples, or the words of the refusal: nothing else may come of it."""
    path.write_bytes(data)
    try:
        return audio.read(path)[0].shape[1]
    except GritcodecError as error:
        return str(error)


def aiff(clip):
    path = clip.parent / "clip.aiff"
    soundfile.write(path, soundfile.read(clip)[0], RATE, subtype="PCM_16")
    return bytearray(path.read_bytes())


def test_an_aiff_of_an_impossible_rate(clip, tmp_path):
    data = aiff(clip)
    at = data.index(b"COMM") + 16
    for exponent in (0x7FFE, 0x7FFF, 0x4FFF):
        data[at : at + 2] = exponent.to_bytes(2, "big")
        assert isinstance(outcome(tmp_path / "a.aiff", data), str)


@needs_ffmpeg
@pytest.mark.filterwarnings("ignore:.*cut off")
def test_sizes_that_no_file_has(clip, tmp_path):
    caf = coded(clip, "clip.caf", "-c:a", "pcm_s16be")
    at = caf.index(b"data") + 4
    caf[at : at + 8] = b"\x7f" + bytes(7)
    assert outcome(tmp_path / "a.caf", caf + caf) != 0
    wma = coded(clip, "clip.wma")
    # The size of the object of the packets.
    at = wma.index(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")) + 16
    wma[at : at + 8] = (1 << 47).to_bytes(8, "little")
    assert outcome(tmp_path / "a.wma", wma + wma) != 0
    tta = coded(clip, "clip.tta")
    # No rate, and more samples than anybody would count one by one.
    tta[10:18] = bytes(4) + b"\xff" * 4
    assert isinstance(outcome(tmp_path / "a.tta", tta), str)


@needs_ffmpeg
@pytest.mark.parametrize("order", [(2, 6), (6, 2), (1, 6)])
def test_channels_that_change_on_the_way(clip, tmp_path, order):
    """As between the programmes of a broadcast; other numbers of channels than the first become their mean."""
    pieces = [coded(clip, f"{channels}.ac3", "-ac", str(channels), "-ar", "48000") for channels in order]
    path = tmp_path / "a.ac3"
    path.write_bytes(b"".join(pieces))
    found, rate = audio.read(path)
    whole = sum(audio.read(clip.parent / f"{channels}.ac3")[0].shape[1] for channels in order)
    assert rate == 48_000 and found.shape[0] == order[0]
    assert abs(found.shape[1] - whole) <= 2 * 1536
    halves = np.array_split(found, 2, axis=1)
    assert all(np.abs(half).max() > 0.02 for half in halves)
