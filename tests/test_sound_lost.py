"""No sound is lost in silence: unfinished, cut, chained and damaged recordings, made by the tools that make them."""

import struct
import subprocess

import numpy as np
import pytest
import soundfile
from sounds import RATE, ffmpeg, lag, read_both, speech, wav_of
from tools import tool

from gritcodec.errors import AudioError
from gritcodec.sound import audio


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return wav_of(tmp_path_factory.mktemp("clip"))


def exact(path):
    found, reader = read_both(path)
    assert np.array_equal(found[0], speech()) and reader.damage == [], reader.damage
    return reader


def piped(command, source):
    return subprocess.run([tool(command[0]), *command[1:]], stdin=source.open("rb"), stdout=subprocess.PIPE).stdout


@pytest.mark.parametrize(
    ("form", "ending"),
    [("wav", "wav"), ("w64", "w64"), ("au", "au"), ("aiff", "aiff"), ("caf", "caf"), ("flac", "flac")],
)
def test_what_ffmpeg_writes_into_a_pipe(clip, tmp_path, form, ending):
    """It cannot go back there to say how long it was."""
    exact(ffmpeg(clip, tmp_path / f"a.{ending}", "-f", form, pipe=True))


def test_what_other_tools_write_into_a_pipe(clip, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(piped(["flac", "-s", "-c", "-"], clip))
    exact(path)
    raw = tmp_path / "a.raw"
    raw.write_bytes((speech() * 32768).astype("<i2").tobytes())
    layout = ["--endian=little", "--sign=signed", "--channels=1", "--bps=16", f"--sample-rate={RATE}"]
    path.write_bytes(piped(["flac", "-s", "-c", *layout, "-"], raw))
    exact(path)
    packed = tmp_path / "a.flac"
    subprocess.run([tool("flac"), "-s", str(clip), "-o", str(packed)], check=True)
    path.write_bytes(subprocess.run([tool("flac"), "-s", "-d", "-c", packed], stdout=subprocess.PIPE).stdout)
    exact(path)
    layout = ["-t", "raw", "-r", str(RATE), "-b", "16", "-e", "signed", "-c", "1", "-"]
    path.write_bytes(piped(["sox", "-V1", *layout, "-t", "wav", "-"], raw))
    exact(path)
    exact(ffmpeg(clip, tmp_path / "a.rf64", "-f", "wav", "-rf64", "always", pipe=True))
    exact(ffmpeg(clip, tmp_path / "b.rf64", "-f", "wav", "-rf64", "always"))
    exact(ffmpeg(clip, tmp_path / "a.oga", "-c:a", "flac", "-f", "ogg", pipe=True))


def test_a_recorder_that_was_cut_off(clip, tmp_path):
    data = bytearray(clip.read_bytes())
    place = data.index(b"data") + 4
    for size in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000):
        data[place : place + 4] = struct.pack("<I", size)
        for riff in (0, 36, size):
            data[4:8] = struct.pack("<I", riff)
            (tmp_path / "a.wav").write_bytes(data)
            exact(tmp_path / "a.wav")


def test_an_empty_wav_is_empty(tmp_path):
    """And what stands behind no samples is no sound."""
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    info = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"Hey\0"
    data += info
    data[4:8] = struct.pack("<I", len(data) - 8)
    (tmp_path / "b.wav").write_bytes(data)
    for name, tags in (("a.wav", []), ("b.wav", [("title", "Hey")])):
        found, reader = read_both(tmp_path / name)
        assert found.shape == (1, 0) and reader.tags == tags and reader.damage == []


