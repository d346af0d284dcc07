"""A real browser that reaches this machine and nothing else."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = os.environ.get("GRITCODEC_BROWSER") == "required"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
# Whatever is not on this machine ends at a proxy that is not there.
FLAGS += ["--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=127.0.0.1"]
FLAGS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

needed = pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="needs chromium")


@contextmanager
def launched() -> Iterator[Any]:
    """Start it, for as long as the block lasts."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "chromium is required here: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
