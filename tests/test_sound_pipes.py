"""By pipe and by file is one thing, and what is sound is not refused."""

import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
from sounds import RATE, lag, read_both, speech, wav_of
from tools import tool

COMMAND = [sys.executable, "-m", "gritcodec"]


def with_chunk(data: bytes, name: bytes, body: bytes, before: bool) -> bytes:
    """Put a chunk before or behind the samples of a wav file."""
    place = data.index(b"data") if before else len(data)
    data = data[:place] + name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) + data[place:]
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def wav(kind: int, width: int, bits: int, payload: bytes, valid: int | None = None) -> bytes:
    layout = struct.pack("<HHIIHH", 0xFFFE if valid else kind, 1, RATE, RATE * width, width, bits)
    if valid:
        layout += (
            struct.pack("<HHI", 22, valid, 4) + struct.pack("<H", kind) + bytes.fromhex("000000001000800000aa00389b71")
        )
    head = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(payload))
    return b"RIFF" + struct.pack("<I", len(head) + len(payload)) + head + payload


def test_a_large_chunk_before_the_samples(tmp_path):
    data = wav_of(tmp_path).read_bytes()
    for size in (1 << 20, 3 << 20, 1001):
        (tmp_path / "a.wav").write_bytes(with_chunk(data, b"JUNK", bytes(size), before=True))
        assert np.array_equal(read_both(tmp_path / "a.wav")[0][0], speech())


def test_a_chunk_behind_the_samples_is_no_sound(tmp_path):
    for kind in ("WAV", "RF64"):
        path = wav_of(tmp_path, format=kind)
        data = path.read_bytes()
        (tmp_path / "a.wav").write_bytes(data + b"LIST" + struct.pack("<I", 2000) + b"INFO" + bytes(1996))
        found, reader = read_both(tmp_path / "a.wav")
        assert np.array_equal(found[0], speech()) and reader.damage == []


@pytest.mark.parametrize("width", [2, 3, 4])
def test_an_odd_number_of_bytes(tmp_path, width):
    """The whole samples, and a word: the header may count the odd byte or more than there is."""
    samples = (speech(1) * 32768).astype("<i4") << 16
    payload = samples.view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes()
    for rest, promised in ((1, 1), (1, 100)):
        data = bytearray(wav(1, width, 8 * width, payload + bytes(rest)))
        place = data.index(b"data") + 4
        data[place : place + 4] = struct.pack("<I", len(payload) + promised)
        (tmp_path / "a.wav").write_bytes(data)
        found, reader = read_both(tmp_path / "a.wav")
        assert np.array_equal(found[0], speech(1)) and len(reader.damage) == 1


def test_bits_in_wider_samples(tmp_path):
    twelve = (np.rint(speech(1) * 2048).clip(-2048, 2047).astype("<i2") << 4).astype("<i2")
    (tmp_path / "a.wav").write_bytes(wav(1, 2, 12, twelve.tobytes()))
    assert np.array_equal(read_both(tmp_path / "a.wav")[0][0], twelve / np.float32(32768))
    wide = (speech(1) * 8388608).astype("<i4") << 8
    for valid in (None, 24):
        (tmp_path / "a.wav").write_bytes(wav(1, 4, 32, wide.tobytes(), valid))
        assert np.array_equal(read_both(tmp_path / "a.wav")[0][0], speech(1))


@pytest.mark.parametrize(
    "subtype",
    ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_kind_of_wav(tmp_path, subtype, channels):
    """As libsndfile reads it, sample by sample."""
    if channels == 2 and subtype == "GSM610":
        pytest.skip("GSM is mono")
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack(channels * [speech()], axis=1), RATE, subtype=subtype)
    found, reader = read_both(path)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    assert np.array_equal(found, expected[:, : found.shape[1]]) and reader.damage == []


@pytest.mark.parametrize("blocks", [30, 31])
@pytest.mark.parametrize("says", ["all", "no count of samples", "nothing, as from a pipe"])
def test_gsm_ends_with_its_last_block(tmp_path, blocks, says):
    """libsndfile makes a block of 40 ms out of the byte behind an odd length (findings/gsm-wav-ends-loud.sh)."""
    path = tmp_path / "a.wav"
    soundfile.write(path, speech()[: 320 * blocks], 8000, subtype="GSM610")
    data = bytearray(path.read_bytes())
    if says != "all":
        at = data.index(b"fact")
        data[at : at + 4] = b"junk"
    if says.startswith("nothing"):
        data[4:8] = b"\xff\xff\xff\xff"
        at = data.index(b"data") + 4
        data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    found, reader = read_both(path)
    assert found.shape == (1, 320 * blocks) and reader.damage == []


@pytest.mark.parametrize("options", [["-e", "a-law"], ["-e", "ima-adpcm"], ["-e", "ms-adpcm"], ["-e", "gsm-full-rate"]])
def test_what_sox_writes_has_the_length_it_says(tmp_path, options):
    clip = wav_of(tmp_path)
    subprocess.run([tool("sox"), "-D", str(clip), *options, str(tmp_path / "a.wav")], check=True)
    found, _ = read_both(tmp_path / "a.wav")
    assert found.shape == (1, 80_000) and lag(found[0], RATE) == 0