@pytest.mark.parametrize("ending", ["wav", "aiff", "w64", "au", "caf", "flac", "rf64", "sph"])
def test_a_cut_file_gives_what_is_there(clip, tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    kinds = {"wav": "WAV", "rf64": "RF64", "sph": "NIST"}
    soundfile.write(path, speech(), RATE, format=kinds.get(ending, ending.upper()))
    data = path.read_bytes()
    # Inside a sample too.
    for cut in (len(data) // 2, len(data) // 2 + 1):
        path.write_bytes(data[:cut])
        found, reader = read_both(path)
        seconds = found.shape[1] / RATE
        assert 2 < seconds < 3.2 and np.array_equal(found[0], speech()[: found.shape[1]])
        words = f"cut off: {seconds:.2f} of 5.00 s are there, {5 - seconds:.2f} s are missing"
        assert reader.damage == [words]
    with pytest.warns(audio.AudioWarning, match="are missing"):
        audio.read(path)


@pytest.mark.parametrize("codec", ["libmp3lame", "libvorbis", "libopus", "adpcm_ms"])
def test_a_cut_coded_file(clip, tmp_path, codec):
    ending = {"libmp3lame": "mp3", "adpcm_ms": "wav"}.get(codec, "ogg")
    path = ffmpeg(clip, tmp_path / f"a.{ending}", "-c:a", codec)
    whole, reader = read_both(path)
    assert reader.damage == [] and 80_000 <= whole.shape[1] < 82_000
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found, reader = read_both(path)
    assert len(reader.damage) >= 1 and reader.damage[-1].startswith("cut off")
    # Of Ogg with large pages less is left.
    assert 0.8 < found.shape[1] / RATE < 3.2
    assert np.abs(found - whole[:, : found.shape[1]])[:, :-2000].max() < 1e-3


def test_chained_ogg(clip, tmp_path):
    """One after the other with cat: all of it, also where the rate changes or both have one serial number."""
    opus = tmp_path / "a.opus"
    subprocess.run([tool("opusenc"), "--quiet", "--serial", "7", str(clip), str(opus)], check=True)
    vorbis = ffmpeg(clip, tmp_path / "a.ogg", "-c:a", "libvorbis")
    higher = ffmpeg(clip, tmp_path / "b.ogg", "-c:a", "libvorbis", "-ar", "44100", "-ac", "2")
    flac = ffmpeg(clip, tmp_path / "a.oga", "-c:a", "flac", "-f", "ogg")
    for links in ((opus, opus), (vorbis, higher), (vorbis, flac, opus), (higher, vorbis)):
        path = tmp_path / "chain.ogg"
        path.write_bytes(b"".join(link.read_bytes() for link in links))
        found, reader = read_both(path)
        rate = reader.sample_rate
        assert reader.damage == [] and found.shape[1] == len(links) * 5 * rate
        for number in range(len(links)):
            assert abs(lag(found[0, number * 5 * rate : (number + 1) * 5 * rate], rate)) <= 1


@pytest.mark.parametrize("codec", ["libvorbis", "libopus"])
def test_damage_in_ogg_is_told_and_keeps_the_time(clip, tmp_path, codec):
    path = ffmpeg(clip, tmp_path / "a.ogg", "-c:a", codec, "-page_duration", "200000")
    whole, _ = read_both(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    found, reader = read_both(path)
    assert found.shape == whole.shape and len(reader.damage) == 1
    assert "are lost, silence is in their place" in reader.damage[0]
    lost = np.abs(found - whole)[0] > 0.01
    # A page of a fifth of a second; a decoder needs some time to come back.
    assert 0 < np.flatnonzero(lost)[-1] - np.flatnonzero(lost)[0] < 0.6 * RATE


def test_damage_in_flac_is_gone_over(clip, tmp_path):
    path = tmp_path / "a.flac"
    subprocess.run([tool("flac"), "-s", str(clip), "-o", str(path)], check=True)
    data = bytearray(path.read_bytes())
    data[40_000:40_400] = bytes(400)
    path.write_bytes(data)
    found, reader = read_both(path)
    assert found.shape == (1, 80_000) and reader.damage[0].startswith("damaged at 1.")
    assert np.count_nonzero(found[0] != speech()) <= 4608


@pytest.mark.parametrize(
    "options", [["-q:a", "5", "-write_xing", "0"], ["-b:a", "64k", "-write_xing", "0"], ["-q:a", "5"]]
)
def test_mp3_of_any_length(clip, tmp_path, options, capfd):
    path = ffmpeg(clip, tmp_path / "a.mp3", "-c:a", "libmp3lame", "-write_id3v1", "1", *options)
    found, reader = read_both(path)
    # Without an Info frame nobody knows where the last frame ends.
    assert reader.damage == [] and 80_000 <= found.shape[1] < 80_000 + (1152 if "0" in options else 1)
    assert lag(found[0], RATE) == 0 and capfd.readouterr().err == ""


def test_damaged_mp3(clip, tmp_path, capfd):
    path = ffmpeg(clip, tmp_path / "a.mp3", "-c:a", "libmp3lame", "-b:a", "64k")
    data = bytearray(path.read_bytes())
    data[10_000:10_900] = b"\xaa" * 900
    path.write_bytes(data)
    found, reader = read_both(path)
    assert found.shape == (1, 80_000) and len(reader.damage) == 1 and "are lost" in reader.damage[0]
    assert lag(found[0, :19_000], RATE) == lag(found[0, -50_000:], RATE) + 30_000 == 0
    assert capfd.readouterr().err == ""


def test_a_word_of_four_zeros_is_no_promise(tmp_path):
    """An MP3 whose Info frame counts less than there is loses nothing."""
    clip = wav_of(tmp_path)
    path = ffmpeg(clip, tmp_path / "a.mp3", "-c:a", "libmp3lame")
    data = bytearray(path.read_bytes())
    place = max(data.find(b"Xing"), data.find(b"Info")) + 8
    data[place : place + 4] = struct.pack(">I", 10)
    path.write_bytes(data)
    assert read_both(path)[0].shape[1] >= 80_000


def test_sample_rates_of_every_kind(tiny_model):
    import torch

    import gritcodec

    codec = gritcodec.load(tiny_model)
    waveform = speech(1.0)[None]
    expected = codec.compress(waveform, RATE)
    for rate in (torch.tensor(RATE), np.array(RATE), np.int32(RATE), torch.tensor([RATE])[0]):
        assert codec.compress(waveform, rate) == expected and int(rate) == RATE
        assert codec.decompress(codec.compress(waveform, rate))[1] == RATE


def test_no_sound_at_all(tmp_path):
    path = tmp_path / "a.wav"
    for data in (b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata\0\0\0\0", b"FORM\0\0\0\0AIFF", b"caff\0\1\0\0", b".snd"):
        path.write_bytes(data)
        with pytest.raises(AudioError, match=r"samples|header|channels"):
            audio.read(path)
