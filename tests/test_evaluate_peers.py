"""Peer codecs of the bench, through the real tools: what they cost, what comes back, what is said without them.

CI installs the tools and sets GRITCODEC_PEERS=required: there a missing one fails. Elsewhere its tests are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import gritcodec
from gritcodec.errors import AudioError, UsageError
from gritcodec.evaluate import align, contenders, metrics, sets
from gritcodec.evaluate.contenders import base, neural

RATE = contenders.RATE
CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> sets.Clip:
    """Three seconds of speech as codecs get them."""
    source = sets.Source("austen.flac", CLIP, "en")
    folder = tmp_path_factory.mktemp("clips")
    return sets.write_clip(sets.load(source)[: 3 * RATE], source, sets.CLEAN, folder)


def there(name: str, weights: dict[str, Path] | None = None) -> contenders.Contender:
    (contender,) = contenders.parse(name, weights or {})
    why = contender.missing()
    if why and os.environ.get("GRITCODEC_PEERS") != "required":
        pytest.skip(why)
    assert why is None
    return contender


def code(contender: contenders.Contender, clip: sets.Clip, folder: Path) -> tuple[float, np.ndarray]:
    """Return kbps, and what came back at 16 kHz, delay included."""
    contender.encode(clip.path, folder / "packed")
    contender.decode(folder / "packed", folder / "decoded.wav")
    samples, rate = base.read_pcm(folder / "decoded.wav")
    kbps = (folder / "packed").stat().st_size * 8 / clip.seconds / 1000
    return kbps, base.resample_pcm(samples, rate, RATE) / 32768


# How good each must at least be tells that it is aligned: 10 ms off cost more than what is left above these.
PEERS = [
    ("opus:6", 5.0, 7.5, 0.80),
    ("opus:16", 14.0, 19.0, 0.93),
    ("codec2:1300", 1.3, 1.5, 0.55),
    ("codec2:3200", 3.2, 3.4, 0.68),
    ("speex:4", 11.0, 15.0, 0.85),
    ("amr-wb:12.65", 13.0, 14.5, 0.92),
    ("lc3:16", 16.0, 19.0, 0.90),
    ("mp3:16", 16.0, 17.5, 0.85),
]


@pytest.mark.parametrize("name, least, most, estoi", PEERS)
def test_a_peer_costs_its_rate_and_comes_back_aligned(name, least, most, estoi, clip, tmp_path):
    contender = there(name)
    kbps, decoded = code(contender, clip, tmp_path)
    assert least <= kbps <= most
    reference = base.read_pcm(clip.path)[0] / 32768
    lag = align.delay(reference, decoded)
    assert abs(lag) <= 1 if contender.self_aligned else lag > 1
    aligned = align.shift(decoded, 0 if contender.self_aligned else lag, len(reference))
    assert metrics.estoi(reference, aligned, RATE) > estoi
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoded.wav", "packed"]


def test_the_original_comes_back_as_it_was(clip, tmp_path):
    kbps, decoded = code(there("original"), clip, tmp_path)
    assert 256 <= kbps < 257 and np.array_equal(decoded, base.read_pcm(clip.path)[0] / 32768)


def test_a_model_is_a_contender_like_any_other(clip, tmp_path, tiny_model):
    contender = there(f"{tiny_model}:3")
    kbps, decoded = code(contender, clip, tmp_path)
    assert 3 <= kbps < 4 and len(decoded) == round(clip.seconds * RATE)
    assert contender.name == "gritcodec tiny" and contender.version() != there("speech-16k:3").version()


@pytest.mark.parametrize(
    "name, complaint",
    [
        ("opus:3", "opus:3: give 6 to 256 kbps"),
        ("opus:fast", "opus:fast: give 6 to 256 kbps"),
        ("codec2:9", "codec2:9: its modes are 3200"),
        ("amr-wb:7", "amr-wb:7: its modes are 6.6"),
        ("mp3:17", "mp3:17: its rates"),
        ("speech-16k:much", "give a bitrate in kbps"),
        ("gsm", "no codec 'gsm': there are original, opus,"),
    ],
)
def test_a_setting_that_is_none_is_refused(name, complaint):
    with pytest.raises(UsageError, match=complaint):
        contenders.parse(name, {})


def test_a_missing_tool_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("gritcodec.evaluate.contenders.amrwb._library", lambda name: None)
    packages = {
        "opus:9": "opusenc is not installed: apt-get install opus-tools",
        "codec2:1300": "c2enc is not installed: apt-get install codec2",
        "speex:4": "speexenc is not installed: apt-get install speex",
        "lc3:16": "elc3 is not installed: apt-get install liblc3-tools",
        "amr-wb:6.6": "libvo-amrwbenc.so.0 is not installed: apt-get install libvo-amrwbenc0",
        "speech-16k:0.1": "speech-16k has no bitrate 0.1 kbps",
    }
    for name, line in packages.items():
        (contender,) = contenders.parse(name, {})
        assert (contender.missing() or "").startswith(line)


def test_a_tool_that_fails_is_an_error_with_its_last_words(tmp_path):
    contender = there("opus:9")
    (tmp_path / "clip.wav").write_bytes(b"no audio")
    with pytest.raises(AudioError, match=r"^opusenc failed: "):
        contender.encode(tmp_path / "clip.wav", tmp_path / "packed")
    with pytest.raises(AudioError, match=r"^nothing-like-this did not run: "):
        base.run_tool("nothing-like-this")


SMALL = {
    "encodec": ("Encodec", {"num_filters": 2, "num_lstm_layers": 1, "hidden_size": 8, "codebook_dim": 8}),
    "dac": (
        "Dac",
        {
            "encoder_hidden_size": 4,
            "decoder_hidden_size": 32,
            "sampling_rate": 16000,
            "downsampling_ratios": [2, 4, 5, 8],
            "upsampling_ratios": [8, 5, 4, 2],
            "hop_length": 320,
            "n_codebooks": 12,
        },
    ),
    "mimi": (
        "Mimi",
        {
            "num_filters": 2,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "codebook_dim": 8,
            "vector_quantization_hidden_dimension": 8,
            "upsample_groups": 16,
        },
    ),
}


@pytest.mark.parametrize("name, rate, kbps", [("encodec", "6", 6.0), ("dac", "3", 3.0), ("mimi", "1.1", 1.1)])
def test_neural_peers_run_with_the_users_weights(name, rate, kbps, clip, tmp_path):
    kind, options = SMALL[name]
    config = neural.transformers_class(f"{kind}Config")(**options)
    neural.transformers_class(f"{kind}Model")(config).save_pretrained(tmp_path / "weights")
    contender = there(f"{name}:{rate}", {name: tmp_path / "weights"})
    work = tmp_path / "work"
    work.mkdir()
    true, decoded = code(contender, clip, work)
    # A frame more or less, and nine bytes.
    assert true == pytest.approx(kbps, rel=0.05) and abs(len(decoded) - clip.seconds * RATE) < RATE / 10
    with pytest.raises(AudioError, match="these weights have"):
        there(f"{name}:999", {name: tmp_path / "weights"}).encode(clip.path, work / "packed")


def test_snac_runs_with_the_users_weights(clip, tmp_path):
    snac = pytest.importorskip("snac") if os.environ.get("GRITCODEC_PEERS") != "required" else __import__("snac")
    import torch

    options = {"sampling_rate": 24000, "encoder_dim": 4, "encoder_rates": [2, 4, 8, 8], "decoder_dim": 32}
    options |= {"decoder_rates": [8, 8, 4, 2], "attn_window_size": None, "vq_strides": [4, 2, 1]}
    (tmp_path / "config.json").write_text(json.dumps(options))
    torch.save(snac.SNAC(**options).state_dict(), tmp_path / "pytorch_model.bin")
    work = tmp_path / "work"
    work.mkdir()
    kbps, decoded = code(there("snac", {"snac": tmp_path}), clip, work)
    assert 0.9 < kbps < 1.2 and len(decoded) == round(clip.seconds * RATE)


def test_neural_peers_without_weights_say_what_they_need(tmp_path):
    (contender,) = contenders.parse("mimi:1.1", {})
    assert "--weights mimi=FOLDER" in (contender.missing() or "")
    (contender,) = contenders.parse("dac:3", {"dac": tmp_path})
    assert contender.missing() == f"there is no config.json in {tmp_path}"
    with pytest.raises(UsageError, match="with NAME one of encodec, dac, mimi, snac"):
        contenders.parse_weights(["opus=here"])
    with pytest.raises(UsageError, match="there is no folder"):
        contenders.parse_weights(["dac=/nowhere/at/all"])


@pytest.mark.parametrize("lag", [0, 1, 95, 1105, -40])
def test_a_delay_is_found_to_the_sample(lag):
    reference = sets.load(sets.Source("austen.flac", CLIP))
    delayed = align.shift(reference, -lag, len(reference)) if lag >= 0 else reference[-lag:]
    noise = np.random.default_rng(0).standard_normal(len(delayed))
    decoded = 0.7 * delayed + 0.01 * noise
    assert align.delay(reference, decoded) == lag
    back = align.shift(decoded, lag, len(reference))
    assert len(back) == len(reference) and metrics.si_sdr(reference, back, RATE) > 5
