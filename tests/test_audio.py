"""Reading, writing and resampling: nothing lost, nothing half-written."""

import numpy as np
import pytest
import soundfile
from conftest import tone

from gritcodec import files
from gritcodec.errors import AudioError, UsageError
from gritcodec.sound import audio
from gritcodec.sound.resampling import Resampler, resample


def leftovers(folder, *expected):
    return sorted(path.name for path in folder.iterdir() if path.name not in expected)


@pytest.mark.parametrize("ending", ["wav", "flac"])
@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 44100), (8, 192000)])
def test_16_bit_samples_survive(tmp_path, ending, channels, rate):
    integers = np.random.default_rng(0).integers(-32768, 32768, (5001, channels), dtype=np.int16)
    path = tmp_path / f"out.{ending}"
    audio.write(path, integers.T.astype(np.float32) / 32768, rate)
    written, found = soundfile.read(path, dtype="int16", always_2d=True)
    assert found == rate and np.array_equal(written, integers)
    waveform, _ = audio.read(path)
    assert waveform.dtype == np.float32 and np.array_equal(waveform * 32768, integers.T)
    assert leftovers(tmp_path) == [path.name]


@pytest.mark.parametrize(("kind", "exact"), [("flac", True), ("ogg", True), ("mp3", False), ("aiff", True)])
def test_reads_what_libsndfile_reads(tmp_path, kind, exact):
    path = tmp_path / f"in.{kind}"
    soundfile.write(path, tone(2, 30001, 44100).T, 44100)
    waveform, rate = audio.read(path)
    assert rate == 44100 and waveform.shape[0] == 2
    assert waveform.shape[1] == 30001 if exact else waveform.shape[1] >= 30001


def test_reads_opus(tmp_path):
    path = tmp_path / "in.opus"
    soundfile.write(path, tone(1, 48000, 48000).T, 48000, format="OGG", subtype="OPUS")
    waveform, rate = audio.read(path)
    assert rate == 48000 and waveform.shape == (1, 48000)


def test_blocks_are_the_whole_file(tmp_path):
    path = tmp_path / "in.wav"
    soundfile.write(path, tone(2, 50001, 16000).T, 16000)
    with audio.AudioReader(path) as reader:
        blocks = list(reader.blocks())
    assert [block.shape[1] for block in blocks] == [16000, 16000, 16000, 2001]
    assert np.array_equal(np.concatenate(blocks, axis=1), audio.read(path)[0])


def test_loud_input_keeps_its_level(tmp_path):
    path = tmp_path / "loud.wav"
    loud = tone(1, 1000, 16000, level=4.0)
    soundfile.write(path, loud.T, 16000, subtype="FLOAT")
    assert np.array_equal(audio.read(path)[0], loud)


def test_clipped_only_when_written(tmp_path):
    path = tmp_path / "out.wav"
    audio.write(path, np.array([[1.5, 1.0, -1.0, -3.0, 0.5]], dtype=np.float32), 16000)
    written, _ = soundfile.read(path, dtype="int16")
    assert written.tolist() == [32767, 32767, -32768, -32768, 16384]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_is_counted_and_located(tmp_path, bad):
    path = tmp_path / "nan.wav"
    waveform = tone(2, 40000, 16000)
    waveform[1, 20000] = waveform[0, 30000] = waveform[0, 39999] = bad
    soundfile.write(path, waveform.T, 16000, subtype="FLOAT")
    message = r"3 samples are NaN or infinite, the first at position 20,000 \(1\.250 s\)"
    with pytest.raises(AudioError, match=message):
        audio.read(path)
    with pytest.raises(AudioError, match=message):
        audio.require_sound(waveform, 16000)


def test_integer_scale_is_refused(tmp_path):
    path = tmp_path / "scale.wav"
    soundfile.write(path, np.full(1000, 20000.0), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="divide integer samples by 32768"):
        audio.read(path)


