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
from gritcodec.evaluate import align, contenders, measures, metrics, plan, sets
from gritcodec.evaluate.contenders import base, neural

RATE = contenders.RATE
CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> sets.Clip:
    """Three seconds of speech, and a part of any codec's frame, as codecs get them."""
    source = sets.Source("austen.flac", CLIP, "en")
    folder = tmp_path_factory.mktemp("clips")
    return sets.write_clip(sets.load(source)[: 3 * RATE + 319], source, sets.CLEAN, folder)


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


# What each costs at least and at most; how good it must at least be, which tells that it is aligned, for 10 ms off cost
# more than what is left above these; between which lags what comes back is late, in samples.
PEERS = [
    ("opus:6", 5.0, 7.0, 0.80, (1, 1)),
    ("opus:16", 14.0, 19.0, 0.93, (-1, 1)),
    ("opus-1.6:16", 14.0, 19.0, 0.93, (-1, 1)),
    ("codec2:1300", 1.3, 1.5, 0.55, (290, 370)),
    ("codec2:3200", 3.2, 3.4, 0.68, (290, 370)),
    ("speex:4", 11.0, 15.0, 0.85, (-1, 1)),
    ("amr-wb:12.65", 13.0, 14.5, 0.92, (94, 96)),
    ("lc3:16", 16.0, 19.0, 0.90, (0, 0)),
    ("mp3:16", 16.0, 17.5, 0.85, (1105, 1105)),
]


@pytest.mark.parametrize("name, least, most, estoi, lags", PEERS)
def test_a_peer_costs_its_rate_and_comes_back_whole_at_a_lag_that_is_found(
    name, least, most, estoi, lags, clip, tmp_path
):
    kbps, decoded = code(there(name), clip, tmp_path)
    assert least <= kbps <= most
    reference = base.read_pcm(clip.path)[0] / 32768
    lag = align.delay(reference, decoded)
    assert lags[0] <= lag <= lags[1]
    assert len(decoded) >= len(reference) + lag - 1, "its end is there"
    assert metrics.estoi(reference, align.shift(decoded, lag, len(reference)), RATE) > estoi
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
        ("speech-16k:much", "is not a bitrate"),
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
    # A frame more or less, and nine bytes; the last samples too, though DacModel by itself drops up to 327.
    assert true == pytest.approx(kbps, rel=0.05) and len(decoded) == round(clip.seconds * RATE)
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


def test_every_size_names_codecs_and_measures_that_there_are():
    for size in plan.SIZES.values():
        assert len(contenders.contenders(size.peers, {})) >= len(size.peers)
        assert set(size.measures) <= set(measures.MEASURES)
    families = {each.family for each in contenders.contenders(plan.SIZES["nightly"].peers, {})}
    assert families == set(contenders.families()) - set(contenders.NEURAL)
