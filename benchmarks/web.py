"""The JavaScript package in headless Chromium, one thread: python benchmarks/web.py [--model speech-16k]
[--seconds 60] [--memory MINUTES]

Prints how fast it decodes and encodes, how soon sound comes, what a browser loads, and how far files and samples are
from this package's. With --memory only what memory the page takes to play a file of so many minutes, and to save it as
WAV. Numbers of a machine: run it by hand, with nothing else running.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import gritcodec
from gritcodec import bitstream
from gritcodec.page.write import write

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--proxy-server=http://127.0.0.1:9"]
FLAGS += ["--proxy-bypass-list=127.0.0.1"]
KBPS = (0.5, 3.0, 7.0)
_MEASURE = """async ({root, player, encoder, files, live, wave, kbps, times}) => {
  const { load } = await import(root + 'gritcodec/index.js')
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
  const fetched = async (name) => new Uint8Array(await (await fetch(root + name)).arrayBuffer())
  const got = await fetched(player), coder = await fetched(encoder), first = bytes(files[0])
  const median = (list) => list.sort((a, b) => a - b)[list.length >> 1]
  const timed = (run) => { const t = performance.now(); const made = run(); return [performance.now() - t, made] }
  const soon = []
  let codec
  for (let i = 0; i < times; i++) {
    const t = performance.now()
    codec = await load(got)
    const player = codec.player()
    for (let at = 0, sound = false; !sound; at += 64) sound = player.push(first.subarray(at, at + 64)).length > 0
    soon.push(performance.now() - t)
  }
  const t = performance.now()
  await codec.loadEncoder(coder)
  const preparing = performance.now() - t
  const decoding = [], sounds = []
  for (const file of [...files, live].map(bytes)) {
    const list = []
    let sound
    for (let i = 0; i < times; i++) {
      const [ms, made] = timed(() => codec.decompress(file))
      list.push(ms)
      sound = made
    }
    decoding.push(median(list))
    const b = new Uint8Array(sound.channels[0].buffer)
    let text = ''
    for (let i = 0; i < b.length; i += 8192) text += String.fromCharCode(...b.subarray(i, i + 8192))
    sounds.push(btoa(text))
  }
  const x = new Float32Array(bytes(wave).buffer), coding = [], made = []
  for (const rate of kbps) {
    const list = []
    let file
    for (let i = 0; i < times; i++) {
      const [ms, got] = timed(() => codec.compress([x], 16000, {bitrate: rate}))
      list.push(ms)
      file = got
    }
    coding.push(median(list))
    made.push(btoa(Array.from(file, (c) => String.fromCharCode(c)).join('')))
  }
  return { first: median(soon), preparing, decoding, coding, sounds, made }
}"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    sent = 0

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        _Handler.sent += len(data)
        outputfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def speech(seconds: float) -> np.ndarray[Any, Any]:
    """Return the package's clip again and again, float32 [1, samples] at 16 kHz."""
    clip, rate = soundfile.read(Path(gritcodec.__file__).parent / "clips" / "austen.flac", dtype="float32")
    count = int(seconds * rate)
    return np.tile(clip, -(-count // len(clip)))[None, :count]


@contextmanager
def visited(model: str) -> Iterator[tuple[Any, list[str], str]]:
    """Yield the page in a browser, the names of its files, and its address, once it works offline."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        names = [str(path.relative_to(folder)) for path in write(folder, model)]
        handler = functools.partial(_Handler, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}/"
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_context(accept_downloads=True).new_page()
        page.goto(root)
        page.wait_for_selector("body[data-offline=yes]", timeout=60_000)
        # The encoder is fetched when the page has nothing else to do.
        page.wait_for_timeout(3_000)
        yield page, names, root
        browser.close()
        server.shutdown()


def long_file(minutes: float, model: str) -> bytes:
    """Return the clip's whole packets again and again: a valid file of so many minutes at 3 kbps."""
    codec = gritcodec.load(model)
    made = bitstream.read_contents(codec.compress(speech(7.1), 16_000, bitrate=3))
    packets = [part for part in made.parts if part.frames == made.header.packet_frames]
    count = round(minutes * 60 * made.header.frame_rate / 100 / packets[0].frames)
    samples = count * packets[0].frames * codec.hop_length - 240
    parts = [packets[at % len(packets)] for at in range(count)]
    return bitstream.assemble(replace(made.header, num_samples=samples), parts)


def memory() -> dict[str, float]:
    """Return MB that the processes of the browser have for themselves and a share of what they have in common."""
    parents: dict[int, int] = {}
    found: dict[str, float] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above != os.getpid() or pid == above:
            continue
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            kind = (command.partition("--type=")[2].split() or ["browser"])[0]
            if "chrom" in command.split()[0]:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                size = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
                found[kind] = found.get(kind, 0) + size
    return found


def weigh(minutes: float, model: str) -> None:
    """Print the most memory that the page takes while it decodes a long file, and when all of it is there."""
    data = long_file(minutes, model)
    with visited(model) as (page, _, _):
        print(f"{minutes:g} minutes, {len(data):,} bytes; MB\n\n| | page | whole browser |\n| --- | --- | --- |")

        def row(what: str, found: dict[str, float]) -> None:
            print(f"| {what} | {found.get('renderer', 0):.0f} | {sum(found.values()):.0f} |", flush=True)

        row("before", memory())
        page.set_input_files("#file", {"name": "long.grit", "mimeType": "", "buffer": data})
        most: dict[str, float] = {}
        began = time.perf_counter()
        while not page.evaluate("document.body.dataset.decoded"):
            now = memory()
            most = {kind: max(most.get(kind, 0), now.get(kind, 0)) for kind in {*most, *now}}
            time.sleep(1)
        row(f"at most, while it decodes and plays ({time.perf_counter() - began:.0f} s)", most)
        page.wait_for_timeout(3_000)
        row("decoded", memory())
        page.focus("#place")
        page.keyboard.press("End")
        page.wait_for_timeout(1_000)
        with page.expect_download(timeout=300_000) as download:
            page.click("#wav")
        size = Path(download.value.path()).stat().st_size
        row(f"saved as WAV, {size:,} bytes", memory())


def measure(seconds: float, times: int, model: str) -> None:
    """Print a table."""
    codec = gritcodec.load(model)
    sound = speech(seconds)
    files = [codec.compress(sound, 16_000, bitrate=kbps) for kbps in KBPS]
    encoder = codec.stream_encoder(16_000, bitrate=3, packet_frames=1, chain=True)
    live = b"".join(encoder.push(sound) + encoder.flush())
    text = [base64.b64encode(data).decode() for data in [*files, live]]
    with visited(model) as (page, names, root):
        loaded = _Handler.sent
        weights = {
            kind: next(name for name in names if name.startswith(f"weights/{kind}")) for kind in ("player", "encoder")
        }
        values = {"files": text[:-1], "live": text[-1], "kbps": KBPS, "times": times, "root": root}
        wave = base64.b64encode(sound.astype("<f4").tobytes()).decode()
        found = page.evaluate(_MEASURE, values | weights | {"wave": wave})
    print(f"chromium, {seconds:g} s of speech, median of {times}\n")
    print("| what | times real time | against Python |\n| --- | --- | --- |")
    labels = [f"decode {kbps:g} kbps" for kbps in KBPS] + ["decode live, chained packets of 20 ms"]
    for label, took, heard, data in zip(labels, found["decoding"], found["sounds"], [*files, live], strict=True):
        known = codec.decompress(data)[0][0]
        got = np.frombuffer(base64.b64decode(heard), "<f4")
        assert got.shape == known.shape
        print(f"| {label} | {1000 * seconds / took:.1f} | samples within {np.abs(got - known).max():.1g} |")
    for kbps, took, made, data in zip(KBPS, found["coding"], found["made"], files, strict=True):
        same = "the same bytes" if base64.b64decode(made) == data else "other bytes"
        print(f"| encode {kbps:g} kbps | {1000 * seconds / took:.1f} | {same} |")
    print(f"\nfirst sound {found['first']:.0f} ms after the weights are there")
    print(f"encoder ready in {found['preparing']:.0f} ms")
    print(f"loaded {loaded / 1e6:.2f} MB: all weights, kernel, page")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--memory", type=float, metavar="MINUTES")
    parser.add_argument("--model", default="speech-16k", help="name of a shipped model, or a folder")
    arguments = parser.parse_args()
    if arguments.memory:
        weigh(arguments.memory, arguments.model)
    else:
        measure(arguments.seconds, arguments.times, arguments.model)
