"""Folders that hold a model, half of one, another one meanwhile, or nothing that fits."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

import gritcodec
from gritcodec.errors import ConfigError, ModelError, WrongModelError

RATE = 16_000


def model_copy(source: Path, target: Path) -> Path:
    target.mkdir(parents=True)
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_a_pickled_codec_knows_its_model(tiny_model, other_model, tmp_path):
    folder = model_copy(tiny_model, tmp_path / "model")
    codec = gritcodec.load(folder)
    pickled = pickle.dumps(codec)
    again = pickle.loads(pickled)
    assert (again.fingerprint, again.name, again.engine) == (codec.fingerprint, codec.name, codec.engine)
    (folder / "weights.safetensors").write_bytes((other_model / "weights.safetensors").read_bytes())
    with pytest.raises(WrongModelError, match="replaced meanwhile"):
        pickle.loads(pickled)


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_a_folder_with_a_decoder_alone_plays(tiny_model, tmp_path, name, capsys):
    from safetensors.numpy import load_file, save_file

    from gritcodec.cli import app

    tensors = load_file(tiny_model / "weights.safetensors")
    save_file(
        {key: t for key, t in tensors.items() if not key.startswith("encoder.")}, tmp_path / "weights.safetensors"
    )
    (tmp_path / "config.yaml").write_bytes((tiny_model / "config.yaml").read_bytes())
    whole, player = gritcodec.load(tiny_model, engine=name), gritcodec.load(tmp_path, engine=name)
    waveform = tone(1, 8000, RATE)
    data = whole.compress(waveform, RATE, 3.0)
    assert player.fingerprint == whole.fingerprint
    assert np.array_equal(player.decompress(data)[0], whole.decompress(data)[0])
    with pytest.raises(ModelError, match="plays files and makes none"):
        player.encode(waveform, RATE)
    soundfile.write(tmp_path / "a.wav", waveform.T, RATE)
    assert app.main(["compress", str(tmp_path / "a.wav"), "--model", str(tmp_path)]) == 2
    assert "plays files and makes none" in capsys.readouterr().err


def test_a_folder_of_links_is_a_model(tiny_model, tmp_path):
    """Caches of models keep the files elsewhere, under names of their own."""
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    folder.mkdir()
    for number, path in enumerate(sorted(tiny_model.iterdir())):
        (blobs / f"{number:08x}").write_bytes(path.read_bytes())
        (folder / path.name).symlink_to(f"../blobs/{number:08x}")
    waveform = tone(1, 4000, RATE)
    codec = gritcodec.load(folder)
    assert codec.name == "snapshot"
    assert np.array_equal(
        codec.encode(waveform, RATE).indices, gritcodec.load(tiny_model).encode(waveform, RATE).indices
    )


def test_a_relative_folder_is_found_from_elsewhere(tiny_model, tmp_path, monkeypatch):
    model_copy(tiny_model, tmp_path / "here" / "model")
    monkeypatch.chdir(tmp_path / "here")
    codec = gritcodec.load("model")
    pickled = pickle.dumps(codec)
    monkeypatch.chdir("/")
    waveform = tone(1, 4000, RATE)
    assert codec.compress(waveform, RATE) == pickle.loads(pickled).compress(waveform, RATE)


def test_a_model_that_changes_before_its_first_use_is_refused(tiny_model, other_model, tmp_path):
    """Its fingerprint is that of what it held; half of one model and half of another would be silent noise."""
    for name in ("replaced", "gone", "shorter"):
        folder = model_copy(tiny_model, tmp_path / name)
        codec, used = gritcodec.load(folder), gritcodec.load(folder)
        data = used.compress(tone(1, 4000, RATE), RATE)
        expected, _ = used.decompress(data)
        weights = folder / "weights.safetensors"
        if name == "replaced":
            weights.write_bytes((other_model / "weights.safetensors").read_bytes())
        elif name == "gone":
            weights.unlink()
        else:
            weights.write_bytes(weights.read_bytes()[:1000])
        for call in (
            lambda codec=codec: codec.encode(tone(1, 4000, RATE), RATE),
            lambda c=codec, d=data: c.decompress(d),
        ):
            with pytest.raises(ModelError):
                call()
        assert np.array_equal(used.decompress(data)[0], expected)


DAMAGES = {
    "a tensor less": lambda t: {k: v for k, v in t.items() if k != "decoder.fine.norm.bias"},
    "a tensor more": lambda t: t | {"decoder.fine.blocks.9.scale": np.ones(16, np.float16)},
    "one number less": lambda t: t | {"encoder.norm.weight": t["encoder.norm.weight"][:-1].copy()},
    "one number for all": lambda t: t | {"decoder.fine.blocks.0.scale": np.ones(1, np.float16)},
    "another type": lambda t: t | {"decoder.up.linear.bias": t["decoder.up.linear.bias"].astype(np.int8)},
    "no offset": lambda t: t | {"quantizer.offset": t["quantizer.offset"] * np.float32(np.nan)},
    "no spread": lambda t: t | {"quantizer.spread": np.zeros((), np.float32)},
    "wrong scales": lambda t: t | {"quantizer.stage_scale": t["quantizer.stage_scale"][:-1].copy()},
    "wrong books": lambda t: t | {"quantizer.base": t["quantizer.base"][:, :-1].copy()},
    "wrong usage": lambda t: t | {"quantizer.usage": t["quantizer.usage"][:-1].copy()},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_weights_that_do_not_fit_are_refused_at_once(tiny_model, tmp_path, damage):
    from safetensors.numpy import load_file, save_file

    folder = model_copy(tiny_model, tmp_path / "model")
    save_file(damage(load_file(folder / "weights.safetensors")), folder / "weights.safetensors")
    with pytest.raises(ModelError) as error:
        gritcodec.load(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        *("encoder_fine_blocks: 2", "decoder_fine_blocks: 0", "decoder_fine_blocks: -1", "expansion: 99", "kernel: 8"),
        *("encoder_coarse: 385", "fine_hop: 0", "fine_hop: -1", "sample_rate: 0", "hop_length: 0", "window: 640"),
        *("decoder_fine: 1099511627776", "head: waveform", "log_magnitudes: true", "window: 80", "[" * 5000),
    ],
)
def test_configurations_that_do_not_fit_are_refused_at_once(tiny_model, tmp_path, line):
    folder = model_copy(tiny_model, tmp_path / "model")
    text = (folder / "config.yaml").read_text()
    kept = [other for other in text.splitlines() if not other.startswith(line.split(":")[0] + ":")]
    (folder / "config.yaml").write_text("\n".join([*kept, line]) + "\n")
    with pytest.raises((ModelError, ConfigError)) as error:
        gritcodec.load(folder)
    assert "\n" not in str(error.value)
