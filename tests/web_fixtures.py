"""Fixtures of the tests that visit the page of static files: `pytest_plugins = ["web_fixtures"]`."""

from pathlib import Path

import chromium
import pytest
import soundfile
from web_visitor import Served

import gritcodec
from gritcodec.page.write import write


@pytest.fixture(scope="module")
def codec():
    return gritcodec.load("speech-16k")


@pytest.fixture(scope="module")
def clip():
    root = Path(gritcodec.__file__).parent
    samples, rate = soundfile.read(root / "clips" / "austen.flac", dtype="float32")
    assert rate == 16000
    return samples[None, : 3 * rate]


@pytest.fixture(scope="module")
def made(codec, clip):
    """A file of 3 s at 3 kbps."""
    return codec.compress(clip, 16000, bitrate=3, tags=[("TITLE", "Emma, <b>chapter</b> 1")])


@pytest.fixture(scope="module")
def served(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("web") / "page"
    write(folder)
    served = Served(folder)
    served.slow = made
    yield served
    served.server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with chromium.launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser):
    context = browser.new_context(viewport={"width": 1000, "height": 800}, accept_downloads=True)
    context.grant_permissions(["microphone"])
    yield context
    context.close()


@pytest.fixture(scope="module")
def said():
    """What the console said."""
    return []


@pytest.fixture
def page(context, served, said):
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(served.address)
    page.wait_for_selector("body[data-ready=yes]", timeout=30_000)
    yield page
    page.close()
