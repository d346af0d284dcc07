"""The listening page without a browser: what its parts do, what they refuse, what they leave behind."""

import io
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import demo_views
import numpy as np
import pytest
import soundfile
from conftest import heed_interrupts, tone
from demo_views import KEY, published, quiet, wav
from PIL import Image

from gritcodec import bitstream
from gritcodec.bitstream import MAGIC, Reader
from gritcodec.cli import app as cli
from gritcodec.codec.codec import load
from gritcodec.demo import blindtest, compare, opus, packetloss, pictures, server
from gritcodec.demo.limits import Limits
from gritcodec.demo.views import CLIPS, PAIRS, Views
from gritcodec.demo.workspace import Workspace, adopt, safe_stem
from gritcodec.engine import store
from gritcodec.errors import CorruptFileError, UsageError
from gritcodec.train.contexts import write as write_contexts

# What the tests of the page's parts share.
codec, workspace, views, upload = demo_views.codec, demo_views.workspace, demo_views.views, demo_views.upload


def test_help_loads_neither_gradio_nor_torch():
    code = (
        "import sys; from gritcodec.cli.app import main; main(['demo', '--help']); "
        "print([name for name in ('gradio', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]") and "--max-upload" in done.stdout


def test_a_taken_port_is_one_line(capsys):
    listener = server._listen("127.0.0.1", 0)
    port = str(listener.getsockname()[1])
    assert cli.main(["demo", "--port", port]) == 2
    listener.close()
    assert capsys.readouterr().err.startswith(f"gritcodec: error: cannot listen on 127.0.0.1, port {port}")


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_is_one_line(times, tiny_model):
    """While a page is open, whose connection is cut off, and for somebody who has no patience, too."""
    command = [sys.executable, "-m", "gritcodec", "demo", "--port", "0", "--no-open", "--model", tiny_model]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, preexec_fn=heed_interrupts) as page:
        assert page.stdout is not None and page.stderr is not None
        address = re.search(r"http\S+", page.stdout.readline())
        assert address is not None
        # What an open page holds on to: the server waits for two seconds until it lets go.
        with urllib.request.urlopen(address[0] + "gradio_api/heartbeat/visitor") as answer:
            assert answer.status == 200
            for _ in range(times):
                page.send_signal(signal.SIGINT)
                time.sleep(0.3)
            assert (page.wait(30), page.stderr.read()) == (130, "gritcodec: interrupted\n")


@pytest.mark.parametrize("clip", CLIPS)
def test_bundled_clips_play(views, workspace, clip):
    html = views.open_clip(KEY, clip, 3.0, quiet)
    grit = published(workspace, html, ".grit")
    assert f"{grit.stat().st_size:,} bytes" in html and "data-play" in html
    assert soundfile.info(published(workspace, html, ".wav")).frames == soundfile.info(CLIPS[clip]).frames


def test_an_upload_at_any_rate_and_its_grit_uploaded_again(views, workspace, upload, codec):
    html = views.open_upload(KEY, upload("talk.wav", wav(1.5, 44100, 2)), 6.0, quiet)
    data = published(workspace, html, ".grit").read_bytes()
    assert data == codec.compress(soundfile.read(io.BytesIO(wav(1.5, 44100, 2)))[0].T, 44100, 6.0)
    again = views.open_upload(KEY, upload("talk.grit", data), 1.0, quiet)
    assert published(workspace, again, ".grit").read_bytes() == data and f"{len(data):,} bytes" in again
    assert views.bitrate_of(KEY) == 6.0
    lower = views.listen(KEY, 2.0, False, quiet)
    assert published(workspace, lower, ".grit").read_bytes() == bitstream.truncate(data, 2.0)
    assert "holds no original" in views.listen(KEY, 2.0, True, quiet)
    assert "holds no original" in views.comparison(KEY, 3.0, quiet)
    assert "<img" in views.codes(KEY, 2.0, quiet)


