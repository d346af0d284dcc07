"""Chunks: those that are not known are passed over, kept, dropped or refused; those that are missing are told."""

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from conftest import tone
from grit_files import contents_of, forge, make

import gritcodec
from gritcodec import bitstream
from gritcodec.bitstream import Chunk, Writer
from gritcodec.bitstream.items import MARK, build_chunk
from gritcodec.cli import app as cli
from gritcodec.codec.about import About
from gritcodec.errors import UnsupportedVersionError

SAFE, UNSAFE, REQUIRED, LAST_REQUIRED = 0x05, 0x25, 0x82, 0xBF


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


def with_chunks(data, *chunks):
    """The file with chunks (frame, mark, payload) put before packets."""
    contents = bitstream.read_contents(data, strict=True)
    writer = Writer(contents.header)
    pieces, waiting, frame = [writer.begin()], list(chunks), 0
    for part in [*contents.parts, None]:
        while waiting and waiting[0][0] <= frame:
            pieces.append(writer.add(Chunk(0, *waiting.pop(0)[1:], 0)))
        if part is not None:
            pieces.append(writer.add(part))
            frame += part.frames
    return b"".join([*pieces, writer.finish(contents.header.num_samples)])


def chunks_of(data):
    items = bitstream.read_contents(data, strict=True).items
    return [(item.start, item.mark, item.payload) for item in items if isinstance(item, Chunk)]


@pytest.mark.parametrize("mark", [0x01, 0x1F, 0x20, 0x23, 0x3F])
@pytest.mark.parametrize("size", [0, 1, 300, 65_535])
def test_unknown_chunks_are_passed_over(codec, mark, size):
    sound = tone(1, 50_000, 16_000)
    data = codec.compress(sound, 16_000, 2.0)
    payload = bytes(range(256)) * 256
    file = with_chunks(data, (0, mark, payload[:size]), (64, mark, b"x"), (157, mark, payload[:size]))
    assert chunks_of(file) == [(0, mark, payload[:size]), (64, mark, b"x"), (157, mark, payload[:size])]
    assert np.array_equal(codec.decompress(file)[0], codec.decompress(data)[0])


def test_unknown_chunks_are_kept_or_dropped_by_their_bit(codec):
    data = codec.compress(tone(1, 12 * 16_000, 16_000), 16_000, 3.0)
    file = with_chunks(data, (0, SAFE, b"first"), (0, UNSAFE, b"second"), (320, SAFE, b"third"), (448, UNSAFE, b""))
    safe = [(0, SAFE, b"first"), (320, SAFE, b"third")]
    assert chunks_of(bitstream.truncate(file, 1.0)) == safe
    assert chunks_of(bitstream.truncate(file, limit=4000)) == safe
    assert [chunk[1:] for chunk in chunks_of(bitstream.join([file, file])) if chunk[1] == SAFE] == [
        chunk[1:] for chunk in 2 * safe
    ]
    clock = codec.clock
    assert not [c for c in chunks_of(bitstream.cut(file, 0, 16_000, clock)) if c[1] == UNSAFE]
    live = b"".join(codec.compress_live(iter([tone(1, 12 * 16_000, 16_000)]), 16_000, 1, 3.0))
    assert bitstream.read_contents(live).live


@pytest.mark.parametrize("mark", [REQUIRED, 0xA2, LAST_REQUIRED])
def test_unknown_required_chunks_end_with_one_line_after_what_lies_before(codec, tiny_model, tmp_path, capsys, mark):
    data = codec.compress(tone(1, 50_000, 16_000), 16_000, 2.0)
    file = with_chunks(data, (64, mark, b"do not pass"))
    reader = bitstream.Reader(io.BytesIO(file))
    items = reader.items()
    assert next(items).frames == 64
    with pytest.raises(UnsupportedVersionError, match=f"kind {mark}, which a newer gritcodec"):
        next(items)
    blocks = []
    with pytest.raises(UnsupportedVersionError):
        for block in codec.play(bitstream.Reader(io.BytesIO(file))).blocks():
            blocks.append(block)
    heard = np.concatenate(blocks, axis=1)
    assert np.array_equal(heard, codec.decompress(data)[0][:, : heard.shape[1]]) and heard.shape[1] > 19_000
    for make_it in (
        lambda: bitstream.truncate(file, 1.0),
        lambda: bitstream.join([file]),
        lambda: codec.decompress(file),
    ):
        with pytest.raises(UnsupportedVersionError):
            make_it()
    source, target = tmp_path / "x.grit", tmp_path / "x.wav"
    source.write_bytes(file)
    for arguments in (["decompress", str(source), str(target), "--model", str(tiny_model)], ["info", str(source)]):
        assert cli.main(arguments) == 1
        captured = capsys.readouterr()
        assert captured.err.startswith("gritcodec: error: ") and captured.err.count("\n") == 1
    assert not target.exists()


