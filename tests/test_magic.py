"""docs/grit.magic, the rule for file(1)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gritcodec.bitstream import Header

RULE = Path(__file__).parents[1] / "docs" / "grit.magic"


@pytest.mark.skipif(
    shutil.which("file") is None and os.environ.get("GRITCODEC_PEERS") != "required", reason="needs file(1)"
)
def test_file_names_our_files_and_no_others(tmp_path):
    data = Header(bytes(8), 16000, 1, 160_000, 3).to_bytes()
    for name, content, mime in (
        ("ours", data, "audio/vnd.gritcodec"),
        ("as-text", data.replace(b"\r\n", b"\n"), "application/octet-stream"),
        ("prose", b"gritty words\r\n" * 9, "text/plain"),
        ("capitals", b"GRIT\r\n" * 9, "text/plain"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        done = subprocess.run(
            ["file", "-b", "--mime-type", "-m", f"{RULE}:/usr/share/misc/magic", path], capture_output=True, text=True
        )
        assert done.stdout.strip() == mime, name
    done = subprocess.run(["file", "-b", "-m", RULE, tmp_path / "ours"], capture_output=True, text=True)
    assert done.stdout.strip() == "gritcodec speech recording, format version 1"