def test_a_page_with_effort_takes_it(codec, workspace, upload):
    page = Views(codec, workspace, Limits(effort=1))
    html = page.open_upload(KEY, upload("talk.wav", wav(1.5, 16000, 1)), 6.0, quiet)
    sound = soundfile.read(io.BytesIO(wav(1.5, 16000, 1)))[0][None]
    data = published(workspace, html, ".grit").read_bytes()
    assert data == codec.compress(sound, 16000, 6.0, effort=1) != codec.compress(sound, 16000, 6.0)


def test_the_original_is_what_was_uploaded(views, workspace, upload):
    data = wav(1)
    views.open_upload(KEY, upload("talk.wav", data), 3.0, quiet)
    html = views.listen(KEY, 3.0, True, quiet)
    sent = soundfile.read(io.BytesIO(data), dtype="int16")[0]
    np.testing.assert_array_equal(soundfile.read(published(workspace, html, ".wav"), dtype="int16")[0], sent)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("words.wav", b"no sound at all", "cannot read words.wav as audio"),
        ("empty.wav", b"", "empty.wav is empty"),
        ("<b>x</b>.wav", b"no sound", "as audio"),
        ("old.grit", b"grit nonsense", "grit"),
        ("long.wav", wav(31), "too long for this page: it takes 0.5 minutes at most"),
        ("many.wav", wav(12, 4000, 8), "at most in 8 channels"),
        ("large.wav", wav(16, 44100), "too large for this page: it takes 1 MB at most"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_a_line(views, workspace, upload, name, data, words):
    html = views.open_upload(KEY, upload(name.replace("/", "_"), data), 3.0, quiet)
    assert html.startswith('<div class="problem"') and words in html
    assert str(workspace.root) not in html and "<b>x" not in html
    assert "choose a recording first" in views.listen(KEY, 3.0, False, quiet)


def test_a_file_that_does_not_tell_its_length_is_stopped(views, upload, codec):
    *pieces, _ = codec.compress_live([tone(1, 16000, 16000)] * 34, 16000, 1, 0.5)
    html = views.open_upload(KEY, upload("endless.grit", b"".join(pieces)), 3.0, quiet)
    assert "too long for this page" in html
    assert "<audio" in views.open_upload(KEY, upload("cut.grit", b"".join(pieces[:3])), 3.0, quiet)


def test_a_file_of_another_model_is_refused(views, upload, other_model):
    data = load(other_model).compress(tone(1, 16000, 16000), 16000, 3.0)
    assert "none of the shipped ones" in views.open_upload(KEY, upload("other.grit", data), 3.0, quiet)


def test_a_damaged_file_plays_and_says_what_is_lost(views, upload, codec):
    data = bytearray(codec.compress(tone(1, 64000, 16000), 16000, 3.0))
    data[len(data) // 2] ^= 255
    html = views.open_upload(KEY, upload("hurt.grit", bytes(data)), 3.0, quiet)
    assert "<audio" in html and "lost 1.28 s to 2.56 s" in html
    assert "damaged" in views.loss(KEY, 6.0, 10, 0, quiet)


def test_long_recordings_wait_for_the_button_and_keep_one_take(views, workspace, upload):
    seen = []
    first = views.open_upload(KEY, upload("long.wav", wav(12)), 3.0, lambda *now: seen.append(now))
    assert [now[0] for now in seen if now[1] > 11] and {now[0] for now in seen} == {
        "seconds compressed",
        "seconds decoded",
    }
    kept = published(workspace, first, ".wav")
    assert views.postponed(KEY, 3.0) == ""
    assert "Press Listen for 1 kbps" in views.postponed(KEY, 1.0) and kept.exists()
    there = []
    assert "<audio" in views.listen(KEY, 1.0, False, lambda *_: there.append(kept.exists()))
    assert all(there) and not kept.exists()


def test_work_ends_when_the_visitor_leaves(views, workspace, upload):
    path = upload("talk.wav", wav(9))

    def leave(*_):
        views.leave(KEY)

    assert "the page was closed" in views.open_upload(KEY, path, 3.0, leave)
    assert [entry.name for entry in workspace.root.iterdir() if entry.is_dir()] == ["uploads"]


def test_a_new_wish_ends_the_one_before(views, upload):
    views.open_upload(KEY, upload("long.wav", wav(12)), 1.0, quiet)
    results = []

    def ask_for_another(*_):
        if not asking.is_alive() and not results:
            asking.start()
            while views._workspace.session(KEY)._wish < 3:
                time.sleep(0.01)

    asking = threading.Thread(target=lambda: results.append(views.listen(KEY, 2.0, False, quiet)))
    assert "something else was asked for" in views.listen(KEY, 3.0, False, ask_for_another)
    asking.join()
    assert "2kbps.grit" in results[0]


def test_recordings_that_would_be_too_large_as_wav(views, upload):
    views.limits = Limits(wav_bytes=100_000, grit_bytes=1000)
    assert "more than 0 MB of sound" in views.open_upload(KEY, upload("a.wav", wav(1, 60000)), 3.0, quiet)
    assert "too large for this page" in views.open_upload(KEY, upload("a.grit", MAGIC + bytes(1000)), 3.0, quiet)


def test_entropy_coded_files_play_lose_packets_and_are_drawn(tiny_model, workspace, upload, tmp_path):
    sys.path.insert(0, str(Path(__file__).parent / "golden"))
    import contexts as golden

    network = store.load(tiny_model)
    store.save(tmp_path / "coded", network)
    write_contexts(tmp_path / "coded", network, golden.tensors(12, 10, 8, 8))
    views = Views(load(tmp_path / "coded"), workspace, Limits())
    data = published(workspace, views.open_upload(KEY, upload("a.wav", wav(11)), 3.0, quiet), ".grit").read_bytes()
    assert bitstream.parse_header(data)[0].coding == bitstream.ENTROPY
    assert "of 9 packets are gone" in views.loss(KEY, 3.0, 20, 0, quiet) and "<img" in views.codes(KEY, 3.0, quiet)
    html = views.open_upload(KEY, upload("a.grit", data), 6.0, quiet)
    assert published(workspace, html, ".grit").read_bytes() == data
    assert "of 9 packets are gone" in views.loss(KEY, 2.0, 20, 0, quiet) and "<img" in views.codes(KEY, 2.0, quiet)
    lower = published(workspace, views.listen(KEY, 2.0, False, quiet), ".grit").read_bytes()
    assert lower == bitstream.truncate(data, 2.0) and len(lower) < len(data)


def test_two_visitors_with_the_same_upload(views, workspace, upload):
    path = upload("talk.wav", wav(1))
    first, second = (views.open_upload(key, path, 3.0, quiet) for key in ("one", "two"))
    sound = published(workspace, second, ".wav")
    views.leave("one")
    assert workspace.find(first.split("sound/")[1].split("/")[0]) is None
    assert sound.exists() and "<audio" in views.listen("two", 1.0, False, quiet)


def test_file_names_cannot_escape(workspace, tmp_path):
    assert safe_stem("../../etc/passwd") == "passwd"
    assert safe_stem("C:\\music\\a b<c>.wav") == "a-b-c"
    assert safe_stem("...") == "recording" and safe_stem("шум.ogg") == "шум" and len(safe_stem("x" * 999)) == 60
    session = workspace.session("../../key")
    assert session.folder.parent == workspace.root and workspace.root.stat().st_mode & 0o077 == 0
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(1))
    (workspace.uploads / "link.wav").symlink_to(secret)
    for path in (secret, workspace.uploads / "link.wav", workspace.uploads / ".." / ".." / "secret.wav"):
        with pytest.raises(UsageError):
            adopt(session, path, workspace.uploads)


def test_folders_of_killed_servers_and_of_idle_visitors_go(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / "gritcodec-demo-dead"
    dead.mkdir()
    (dead / ".lock").touch()
    alive = Workspace(idle_seconds=-1)
    other = Workspace()
    assert not dead.exists() and alive.root.exists()
    upload = alive.uploads / "talk.wav"
    upload.touch()
    idle = alive.session("idle").folder
    assert upload.exists()
    monkeypatch.setattr("gritcodec.demo.workspace._UPLOAD_SECONDS", -1)
    alive.session("next")
    assert not idle.exists() and not upload.exists()
    alive.close()
    other.close()
    assert not list(tmp_path.iterdir())


def test_packets_are_really_taken_out(codec):
    data = codec.compress(tone(1, 16000 * 12, 16000), 16000, 3.0)
    ranges = packetloss.packet_ranges(data)
    for percent, count in ((0, 0), (1, 1), (30, 3), (100, 9)):
        lossy = packetloss.drop_packets(data, percent, seed=5)
        assert len(lossy.lost) == count and lossy.packets == 10
        gone = sum(end - begin for number, (begin, end) in enumerate(ranges) if number in lossy.lost)
        assert len(lossy.data) == len(data) - gone
        bodies = [packet.body for packet in Reader(io.BytesIO(lossy.data)).packets()]
        assert [number for number, body in enumerate(bodies) if body is None] == list(lossy.lost)
    assert packetloss.drop_packets(data, 30, 5) == packetloss.drop_packets(data, 30, 5)
    with pytest.raises(CorruptFileError):
        packetloss.drop_packets(lossy.data, 10, 0)
    with pytest.raises(UsageError, match="single packet"):
        packetloss.drop_packets(codec.compress(tone(1, 4000, 16000), 16000, 3.0), 10, 0)


def test_pictures(codec):
    data = codec.compress(tone(1, 16000 * 12, 16000), 16000, 6.0)
    kept = pictures.stages_kept(data, codec.bitrates, 500)
    codes = pictures.read_codes(codec, data, 500)
    assert kept.shape == (len(codec.bitrates), 500) and (np.diff(kept, axis=0) >= 0).all()
    whole = codec.encode(tone(1, 16000 * 12, 16000), 16000, 6.0).indices[0, :, :500]
    np.testing.assert_array_equal(codes[codes >= 0], whole[codes >= 0])
    for png, size in (
        (pictures.codes_png(codes), (500, len(codes))),
        (pictures.kept_png(kept, len(codes)), (500, len(codec.bitrates))),
        (pictures.spectrogram_png(np.zeros(100), 8000), (480, 150)),
    ):
        assert Image.open(io.BytesIO(png)).size == size


def test_examiner_asks_judges_and_counts():
    examiner, source = blindtest.Examiner(), random.Random(3)
    drawn = set()
    for number in range(40):
        trial = examiner.ask(("original", "Opus"), source)
        assert {trial.a, trial.b} == {"original", "Opus"} and trial.x in (trial.a, trial.b)
        drawn.add((trial.a, trial.x))
        judged, right = examiner.answer(says_a=(trial.x == trial.a) == (number < 30))
        assert judged == trial and right == (number < 30)
    assert len(drawn) == 4
    score = examiner.score(("Opus", "original"))
    assert (score.right, score.asked) == (30, 40) and score.chance == pytest.approx(0.0011, abs=1e-4)
    with pytest.raises(ValueError, match="no question"):
        examiner.answer(True)


def test_blind_files_tell_nothing(views, workspace):
    views.open_clip(KEY, next(iter(CLIPS)), 3.0, quiet)
    assert "begin a trial first" in views.answer(KEY, True)
    html = views.ask(KEY, next(iter(PAIRS)), 3.0, quiet)
    tokens = [part.split("/")[0] for part in html.split("sound/")[1:]]
    a, b, x = (workspace.find(token)[0] for token in tokens)
    assert (a.name, b.name, x.name) == ("A.wav", "B.wav", "X.wav")
    assert a.stat().st_size == b.stat().st_size == x.stat().st_size
    same_as_a, same_as_b = (x.read_bytes() == other.read_bytes() for other in (a, b))
    assert same_as_a != same_as_b
    verdict = views.answer(KEY, same_as_a)
    assert "Right." in verdict and "1 of 1 right" in verdict
    assert "choose what to compare" in views.ask(KEY, "nothing", 3.0, quiet)


@pytest.mark.skipif(not opus.available(), reason="needs opusenc")
def test_opus_comes_near_and_stays_aligned(tmp_path):
    original = tmp_path / "a.wav"
    waveform, rate = soundfile.read(CLIPS["Jane Austen, read aloud"], dtype="float32")
    soundfile.write(original, waveform, rate, subtype="PCM_16")
    take = opus.nearest(original, 24.0, tmp_path / "b.wav")
    assert take.kbps == pytest.approx(24, rel=0.1)
    decoded, decoded_rate = soundfile.read(take.wav, dtype="float32")
    assert decoded_rate == rate and decoded.shape == waveform.shape
    shift = np.argmax(np.correlate(decoded[16000:48000], waveform[16100:47900], "valid")) - 100
    assert abs(shift) <= 2


def test_a_comparison_begins_with_the_bitrate_at_hand(views):
    views.open_clip(KEY, next(iter(CLIPS)), 3.0, quiet)
    for bitrate in (views.codec.bitrates[0], views.codec.bitrates[-1]):
        (row,) = re.findall(r"<tr [^>]*aria-current=true.*?</tr>", views.comparison(KEY, bitrate, quiet))
        assert f"{bitrate:g} kbps</b>" in row
    assert "99 kbps is no bitrate" in views.comparison(KEY, 99.0, quiet)


def test_comparison_without_opus(views, monkeypatch):
    monkeypatch.setattr(opus, "available", lambda: False)
    monkeypatch.setattr(compare, "find_spec", lambda name: None)
    views.open_clip(KEY, next(iter(CLIPS)), 3.0, quiet)
    html = views.comparison(KEY, 3.0, quiet)
    assert html.count("<tr ") == 1 + len(views.codec.bitrates)
    # Nothing but a line that says what would add it: no column without a number.
    table = html.split("</table>")[0]
    assert "PESQ" not in table and "STOI" not in table and "Opus" not in table
    assert "pip install pesq adds PESQ" in html and "opus-tools puts Opus beside it" in html


def test_the_server_answers_to_its_own_names_alone(workspace, tiny_model, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(workspace.uploads))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    from fastapi.testclient import TestClient

    secret = workspace.root.parent / "secret.txt"
    secret.write_text("treasure")
    client = TestClient(server.application(str(tiny_model), "127.0.0.1", workspace, Limits()), "http://127.0.0.1:80")
    front = client.get("/")
    assert front.status_code == 200 and "default-src 'self'" in front.headers["content-security-policy"]
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/gradio_api/file=http://127.0.0.1:1/x").status_code == 403
    for path in (secret, Path("/etc/passwd")):
        answer = client.get(f"/gradio_api/file={path}")
        assert answer.status_code == 403 and b"treasure" not in answer.content
    for path in ("sound/unknown/a.wav", "sound/../../secret.txt", "sound/%2e%2e/secret.txt"):
        assert client.get(f"/{path}").status_code == 404
    session = workspace.session(KEY)
    file = session.fresh("a.wav")
    file.write_bytes(wav(0.1))
    address = session.publish(file, "a.wav")
    part = client.get(f"/{address}", headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"RIFF", "audio/wav")
    session.clear()
    assert client.get(f"/{address}").status_code == 404
