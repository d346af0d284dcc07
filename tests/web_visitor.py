"""A visitor of the page of static files: a server for it, and what visitors do."""

import functools
import http.server
import io
import threading
import time
import wave
from pathlib import Path

import numpy as np


class Served:
    """A folder behind HTTP, with a count of the bytes that went out."""

    def __init__(self, folder):
        served = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                if not self.path.startswith("/slow.grit"):
                    return super().do_GET()
                self.send_response(200)
                self.end_headers()
                data = served.slow
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                served.go.wait(30)
                self.wfile.write(data[len(data) // 2 :])

            def copyfile(self, source, out):
                data = source.read()
                served.bytes += len(data)
                out.write(data)

            def log_message(self, *_):
                pass

        self.bytes = 0
        # A file whose second half comes when it is told to.
        self.slow, self.go = b"", threading.Event()
        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/"


def until(page, expression, seconds=30):
    """Wait until an expression is true; the page's policy forbids playwright's own way, which needs eval."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression}: {page.inner_text('body')}"
        page.wait_for_timeout(20)


def give(page, name, data, times=1):
    """Choose a file, and wait until it is decoded, and what it costs is there: the page is told after its sound."""
    page.set_input_files("#file", {"name": name, "mimeType": "application/octet-stream", "buffer": data})
    until(page, f"Number(document.body.dataset.decoded) >= {times}")
    until(page, "document.querySelector('#facts').textContent !== ''")


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def samples_of(data):
    with wave.open(io.BytesIO(data)) as file:
        assert file.getsampwidth() == 2
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels()).T / 32767
