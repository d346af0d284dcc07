"""What a fingerprint names: the meaning of codes, and nothing else of a model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tone
from safetensors.numpy import load_file

import gritcodec
from gritcodec import bitstream, model_store
from gritcodec.cli import app as cli
from gritcodec.engine import store
from gritcodec.errors import WrongModelError
from gritcodec.model_store import codes_fingerprint


def network_of(folder):
    return store.load(folder)


def test_a_decoder_trained_on_plays_old_files(tiny_model, tmp_path, capsys):
    """Ten steps, encoder and quantizer frozen: the same fingerprint and codes, and another sound."""
    old = gritcodec.load(tiny_model)
    waveform = tone(1, 16_000, 16_000)
    data = old.compress(waveform, 16_000, 3.0)
    network = network_of(tiny_model)
    network.train().requires_grad_(False)
    network.decoder.requires_grad_(True)
    optimizer = torch.optim.Adam(network.decoder.parameters(), lr=1e-3)
    codes = old.encode(waveform, 16_000, 3.0).indices
    for _ in range(10):
        optimizer.zero_grad()
        sound = network.decode(torch.from_numpy(codes))[:, 0, 240:16_240]
        loss = (sound - torch.from_numpy(waveform)).square().mean()
        loss.backward()
        optimizer.step()
    for half in (True, False):
        store.save(tmp_path / "new", network, half=half)
        new = gritcodec.load(tmp_path / "new")
        assert new.fingerprint == old.fingerprint
        assert np.array_equal(new.encode(waveform, 16_000, 3.0).indices, codes)
        sounds = [codec.decompress(data)[0] for codec in (old, new)]
        assert sounds[0].shape == sounds[1].shape and not np.allclose(*sounds, atol=1e-4)
    (tmp_path / "x.grit").write_bytes(data)
    arguments = ["decompress", str(tmp_path / "x.grit"), str(tmp_path / "x.wav"), "--model", str(tmp_path / "new")]
    assert cli.main(arguments) == 0 and capsys.readouterr().err == ""


def test_how_weights_are_stored_does_not_matter(tiny_model, tmp_path):
    """float16 or float32, with a transform that is folded in or was before."""
    network = network_of(tiny_model)
    for half in (True, False):
        store.save(tmp_path / "again", network, half=half)
        assert model_store.fingerprint(tmp_path / "again") == model_store.fingerprint(tiny_model)
        again = network_of(tmp_path / "again")
        store.save(tmp_path / "twice", again, half=not half)
        assert model_store.fingerprint(tmp_path / "twice") == model_store.fingerprint(tiny_model)


def test_the_name_of_a_folder_and_the_encoder_do_not_matter(tiny_model, tmp_path):
    network = network_of(tiny_model)
    with torch.no_grad():
        for parameter in network.encoder.parameters():
            parameter.add_(0.1)
    store.save(tmp_path / "other-name", network)
    assert model_store.fingerprint(tmp_path / "other-name") == model_store.fingerprint(tiny_model)


def test_a_changed_codebook_changes_it(tiny_model, tmp_path):
    for change in ("base", "stage_scale"):
        network = network_of(tiny_model)
        with torch.no_grad():
            getattr(network.quantizer, change).view(-1)[-1] *= 1.01
        store.save(tmp_path / change, network, half=False)
        assert model_store.fingerprint(tmp_path / change) != model_store.fingerprint(tiny_model)


def test_what_it_is_made_of():
    """Rate, hop, delay, shapes, values and tables: each alone changes it; as docs/bitstream.md lists them."""
    import hashlib

    draw = np.random.default_rng(0)
    books = draw.standard_normal((3, 4, 2)).astype(np.float32)
    tables = {"hidden": draw.integers(-9, 9, (2, 3)).astype(np.int8), "bias": draw.integers(0, 9, 5).astype(np.int32)}
    clock = (16_000, 320, 240)
    found = codes_fingerprint(clock, books, tables)
    listing = b"gritcodec codes 1\nrate 16000\nhop 320\ndelay 240\nstages 3\ncodes 4\ndimensions 2\n"
    listing += books.tobytes() + b"bias int32 5\n" + tables["bias"].tobytes()
    listing += b"hidden int8 2 3\n" + tables["hidden"].tobytes()
    assert found == hashlib.sha256(listing).digest()[:8]
    others = [codes_fingerprint(clock, books, {})]
    others += [codes_fingerprint((*clock[:i], clock[i] + 1, *clock[i + 1 :]), books, tables) for i in range(3)]
    others.append(codes_fingerprint(clock, books.reshape(3, 2, 4), tables))
    others.append(codes_fingerprint(clock, np.nextafter(books, 9), tables))
    for name, tensor in tables.items():
        for wrong in (tensor + tensor.dtype.type(1), tensor[None], tensor.astype(np.int16)):
            others.append(codes_fingerprint(clock, books, tables | {name: wrong}))
        others.append(codes_fingerprint(clock, books, {n: t for n, t in tables.items() if n != name}))
        others.append(codes_fingerprint(clock, books, {n + "x" * (n == name): t for n, t in tables.items()}))
    assert len({found, *others}) == len(others) + 1
    # By the order of names, not of the mapping; and whatever the memory layout.
    assert found == codes_fingerprint(clock, np.asfortranarray(books), dict(reversed(tables.items())))


def test_hop_and_delay_of_a_configuration_enter(tiny_model, tmp_path):
    text = (tiny_model / "config.yaml").read_text()
    assert "hop_length: 320" in text and "sample_rate: 16000" in text and "window: 320" in text
    changes = (
        ("hop_length: 320", "hop_length: 160"),
        ("sample_rate: 16000", "sample_rate: 24000"),
        ("window: 320", "window: 640"),
    )
    found = {model_store.fingerprint(tiny_model)}
    for number, (old, new) in enumerate(changes):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.yaml").write_text(text.replace(old, new))
        (folder / "weights.safetensors").write_bytes((tiny_model / "weights.safetensors").read_bytes())
        found.add(model_store.fingerprint(folder))
    assert len(found) == 4


def test_it_is_that_of_the_stored_codebooks(tiny_model):
    tensors = load_file(tiny_model / "weights.safetensors")
    books = tensors["quantizer.base"].astype(np.float32) * tensors["quantizer.stage_scale"][:, None, None]
    assert codes_fingerprint((16_000, 320, 240), books, {}) == model_store.fingerprint(tiny_model)


def test_a_missing_model_is_named_as_its_encoder_called_itself(tiny_model, other_model, tmp_path, capsys):
    codec = gritcodec.load(tiny_model)
    short = bitstream.parse_header(codec.compress(tone(1, 1000, 16_000), 16_000))[0]
    assert short.encoder is None  # it would cost a few percent
    data = codec.compress(tone(1, 160_000, 16_000), 16_000)
    header = bitstream.parse_header(data)[0]
    assert header.encoder == "tiny" and header.fingerprint.hex() == codec.fingerprint
    with pytest.raises(WrongModelError, match=rf"{codec.fingerprint} \(tiny\), and none of the shipped ones"):
        model_store.find(header)
    with pytest.raises(WrongModelError, match=rf"{codec.fingerprint} \(tiny\), and this is other"):
        gritcodec.load(other_model).decompress(data)
    with pytest.raises(WrongModelError, match=rf"model {codec.fingerprint}, and none"):
        model_store.find(replace(header, encoder=None))
    (tmp_path / "x.grit").write_bytes(data)
    assert cli.main(["decompress", str(tmp_path / "x.grit"), str(tmp_path / "x.wav")]) == 1
    err = capsys.readouterr().err
    assert "(tiny)" in err and "--model" in err and err.count("\n") == 1
