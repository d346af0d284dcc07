"""Downloads of the LibriSpeech recipe: torchaudio's own code, archives out of a folder."""

from __future__ import annotations

import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
import test_recipe_librispeech as recipe
from test_recipe_librispeech import RECIPE, entries, error_of, libritts, prepare

pytestmark = pytest.mark.slow

librispeech = recipe.librispeech


def downloader(archives: Path, sums: dict[str, str], corpus: str = "librispeech", number: int = 12) -> str:
    """prepare.py with openslr.org replaced by a folder; torchaudio's own code does all the rest."""
    return f"""
import sys
sys.path.insert(0, {str(RECIPE)!r})
import download, prepare
download.torchaudio_datasets()
from torchaudio.datasets import {corpus} as module
fetch = module.download_url_to_file
def local(url, target, hash_prefix=None):
    print("asked for", url, file=sys.stderr)
    assert url.startswith("http://www.openslr.org/resources/{number}/") and len(module._CHECKSUMS[url]) == 64
    name = url.rsplit("/", 1)[1]
    fetch("file://{archives}/" + name, target, hash_prefix={sums!r}[name])
module.download_url_to_file = local
sys.exit(prepare.main())
"""


@pytest.fixture(scope="module")
def openslr(librispeech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archives as they are on openslr.org."""
    folder = tmp_path_factory.mktemp("openslr")
    for subset in ("train-clean-100", "dev-clean", "test-clean"):
        with tarfile.open(folder / f"{subset}.tar.gz", "w:gz") as archive:
            archive.add(librispeech / "LibriSpeech" / "SPEAKERS.TXT", "LibriSpeech/SPEAKERS.TXT")
            archive.add(librispeech / "LibriSpeech" / subset, f"LibriSpeech/{subset}")
    return folder


def test_download_through_torchaudio(openslr, tmp_path):
    sums = {file.name: sha256(file.read_bytes()).hexdigest() for file in openslr.iterdir()}
    # A run that was killed while it unpacked: torchaudio alone would take this for the whole subset.
    (tmp_path / ".download-librispeech-dev-clean" / "LibriSpeech" / "dev-clean" / "84").mkdir(parents=True)
    script = downloader(openslr, sums)
    done = prepare(tmp_path, tmp_path / "out", "--download", script=script)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("asked for") == 3
    assert "librispeech train-clean-100: 9 utterances of 3 speakers" in done.stderr
    assert "librispeech dev-clean: 2 utterances of 1 speakers" in done.stderr
    names = sorted(path.name for path in (tmp_path / "LibriSpeech").iterdir())
    assert names == ["SPEAKERS.TXT", "dev-clean", "test-clean", "train-clean-100"]
    assert not list(tmp_path.glob(".download*"))
    assert len(entries(tmp_path / "out" / "manifest.jsonl")) == 9
    done = prepare(tmp_path, tmp_path / "out", "--download", script=script)
    assert done.returncode == 0 and "asked for" not in done.stderr and "up to date" in done.stderr


def test_libritts_is_downloaded_likewise(tmp_path):
    libritts(tmp_path / "source")
    with tarfile.open(tmp_path / "train-clean-100.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "source" / "LibriTTS", "LibriTTS")
    sums = {"train-clean-100.tar.gz": sha256((tmp_path / "train-clean-100.tar.gz").read_bytes()).hexdigest()}
    more = ["--download", "--corpus", "libritts", "--evaluate", "--rate", "24000"]
    script = downloader(tmp_path, sums, "libritts", 60)
    done = prepare(tmp_path / "root", tmp_path / "out", *more, script=script)
    assert done.returncode == 0, done.stderr
    assert "libritts train-clean-100: 2 utterances" in done.stderr
    assert len(entries(tmp_path / "out" / "manifest.jsonl")) == 2


def test_damaged_or_impossible_downloads_are_refused(openslr, tmp_path):
    sums = {file.name: "0" * 64 for file in openslr.iterdir()}
    told = error_of(prepare(tmp_path, tmp_path / "out", "--download", script=downloader(openslr, sums)))
    assert "cannot download librispeech train-clean-100" in told and "hash" in told
    sums = dict.fromkeys(sums, "")
    missing = downloader(tmp_path / "nowhere", sums)
    assert "cannot download" in error_of(prepare(tmp_path, tmp_path / "out", "--download", script=missing))
    (tmp_path / "cut").mkdir()
    whole = (openslr / "train-clean-100.tar.gz").read_bytes()
    (tmp_path / "cut" / "train-clean-100.tar.gz").write_bytes(whole[: len(whole) // 2])
    told = error_of(prepare(tmp_path, tmp_path / "out", "--download", script=downloader(tmp_path / "cut", sums)))
    assert "delete it to fetch it again" in told
    assert not (tmp_path / "LibriSpeech" / "train-clean-100").exists()
