"""Pauses: what silence costs, that it is silent, and that speech around it is what it was."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gritcodec
from gritcodec import bitstream
from gritcodec.bitstream import Pause
from gritcodec.cli import app as cli
from gritcodec.codec.playback import Span
from gritcodec.sound.pauses import comfort_noise, describe

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
RATE = 16_000


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


@pytest.fixture(scope="module")
def speech():
    return soundfile.read(CLIP, dtype="float32")[0][None]


def with_silence(waveform, first, samples):
    """The waveform with digital silence put in at a sample."""
    quiet = np.zeros((waveform.shape[0], samples), dtype=np.float32)
    return np.concatenate([waveform[:, :first], quiet, waveform[:, first:]], axis=1)


def pauses_of(data):
    return [item for item in bitstream.read_contents(data, strict=True).items if isinstance(item, Pause)]


def level(samples):
    return 10 * np.log10(np.square(samples.astype(np.float64)).mean() + 1e-20)


def live(codec, waveform, sizes, *settings, **more):
    """All pieces of a live stream whose samples come in blocks of some sizes."""
    encoder, pieces, at = codec.stream_encoder(RATE, waveform.shape[0], *settings, **more), [], 0
    for size in sizes:
        pieces += encoder.push(waveform[:, at : at + size])
        at += size
    return pieces + encoder.push(waveform[:, at:]) + encoder.flush()


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_three_seconds_of_silence_cost_less_than_20_bytes(codec, rate, channels):
    waveform = tone(channels, 6 * rate, rate)
    # Silence in place of tone, at full stages: files of less than 10 s keep all stages.
    first, last = round(2.2 * rate), round(5.2 * rate)
    silent = waveform.copy()
    silent[:, first:last] = 0
    shorter = np.concatenate([waveform[:, :first], waveform[:, last:]], axis=1)
    long, short = (codec.compress(sound, rate, 3.0) for sound in (silent, shorter))
    assert sum(pause.size for pause in pauses_of(long)) < 20
    assert sum(pause.frames for pause in pauses_of(long)) >= 3 * 50 - 3
    # Beside the pause: one packet more with its overhead, and a frame or two on either side.
    assert len(long) - len(short) < 20 + 3 * 8 * channels + 7


def test_silence_is_digital_silence(codec, speech):
    waveform = with_silence(speech, 40_000, 48_000)
    decoded = codec.decompress(codec.compress(waveform, RATE, 3.0))[0]
    assert decoded.shape == waveform.shape
    # Frames that the silence cannot be told from are coded: the last of the speech rings out within two.
    assert not decoded[:, 40_000 + 960 : 88_000 - 960].any()
    assert decoded[:, 39_000:40_000].any() and decoded[:, 88_000:89_000].any()


@pytest.mark.parametrize("rate", [8000, 44_100])
def test_silence_is_silent_at_other_rates(codec, rate):
    waveform = tone(2, 6 * rate, rate)
    waveform[:, 2 * rate : 5 * rate] = 0
    decoded = codec.decompress(codec.compress(waveform, rate, 3.0))[0]
    middle = decoded[:, int(2.2 * rate) : int(4.8 * rate)]
    assert np.abs(middle).max() < 1e-6 and level(decoded[:, : 2 * rate]) > -60


@pytest.mark.parametrize("seconds", [0.1, 3.0, 100.0])
def test_nothing_but_silence(codec, seconds):
    waveform = np.zeros((1, round(seconds * RATE)), dtype=np.float32)
    data = codec.compress(waveform, RATE, 3.0)
    decoded = codec.decompress(data)[0]
    assert decoded.shape == waveform.shape
    if seconds >= 1:
        # Header, end, and a pause of 82 s each.
        assert len(data) < 130 and not decoded.any() and not bitstream.read_contents(data).bodies


def test_speech_before_a_pause_is_bit_for_bit_what_it_was(codec, speech):
    """Codes do not depend on what follows; and behind a pause the network begins as at a beginning."""
    waveform = with_silence(speech, 48_000, 48_000)
    whole = codec.compress(waveform, RATE, 3.0)
    decoded = codec.decompress(whole)[0]
    alone = codec.decompress(codec.compress(waveform[:, :48_000], RATE, 3.0))[0]
    assert np.array_equal(decoded[:, : 48_000 - 320], alone[:, : 48_000 - 320])


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 999), st.sampled_from([1, 4, 16, 20, 64]), st.booleans())
def test_bytes_do_not_depend_on_how_samples_are_pushed(codec, seed, packet_frames, dtx):
    draw = np.random.default_rng(seed)
    waveform = tone(1, 60_000, RATE)
    for start in draw.integers(0, 50_000, 3):
        waveform[:, start : start + int(draw.integers(1, 20_000))] *= 0 if draw.random() < 0.7 else 0.001
    sizes = [int(draw.choice([1, 37, 320, 999, 5000, 20_000])) for _ in range(30)]
    pieces = live(codec, waveform, sizes, 3.0, packet_frames, dtx=dtx)
    assert b"".join(pieces) == b"".join(live(codec, waveform, [], 3.0, packet_frames, dtx=dtx))
    blocks = np.split(waveform, np.cumsum(sizes), axis=1)
    whole = codec.compress(waveform, RATE, 3.0, dtx=dtx)
    assert codec.compress_blocks(iter(blocks), RATE, 1, 3.0, dtx=dtx) == whole
    decoder = codec.stream_decoder()
    heard = np.concatenate([*(decoder.push(piece) for piece in pieces), decoder.flush()], axis=1)
    file = codec.decompress(b"".join(pieces))[0]
    assert np.array_equal(heard[:, : file.shape[1]], file) and file.shape == waveform.shape


@pytest.mark.parametrize("packet_frames", [1, 2, 5])
def test_live_packets_with_pauses(codec, packet_frames):
    """Nothing waits: while there is silence a pause of a packet's length comes as soon as a packet would."""
    waveform = tone(1, 64_000, RATE)
    waveform[:, 16_000:48_000] = 0
    encoder, decoder = codec.stream_encoder(RATE, 1, 3.0, packet_frames), codec.stream_decoder()
    sound, size, quiet, items = [], packet_frames * 320, [], 0
    for start in range(0, 64_000, size):
        pieces = encoder.push(waveform[:, start : start + size])
        items += len(pieces)
        if 26_000 < start < 47_000:
            quiet += pieces
        sound += [decoder.push(piece) for piece in pieces]
    assert items == 64_000 // size + 1
    # Mark, frames, no noise, check.
    assert quiet and {len(piece) for piece in quiet} == {7} and {piece[0] for piece in quiet} == {0x81}
    sound = np.concatenate(sound, axis=1)
    assert decoder.lost == 0 and not sound[:, 27_000:47_000].any() and sound[:, 50_000:].any()


