"""Opus in the bench: every encoder and decoder of it, through the real tools; what is missing: test_evaluate_peers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_evaluate_peers import CLIP, RATE, code, there

from gritcodec.errors import AudioError
from gritcodec.evaluate import align, contenders, metrics, sets
from gritcodec.evaluate.contenders import base, oggopus, opus


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> sets.Clip:
    source = sets.Source("austen.flac", CLIP, "en")
    folder = tmp_path_factory.mktemp("clips")
    return sets.write_clip(sets.load(source)[: 5 * RATE + 319], source, sets.CLEAN, folder)


def test_the_networks_decode_the_same_bytes_and_more_of_the_speech(clip, tmp_path):
    reference = base.read_pcm(clip.path)[0] / 32768
    kbps, quality = {}, {}
    for name in ("opus-wide", "opus-lace", "opus-nolace"):
        work = tmp_path / name
        work.mkdir()
        kbps[name], decoded = code(there(f"{name}:7"), clip, work)
        assert len(decoded) == len(reference) and abs(align.delay(reference, decoded)) <= 2
        quality[name] = metrics.pesq_wb(reference, decoded, RATE)
        assert sorted(path.name for path in work.iterdir()) == ["decoded.wav", "packed"]
    assert 6 < kbps["opus-wide"] < 8 and len(set(kbps.values())) == 1
    assert min(quality["opus-lace"], quality["opus-nolace"]) > quality["opus-wide"] + 0.2
    assert quality["opus-lace"] != quality["opus-nolace"]


def test_opus_left_alone_takes_narrow_band_at_8_kbps_and_told_so_wide_band(clip, tmp_path):
    """Bandwidth is in a packet's first byte, RFC 6716, table 2: configurations 8 to 11 are SILK in wide band."""
    found = {}
    for name in ("opus:8", "opus-wide:8"):
        there(name).encode(clip.path, tmp_path / "packed")
        packets = oggopus.read((tmp_path / "packed").read_bytes()).packets
        found[name] = {packet[0] >> 3 for packet in packets}
    assert found["opus:8"] <= {0, 1, 2, 3} and found["opus-wide:8"] == {11}


@pytest.mark.parametrize("name", ["opus:6", "opus:12", "opus-1.6:6", "opus-1.6:12"])
def test_no_tags_are_paid_for_and_other_readers_take_the_file(name, clip, tmp_path):
    there(name).encode(clip.path, tmp_path / "packed")
    data = (tmp_path / "packed").read_bytes()
    assert data.count(b"OpusTags") == 1 and data[data.index(b"OpusTags") + 8 :][:12] == bytes(8) + b"OggS"
    stream = oggopus.read(data)
    # 27 bytes a page and one a packet, OpusHead's 19 and OpusTags' 16.
    container = len(data) - sum(map(len, stream.packets))
    assert container == 27 * data.count(b"OggS") + len(stream.packets) + 2 + 19 + 16
    there("opus:6").decode(tmp_path / "packed", tmp_path / "decoded.wav")
    length = round(clip.seconds * RATE)
    assert len(base.read_pcm(tmp_path / "decoded.wav")[0]) == length == (stream.total - stream.skip) // 3


def test_a_pages_checksum_is_that_of_the_tools(clip, tmp_path):
    there("opus:6")._encode(clip.path, tmp_path / "packed")
    pages = list(oggopus._pages((tmp_path / "packed").read_bytes()))
    assert len(pages) > 2
    for page in pages:
        bare = page[:22] + bytes(4) + page[26:]
        assert oggopus._checksum(bare) == int.from_bytes(page[22:26], "little")


@pytest.mark.parametrize(
    "data, complaint",
    [
        (b"RIFF" + bytes(40), "this is no Ogg file"),
        (b"OggS" + bytes(23), "this Ogg file holds no Opus"),
    ],
)
def test_what_is_no_opus_is_refused(data, complaint):
    with pytest.raises(AudioError, match=complaint):
        oggopus.read(data)
    with pytest.raises(AudioError):
        oggopus.without_tags(data)


def test_the_newest_libopus_says_which_it_is(clip, tmp_path):
    contender = there("opus-1.6:8")
    assert "libopus 1.6.1" in contender.version()
    (tmp_path / "packed").write_bytes(b"no Ogg at all")
    with pytest.raises(AudioError, match="opuscodec cannot decode this"):
        contender.decode(tmp_path / "packed", tmp_path / "decoded.wav")


def test_what_the_networks_lack_is_named(monkeypatch, tmp_path):
    contender = there("opus-nolace:7")
    assert "opus-ml 0.0.3" in contender.version()
    monkeypatch.setattr(opus, "_package", lambda: None)
    line = "@wasm-audio-decoders/opus-ml is not installed: npm install --global @wasm-audio-decoders/opus-ml@0.0.3"
    assert contender.missing() == line
    for tool in ("opusenc", "node"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "node").unlink()
    assert contender.missing() == "node is not installed: apt-get install nodejs"


def test_the_package_is_found_where_node_path_says(monkeypatch, tmp_path):
    folder = tmp_path / "modules" / "@wasm-audio-decoders" / "opus-ml"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"version": "9.9.9"}')
    monkeypatch.setenv("NODE_PATH", f"/nowhere:{tmp_path / 'modules'}")
    opus._package.cache_clear()
    try:
        assert opus._package() == folder and opus._package_version() == "9.9.9"
        monkeypatch.setenv("NODE_PATH", "")
        monkeypatch.setenv("PATH", "/nonexistent")
        monkeypatch.chdir(tmp_path)
        opus._package.cache_clear()
        assert opus._package() is None and opus._package_version() == ""
    finally:
        opus._package.cache_clear()


def test_a_broken_packet_is_one_line(clip, tmp_path):
    contender = there("opus-lace:7")
    contender.encode(clip.path, tmp_path / "packed")
    data = bytearray((tmp_path / "packed").read_bytes())
    first = oggopus.read(bytes(data)).packets[0]
    # Code 3 with no frames: RFC 6716, section 3.2.5 forbids it.
    place = bytes(data).index(first)
    data[place : place + 2] = bytes([first[0] | 3, 0])
    (tmp_path / "packed").write_bytes(data)
    with pytest.raises(AudioError, match=r"^node failed: libopus -4 OPUS_INVALID_PACKET"):
        contender.decode(tmp_path / "packed", tmp_path / "decoded.wav")


def test_every_opus_is_a_codec_of_the_bench():
    names = {type(each).family for each in contenders.contenders(["opus", "opus-1.6", "opus-lace", "opus-nolace"], {})}
    assert names == {"opus", "opus-1.6", "opus-lace", "opus-nolace"} <= set(contenders.families())
    assert np.all([each.rates for each in (opus.Lace, opus.NoLace)])


def test_the_script_is_part_of_the_package():
    assert Path(opus._SCRIPT).is_file()
