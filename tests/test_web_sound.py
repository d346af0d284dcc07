"""web/, the JavaScript package, hears what this one hears: damage, concealment, chained files, rates."""

import json
import os
from random import Random

import numpy as np
import pytest
import soundfile

import gritcodec
from gritcodec import bitstream
from gritcodec.codec import transfer
from gritcodec.sound.writing import Form
from tests.test_web import NODE, ROWS, VECTORS, WEB, make_weights, needs_node, run, signals
from tests.vectors import building


@pytest.fixture(scope="module")
def codec():
    return gritcodec.load("speech-16k")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weights as the page has them."""
    folder = tmp_path_factory.mktemp("weights")
    for name, data in make_weights().items():
        (folder / name).write_bytes(data)
    return folder


def heard_in_python(codec, path):
    """What the command makes of a file: samples, channel after channel, and its report; or why it is refused."""
    try:
        with transfer.open_grit(path) as reader:
            form = Form(samples="float")
            done = transfer.decompress(codec, reader, path.with_suffix(".wav"), form=form, carry=False)
    except gritcodec.GritcodecError as error:
        return None, {"refused": str(error)}
    sound = soundfile.read(path.with_suffix(".wav"), dtype="float32", always_2d=True)[0]
    return sound.T.reshape(-1), {"report": list(done.damage)}


def heard_in_javascript(folder, names, weights):
    run(NODE, WEB / "test" / "play.mjs", folder, *names, env={**os.environ, "GRIT_WEIGHTS": str(weights)})
    for name in names:
        found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        yield None if "refused" in found else np.fromfile(folder / f"{name}.f32", "<f4"), found


def assert_same(codec, folder, files, weights):
    """What is wrong is said in the same words, and what is heard is the same, concealment and edges included."""
    for name, data in files.items():
        (folder / f"{name}.grit").write_bytes(data)
    for name, (sound, found) in zip(files, heard_in_javascript(folder, list(files), weights), strict=True):
        known, expected = heard_in_python(codec, folder / f"{name}.grit")
        assert found == expected, name
        if known is not None:
            assert sound.shape == known.shape and np.abs(sound - known).max(initial=0) < 1e-3, name


@needs_node
def test_damaged_vectors_are_told_and_concealed_as_in_python(codec, weights, tmp_path):
    """Concealment is no rule of the format, but both do the same."""
    names = [row["name"] for row in ROWS if row["outcome"] in ("damaged", "more")]
    files = {name: (VECTORS / f"{name}.grit").read_bytes() for name in names}
    first, other = ((VECTORS / f"{name}.grit").read_bytes() for name in ("entropy", "refused-model"))
    files |= {"another model behind": first + other, "a cut header behind": first + first[:28], "nothing": b""}
    assert_same(codec, tmp_path, files, weights)


def hurt(data, random):
    """Change, lose or put in bytes, as drawn."""
    for _ in range(random.choice([1, 1, 2, 5])):
        at, kind = random.randrange(len(data)), random.randrange(4)
        if kind == 0:
            data = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[at + random.choice([1, 30, 400]) :] or data
        elif kind == 2:
            data = data[:at] + random.randbytes(random.choice([1, 40])) + data[at:]
        else:
            data = data[:at] + random.randbytes(200) + data[at + 200 :]
    return data


@needs_node
def test_damage_of_any_kind_is_told_and_concealed_as_in_python(codec, weights, tmp_path):
    sound = signals()["3 kbps"][0][:, 8_000:24_000]
    quiet = np.concatenate([sound, np.zeros((1, 9_000), np.float32), sound], axis=1)
    kinds = {
        "one frame a packet": building.live(codec, sound, bitrate=3, packet_frames=1, chain=True),
        "four": building.live(codec, quiet, bitrate=3, packet_frames=4, chain=True),
        "three, plain": building.live(codec, np.concatenate([sound, sound[:, ::-1]]), bitrate=6, packet_frames=3),
        "44.1 kHz": codec.compress(np.tile(sound, 3), 44_100, bitrate=3),
    }
    kinds["joined"] = bitstream.join([codec.compress(quiet, 16_000, bitrate=3), codec.compress(sound, 16_000)])
    kinds["two rates"] = kinds["44.1 kHz"] + kinds["four"]
    random = Random(24)
    files = {f"{name} {n}": hurt(data, random) for name, data in kinds.items() for n in range(5)}
    files |= {"two": kinds["four"] + kinds["joined"], "two rates": kinds["two rates"]}
    assert_same(codec, tmp_path, files, weights)


@needs_node
def test_sound_that_begins_abruptly_at_every_kind_of_rate(codec, weights, tmp_path):
    speech = signals()["3 kbps"][0]
    loud = speech[:, int(np.abs(speech[:, :40_000]).argmax()) :] / np.abs(speech).max()
    rates = (7, 1_000, 4_000, 8_000, 11_025, 12_345, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000, 768_000)
    files = {str(rate): codec.compress(loud[:, : max(min(rate // 4, 20_000), 50)], rate, bitrate=7) for rate in rates}
    assert_same(codec, tmp_path, files, weights)
