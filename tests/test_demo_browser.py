"""The listening page in a real browser, without a network: what a visitor does, by mouse, keyboard and thumb."""

import json
import re
import time
import urllib.request

import chromium
import demo_pages
import pytest
import soundfile
from conftest import tone
from demo_pages import is_playing, move_slider, save, send, shown, wait_for_change

from gritcodec import bitstream
from gritcodec.cli import app as cli
from gritcodec.codec.codec import load
from gritcodec.demo import compare, opus

pytestmark = [
    chromium.needed,
    # One server and one browser for all of these tests.
    pytest.mark.xdist_group("browser"),
]


# What the tests of this page in a browser share.
home, limits, address, browser = demo_pages.home, demo_pages.limits, demo_pages.address, demo_pages.browser
context, visit, page = demo_pages.context, demo_pages.visit, demo_pages.page


def test_listen_change_the_bitrate_download_and_decode(page, tmp_path, tiny_model, capsys):
    first = shown(page)
    page.click("#listen")
    is_playing(page, "#card audio")
    move_slider(page, "ArrowRight")
    # The other bitrate begins by itself, where the one before it was.
    is_playing(page, "#card audio")
    assert int(shown(page).split()[0].replace(",", "")) > int(first.split()[0].replace(",", ""))
    grit, wav = save(page, "#download-grit", tmp_path), save(page, "#download-wav", tmp_path)
    assert (grit.name, wav.name) == ("austen-3.5kbps.grit", "austen-3.5kbps.wav")
    assert shown(page) == f"{grit.stat().st_size:,} bytes"
    seconds = soundfile.info(wav).duration
    assert shown(page, "#kbps") == f"{8 * grit.stat().st_size / seconds / 1000:.2f} kbps"
    assert shown(page, "#ratio") == f"{wav.stat().st_size / grit.stat().st_size:,.0f} times"
    assert cli.main(["decompress", str(grit), str(tmp_path / "again.wav"), "--model", str(tiny_model)]) == 0
    assert (tmp_path / "again.wav").read_bytes() == wav.read_bytes()
    capsys.readouterr()
    page.check("#version input[value=Original]")
    page.wait_for_selector("#card .original audio")
    is_playing(page, "#card .original audio")
    page.locator("#bitrate input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#card #download-grit")
    page.wait_for_function("document.querySelector('#version input[value=Compressed]').checked")
    page.check("#version input[value=Original]")
    page.wait_for_selector("#card .original audio")
    send(page, grit)
    page.wait_for_selector("#card h3:has-text('austen-3.5kbps'):has-text('as uploaded')")
    assert shown(page) == f"{grit.stat().st_size:,} bytes" and page.is_checked("#version input[value=Compressed]")
    page.wait_for_function("document.querySelector('#number input').value === '3.5'")
    # Under the name it came with, and at another bitrate under the name of that one.
    again = save(page, "#download-grit", tmp_path / "again")
    assert again.name == grit.name and again.read_bytes() == grit.read_bytes()
    move_slider(page, "ArrowLeft")
    assert save(page, "#download-wav", tmp_path).name == "austen-3kbps.wav"


def test_uploads_good_and_bad(page, tmp_path):
    soundfile.write(tmp_path / "my <i>talk</i>.flac".replace("/", "_"), tone(2, 66150, 44100).T, 44100, format="FLAC")
    (tmp_path / "words.mp3").write_text("no sound at all")
    (tmp_path / "large.wav").write_bytes(bytes(1_200_000))
    soundfile.write(tmp_path / "long.wav", tone(1, 16 * 8000, 8000).T, 8000)
    send(page, tmp_path / "my <i>talk<_i>.flac")
    page.wait_for_selector("#card h3:has-text('talk')")
    assert page.locator("#card h3 i").count() == 0
    name = save(page, "#download-grit", tmp_path).name
    assert re.fullmatch(r"[\w.-]+-3kbps\.grit", name)
    for file, words in (("words.mp3", "cannot read words.mp3 as audio"), ("long.wav", "it takes 0.25 minutes at most")):
        send(page, tmp_path / file)
        page.wait_for_selector(f"#card .problem:has-text('{words}')")
    send(page, tmp_path / "large.wav")
    page.wait_for_selector(":text('exceed the maximum allowed size')")
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "hurt.grit").write_bytes(bytes(data))
    page.reload()
    page.wait_for_selector("#card audio")
    send(page, tmp_path / "hurt.grit")
    page.wait_for_selector("#card .damage:has-text('lost')")


