"""`compress --packet`: what a packet holds is what a pipe is late by, and what damage costs."""

import json
import subprocess

import numpy as np
import pytest
import soundfile
from conftest import tone
from test_cli_installed import COMMAND, run

RATE = 16_000


def packets(path):
    return json.loads(run("info", path, "--json").out)["packets"]


def test_packets_hold_what_was_asked_for(tmp_path, tiny_model):
    soundfile.write(tmp_path / "in.wav", tone(1, 12 * RATE, RATE).T, RATE)
    sizes = {}
    for asked, count in ((None, 10), ("0.32", 38), ("80ms", 151), ("2s", 7), ("10s", 2)):
        out = tmp_path / f"{asked}.grit"
        options = [] if asked is None else ["--packet", asked]
        done = run("compress", tmp_path / "in.wav", out, "--model", tiny_model, *options)
        assert (done.code, done.err) == (0, "") and packets(out) == count
        assert run("decompress", out, tmp_path / "back.wav", "--model", tiny_model, "--force").code == 0
        assert soundfile.info(tmp_path / "back.wav").frames == 12 * RATE
        sizes[asked] = out.stat().st_size
    assert all(8 * size / 12 <= 3010 for size in sizes.values())


@pytest.mark.parametrize("seconds", [5, pytest.param(11, marks=pytest.mark.slow)])
def test_short_packets_keep_to_the_bitrate_or_say_so(tmp_path, seconds):
    """What packets have beside their bodies is paid out of the bitrate, in short recordings too."""
    soundfile.write(tmp_path / "in.wav", tone(1, 16_000 * seconds, 16_000)[0], 16_000)
    for packet, asked, said in (("40ms", 3, ""), ("80ms", 6, ""), ("20ms", 1, "packets of 20 ms cost 3")):
        done = run("compress", tmp_path / "in.wav", tmp_path / "out.grit", "--packet", packet, "-b", asked, "--force")
        kbps = json.loads(run("info", tmp_path / "out.grit", "--json").out)["kbps"]
        assert done.code == 0 and ((kbps < 1.1 * asked and done.err == "") if not said else said in done.err)


@pytest.mark.parametrize("asked", ["0", "5ms", "11s", "64 frames", "nan", "-1"])
def test_no_such_packet(tmp_path, tiny_model, asked):
    soundfile.write(tmp_path / "in.wav", tone(1, RATE, RATE).T, RATE)
    # With a model whose frames have 20 ms: 10 ms would be a half of one.
    run(
        "compress", tmp_path / "in.wav", tmp_path / "out.grit", "--model", tiny_model, "--packet", asked
    ).assert_refused()
    assert not (tmp_path / "out.grit").exists()


def test_results_in_other_packets_are_kept_with_a_word(tmp_path, tiny_model):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", tone(1, 4 * RATE, RATE).T, RATE)
    folders = "compress", tmp_path / "in", tmp_path / "out", "--model", tiny_model
    assert run(*folders).code == 0
    again = run(*folders, "--packet", "80ms")
    assert again.code == 0 and "made in packets of 1.28 s, not 0.08" in again.err
    assert "made in packets" not in run(*folders).err
    assert run(*folders, "--packet", "80ms", "--force").code == 0 and packets(tmp_path / "out" / "a.grit") > 40


def test_a_pipe_gives_a_packet_as_soon_as_its_sound_is_there(tmp_path, tiny_model):
    sound = (tone(1, RATE, RATE)[0] * 30_000).astype("<i2").tobytes()
    command = [*COMMAND, "compress", "-", "-", "--raw", "s16le", "--rate", "16k", "--packet", "80ms"]
    command += ["--model", str(tiny_model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(sound)
        process.stdin.flush()
        # Nothing ends the input: what comes now comes of a second of sound, which no packet of 1.28 s would hold.
        head = process.stdout.read(100)
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(60) == 0
    (tmp_path / "live.grit").write_bytes(head + rest)
    back = run("decompress", tmp_path / "live.grit", "-", "--raw", "s16le", "--model", tiny_model)
    assert back.code == 0 and len(np.frombuffer(back.bytes, "<i2")) == RATE
