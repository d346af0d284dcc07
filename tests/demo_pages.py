"""The listening page in a browser: fixtures and moves that its tests share."""

import os
import re
import subprocess
import sys

import chromium
import pytest

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
from gritcodec.cli.app import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def limits():
    """What the page is started with; a test module may have its own."""
    return ["--max-upload", "1MB", "--max-minutes", "0.25"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(tiny_model, home, limits):
    """A running page with small limits; at its end nothing is left and nothing was asked of the network."""
    temporary, calls = home / "temporary", home / "calls"
    temporary.mkdir()
    options = ["demo", "--model", str(tiny_model), "--port", "0", *limits]
    with (
        (home / "errors").open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", WATCHED, str(calls), *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
        ) as server,
    ):
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
    with chromium.launched() as browser:
        yield browser


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
        page.set_default_timeout(60_000)
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