def test_microphone(page):
    page.click("#tab-microphone-button")
    page.click("#microphone button.record")
    page.wait_for_selector("#microphone button.stop-button:visible")
    time.sleep(1)
    page.click("#microphone button.stop-button:visible")
    page.wait_for_selector("#card h3:has-text('audio')")
    assert "kbps" in shown(page, "#kbps")


@pytest.mark.slow
def test_all_bitrates_side_by_side(page, tiny_model):
    page.click("#compare")
    page.wait_for_selector("#table")
    ours = page.locator("#table tr.gritcodec")
    assert ours.count() == len(load(tiny_model).bitrates)
    head = page.locator("#table thead th").all_inner_texts()
    cells = ours.last.locator("td").all_inner_texts()
    assert float(cells[0]) > 5.5 and re.fullmatch(r"[\d,]+", cells[1]) and re.fullmatch(r"\d+ x", cells[2])
    assert head == ["play", "kbps", "bytes", "smaller", *compare.measures()] and len(cells) == len(head) - 1
    if opus.available():
        # As many as sound different, at their true bitrates; the least that Opus can is said once.
        rates = [float(text) for text in page.locator("#table tr.opus td.kbps").all_inner_texts()]
        assert rates and len(set(rates)) == len(rates) and min(rates) > 5
        assert page.locator("#table small:has-text('its least')").count() == 1
        assert f"Opus goes no lower than {min(rates):.2f} kbps" in page.inner_text("#comparison")
    # One player: a row begins where the one before it was; its own button stops it.
    chosen = "#comparison .chosen figcaption"
    for row, name in ((1, "gritcodec 1 kbps"), (0, "gritcodec 0.5 kbps")):
        button = ours.nth(row).locator(".hear")
        button.click()
        is_playing(page, "#comparison audio")
        assert page.inner_text(chosen) == name and button.get_attribute("aria-pressed") == "true"
        assert page.locator("#comparison .hear[aria-pressed=true]").count() == 1
        page.wait_for_function("document.querySelector('#comparison .chosen img').naturalWidth > 0")
    assert ours.first.get_attribute("aria-current") == "true"
    ours.first.locator(".hear").press("Enter")
    page.wait_for_function("document.querySelector('#comparison audio').paused")
    page.wait_for_function("!document.querySelector('.hear[aria-pressed=true]')")


def test_blind_test_keeps_the_score(page):
    page.click("#tab-abx-button")
    assert not page.locator("#is-a").is_visible()
    right = 0
    for number in (1, 2):
        page.click("#ask")
        page.wait_for_selector("#trial audio >> nth=2")
        page.wait_for_selector("#verdict .score", state="detached")
        html = page.inner_html("#trial")
        assert not re.search("orig|grit|opus|kbps", html, re.IGNORECASE)
        page.click("#is-b")
        text = page.inner_text("#verdict .score")
        right += page.locator("#verdict .right").count()
        assert f"original against gritcodec: {right} of {number} right" in text
        page.wait_for_selector("#is-b", state="hidden")


def test_lost_packets_and_the_codes(page, tmp_path):
    page.click("#tab-loss-button")
    page.check("#percent label:has-text('30 %') input")
    page.click("#drop")
    is_playing(page, "#loss audio")
    lost = page.locator("#loss .strip .lost").count()
    assert lost == 2 and "lost" in page.inner_text("#loss .damage")
    contents = bitstream.read_contents(save(page, "#download-lossy", tmp_path).read_bytes())
    assert sum(body is None for body in contents.bodies) == lost
    page.click("#tab-codes-button")
    page.click("#draw")
    page.wait_for_selector("#codes img")
    page.wait_for_function("[...document.querySelectorAll('#codes img')].every(it => it.naturalWidth > 300)")


