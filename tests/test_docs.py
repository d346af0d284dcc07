"""README and the pages of docs/: what they show is run as it stands, what they link is there, and they make a site."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import pytest

from gritcodec import messages

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Pages whose programs are run elsewhere, or have none: JavaScript, tables that a program writes.
ELSEWHERE = {"web.md": "web/test"}
PYTHON_ELSEWHERE = {"tokens.md": "tests/test_tokens_loaders.py"}
# Blocks that no test can run: how many of a page, and why, as the mark before each says.
SKIPPED = {
    "README.md": [
        "it makes an environment: CI runs both",
        "it serves until Ctrl-C, and installs a package",
        "it installs packages",
    ],
    "command.md": [
        "it needs FFmpeg, gritcodec[av]; tests/test_reading_av.py runs it",
        "it takes a while, and torch; tests/test_refine.py runs it",
        "it needs a microphone and another machine",
    ],
    "evaluation.md": [
        "it installs packages, and takes minutes to hours on clips of yours",
        "it needs a run of the bench; tests/test_evaluate_summary.py makes one",
        "it takes hours",
    ],
    "live.md": ["it needs a microphone and another machine"],
    "tokens.md": ["it needs a cluster; tests/test_tokens_ray.py makes one"],
    "training.md": 4 * ["training takes hours, and a corpus"],
}


def shell(example):
    """Run a block of a page, in the current folder, as a shell does that stops at the first line that fails."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", str(example.parsed)], capture_output=True, text=True)
    assert done.returncode == 0, f"{example.path}:{example.line}: {done.stderr}{done.stdout}"
    assert "Traceback" not in done.stderr


def examples(page: Path):
    markdown = pytest.importorskip("sybil.parsers.markdown")
    document = importlib.import_module("sybil").Document
    parsers = [markdown.SkipParser(), markdown.CodeBlockParser("sh", shell)]
    if page.name not in PYTHON_ELSEWHERE:
        parsers.append(markdown.PythonCodeBlockParser())
    return list(document.parse(str(page), *parsers).examples())


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A fresh folder that has of the repository the clip alone, and the command on the PATH."""
    shutil.copytree(ROOT / "gritcodec" / "clips", tmp_path / "gritcodec" / "clips")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in ELSEWHERE], ids=lambda page: page.name)
def test_a_page_runs_as_it_stands(page, home):
    skipped = []
    for example in examples(page):
        try:
            example.evaluate()
        except SkipTest as reason:
            skipped.append(str(reason))
    assert skipped == SKIPPED.get(page.name, [])


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in ELSEWHERE], ids=lambda page: page.name)
def test_every_block_says_its_language(page):
    """An indented block, or one without a language, would be run by nobody."""
    parsed = pytest.importorskip("markdown_it").MarkdownIt().parse(page.read_text(encoding="utf-8"))
    blocks = [token for token in parsed if token.type in ("fence", "code_block")]
    if page.name in ("bitstream.md", "conformance.md"):
        blocks = [token for token in blocks if token.type == "fence"]
    assert {token.info for token in blocks} <= {"sh", "python", "text"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for place in re.findall(r"\]\(([^)\s]+)\)", text):
        if not place.startswith(("http", "#")):
            assert (page.parent / place.partition("#")[0]).exists(), place


def test_readme_is_short_and_names_what_ci_does():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120 and len(text) <= 8000
    assert "make run" in text and "make test" in text


def rows(text, heading=None):
    """The cells of a page's tables, without intervals; of those under a heading alone."""
    text = text if heading is None else text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = [re.split(r"\s*\|\s*", line.strip())[1:-1] for line in text.splitlines() if line.startswith("|")]
    return [[cell.partition(" (")[0].strip("*") for cell in cells] for cells in found]


def test_the_figures_of_readme_are_those_of_the_run_that_it_links():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## How good it is\n")[2].partition("\n## ")[0]
    head, _, *said = rows(text)
    report = (ROOT / re.search(r"\]\((docs/results[\w-]*\.md)\)", text)[1]).read_text(encoding="utf-8")
    measured = {}
    for heading in ("Quality against rate", "More measures"):
        names, _, *found = rows(report, heading)
        for cells in found:
            measured.setdefault(cells[0], {}).update(zip(names[1:], cells[1:], strict=True))
    assert head[1] == "kbps on disk" and len(said) > 3
    for _, kbps, *values in said:
        wanted = {"kbps": kbps, **dict(zip(head[2:], values, strict=True))}
        assert any(wanted.items() <= codec.items() for codec in measured.values()), wanted


def test_the_help_has_the_exit_codes_of_the_page():
    text = (
        (ROOT / "docs" / "command.md").read_text(encoding="utf-8").partition("## Exit codes\n")[2].partition("\n## ")[0]
    )
    codes = [code for cells in rows(text)[2:] for code in cells[0].split(", ")]
    assert len(codes) > 5 and re.findall(r"\b\d+(?= )", messages.EXIT_CODES) == codes


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built where no network is to be had: whatever asks for one fails."""
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | offline,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site):
    """Links lead out where the pages' own do; what a browser loads by itself lies beside the page."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|audio|source)[^>]* src=[\"']([^\"']+)", text)
        loaded += re.findall(r"<link[^>]* href=[\"']([^\"']+)", text)
        assert loaded and not [place for place in loaded if "//" in place]
    for style in site.rglob("*.css"):
        places = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", style.read_text(encoding="utf-8"))
        assert not [place for place in places if place.startswith(("http", "//"))]


@pytest.mark.parametrize("module", ["gritcodec", "gritcodec.quantize", "gritcodec.tokens"])
def test_the_site_has_every_public_name(site, module):
    text = (site / "api.html").read_text(encoding="utf-8")
    names = importlib.import_module(module).__all__
    missing = [name for name in names if f'id="{module}.{name}"' not in text]
    assert names and not missing
    # Described where it is defined, and in its own words.
    if module == "gritcodec":
        assert "kbps a channel that the file may cost" in text and 'id="gritcodec.Codec.bitrates"' in text