def test_a_live_stream_with_a_required_chunk_is_refused_too(codec):
    encoder, decoder = codec.stream_encoder(16_000), codec.stream_decoder()
    pieces = encoder.push(tone(1, 640, 16_000))
    for piece in pieces:
        decoder.push(piece)
    assert decoder.push(build_chunk(2, SAFE, b"pass", encoder.header)).shape == (1, 0)
    with pytest.raises(UnsupportedVersionError):
        decoder.push(build_chunk(2, REQUIRED, b"", encoder.header))


def test_a_chunk_that_is_missing_or_added_is_told(codec):
    """Chunks take no frames: the count at the end says that one was lost, and the sound stands."""
    data = codec.compress(tone(1, 50_000, 16_000), 16_000, 2.0)
    file = with_chunks(data, (0, SAFE, b"one"), (64, SAFE, b"two"))
    whole = codec.decompress(data)[0]
    size = bitstream.parse_header(file)[1]
    chunk = build_chunk(0, SAFE, b"one", bitstream.parse_header(file)[0])
    assert file[size:].startswith(chunk)
    for broken in (file[:size] + file[size + len(chunk) :], file[:size] + chunk + file[size:]):
        contents = bitstream.read_contents(broken)
        assert [damage.what for damage in contents.damage] == ["something beside the sound is missing or was added"]
        assert np.array_equal(codec.decompress(broken, strict=False)[0], whole)
    changed = file[: size + 3] + b"?" + file[size + 4 :]
    contents = bitstream.read_contents(changed)
    assert contents.damage and contents.bodies == bitstream.read_contents(data).bodies
    assert np.array_equal(codec.decompress(changed, strict=False)[0], whole)


def test_a_packet_count_that_is_wrong_is_told():
    header, _, _ = make()
    for counts in ((0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)):
        contents = bitstream.read_contents(forge(counts=counts))
        assert contents.damage and contents.frames == 0 and header


def test_marks_go_in_and_come_out(codec, tiny_model, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", tone(1, 88_200, 44_100).T, 44_100)
    source, target = tmp_path / "a.grit", tmp_path / "b.grit"
    marks = ["--mark", "0=Anfang", "--mark", "1.5=mitten = drin", "--mark", "0:01="]
    more = ["--start-time", "2026-11-28T19:30:00Z", "--gain", "-3.25", "--tag", "a=b"]
    assert cli.main(["compress", str(tmp_path / "a.wav"), *marks, *more, "--model", str(tiny_model)]) == 0
    assert cli.main(["truncate", str(source), str(target), "--bitrate", "1"]) == 0
    for path in (source, target):
        capsys.readouterr()
        assert cli.main(["info", str(path)]) == 0
        out = capsys.readouterr().out
        for words in ("0.0 Anfang; 1.0 ; 1.5 mitten = drin", "2026-11-28T19:30:00Z", "-3.25", "a=b"):
            assert words in out, out
    for wrong in (["--mark", "soon"], ["--mark", "x=y"], ["--start-time", "soon"], ["--gain", "200"]):
        assert cli.main(["compress", str(tmp_path / "a.wav"), "--force", *wrong, "--model", str(tiny_model)]) == 2


def test_marks_of_live_streams(codec):
    encoder, decoder = codec.stream_encoder(16_000), codec.stream_decoder()
    pieces = encoder.push(tone(1, 16_000, 16_000))
    pieces.append(encoder.mark("now"))
    pieces += [*encoder.push(tone(1, 16_000, 16_000)), *encoder.flush()]
    data = b"".join(pieces)
    (mark,) = [item for item in bitstream.read_contents(data, strict=True).items if isinstance(item, Chunk)]
    assert mark.mark == MARK and mark.start == 50 and bitstream.items.read_mark(mark.payload) == (16_000, "now")
    heard = np.concatenate([*(decoder.push(piece) for piece in pieces), decoder.flush()], axis=1)
    assert np.array_equal(heard[:, :32_000], codec.decompress(data)[0]) and decoder.lost == 0


def test_malformed_marks_are_passed_over(codec):
    data = codec.compress(tone(1, 50_000, 16_000), 16_000, 2.0, about=About(marks=[(5, "x")]))
    file = with_chunks(data, (0, MARK, b""), (0, MARK, b"\x80\x80"), (64, MARK, b"\x05\xff"))
    assert np.array_equal(codec.decompress(file)[0], codec.decompress(data)[0])
    assert contents_of(bitstream.read_contents(bitstream.join([file, data])).items)
    assert bitstream.cut(file, 0, 100, replace(codec.clock, warmup=60))
