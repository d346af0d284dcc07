"""Draw docs/demo.png: the listening page with a clip, its price, and all bitrates side by side.

Usage: python benchmarks/demo_picture.py docs/demo.png [--phone] [--clip "Jane Austen, more of it"] [--bitrate 3]

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


def draw(address: str, browser: str, clip: str, bitrate: float, phone: bool, path: Path) -> None:
    """Visit the page, do what a visitor would, and take its picture, all of it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = window.new_context(
            viewport={"width": 390 if phone else 1280, "height": 844},
            is_mobile=phone,
            has_touch=phone,
            device_scale_factor=2 if phone else 1,
        ).new_page()
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_selector("#card audio")
        page.get_by_label(clip, exact=True).check()
        page.wait_for_selector(f"#card h3:has-text({clip!r})")
        if float(page.input_value("#number input")) != bitrate:
            page.fill("#number input", f"{bitrate:g}")
            page.press("#number input", "Enter")
            page.wait_for_selector(f"#card h3 span:text-is('{bitrate:g} kbps')")
        page.click("#compare")
        page.wait_for_selector("#table")
        page.wait_for_function("[...document.querySelectorAll('#comparison img')].every(it => it.naturalWidth > 0)")
        page.evaluate(
            "document.querySelectorAll('audio').forEach(player => { player.pause(); player.currentTime = 0 })"
        )
        page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
        page.mouse.move(0, 0)
        page.screenshot(path=path, full_page=True)
        window.close()


def main() -> int:
    """Start the page on a free port, take its picture, end it."""
    parser = argparse.ArgumentParser(description="Take a picture of the listening page.")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--clip", default="Jane Austen, more of it", help="as the page names it")
    parser.add_argument("--phone", action="store_true", help="as a phone shows it")
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
            draw(found[0], browser, chosen.clip, chosen.bitrate, chosen.phone, chosen.picture)
        finally:
            server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
