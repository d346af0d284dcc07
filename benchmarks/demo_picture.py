"""Draw docs/demo.png: the listening page with a clip, its price, and all bitrates side by side.

Usage: python benchmarks/demo_picture.py docs/demo.png [--clip "Jane Austen, more of it"] [--bitrate 3]

Needs Debian's chromium, and opusenc (opus-tools) for Opus beside it. The speeds it shows are those of the machine
at that moment.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def draw(address: str, browser: str, clip: str, bitrate: float, path: Path) -> None:
    """Visit the page, do what a visitor would, and take its picture."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = window.new_page(viewport={"width": 1120, "height": 1440})
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_selector("#card audio")
        before = page.inner_text("#card h3")
        page.get_by_label(clip, exact=True).check()
        page.wait_for_function("old => document.querySelector('#card h3')?.innerText !== old", arg=before)
        number = page.locator("#bitrate input[type=number]")
        if float(number.input_value()) != bitrate:
            size = page.inner_text("#card #bytes dd")
            number.fill(f"{bitrate:g}")
            number.press("Enter")
            page.wait_for_function("old => document.querySelector('#card #bytes dd')?.innerText !== old", arg=size)
        page.click("#compare")
        page.wait_for_selector("#table")
        page.evaluate("document.querySelectorAll('#comparison img').forEach(image => { image.loading = 'eager' })")
        page.wait_for_function(
            "[...document.querySelectorAll('#comparison img')].every(image => image.naturalWidth > 0)"
        )
        page.evaluate("document.querySelectorAll('audio').forEach(player => player.pause())")
        page.evaluate("window.scrollTo(0, 0)")
        page.mouse.move(0, 0)
        page.screenshot(path=path)
        window.close()


def main() -> int:
    """Start the page on a free port, take its picture, end it."""
    parser = argparse.ArgumentParser(description="Take a picture of the listening page.")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--clip", default="Jane Austen, more of it", help="as the page names it")
    parser.add_argument("--bitrate", type=float, default=3.0)
    chosen = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        print("demo_picture.py: needs chromium: apt-get install chromium", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "gritcodec", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
            if found is None:
                print("demo_picture.py: the page did not start", file=sys.stderr)
                return 1
            draw(found[0], browser, chosen.clip, chosen.bitrate, chosen.picture)
        finally:
            server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