def test_a_pause_that_is_lost_is_silent_too(codec):
    waveform = tone(1, 64_000, RATE)
    waveform[:, 16_000:48_000] = 0
    pieces = live(codec, waveform, [], 3.0, 4)
    number = next(i for i, piece in enumerate(pieces) if piece[0] == 0x81)
    whole = codec.decompress(b"".join(pieces))[0]
    decoder = codec.stream_decoder()
    received = [None if i in (number, number + 3) else piece for i, piece in enumerate(pieces)]
    sound = np.concatenate([*(decoder.push(piece) for piece in received), decoder.flush()], axis=1)
    assert decoder.lost == 2 and np.array_equal(sound[:, 50_000:64_000], whole[:, 50_000:])
    assert np.array_equal(sound[:, :12_000], whole[:, :12_000])


def noisy(seconds_before, seconds, seconds_after, decibels, seed=0, channels=1, colour=None):
    """Tone, then steady noise, then tone, with the noise under all of it."""
    samples = round((seconds_before + seconds + seconds_after) * RATE)
    noise = np.random.default_rng(seed).standard_normal((channels, samples))
    if colour is not None:
        noise = np.stack([np.convolve(row, colour, "same") for row in noise])
    noise *= 10 ** (decibels / 20) / np.sqrt(np.square(noise).mean())
    voice = tone(channels, samples, RATE)
    voice[:, round(seconds_before * RATE) : round((seconds_before + seconds) * RATE)] = 0
    return (voice + noise).astype(np.float32)


