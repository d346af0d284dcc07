"""How the listening page looks and what it says: on a desktop, on a phone, in the dark, when something is wrong."""

import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import chromium
import demo_pages
import pytest
import soundfile
from conftest import tone
from demo_pages import save, send, shown, wait_for_change

from gritcodec.demo import compare, opus
from gritcodec.sound import endings

pytestmark = [chromium.needed, pytest.mark.xdist_group("browser")]

home, address, browser = demo_pages.home, demo_pages.address, demo_pages.browser
context, visit, page = demo_pages.context, demo_pages.visit, demo_pages.page

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="module")
def limits():
    """Room for a recording that is too long to be coded unasked."""
    return ["--max-upload", "8MB", "--max-minutes", "3"]


def states(page):
    """Lead the page through all it can show, and name each."""
    yield "clips"
    page.click("#tab-upload-button")
    page.wait_for_selector("#upload:visible")
    yield "upload"
    page.click("#tab-microphone-button")
    page.wait_for_selector("#microphone button.record:visible")
    yield "microphone"
    page.click("#compare")
    page.wait_for_selector("#table")
    yield "comparison"
    page.click("#tab-abx-button")
    page.click("#ask")
    page.wait_for_selector("#trial audio >> nth=2")
    page.wait_for_selector("#is-a:visible")
    yield "question"
    page.click("#is-a")
    page.wait_for_selector("#verdict .score")
    yield "verdict"
    page.click("#tab-loss-button")
    page.click("#drop")
    page.wait_for_selector("#loss .damage")
    yield "loss"
    page.click("#tab-codes-button")
    page.click("#draw")
    page.wait_for_selector("#codes figure >> nth=1")
    page.wait_for_function("[...document.querySelectorAll('#codes img')].every(it => it.naturalWidth > 0)")
    yield "codes"
    page.locator("#number input").fill("99")
    page.keyboard.press("Enter")
    page.wait_for_selector("#notice .problem")
    yield "notice"
    page.click("#version label:has-text('Original')")
    page.wait_for_selector("#card .original audio")
    yield "original"


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_every_word_can_be_read(visit, scheme):
    page = visit(**DESKTOP, color_scheme=scheme)
    # What moves and fades is looked at when it stands still.
    page.emulate_media(reduced_motion="reduce")
    page.add_style_tag(content="* { transition: none !important; animation: none !important }")
    for state in states(page):
        page.mouse.move(0, 0)
        page.wait_for_function("!document.querySelector('[data-testid=status-tracker]:not(.hide) .progress-text')")
        found = page.evaluate(CONTRAST)
        assert found["seen"] > 30 and not found["poor"], (state, found["poor"])


