"""What the listening page says, and what it calls things: without a browser."""

import re
import threading
from itertools import pairwise

import demo_views
import pytest
from demo_views import KEY, published, quiet, wav

from gritcodec.demo import blindtest, markup, opus, page
from gritcodec.demo.views import CLIPS, PAIRS
from gritcodec.sound import endings

codec, workspace, views, upload = demo_views.codec, demo_views.workspace, demo_views.views, demo_views.upload


def names(html):
    return re.findall(r'download="([^"]+)"', html)


def test_downloads_are_called_by_what_was_asked_for(views, workspace, upload):
    html = views.open_upload(KEY, upload("talk.wav", wav(2)), 3.0, quiet)
    assert names(html) == ["talk-3kbps.grit", "talk-3kbps.wav"]
    data = published(workspace, html, ".grit").read_bytes()
    # What comes back keeps its name; at another bitrate it is called by that one alone.
    again = views.open_upload(KEY, upload("talk-3kbps.grit", data), 6.0, quiet)
    assert names(again) == ["talk-3kbps.grit", "talk-3kbps.wav"] and "as uploaded" in again
    assert names(views.listen(KEY, 1.5, False, quiet)) == ["talk-1.5kbps.grit", "talk-1.5kbps.wav"]
    assert names(views.listen(KEY, 6.0, False, quiet)) == ["talk-3kbps.grit", "talk-3kbps.wav"]
    assert names(views.loss(KEY, 1.5, 10, 0, quiet))[0] == "talk-1.5kbps-10-percent-lost.grit"
    assert names(views.open_upload(KEY, upload("other.grit", data), 6.0, quiet))[0] == "other.grit"


def test_a_clip_is_called_by_its_title(views):
    for clip in CLIPS:
        assert f"<h3>{clip} <span>3 kbps</span>" in views.open_clip(KEY, clip, 3.0, quiet, False)


@pytest.mark.parametrize("bitrate", [None, 99, -1, float("nan"), "3", [3]])
def test_what_is_no_bitrate_is_refused_everywhere(views, bitrate):
    clip = next(iter(CLIPS))
    views.open_clip(KEY, clip, 3.0, quiet)
    for answer in (
        views.refusal(bitrate),
        views.open_clip(KEY, clip, bitrate, quiet),
        views.listen(KEY, bitrate, False, quiet),
        views.loss(KEY, bitrate, 10, 0, quiet),
        views.codes(KEY, bitrate, quiet),
        views.ask(KEY, next(iter(PAIRS)), bitrate, quiet),
    ):
        assert answer.startswith('<div class="problem"') and "type a number from 0.5 to 6" in answer
    assert views.refusal(3.3) == "" and "<audio" in views.listen(KEY, 3.3, False, quiet)


def test_the_slider_neither_ends_nor_waits_for_the_coding_of_a_long_recording(views, upload):
    said = []

    def move_the_slider(*_):
        # From another thread, as the page does: whoever waited for the work would wait for ever.
        mover = threading.Thread(target=lambda: said.append(views.postponed(KEY, 1.0)))
        mover.start()
        mover.join()

    html = views.open_upload(KEY, upload("long.wav", wav(12)), 3.0, move_the_slider)
    assert "<audio" in html and said and all("Press Listen for 1 kbps" in each for each in said)


def test_a_failed_take_leaves_the_one_before(views, workspace, upload):
    first = views.open_upload(KEY, upload("long.wav", wav(12)), 3.0, quiet)
    kept = published(workspace, first, ".wav")
    folders = set(kept.parent.parent.iterdir())

    def fail(*_):
        raise OSError(28, "No space left on device")

    assert "No space left" in views.listen(KEY, 1.0, False, fail)
    assert kept.exists() and set(kept.parent.parent.iterdir()) == folders
    assert "<audio" in views.listen(KEY, 3.0, False, quiet)


def test_without_pyav_a_line_says_what_reads_m4a(views, upload, monkeypatch):
    monkeypatch.setattr(endings, "has_av", lambda: False)
    html = views.open_upload(KEY, upload("talk.m4a", b"\0\0\0\x20ftypM4A " + bytes(100)), 3.0, quiet)
    text = re.sub(r"<[^>]+>", "", html)
    assert "cannot read talk.m4a" in text and "gritcodec[av]" in text and "\n" not in text
    assert "pip install 'gritcodec[av]'" in page._taken(1e9, 5400)
    monkeypatch.setattr(endings, "has_av", lambda: True)
    assert "mp4" in page._taken(1e9, 5400) and "pip" not in page._taken(1e9, 5400)


@pytest.mark.parametrize(
    ("right", "asked", "words"),
    [
        (0, 0, "0 of 0 right."),
        (0, 1, "proves nothing yet: guessing alone gets this far in 100 of 100 tries"),
        (3, 4, "proves nothing yet: guessing alone gets this far in 31 of 100 tries"),
        (5, 5, "You hear the difference: guessing alone gets this far in 3 of 100 tries"),
        (12, 12, "You hear the difference: guessing alone gets this far in fewer than 1 of 100 tries"),
    ],
)
def test_the_score_says_what_it_proves(right, asked, words):
    assert words in markup.score(("original", "Opus"), blindtest.Score(right, asked))


@pytest.mark.skipif(not opus.available(), reason="needs opusenc")
@pytest.mark.parametrize("channels", [1, 2])
def test_opus_is_there_once_for_each_sound(views, upload, channels):
    views.open_upload(KEY, upload("talk.wav", wav(4, channels=channels)), 3.0, quiet)
    rows = re.findall(r'<tr class="opus".*?</tr>', views.comparison(KEY, 3.0, quiet))
    costs = [float(re.search(r'class="kbps">([\d.]+)<', row)[1]) for row in rows]
    assert costs and costs == sorted(costs)
    assert all(after > 1.02 * before for before, after in pairwise(costs))
    assert sum("its least" in row for row in rows) == 1 and "its least" in rows[0]
