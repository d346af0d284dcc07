"""docs/speech-16k.md: its numbers, and decoders written from it, in numpy and JavaScript, against the library."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from network_by_the_page import DELAY, HOP, Network, read_safetensors

import gritcodec
from gritcodec import model_store
from gritcodec.engine import store
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.nn.config import NetworkConfig, QuantizerConfig

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "benchmarks")]

import network_page  # noqa: E402

PAGE = network_page.PAGE.read_text(encoding="utf-8")
FOLDER = model_store.SHIPPED / "speech-16k"
WEIGHTS = FOLDER / "weights.safetensors"
# The page's numbers have six decimals; rounding in sums of some hundred products of float32 is less than this.
CLOSE = {"rtol": 2e-5, "atol": 2e-5}
# Measured on two clips at 0.5, 3 and 7 kbps: 1.4e-6 with numpy, 8e-7 with JavaScript.
OF_FULL_SCALE = 1e-5
NOT_NEEDED = ("quantizer.usage", "quantizer.ready", "quantizer.covariance")
TYPES = {"F16": np.float16, "F32": np.float32}


def rows_of(name):
    """The page's rows of numbers between two markers: names and values."""
    block = re.search(rf"<!-- {name}: begin .*?-->\n(.*?)<!-- {name}: end -->", PAGE, re.DOTALL)[1]
    return {row: np.array(values.split(", "), float) for row, values in re.findall(r"\| `(.*?)` \| (.*) \|", block)}


def table_of(title):
    """The cells of the first table after a heading, without its own head."""
    part = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def page():
    return Network(WEIGHTS)


@pytest.fixture(scope="module")
def codec():
    return gritcodec.load("speech-16k")


@pytest.fixture(scope="module")
def network():
    """The library's network, to look into."""
    return store.load(model_store.resolve("speech-16k"))


@pytest.fixture(scope="module")
def clip():
    """Speech float32 [samples], 16 kHz."""
    samples, rate = soundfile.read(ROOT / "gritcodec" / "clips" / "austen.flac", dtype="float32")
    assert rate == 16000
    return samples


@pytest.fixture(scope="module")
def coded(codec, clip):
    """The library's codes of the clip at 3 kbps, and their indices [stages, frames]."""
    codes = codec.encode(clip[None], 16000, bitrate=3)
    return codes, codes.indices[0]


def test_its_numbers_are_those_of_the_shipped_weights(network):
    """If this fails because the weights are new: python benchmarks/network_page.py."""
    seen = {
        "decoding": network_page.decoding(network, network_page.example_codes()),
        "encoding": network_page.encoding(network, network_page.example_waveform()),
    }
    for name, chosen in (("decoding", network_page.DECODING), ("encoding", network_page.ENCODING)):
        rows = rows_of(name)
        assert tuple(rows) == chosen
        for row, values in rows.items():
            np.testing.assert_allclose(network_page.pick(seen[name], row), values, err_msg=row, **CLOSE)


def test_its_words_lead_to_its_numbers(page):
    """The example as the page tells it, by a network written from the page."""
    page.decode(np.array([[(331 * s + 97 * f + 5) % 1024 for f in range(4)] for s in range(3)]))
    n = np.arange(1280)
    latents = page.encode((0.3 * np.sin(2 * np.pi * 157 * n / 16000) + 0.002 * (n**2 % 101 - 50)).astype(np.float32))
    page.search(latents)
    for row, values in (rows_of("decoding") | rows_of("encoding")).items():
        np.testing.assert_allclose(network_page.pick(page.seen, row), values, err_msg=row, **CLOSE)


def test_a_clip_decoded_by_the_page(page, codec, coded):
    codes, indices = coded
    expected = codec.decode(codes)[0]
    output, _ = page.decode(indices)
    assert np.abs(output[DELAY : DELAY + len(expected)] - expected).max() < OF_FULL_SCALE