@pytest.mark.parametrize("decibels", [-45, -60, -75])
@pytest.mark.parametrize("colour", [None, [1.0, 0.9, 0.7, 0.4, 0.1]])
def test_comfort_noise_has_the_level_of_the_noise(codec, decibels, colour):
    waveform = noisy(1.5, 4.0, 1.5, decibels, colour=colour)
    data = codec.compress(waveform, RATE, 3.0, dtx=True)
    plain = codec.compress(waveform, RATE, 3.0)
    pauses = pauses_of(data)
    assert pauses and all(pause.noise for pause in pauses) and not pauses_of(plain)
    frames = sum(pause.frames for pause in pauses)
    assert frames > 2.5 * 50 and len(data) < 0.8 * len(plain)
    decoded = codec.decompress(data)[0]
    start = max(pauses, key=lambda pause: pause.frames).start * 320
    middle = slice(start + 1000, start + 1000 + 16_000)
    assert abs(level(decoded[:, middle]) - level(waveform[:, middle])) < 1.5


def test_comfort_noise_has_the_colour_of_the_noise():
    """The spectrum of what is described and made again is that of the noise, within a few dB."""
    noise = np.convolve(np.random.default_rng(0).standard_normal(200_000), [1.0, 0.9, 0.7, 0.4, 0.1], "same") * 1e-3
    correlation = np.array([(noise[: noise.size - lag] * noise[lag:]).mean() for lag in range(5)])
    described = describe(correlation)
    assert len(described) == 5
    made = comfort_noise(described, 0, 2, 200_000)
    assert abs(np.corrcoef(made)[0, 1]) < 0.02
    for samples in made:
        assert abs(level(samples) - level(noise)) < 0.7
        for low, high in ((100, 1000), (1000, 3000), (3000, 5000)):
            bands = [
                10 * np.log10(np.square(np.abs(np.fft.rfft(x)))[low * 200_000 // RATE : high * 200_000 // RATE].mean())
                for x in (samples.astype(np.float64), noise)
            ]
            assert abs(bands[0] - bands[1]) < 3, (low, high, bands)


@pytest.mark.parametrize(
    "noise", [b"\x00", b"\x7f", bytes([60, 1, 253, 1, 253]), bytes([40] + [0] * 31), bytes([127] * 32)]
)
def test_any_description_of_noise_is_finite(codec, noise):
    made = comfort_noise(noise, 7, 1, 16_000)
    assert np.isfinite(made).all() and abs(level(made) + noise[0]) < 1.5


def test_noise_does_not_depend_on_where_decoding_began(codec):
    waveform = np.concatenate([noisy(1.5, 3.0, 1.5, -55, seed) for seed in range(4)], axis=1)
    data = codec.compress(waveform, RATE, 2.0, dtx=True)
    assert pauses_of(data)
    whole = codec.decompress(data)[0]
    for start in (2.5, 9.0, 15.5, 20.1):
        playback = codec.play(bitstream.Reader(io.BytesIO(data), strict=True), Span(start, 2.0))
        part = np.concatenate(list(playback.blocks()), axis=1)
        assert np.array_equal(part, whole[:, round(start * RATE) :][:, : 2 * RATE]), start


@pytest.mark.parametrize("low", [1.0, 1.5, 2.7])
@pytest.mark.parametrize("dtx", [False, True])
def test_truncated_equals_compressed_with_pauses(codec, low, dtx):
    waveform = np.concatenate([noisy(1.5, 3.0, 1.5, -55, seed, 2) for seed in range(2)], axis=1)
    waveform = with_silence(with_silence(waveform, 50_000, 30_000), 120_000, 50_000)
    high = codec.compress(waveform, RATE, 6.0, dtx=dtx)
    assert {bool(pause.noise) for pause in pauses_of(high)} == ({False, True} if dtx else {False})
    expected = codec.compress(waveform, RATE, low, dtx=dtx)
    assert bitstream.truncate(high, low) == expected
    assert bitstream.truncate(bitstream.truncate(high, 3.0), low) == expected
    seconds = waveform.shape[1] / RATE
    # Silence pays for more stages of the speech, up to those of the bitrate, rounded up.
    assert len(expected) <= low * 2 * 125 * seconds
    live_high, live_low = (
        b"".join(codec.compress_live(iter([waveform]), RATE, 2, rate, dtx=dtx)) for rate in (6.0, 1.5)
    )
    assert bitstream.truncate(live_high, 1.5) == live_low


def test_live_budgets_with_pauses(codec):
    """Within the bitrate at every moment from 10 s on, though pauses save up for what follows."""
    waveform = tone(1, 30 * RATE, RATE)
    waveform[:, 4 * RATE : 12 * RATE] = 0
    encoder, size, samples = codec.stream_encoder(RATE, 1, 2.0, 10), 0, 0
    for start in range(0, 30 * RATE, 3200):
        size += sum(map(len, encoder.push(waveform[:, start : start + 3200])))
        samples += 3200
        if samples >= 10 * RATE:
            assert 8 * size <= 2000 * samples / RATE
    assert 8 * (size + sum(map(len, encoder.flush()))) <= 2000 * 30


def test_faint_sound_is_no_silence(codec):
    """One step of 16-bit audio now and then is sound: nothing above half a step is left out."""
    waveform = np.zeros((1, 64_000), dtype=np.float32)
    waveform[0, ::200] = 2.0**-15
    assert not pauses_of(codec.compress(waveform, RATE, 3.0))
    waveform[0, ::200] = 2.0**-17
    assert pauses_of(codec.compress(waveform, RATE, 3.0))
    # A channel that speaks keeps the others.
    both = np.concatenate([waveform, tone(1, 64_000, RATE)])
    assert not pauses_of(codec.compress(both, RATE, 3.0))


def test_a_damaged_pause_costs_that_pause(codec):
    waveform = with_silence(tone(1, 5 * RATE, RATE), 40_000, 48_000)
    data = codec.compress(waveform, RATE, 3.0)
    whole = codec.decompress(data)[0]
    contents = bitstream.read_contents(data)
    place = contents.header_bytes
    for item in contents.items:
        if isinstance(item, Pause):
            break
        place += item.size
    for broken in (
        data[: place + 1] + bytes([data[place + 1] ^ 1]) + data[place + 2 :],
        data[:place] + data[place + 1 :],
    ):
        decoded = codec.decompress(broken, strict=False)[0]
        assert decoded.shape == whole.shape
        assert np.array_equal(decoded[:, 100_000:], whole[:, 100_000:])
        assert np.abs(decoded[:, 45_000:87_000]).max() == 0


def test_the_command_and_info(tiny_model, tmp_path, capsys):
    waveform = noisy(1.5, 4.0, 1.5, -55)
    soundfile.write(tmp_path / "a.wav", waveform.T, RATE)
    arguments = ["compress", str(tmp_path / "a.wav"), "--model", str(tiny_model)]
    assert cli.main([*arguments, str(tmp_path / "plain.grit")]) == 0
    assert cli.main([*arguments, str(tmp_path / "dtx.grit"), "--dtx"]) == 0
    sizes = [(tmp_path / f"{name}.grit").stat().st_size for name in ("plain", "dtx")]
    assert sizes[1] < 0.8 * sizes[0]
    capsys.readouterr()
    assert cli.main(["info", str(tmp_path / "dtx.grit")]) == 0
    assert "pause seconds" in capsys.readouterr().out
