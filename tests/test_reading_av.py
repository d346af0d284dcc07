"""What PyAV reads: lengths and beginnings right to the sample where the file tells them, else by measured delays.

Expectations come of cross-correlation with the clip that real encoders were given.
"""

import base64
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sounds import RATE, ffmpeg, lag, read_both, speech, wav_of
from tools import tool

av = pytest.importorskip("av")
SECONDS = 5.0
# Name, options of ffmpeg, and whether the file tells its length to the sample.
MADE = [
    ("a.m4a", "-c:a aac", True),
    ("fragmented.mp4", "-c:a aac -movflags frag_keyframe+empty_moov", True),
    ("a.mov", "-c:a pcm_s16le", True),
    ("alac.m4a", "-c:a alac", True),
    ("alac.caf", "-c:a alac", True),
    ("opus.mp4", "-c:a libopus -ar 48000", True),
    ("wide.mp4", "-c:a libopus -ar 16000", True),
    ("narrow.mp4", "-c:a libopus -ar 8000", True),
    ("mp3.mp4", "-c:a libmp3lame -ar 44100", False),
    ("ac3.mp4", "-c:a ac3 -ar 48000", False),
    ("a.aac", "-c:a aac", False),
    ("opus.webm", "-c:a libopus -ar 48000", True),
    ("wide.mka", "-c:a libopus -ar 16000", True),
    ("vorbis.webm", "-c:a libvorbis", False),
    ("aac.mka", "-c:a aac", False),
    ("mp3.mka", "-c:a libmp3lame", False),
    ("flac.mkv", "-c:a flac", True),
    ("a.ac3", "-c:a ac3 -ar 48000", False),
    ("a.mp2", "-c:a mp2 -ar 48000", False),
    ("a.ts", "-c:a aac -f mpegts", False),
    ("a.flv", "-c:a aac -ar 44100", False),
    ("a.g722", "-c:a g722", False),
    ("a.gsm", "-c:a libgsm -ar 8000", False),
    ("a.wv", "-c:a wavpack", True),
    ("a.tta", "-c:a tta", True),
    ("a.spx", "-c:a libspeex", False),
    ("opus.ts", "-c:a libopus -ar 48000 -f mpegts", False),
    ("opus.caf", "-c:a libopus -ar 48000", False),
    ("speex.flv", "-c:a libspeex", False),
    ("nelly.flv", "-c:a nellymoser", False),
    ("mp3.avi", "-c:a libmp3lame", False),
    ("mp3.wav", "-c:a libmp3lame", False),
    ("mp2.wav", "-c:a mp2", False),
    ("a.dts", "-c:a dca -strict -2 -ar 48000", False),
    ("g723.wav", "-c:a g723_1 -ar 8000 -b:a 6300", False),
    ("a.ra", "-c:a real_144 -ar 8000", False),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return wav_of(tmp_path_factory.mktemp("clip"), SECONDS)


@pytest.mark.parametrize(("name", "options", "tells"), MADE, ids=[made[0] for made in MADE])
def test_beginnings_and_lengths(clip, tmp_path, name, options, tells):
    path = ffmpeg(clip, tmp_path / name, *options.split())
    found, reader = read_both(path)
    length = round(SECONDS * reader.sample_rate)
    # Speex's filters shift a voice by a part of a sample.
    assert abs(lag(found[0], reader.sample_rate)) <= ("libspeex" in options) and reader.damage == []
    if tells:
        assert found.shape == (1, length)
    else:
        # Encoders fill up the last frame, and G.722 and AC-3 of FFmpeg keep their delay back at the end.
        assert length - 512 <= found.shape[1] <= length + 2 * 1152


# 3,000 samples at 44.1 kHz by mpcenc r495: a burst of 600 Hz whose peak is sample 1,500. FFmpeg does not write it.
MUSEPACK = (
    "TVBDS1NIDU04akEIlzgACQtSRwwBAAAAAAAAAABFSQdhAR4BU08IgQsAAABBUIEDAgAB3AVgV6AlYAUN+/+/+/+/++/O+P2IXHmy1Q5JIvyv9G"
    "zpjMn1QgMOqEvD4prwtT7zgCzhBrKO23QL+b9z999/9/9/9/9/7/3/wfg+zpXkj7+hpJAwenQvj9i3HqEuSDwE5Hkipsm9Xk3EJ2w3bANsNFPz"
    "fe+/9/7/3/vjgFNUBgESwFNFAw=="
)


def test_the_beginning_of_musepack(tmp_path):
    """FFmpeg leaves the delay of its filters in, which no decoder may (findings/ffmpeg-musepack-late.sh)."""
    (tmp_path / "a.mpc").write_bytes(base64.b64decode(MUSEPACK))
    found, reader = read_both(tmp_path / "a.mpc")
    assert reader.sample_rate == 44_100 and np.abs(found[0]).argmax() == 1500 and reader.damage == []


@pytest.mark.parametrize("samples", [40_000, 16_137, 8_292])
def test_the_end_of_apple_lossless_in_caf(tmp_path, samples):
    """As FFmpeg 8 writes it, which cuts the end of its own files when it reads them."""
    sound = np.round(32767 * speech(SECONDS)[:samples]).astype(np.int16)
    with av.open(str(tmp_path / "a.caf"), "w", format="caf") as target:
        stream = target.add_stream("alac", rate=RATE, layout="mono", format="s16p")
        for at in range(0, samples, 4096):
            frame = av.AudioFrame.from_ndarray(sound[None, at : at + 4096], format="s16p", layout="mono")
            frame.sample_rate, frame.pts = RATE, at
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    found, reader = read_both(tmp_path / "a.caf")
    assert np.array_equal(found[0], sound.astype(np.float32) / 32768) and reader.damage == []


@pytest.mark.parametrize("options", [["--quality", "8"], ["-w", "--quality", "4"], ["-n", "--vbr"]])
def test_speex(clip, tmp_path, options):
    rate = 8000 if "-n" in options else RATE
    subprocess.run([tool("sox"), "-D", clip, "-r", str(rate), tmp_path / "b.wav"], check=True)
    subprocess.run(
        [tool("speexenc"), *options, tmp_path / "b.wav", tmp_path / "a.spx"], check=True, capture_output=True
    )
    found, reader = read_both(tmp_path / "a.spx")
    assert reader.sample_rate == rate and found.shape == (1, round(SECONDS * rate)) and abs(lag(found[0], rate)) <= 1


def test_amr(clip, tmp_path):
    """Narrow band through PyAV's encoder; wide band through the library of phones, which no tool has."""
    from gritcodec.evaluate.contenders.amrwb import AmrWb

    narrow = tmp_path / "a.amr"
    with av.open(str(narrow), "w", format="amr") as target, av.open(str(clip)) as source:
        stream = target.add_stream("libopencore_amrnb", rate=8000, layout="mono", bit_rate=12_200)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    wide = tmp_path / "a.awb"
    AmrWb("23.85").encode(clip, wide)
    phone = tmp_path / "a.3gp"
    with av.open(str(phone), "w", format="3gp") as target, av.open(str(narrow)) as source:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    for path, rate in ((narrow, 8000), (wide, RATE), (phone, 8000)):
        found, reader = read_both(path)
        assert reader.sample_rate == rate and abs(lag(found[0], rate)) <= 1
        assert SECONDS * rate - 100 <= found.shape[1] <= SECONDS * rate + 700


@pytest.mark.parametrize(("codec", "rate"), [("wmav2", 44_100), ("wmav2", 16_000), ("wmav1", 22_050), ("wmav1", 8_000)])
def test_wma_of_ffmpeg(clip, tmp_path, codec, rate):
    """Its decoder takes two frames off, as Windows needs; its own encoder is late by one, of which none is lost."""
    found, reader = read_both(ffmpeg(clip, tmp_path / "a.wma", "-c:a", codec, "-ar", str(rate)))
    assert lag(found[0], rate) == 0 and found.shape[1] >= SECONDS * rate and reader.damage == []


def test_wma_that_is_not_of_ffmpeg(clip, tmp_path):
    """Two frames are taken off, as FFmpeg does: its writer's name is what tells."""
    path = ffmpeg(clip, tmp_path / "a.wma", "-c:a", "wmav2")
    data = path.read_bytes()
    assert data.count("Lavf".encode("utf-16-le")) == 1
    path.write_bytes(data.replace("Lavf".encode("utf-16-le"), "Wmvf".encode("utf-16-le")))
    assert lag(read_both(path)[0][0], RATE) == -512


def test_sphere(clip, tmp_path):
    path = tmp_path / "a.sph"
    subprocess.run([tool("sox"), "-D", clip, "-t", "sph", path], check=True)
    plain, reader = read_both(path)
    assert np.array_equal(plain[0], speech(SECONDS)) and reader.damage == []


class Bits:
    """The numbers that Shorten writes: a quotient of zeros, a one, and the rest."""

    def __init__(self):
        self.text = ""

    def number(self, value: int, width: int) -> None:
        rest = f"{value & (1 << width) - 1:0{width}b}" if width else ""
        self.text += "0" * (value >> width) + "1" + rest

    def long(self, value: int) -> None:
        self.number(value.bit_length(), 2)
        self.number(value, value.bit_length())

    def to_bytes(self) -> bytes:
        whole = self.text + "0" * (-len(self.text) % 32)
        return int(whole, 2).to_bytes(len(whole) // 8, "big")


def shortened(samples: np.ndarray) -> bytes:
    """Return a sphere file of 16-bit samples that Shorten (T. Robinson, 1994) compresses: first differences alone."""
    bits, last = Bits(), 0
    # Samples of 16 bits, a channel, blocks of 256; nothing is predicted, averaged or left out.
    for value in (5, 1, 256, 0, 0, 0):
        bits.long(value)
    for start in range(0, len(samples), 256):
        block = samples[start : start + 256].astype(int)
        if len(block) < 256:
            bits.number(5, 2)
            bits.long(len(block))
        steps = np.diff(np.concatenate([[last], block]))
        last = block[-1]
        width = max(int(np.abs(steps).mean()).bit_length() - 1, 0)
        bits.number(1, 2)
        bits.number(width, 3)
        for step in steps.tolist():
            bits.number(2 * step if step >= 0 else 2 * ~step + 1, width + 1)
    bits.number(4, 2)
    head = f"NIST_1A\n   1024\nsample_count -i {len(samples)}\nsample_rate -i {RATE}\nchannel_count -i 1\n"
    head += "sample_n_bytes -i 2\nsample_byte_format -s2 01\nsample_sig_bits -i 16\n"
    head += "sample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    return head.encode().ljust(1024) + b"ajkg\2" + bits.to_bytes()


def test_sphere_with_shorten(tmp_path):
    """No package has its encoder, or one that libsndfile could read: the stream is made here, by the paper."""
    path = tmp_path / "a.sph"
    path.write_bytes(shortened((speech(SECONDS) * 32768).astype(int)))
    found, reader = read_both(path)
    assert np.array_equal(found[0], speech(SECONDS)) and reader.damage == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found, reader = read_both(path)
    count = found.shape[1]
    assert 1.5 < count / RATE < 3.5 and np.array_equal(found[0, :-300], speech(SECONDS)[: count - 300])
    assert "of 5.00 s are there" in reader.damage[-1]


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at + 8 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        found.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    return found


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def test_the_tag_of_itunes(clip, tmp_path):
    """Instead of an edit list: delay and length in a text."""
    whole = ffmpeg(clip, tmp_path / "a.m4a", "-c:a", "aac").read_bytes()
    text = f" 00000000 00000400 00000000 {round(SECONDS * RATE):016X}" + 8 * " 00000000"
    item = box(b"mean", bytes(4) + b"com.apple.iTunes") + box(b"name", bytes(4) + b"iTunSMPB")
    item = box(b"----", item + box(b"data", struct.pack(">II", 1, 0) + text.encode()))
    user = box(b"meta", bytes(4) + box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9)) + box(b"ilst", item))

    def without_edits(name: bytes, body: bytes) -> bytes:
        if name not in (b"moov", b"trak"):
            return box(name, body)
        kept = [each for each in boxes(body) if each[0] not in (b"edts", b"udta")]
        end = box(b"udta", user) if name == b"moov" else b""
        return box(name, b"".join(without_edits(*each) for each in kept) + end)

    (tmp_path / "b.m4a").write_bytes(b"".join(without_edits(*each) for each in boxes(whole)))
    found, _ = read_both(tmp_path / "b.m4a")
    assert found.shape == (1, SECONDS * RATE) and lag(found[0], RATE) == 0