def test_no_samples(tmp_path):
    path = tmp_path / "none.wav"
    audio.write(path, np.zeros((2, 0), dtype=np.float32), 22050)
    waveform, rate = audio.read(path)
    assert waveform.shape == (2, 0) and rate == 22050
    with pytest.raises(AudioError, match=r"name it \.wav"):
        audio.write(tmp_path / "none.flac", np.zeros((2, 0), dtype=np.float32), 22050)
    assert leftovers(tmp_path) == ["none.wav"]


@pytest.mark.parametrize("name", ["x.bin", "x.raw", "x.wav"])
def test_not_audio(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"this is no sound at all" * 10)
    with pytest.raises(AudioError, match="as audio"):
        audio.read(path)
    path.write_bytes(b"")
    with pytest.raises(AudioError, match=r"empty \(0 bytes\)"):
        audio.read(path)


def test_missing_input(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        audio.read(tmp_path / "none.wav")
    with pytest.raises(UsageError, match="is a folder"):
        audio.read(tmp_path)


def test_flac_limits(tmp_path):
    with pytest.raises(AudioError, match=r"name it \.wav"):
        audio.write(tmp_path / "x.flac", tone(9, 10, 16000), 16000)
    with pytest.raises(UsageError, match=r"must end in \.wav or \.flac"):
        audio.write(tmp_path / "x.aiff", tone(1, 10, 16000), 16000)
    assert leftovers(tmp_path) == []


def test_wav_over_4_gib_is_rf64():
    assert audio.check_audio_output("x.wav", 48000, 2, 2**30 - 2000) == "WAV"
    assert audio.check_audio_output("x.wav", 48000, 2, 2**30) == "RF64"


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 22050, 44100, 48000, 96000, 192000, 768000])
@pytest.mark.parametrize("samples", [1, 2, 4999])
def test_resampling_there_and_back_keeps_the_length(rate, samples):
    waveform = tone(2, samples, rate)
    inside = -(-samples * 16000 // rate)
    there = resample(waveform, rate, 16000, inside)
    assert there.shape == (2, inside)
    back = resample(there, 16000, rate, samples)
    assert back.shape == (2, samples) and back.dtype == np.float32


@pytest.mark.parametrize("rate", [44100, 48000])
def test_resampling_is_aligned(rate):
    """There and back is the signal itself where the narrower rate can hold it: no delay creeps in."""
    time = np.arange(rate) / rate
    waveform = (0.5 * np.sin(2 * np.pi * 440 * time))[None].astype(np.float32)
    back = resample(resample(waveform, rate, 16000, 16000), 16000, rate, rate)
    inner = slice(rate // 10, -rate // 10)
    assert np.abs(back - waveform)[:, inner].max() < 1e-3


def test_resampling_does_not_depend_on_blocks():
    waveform = tone(2, 50000, 44100)
    pieces = Resampler(44100, 16000, 2)
    out = [pieces.push(waveform[:, start : start + 777]) for start in range(0, 50000, 777)]
    out.append(pieces.finish(18141))
    assert np.array_equal(np.concatenate(out, axis=1), resample(waveform, 44100, 16000, 18141))


def test_atomic_output(tmp_path):
    target = tmp_path / "out.bin"
    with files.atomic_output(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists() and temporary.parent == tmp_path
    assert target.read_bytes() == b"new"
    with pytest.raises(KeyboardInterrupt), files.atomic_output(target) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"new" and leftovers(tmp_path) == ["out.bin"]
    with pytest.raises(UsageError, match="--force"), files.atomic_output(target, overwrite=False):
        pass


def test_output_follows_a_link_and_spares_devices(tmp_path):
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(b"old")
    link.symlink_to(real)
    files.write_bytes(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    with pytest.raises(UsageError, match="not a regular file"):
        files.write_bytes("/dev/null", b"data")
    with pytest.raises(UsageError, match="there is no folder"):
        files.write_bytes(tmp_path / "no" / "x", b"data")
