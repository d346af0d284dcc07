"""The listening page in a real browser, without a network: what a visitor does, by mouse, keyboard and thumb."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest
import soundfile
from conftest import tone

from gritcodec import bitstream, cli
from gritcodec.codec import load
from gritcodec.demo import opus

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = os.environ.get("GRITCODEC_BROWSER") == "required"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
# Whatever is not on this machine ends at a proxy that is not there.
FLAGS += ["--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=127.0.0.1"]
FLAGS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
# Starts the command and writes down every address but loopback that the server's process asks for.
WATCHED = """
import sys
def watch(event, values):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        name = values[1] if event != "socket.getaddrinfo" else values
        host = str(name[0] if isinstance(name, tuple) else name)
        if host not in ("127.0.0.1", "localhost", "::1", "None", "") and not host.startswith("/"):
            print(event, host, file=open(sys.argv[1], "a"))
sys.addaudithook(watch)
from gritcodec.cli import main
sys.exit(main(sys.argv[2:]))
"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="needs chromium"),
    # One server and one browser for all of these tests.
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(tiny_model, home):
    """A running page with small limits; at its end nothing is left and nothing was asked of the network."""
    temporary, calls = home / "temporary", home / "calls"
    temporary.mkdir()
    options = ["demo", "--model", str(tiny_model), "--port", "0", "--max-upload", "1MB", "--max-minutes", "0.25"]
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(calls), *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
    ) as server:
        assert server.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
        assert found is not None
        yield found[0]
        server.terminate()
        assert server.wait(30) == 143
    assert not calls.exists(), calls.read_text()
    assert not list(temporary.iterdir())


@pytest.fixture(scope="module")
def browser(address):
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "chromium is required here: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def visit(browser, context, address):
    """Open the page as a new visitor; a test fails if anything was asked of another machine, or forbidden to be."""
    strangers, opened = [], []

    def heard(message):
        if "Content Security Policy" in message.text:
            strangers.append(message.text)

    def asked(url):
        if not url.startswith((address, address.replace("http", "ws"), f"blob:{address}", "data:")):
            strangers.append(url)

    def open_page(**options):
        page = browser.new_context(**options).new_page() if options else context.new_page()
        opened.append(page)
        page.on("console", heard)
        page.on("request", lambda request: asked(request.url))
        page.on("websocket", lambda websocket: asked(websocket.url))
        page.set_default_timeout(20_000)
        page.goto(address)
        page.wait_for_selector("#card audio")
        return page

    yield open_page
    for page in opened:
        page.close()
    assert not strangers


@pytest.fixture
def page(visit):
    return visit()


def shown(page, name="#bytes"):
    return page.inner_text(f"#card {name} dd")


def wait_for_change(page, before):
    page.wait_for_function(
        "before => { const now = document.querySelector('#card #bytes dd'); return now && now.innerText !== before }",
        arg=before,
    )


def move_slider(page, key):
    before = shown(page)
    page.locator("#bitrate input[type=range]").focus()
    page.keyboard.press(key)
    wait_for_change(page, before)


def save(page, selector, folder):
    with page.expect_download() as download:
        page.click(selector)
    target = folder / download.value.suggested_filename
    download.value.save_as(target)
    return target


def send(page, path):
    page.click("#tab-upload-button")
    if page.locator("#upload button[aria-label=Clear]").count():
        page.click("#upload button[aria-label=Clear]")
    page.set_input_files("#upload input[type=file]", str(path))


def is_playing(page, selector):
    page.wait_for_function(
        "name => { const it = document.querySelector(name); return it?.paused === false && it.currentTime > 0.05 }",
        arg=selector,
    )


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
    page.check("#off input")
    page.wait_for_selector("#card .off audio")
    is_playing(page, "#card .off audio")
    page.locator("#bitrate input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#card #download-grit")
    page.wait_for_function("!document.querySelector('#off input').checked")
    page.check("#off input")
    page.wait_for_selector("#card .off audio")
    send(page, grit)
    page.wait_for_selector("#card :text('austen-3.5kbps: out of the .grit file')")
    assert shown(page) == f"{grit.stat().st_size:,} bytes" and not page.is_checked("#off input")
    assert page.input_value("#bitrate input[type=number]") == "3.5"


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


def test_all_bitrates_side_by_side(page, tiny_model):
    page.click("#compare")
    page.wait_for_selector("#table")
    rows = page.locator("#table tbody tr").count()
    assert rows == len(load(tiny_model).bitrates) and page.locator("#comparison figure.grit audio").count() == rows
    page.wait_for_function("[...document.querySelectorAll('#comparison audio')].every(player => player.duration > 7)")
    page.evaluate("document.querySelectorAll('#comparison img').forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("[...document.querySelectorAll('#comparison img')].every(image => image.naturalWidth > 0)")
    cells = page.locator("#table tbody tr").last.locator("td").all_inner_texts()
    assert float(cells[1]) > 5.5 and re.fullmatch(r"-|\d\.\d\d", cells[4]) and re.fullmatch(r"-|[\d.-]+", cells[5])
    if opus.available():
        assert abs(float(cells[6]) - float(cells[1])) < 1 and float(cells[7]) > 1.5 and float(cells[8]) > 0.7
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # One player at a time.
    page.evaluate("document.querySelectorAll('#comparison audio')[1].play()")
    page.evaluate("document.querySelectorAll('#comparison audio')[2].play()")
    page.wait_for_function("[...document.querySelectorAll('audio')].filter(player => !player.paused).length === 1")


def test_blind_test_keeps_the_score(page):
    page.click("#tab-abx-button")
    page.click("#is-a")
    page.wait_for_selector("#verdict .problem:has-text('begin a trial first')")
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


def slide_to(page, slider, value):
    """Arrow keys until the slider's number says so; one pressed while the tab is still being drawn may be lost."""
    handle, number = page.locator(f"{slider} input[type=range]"), page.locator(f"{slider} input[type=number]")
    deadline = time.monotonic() + 30
    while (at := int(number.input_value())) != value:
        assert time.monotonic() < deadline, f"{slider} stays at {at}"
        handle.press("ArrowRight" if at < value else "ArrowLeft")


def test_lost_packets_and_the_codes(page, tmp_path):
    page.click("#tab-loss-button")
    slide_to(page, "#percent", 30)
    page.click("#drop")
    is_playing(page, "#loss audio")
    lost = page.locator("#loss .strip .lost").count()
    assert lost == 2 and "lost" in page.inner_text("#loss .damage")
    contents = bitstream.read_contents(save(page, "#download-lossy", tmp_path).read_bytes())
    assert sum(body is None for body in contents.bodies) == lost
    page.click("#tab-codes-button")
    page.click("#draw")
    page.wait_for_selector("#codes img")
    page.wait_for_function("document.querySelector('#codes img').naturalWidth > 500")


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
    reach("#off input")
    page.keyboard.press("Space")
    page.wait_for_selector("#card .off audio")
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