def test_tracks(clip, tmp_path, command):
    """A film has two languages: the first is taken, and that is said; --track takes another."""
    other = tmp_path / "other.wav"
    subprocess.run([tool("sox"), "-D", clip, other, "reverse"], check=True)
    film = tmp_path / "film.mkv"
    options = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x64:d=5",
        "-i",
        clip,
        "-i",
        other,
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
    ]
    subprocess.run([tool("ffmpeg"), "-v", "error", *options, "-c:a", "flac", "-c:v", "mjpeg", film], check=True)
    made = {}
    for name, arguments in (("first", []), ("second", ["--track", "2"])):
        code, _, err = command("compress", film, tmp_path / f"{name}.grit", *arguments)
        assert code == 0 and ("the first of its 2 tracks" in err) == (name == "first")
        made[name] = (tmp_path / f"{name}.grit").read_bytes()
    for number, source in ((1, clip), (2, other)):
        assert command("compress", source, tmp_path / "c.grit", "--no-tags", "--force")[0] == 0
        assert command("compress", film, tmp_path / "d.grit", "--no-tags", "--track", number, "-f")[0] == 0
        assert (tmp_path / "c.grit").read_bytes() == (tmp_path / "d.grit").read_bytes()
    code, _, err = command("compress", film, "--track", "3")
    assert code == 2 and "there is no track 3" in err and err.count("\n") == 1


