"""web/, the JavaScript package, with networks other than the shipped one: other widths, inputs, frames and codes."""

import dataclasses
import json
import os

import numpy as np
import pytest
import soundfile

import gritcodec
from gritcodec import model_store
from gritcodec.errors import ModelError
from gritcodec.nn.config import NetworkConfig, QuantizerConfig
from gritcodec.page import serve, weights
from tests.test_second_reader import random_tables
from tests.test_web import NODE, ROOT, WEB, needs_node, run

NETWORKS = {
    # Like the next one to be shipped, but small.
    "logarithms": NetworkConfig(
        encoder_fine=48,
        encoder_coarse=56,
        encoder_coarse_blocks=3,
        decoder_coarse=64,
        decoder_coarse_blocks=2,
        decoder_fine=40,
        log_magnitudes=True,
        quantizer=QuantizerConfig(stages=5, codebook_size=64, dim=24, rate_weight=0.01),
    ),
    # Nothing fills the kernel's vectors, windows have no middle, and 55.125 frames a second lie between two hundredths.
    "odd": NetworkConfig(
        sample_rate=44_100,
        hop_length=800,
        fine_hop=25,
        window=75,
        encoder_fine=13,
        encoder_fine_blocks=0,
        encoder_coarse=21,
        encoder_coarse_blocks=1,
        decoder_coarse=19,
        decoder_coarse_blocks=0,
        decoder_fine=9,
        decoder_fine_blocks=1,
        expansion=5,
        log_magnitudes=True,
        quantizer=QuantizerConfig(stages=9, codebook_size=4, dim=11, beam=40),
    ),
    "one stage": NetworkConfig(
        fine_hop=320,
        window=640,
        encoder_fine=8,
        encoder_fine_blocks=1,
        encoder_coarse=12,
        encoder_coarse_blocks=1,
        decoder_coarse=12,
        decoder_coarse_blocks=1,
        decoder_fine=7,
        decoder_fine_blocks=1,
        quantizer=QuantizerConfig(stages=1, codebook_size=16, dim=3, beam=1),
    ),
}


@pytest.fixture(scope="module")
def clip():
    """Speech float32 [1, samples]; at which rate does not matter here."""
    return soundfile.read(ROOT / "gritcodec" / "clips" / "austen.flac", dtype="float32", frames=40_000)[0][None]


@pytest.fixture(params=NETWORKS)
def model(request, clip, tmp_path):
    """Folder of a network of random weights and codes drawn for what it makes of speech, the page's files beside it."""
    import torch

    from gritcodec.engine import store
    from gritcodec.nn.autoencoder import Autoencoder

    config = NETWORKS[request.param]
    stages, codes = config.quantizer.stages, config.quantizer.codebook_size
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        network = Autoencoder(config)
        for name, parameter in network.named_parameters():
            # Norms and biases are ones and zeros at first, with which nobody sees them mixed up.
            if parameter.ndim == 1 and not name.startswith("quantizer."):
                parameter.add_(0.1 * torch.randn_like(parameter))
        whole = clip.shape[1] // config.hop_length * config.hop_length
        network.quantizer.initialize(network.encoder(torch.from_numpy(clip[:, :whole]))[0], iterations=2)
        tables = {name.partition(".")[2]: table for name, table in random_tables(stages, codes).items()}
        # Weights in float32, and codes packed plainly, are what a folder may have too.
        plain = request.param == "one stage"
        store.save(tmp_path / "model", network, half=not plain, contexts=None if plain else tables)
    for name, data in weights.files(model_store.read(tmp_path / "model")).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path / "model"


def latents_of(model, sound):
    """What codes are found for, [frames, dim]."""
    import torch

    from gritcodec.engine import store

    network = store.load(model)
    with torch.no_grad():
        return network.quantizer.normalize(network.encoder(torch.from_numpy(sound)))[0].numpy()


@needs_node
def test_any_network_of_the_kind_plays_and_records(model, clip, tmp_path):
    codec, environment = gritcodec.load(model), {**os.environ, "GRIT_WEIGHTS": str(tmp_path)}
    rate, top = codec.sample_rate, codec.bitrates[-1]
    made = codec.compress(clip, rate, bitrate=top)
    (tmp_path / "in.grit").write_bytes(made)
    run(NODE, WEB / "test" / "play.mjs", tmp_path, "in", env=environment)
    assert json.loads((tmp_path / "in.json").read_text()) == {"report": []}
    heard, expected = np.fromfile(tmp_path / "in.f32", "<f4"), codec.decompress(made)[0][0]
    assert heard.shape == expected.shape
    # Measured: 1e-6 of the loudest sample.
    assert np.abs(heard - expected).max() < 1e-5 * np.abs(expected).max()

    whole = clip[:, : clip.shape[1] // codec.hop_length * codec.hop_length]
    whole.tofile(tmp_path / "whole.f32")
    outputs = tmp_path / "codes.u16", tmp_path / "latents.f32"
    run(NODE, WEB / "test" / "codes.mjs", tmp_path / "whole.f32", *outputs, env=environment)
    latents, indices = latents_of(model, whole), codec.encode(whole, rate, bitrate=top).indices[0]
    found = np.fromfile(outputs[1], "<f4").reshape(latents.shape)
    # Measured: 3.5e-5, and 3.2e-4 where it is quiet: Python's transform rounds to float32. They are of size 1.
    apart = np.abs(found - latents)
    assert apart.mean() < 1.5e-4 and apart.max() < 1e-3
    codes = np.fromfile(outputs[0], "<u2").reshape(-1, len(indices)).T
    # Python goes on for the decoder's delay. Measured: all; but two codes may be as good as each other.
    same = codes == indices[:, : len(latents)]
    assert same.mean() > 0.998

    clip.tofile(tmp_path / "clip.f32")
    arguments = (tmp_path / "clip.f32", 1, rate, top, tmp_path / "out.grit")
    run(NODE, WEB / "test" / "code.mjs", *arguments, env=environment)
    recorded = (tmp_path / "out.grit").read_bytes()
    assert recorded == made or not same.all()
    assert codec.decompress(recorded)[0].shape == clip.shape


@needs_node
def test_weights_that_are_not_what_they_say(model, tmp_path):
    """One line that names the tensor, and no sound of wrong numbers."""
    script = (
        "import fs from 'node:fs'\n"
        f"import {{ load }} from '{(WEB / 'src' / 'index.js').as_uri()}'\n"
        f"const bytes = (name) => new Uint8Array(fs.readFileSync(`{tmp_path}/${{name}}.safetensors`))\n"
        "const codec = await load(bytes('player'))\n"
        "codec.about.logMagnitudes = !codec.about.logMagnitudes\n"
        "try { await codec.loadEncoder(bytes('encoder')) } catch (error) { console.log(error.name, error.message) }\n"
    )
    said = run(NODE, "--input-type=module", "--eval", script)
    assert said.startswith("ModelError encoder.embed.weight is of shape [") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"head": "waveform"}, "the head of its decoder is 'waveform'"),
        ({"kernel": 5}, "its kernel is 5"),
        ({"window": 8000}, "its window is 8000"),
        ({"quantizer": QuantizerConfig(codebook_size=1 << 17)}, "its codebook_size is 131072"),
    ],
)
def test_what_does_not_run_is_refused(settings, why, tiny_model):
    tiny = model_store.read(tiny_model)
    assert serve.is_playable(str(tiny_model)) and weights.about(tiny)["logMagnitudes"] is False
    with pytest.raises(ModelError, match=f"^tiny does not run in a browser: {why}"):
        weights.about(dataclasses.replace(tiny, config=NetworkConfig(**settings)))