@pytest.mark.parametrize(("kind", "subtype"), [("AIFF", "PCM_16"), ("AIFF", "ALAW"), ("AU", "ULAW"), ("CAF", "FLOAT")])
@pytest.mark.parametrize("endian", ["FILE", "LITTLE", "BIG"])
def test_other_samples_as_they_are(tmp_path, kind, subtype, endian):
    path = tmp_path / "a.snd"
    try:
        soundfile.write(path, speech(), RATE, format=kind, subtype=subtype, endian=endian)
    except (soundfile.LibsndfileError, ValueError):
        pytest.skip("there is no such format")
    assert np.array_equal(read_both(path)[0][0], soundfile.read(path, dtype="float32")[0])


def test_a_named_pipe_is_opened_once(tmp_path, command):
    clip, pipe = wav_of(tmp_path), tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()), daemon=True).start()
    code, _, err = command("compress", pipe, tmp_path / "a.grit")
    assert code == 0, err
    assert command("compress", clip, tmp_path / "b.grit")[0] == 0
    assert (tmp_path / "a.grit").read_bytes() == (tmp_path / "b.grit").read_bytes()


@pytest.mark.parametrize(
    "how", ["cat {} | {} /dev/stdin {}", "{1} <(cat {0}) {2}", "{1} - {2} < {0}", "{1} /dev/stdin {2} < {0}"]
)
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_what_shells_do(tmp_path, tiny_model, how, ending):
    clip, out = tmp_path / f"clip.{ending}", tmp_path / "a.grit"
    soundfile.write(clip, speech(), RATE)
    compress = " ".join([*COMMAND, "compress", "--model", str(tiny_model)])
    done = subprocess.run(["bash", "-c", how.format(clip, compress, out)], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    subprocess.run([*COMMAND, "compress", clip, tmp_path / "b.grit", "--model", tiny_model], check=True)
    assert out.read_bytes() == (tmp_path / "b.grit").read_bytes()


def test_raw_samples_with_a_header(command, tmp_path):
    """They are taken as asked for, and that is said."""
    path = wav_of(tmp_path)
    code, _, err = command("compress", path, tmp_path / "a.grit", "--raw", "s16le", "--rate", RATE)
    assert code == 0 and err.count("\n") == 1 and "leave --raw out to read it" in err
    (tmp_path / "b.raw").write_bytes(path.read_bytes()[44:])
    code, _, err = command("compress", tmp_path / "b.raw", tmp_path / "b.grit", "--raw", "s16le", "--rate", RATE)
    assert (code, err) == (0, "")


def test_raw_samples_that_end_inside_one(command, tmp_path):
    (tmp_path / "a.raw").write_bytes((speech() * 32768).astype("<i2").tobytes() + b"x")
    raw = ["--raw", "s16le", "--rate", RATE]
    code, _, err = command("compress", tmp_path / "a.raw", tmp_path / "a.grit", *raw)
    assert code == 3 and "inside a sample: 1 of 2 bytes" in err and (tmp_path / "a.grit").exists()
    code, _, err = command("compress", tmp_path / "a.raw", tmp_path / "b.grit", *raw, "--strict")
    assert code == 1 and "inside a sample" in err and not (tmp_path / "b.grit").exists()


def test_the_header_on_a_redirected_output_is_right(command, tmp_path, tiny_model):
    """A stream that does not know its length; a pipe cannot be corrected, a file can."""
    clip, live, out = wav_of(tmp_path), tmp_path / "live.grit", tmp_path / "a.wav"
    with live.open("wb") as target:
        subprocess.run([*COMMAND, "compress", clip, "-", "--model", tiny_model], stdout=target, check=True)
    for samples, subtype in (("16", "PCM_16"), ("24", "PCM_24"), ("float", "FLOAT")):
        arguments = [*COMMAND, "decompress", "-", "-", "--samples", samples, "--model", tiny_model]
        with live.open("rb") as source, out.open("wb") as target:
            subprocess.run(arguments, stdin=source, stdout=target, check=True)
        found = soundfile.info(out)
        assert (found.frames, found.subtype) == (80_000, subtype)
        piped = subprocess.run(arguments, input=live.read_bytes(), stdout=subprocess.PIPE, check=True).stdout
        assert len(piped) == out.stat().st_size
        # Behind what is there already nothing is gone back over.
        with live.open("rb") as source, out.open("ab") as target:
            before = out.read_bytes()
            subprocess.run(arguments, stdin=source, stdout=target, check=True)
        assert out.read_bytes() == before + piped


def test_text_that_is_no_text(command, tmp_path):
    clip = wav_of(tmp_path)
    info = b"INFOINAM" + struct.pack("<I", 6) + b"Gr\xf6\xdfe\0" + b"IART" + struct.pack("<I", 4) + b"\xc3\xa9a\0"
    (tmp_path / "a.wav").write_bytes(with_chunk(clip.read_bytes(), b"LIST", info, before=True))
    assert command("compress", tmp_path / "a.wav")[0] == 0
    out = command("info", tmp_path / "a.grit")[1]
    assert "title=Größe" in out and "artist=éa" in out
    code, _, err = command("compress", clip, "--tag", "who=\udcff")
    assert code == 2 and "not UTF-8 text" in err and err.count("\n") == 1