def test_no_sound_in_it(tmp_path, command):
    silent = tmp_path / "silent.mp4"
    subprocess.run(
        [tool("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x64:d=1", "-c:v", "mpeg4", silent], check=True
    )
    code, _, err = command("compress", silent)
    assert code == 1 and "there is no sound in it" in err and err.count("\n") == 1


def test_a_rate_that_changes_on_the_way(clip, tmp_path):
    """As in a broadcast: everything at the first rate."""
    parts = [ffmpeg(clip, tmp_path / f"{rate}.aac", "-c:a", "aac", "-ar", str(rate)) for rate in (16_000, 44_100)]
    path = tmp_path / "both.aac"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    found, reader = read_both(path)
    assert reader.sample_rate == 16_000 and abs(found.shape[1] - 160_000) < 3000


def test_what_is_no_sound_stays_one_line(tmp_path, command):
    for name, data in (
        ("a.m4a", b"\0\0\0\x20ftypM4A " + bytes(100)),
        ("a.webm", b"\x1aE\xdf\xa3" + bytes(50)),
        ("a.amr", b"#"),
    ):
        (tmp_path / name).write_bytes(data)
        code, _, err = command("compress", tmp_path / name)
        assert code == 1 and "bug" not in err and err.count("\n") == 1, err
    assert not list(Path(tmp_path).glob("*.grit"))