def test_a_phone(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    before = shown(page)
    page.tap("#clips label >> nth=2")
    wait_for_change(page, before)
    for name in ("#listen", "#bitrate input[type=range]", "#card audio", "#download-grit"):
        box = page.locator(name).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_keyboard_only(page):
    def reach(selector):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("name => document.activeElement.matches(name)", selector):
                return
        raise AssertionError(f"{selector} cannot be reached")

    before = shown(page)
    reach("#clips input[value*=Italian]")
    page.keyboard.press("Space")
    wait_for_change(page, before)
    before = shown(page)
    reach("#bitrate input[type=range]")
    page.keyboard.press("End")
    wait_for_change(page, before)
    reach("#version input[value=Original]")
    page.keyboard.press("Space")
    page.wait_for_selector("#card .original audio")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    page.wait_for_selector("#card #download-grit")
    reach("#listen")
    page.keyboard.press("Enter")
    reach("#card audio")
    reach("#download-grit")
    reach("#compare")


def test_visitors_queue_and_leave_nothing(visit, home):
    def folders():
        return {path for path in home.glob("temporary/gritcodec-demo-*/*") if path.is_dir() and path.name != "uploads"}

    before = folders()
    pages = [visit() for _ in range(2)]
    mine = folders() - before
    assert len(mine) == 2
    sizes = [shown(page) for page in pages]
    for page, size in zip(pages, ("ArrowRight", "End"), strict=True):
        page.locator("#bitrate input[type=range]").focus()
        page.keyboard.press(size)
    for page, size in zip(pages, sizes, strict=True):
        wait_for_change(page, size)
    assert len({shown(page) for page in pages}) == 2
    for page in pages:
        page.close()
    deadline = time.monotonic() + 30
    while any(folder.exists() for folder in mine) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [folder for folder in mine if folder.exists()]


def test_a_forged_path_and_a_foreign_address_are_refused(address, tmp_path):
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, tone(1, 16000, 16000).T, 16000)

    def ask(path, body=None):
        request = urllib.request.Request(address + path, body and json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    config = json.loads(ask("config"))
    upload = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "upload")
    event = next(number for number, it in enumerate(config["dependencies"]) if upload in it["inputs"])
    for forged in (str(secret), "/etc/hostname", "http://127.0.0.1:9/a.wav"):
        file = {"path": forged, "meta": {"_type": "gradio.FileData"}}
        ask("gradio_api/queue/join", {"data": [file, 3], "fn_index": event, "session_hash": "forger"})
        told = ask("gradio_api/queue/data?session_hash=forger")
        assert "process_completed" in told and "<audio" not in told
        assert '"success":false' in told.replace(" ", "")


# Holds back what the server sends, as a busy machine or a slow line does.
LATE = """
const ask = window.fetch;
window.fetch = async (what, options) => {
  const answer = await ask(what, options);
  if (!answer.url.includes("/queue/data")) return answer;
  const late = new TransformStream({ transform: async (piece, out) => {
    await new Promise((go) => setTimeout(go, 700));
    out.enqueue(piece);
  } });
  return new Response(answer.body.pipeThrough(late), answer);
};
"""


def test_what_is_asked_while_the_answers_end_is_answered(browser, address):
    """The server ends its stream of answers; a click before the page hears of it counts, without a second click."""
    page = browser.new_page()
    page.add_init_script(LATE)
    page.goto(address)
    page.wait_for_selector("#card audio")
    with page.expect_request_finished(lambda request: "/queue/data" in request.url):
        page.locator("#number input").fill("99")
        page.keyboard.press("Enter")
    # The server has answered and ended the stream, and the page has yet to hear either.
    assert not page.locator("#notice .problem").count()
    page.click("#version label:has-text('Original')")
    page.wait_for_selector("#card .original audio")
    page.click("#version label:has-text('Compressed')")
    page.wait_for_selector("#card #download-grit")
    page.close()