@pytest.mark.parametrize("width", [pytest.param(390, marks=pytest.mark.slow), 360])
def test_a_phone_shows_all_of_it(visit, width):
    page = visit(**{**PHONE, "viewport": {"width": width, "height": 844}})
    for state in states(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= width, state
        tabs = page.locator("#views [role=tab]:visible")
        assert tabs.all_inner_texts() == ["All bitrates", "Blind test", "Packet loss", "Codes"]
        boxes = [tab.bounding_box() for tab in tabs.all()]
        assert len({box["y"] for box in boxes}) == 1 and boxes[-1]["x"] + boxes[-1]["width"] <= width
        if state == "comparison":
            assert page.evaluate("document.documentElement.scrollHeight") <= 2500
            table = page.locator("#table").bounding_box()
            assert table["x"] >= 0 and table["x"] + table["width"] <= width
            # The column that has no room is folded into the one before it.
            assert page.inner_text("#table thead th:nth-child(3)").split() == ["bytes", "smaller"]
            assert re.fullmatch(r"[\d,]+\s+\d+ x", page.locator("#table tr.gritcodec td.bytes").first.inner_text())
            # What plays and its picture stay in sight beside the last row.
            page.locator("#table tr").last.scroll_into_view_if_needed()
            page.wait_for_function("document.querySelector('.stage').getBoundingClientRect().top >= 0")
        if state == "codes":
            sizes = "[...document.querySelectorAll('#codes *')].map(it => parseFloat(getComputedStyle(it).fontSize))"
            assert min(page.evaluate(sizes)) >= 12
            # A column of the picture is no thinner than it can be seen; a line says that it goes on.
            assert page.evaluate("(it => it.clientWidth / it.naturalWidth)(document.querySelector('#codes img'))") >= 3
            assert page.locator("#codes .swipe").first.is_visible()
            scrolled = "(it => { it.scrollLeft = 999; return it.scrollLeft })(document.querySelector('#codes .scroll'))"
            assert page.evaluate(scrolled) > 100


def test_a_desktop_leaves_no_holes(page):
    """What is chosen stands as high as what comes of it, and no row of tiles is half empty."""
    left, right = (page.locator(f"#top > .column >> nth={at}").bounding_box() for at in (0, 1))
    listen, card = page.locator("#listen").bounding_box(), page.locator("#card section").bounding_box()
    ends = [box["y"] + box["height"] for box in (listen, card)]
    assert left["y"] == right["y"] and abs(ends[0] - ends[1]) < 70
    tiles = [tile.bounding_box() for tile in page.locator("#card .facts > div").all()]
    assert len({tile["y"] for tile in tiles}) == 1
    whole = page.locator("#card .facts").bounding_box()
    assert abs(tiles[-1]["x"] + tiles[-1]["width"] - whole["x"] - whole["width"]) < 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_numbers_that_are_no_bitrate(page, home):
    before, number = shown(page), page.locator("#number input")
    for typed, words in (
        ("99", "99 kbps is no bitrate of this model: type a number from 0.5 to 6"),
        ("", "there is no bitrate here: type a number from 0.5 to 6"),
        ("-1", "-1 kbps is no bitrate of this model"),
    ):
        number.fill(typed)
        number.press("Enter")
        page.wait_for_selector(f"#notice .problem:has-text('{words}')")
        assert page.input_value("#bitrate input[type=range]") == "3" and shown(page) == before
    number.fill("")
    # Leaving the box is as good as Enter.
    number.blur()
    page.wait_for_selector("#notice .problem:has-text('there is no bitrate here')")
    # The line that comes when a button is pressed moves no button away from under the pointer.
    number.fill("98")
    page.hover("#listen")
    page.mouse.down()
    page.wait_for_selector("#notice .problem:has-text('98 kbps')")
    page.mouse.up()
    page.wait_for_selector("#notice .problem", state="detached")
    page.wait_for_function("document.querySelector('#number input').value === '3'")
    number.fill("4.5")
    number.press("Enter")
    wait_for_change(page, before)
    page.wait_for_selector("#notice .problem", state="detached")
    page.wait_for_function("document.querySelector('#bitrate input[type=range]').value === '4.5'")
    page.locator("#bitrate input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#number input').value === '5'")
    page.wait_for_selector("#card h3:has-text('5 kbps')")
    assert page.locator(".toast-body").count() == 0
    assert "Traceback" not in (home / "errors").read_text()


def test_one_player_at_a_time(page):
    page.click("#tab-abx-button")
    page.click("#ask")
    page.wait_for_selector("#trial audio >> nth=2")
    playing = "[...document.querySelectorAll('audio')].flatMap((it, at) => it.paused ? [] : [at])"
    # The card's player is the first of the page.
    for at in (1, 2, 3, 1, 0, 3):
        page.locator("audio").nth(at).focus()
        page.keyboard.press("Space")
        page.wait_for_function(f"at => JSON.stringify({playing}) === `[${{at}}]`", arg=at)
    # Gradio's own player of a recording is in no document.
    page.evaluate("window.loose = new Audio(document.querySelector('#trial audio').src); loose.play()")
    page.wait_for_function(f"!loose.paused && {playing}.length === 0")
    page.evaluate("document.querySelector('#card audio').play()")
    page.wait_for_function(f"loose.paused && {playing}.join() === '0'")


def test_screen_readers_hear_words(visit):
    page = visit()
    page.evaluate(
        """() => {
            window.said = [];
            new MutationObserver(() => {
                const spoken = document.querySelectorAll("[role=status], [aria-live]");
                for (const it of spoken) said.push(it.textContent.trim());
            }).observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )
    page.click("#listen")
    page.wait_for_function("said.includes('Done')")
    assert not [text for text in page.evaluate("said") if re.match(r"\w+\.\w+$", text)]


def test_stereo_is_told_per_channel(page, tmp_path):
    soundfile.write(tmp_path / "pair.wav", tone(2, 16000 * 4, 16000).T, 16000)
    send(page, tmp_path / "pair.wav")
    page.wait_for_selector("#card h3:has-text('pair'):has-text('3 kbps per channel')")
    page.wait_for_selector("#bitrate :text('Bitrate per channel')")
    each, said = page.inner_text("#card #kbps dd"), page.inner_text("#card #kbps dt")
    whole = float(re.search(r"per channel; ([\d.]+) kbps for all 2", said)[1])
    assert each == f"{whole / 2:.2f} kbps" or abs(float(each.split()[0]) - whole / 2) < 0.01
    page.click("#compare")
    page.wait_for_selector("#table")
    assert "gritcodec 2 x 3 kbps" in page.inner_text("#table")
    rates = page.locator("#table tr.opus td.kbps").all_inner_texts()
    assert len(set(rates)) == len(rates) and bool(rates) == opus.available()
    assert "those of all 2 channels" in page.inner_text("#comparison")


def test_the_slider_keeps_the_result_of_a_long_recording(page, tmp_path, address):
    def is_there(url):
        try:
            with urllib.request.urlopen(address + url, timeout=60) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    soundfile.write(tmp_path / "talk.wav", tone(1, 8000 * 125, 8000).T, 8000)
    send(page, tmp_path / "talk.wav")
    page.wait_for_selector("#card h3:has-text('talk'):has-text('3 kbps')")
    size, source = shown(page), page.get_attribute("#card audio", "src")
    for _ in range(2):
        page.locator("#bitrate input[type=range]").focus()
        page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#notice .hint:has-text('Press Listen for 2 kbps: all 2.1 minutes')")
    assert shown(page) == size and page.get_attribute("#card audio", "src") == source and is_there(source)
    # What is made of it meanwhile is made of that result.
    page.click("#tab-loss-button")
    page.click("#drop")
    page.wait_for_selector("#loss audio")
    assert is_there(source) and "3kbps" in page.get_attribute("#download-lossy", "download")
    page.click("#listen")
    page.wait_for_selector("#card h3:has-text('2 kbps')")
    page.wait_for_selector("#notice .hint", state="detached")
    assert not is_there(source) and is_there(page.get_attribute("#card audio", "src"))
    assert save(page, "#download-grit", tmp_path).name == "talk-2kbps.grit"
    assert save(page, "#download-wav", tmp_path).name == "talk-2kbps.wav"


@pytest.mark.skipif(not (endings.has_av() and shutil.which("ffmpeg")), reason="needs PyAV and ffmpeg")
@pytest.mark.parametrize("name", ["talk.m4a", "film.mp4", "film.webm"])
def test_m4a_and_video_go_in(page, tmp_path, name):
    picture = ["-f", "lavfi", "-i", "color=size=64x64:duration=2"] if name.startswith("film") else []
    sound = ["-f", "lavfi", "-i", "sine=frequency=300:duration=2"]
    done = ["ffmpeg", "-v", "error", *picture, *sound, tmp_path / name]
    subprocess.run(done, check=True)
    page.click("#tab-upload-button")
    assert "m4a" in page.inner_text("#taken") and "mp4" in page.inner_text("#taken")
    send(page, tmp_path / name)
    stem = name.split(".")[0]
    page.wait_for_selector(f"#card h3:has-text('{stem}'):has-text('3 kbps') >> visible=true")
    assert save(page, "#download-wav", tmp_path).name == f"{stem}-3kbps.wav"
    assert 1.9 < soundfile.info(tmp_path / f"{stem}-3kbps.wav").duration < 2.2


@pytest.mark.slow
def test_nothing_is_offered_that_is_not_there(page):
    page.click("#tab-abx-button")
    pairs = page.locator("#pair label").all_inner_texts()
    assert len(pairs) == (3 if opus.available() else 1)
    page.click("#tab-compare-button")
    page.click("#compare")
    page.wait_for_selector("#table")
    head = page.locator("#table thead th").all_inner_texts()
    assert head[4:] == list(compare.measures())