def test_a_clip_encoded_by_the_page(page, network, clip):
    samples = clip[: len(clip) // HOP * HOP]
    expected = network_page.encoding(network, samples)
    latents = page.encode(samples)
    assert np.abs(latents - expected["latent"]).max() < 5e-4  # measured: 6e-5; they are of size 1
    assert (page.search(latents) == expected["codes"]).mean() > 0.998  # measured: all


def test_frames_that_have_fewer_stages(page, codec, coded):
    """-1 stands for a stage that a frame does not have."""
    codes, indices = coded
    expected = codec.decode(dataclasses.replace(codes, indices=codes.indices[:, :2]))[0]
    output, _ = page.decode(np.where(np.arange(len(indices))[:, None] < 2, indices, -1))
    assert np.abs(output[DELAY : DELAY + len(expected)] - expected).max() < OF_FULL_SCALE


def test_a_pause_by_the_page(page, network, coded):
    """Before it the library's network fades out by itself; after it there is a beginning."""
    _, indices = coded
    first, second = indices[:, 60:100], indices[:, 200:220]
    output = page.play([first, 3, second])
    before, after = (network_page.decoding(network, part) for part in (first, second))
    faded = np.concatenate([before["output"], before["tail"], np.zeros(3 * HOP - DELAY), after["output"]])
    assert output.shape == faded.shape and np.abs(output - faded).max() < OF_FULL_SCALE
    assert np.abs(before["tail"]).max() > 1e-3


def test_the_past_that_counts_is_32_frames(page, coded):
    codes = coded[1][:, 100:150]
    whole, part = page.decode(codes)[0], page.decode(codes[:, 10:])[0]
    assert np.abs(whole[42 * HOP :] - part[32 * HOP :]).max() < 1e-6
    assert np.abs(whole[41 * HOP : 42 * HOP] - part[31 * HOP : 32 * HOP]).max() > 0


def test_its_configuration():
    config = yaml.safe_load((FOLDER / "config.yaml").read_text())
    config |= {f"quantizer.{name}": value for name, value in config["quantizer"].items()}
    told = {}
    for names, values, _ in table_of("Configuration"):
        told |= dict(zip((name.strip("` ") for name in names.split(",")), values.split(", "), strict=True))
    assert told == {name: str(config[name]).lower() for name in told}
    # Of the quantizer only what a decoder needs; of the network everything.
    quantizer = {f"quantizer.{name}" for name in ("stages", "codebook_size", "dim")}
    assert set(told) == {name for name in config if not name.startswith("quantizer")} | quantizer


def test_its_tensors():
    """Every tensor of the file is on the page with its type and shape, but for what it names as not needed."""
    config = yaml.safe_load((FOLDER / "config.yaml").read_text())
    levels = [f"{side}_{rate}" for side in ("encoder", "decoder") for rate in ("fine", "coarse")]
    described = {}
    for names, kind, shape, _ in table_of("Tensors"):
        for name in re.findall(r"`(.*?)`", names):
            for level in levels if name.startswith("L.") else [""]:
                channels = str(config.get(level))
                sizes = shape.replace("3 C", "3*C").replace("C", channels).split(", ") if shape else []
                sizes = tuple(3 * int(size[2:]) if size.startswith("3*") else int(size) for size in sizes)
                full = name.replace("L.", level.replace("_", ".") + ".") if level else name
                for block in range(config[f"{level}_blocks"]) if ".i." in full else [0]:
                    described[full.replace(".i.", f".{block}.")] = (TYPES[kind], sizes)
    there = {
        name: (tensor.dtype.type, tensor.shape)
        for name, tensor in read_safetensors(WEIGHTS).items()
        if not name.startswith("contexts.") and name not in NOT_NEEDED
    }
    assert described == there


def by_the_second_reader(weights, codes, folder):
    """What tests/second-reader/net.mjs, JavaScript without dependencies, makes of codes [1, stages, frames]."""
    if shutil.which("node") is None and os.environ.get("GRITCODEC_PEERS") != "required":
        pytest.skip("no node")
    (folder / "codes.json").write_text(json.dumps(codes.tolist()))
    command = ["node", HERE / "second-reader" / "net.mjs", weights, folder / "codes.json", folder / "out.f32"]
    subprocess.run(command, check=True, timeout=300)
    return np.fromfile(folder / "out.f32", "<f4")


def test_the_second_readers_network(codec, coded, tmp_path):
    codes, indices = coded
    found, expected = by_the_second_reader(WEIGHTS, codes.indices, tmp_path), codec.decode(codes)[0]
    assert found.size == indices.shape[1] * HOP
    assert np.abs(found[DELAY : DELAY + len(expected)] - expected).max() < OF_FULL_SCALE


def test_a_network_of_other_widths(clip, tmp_path):
    """Both go by the tensors' shapes where they can: log magnitudes, latents of another dimension, other levels."""
    quantizer = QuantizerConfig(stages=3, codebook_size=64, dim=24)
    config = NetworkConfig(
        encoder_coarse=40, decoder_coarse=56, decoder_fine=24, log_magnitudes=True, quantizer=quantizer
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        store.save(tmp_path, Autoencoder(config))
    other, network, samples = gritcodec.load(tmp_path), store.load(tmp_path), clip[: 100 * HOP]
    weights = tmp_path / "weights.safetensors"
    page, expected = Network(weights), network_page.encoding(network, samples)
    # Measured: 1.8e-4, where it is quiet; latents are of size 1.
    assert np.abs(page.encode(samples) - expected["latent"]).max() < 5e-4
    assert page.seen["features"].shape == (400, 483)
    codes = other.encode(samples[None], 16000)
    sound = other.decode(codes)[0]
    for found in (page.decode(codes.indices[0])[0], by_the_second_reader(weights, codes.indices, tmp_path)):
        assert np.abs(found[DELAY : DELAY + len(sound)] - sound).max() < OF_FULL_SCALE * np.abs(sound).max()
