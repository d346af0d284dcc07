"""The sentences that the bench's report begins with, and the report of a finished run, written again."""

import json
import subprocess
import sys

import pytest

from gritcodec.evaluate import page, results, summary

# Label: kbps, PESQ-WB, mel distance.
FOUND = {
    "gritcodec tiny:3": (3.1, 2.5, 0.8),
    "gritcodec tiny:6": (6.0, 3.25, 0.7),
    "gritcodec tiny, effort 3:3": (3.1, 4.0, 0.1),
    "opus:6": (5.9, 2.3, 1.4),
    "opus:8": (8.0, 2.9, 1.2),
    "opus:10": (10.5, 3.4, 0.6),
    "speex:2": (7.9, 2.95, 0.85),
    "codec2:700C": (0.7, 4.0, 0.1),
    "original": (256.0, 4.64, 0.0),
}


def made(*labels, measures=("pesq", "mel")):
    entries = [results.Entry(label, *label.partition(":")[::2], "1", 0) for label in labels or FOUND]
    scores = []
    for entry in entries:
        kbps, *values = FOUND[entry.label]
        found = dict(zip(("pesq", "mel"), values, strict=True))
        found = {name: found[name] for name in measures}
        scores.append(results.Score(entry.label, "clip", "clean", round(kbps * 1250), found, {}))
    clip = results.ClipFacts("clip", "clean", "en", 10.0, -20.0)
    return results.Results("set", "tiny", [clip], entries, dict.fromkeys(measures, "1"), scores)


def test_both_rates_and_the_first_peer_ahead():
    assert summary.sentences(made(measures=("pesq",))) == [
        "At 3.10 kbps gritcodec tiny has PESQ-WB 2.50; the next peer above it, at 5.90: 2.30 (opus 6).",
        "At 6.00 kbps gritcodec tiny has PESQ-WB 3.25; the best of the peers at that rate and up to 2 kbps above: "
        "2.95 (speex 2).",
        "The first peer from low rates to high that is ahead of it at the same rate (above 6.00 kbps: of what it has "
        "there): by PESQ-WB opus 10 at 10.50 (3.40, gritcodec 3.25).",
    ]


def test_a_measure_of_which_less_is_better():
    found = made("gritcodec tiny:3", "gritcodec tiny:6", "opus:8", "opus:10", measures=("mel",))
    first, _, last = summary.sentences(found)
    assert first.endswith("mel distance 0.800; the next peer above it, at 8.00: 1.200 (opus 8).")
    assert last.endswith("by mel distance opus 10 at 10.50 (0.600, gritcodec 0.700).")


def test_what_there_is_to_say_where_little_was_measured():
    assert summary.sentences(made("gritcodec tiny:3", "original")) == ["At 3.10 kbps gritcodec tiny has PESQ-WB 2.50."]
    assert summary.sentences(made("opus:6", "original")) == []
    assert summary.sentences(made("gritcodec tiny:6", "opus:6"))[1].endswith("by PESQ-WB none.")
    nothing = made("gritcodec tiny:3", "opus:6")
    nothing.scores[1].values.clear()
    assert "no value" in summary.sentences(nothing)[0]
    assert "\n\n\n" not in page.markdown(made("opus:6"), "command")


@pytest.mark.parametrize("told", [True, False])
def test_a_report_is_written_again_without_scoring(tmp_path, told):
    """By results.json alone; those of older releases do not say their command, and the old report does."""
    found = made()
    found.command = "gritcodec evaluate SET --limit 1"
    results.save(found, tmp_path)
    if not told:
        data = json.loads((tmp_path / "results.json").read_text())
        del data["command"]
        (tmp_path / "results.json").write_text(json.dumps(data))
        (tmp_path / "results.md").write_text(
            "# Results\n\nWritten by `gritcodec evaluate SET --limit 1`; do not edit.\n"
        )
    docs = tmp_path / "docs"
    call = [sys.executable, "-m", "gritcodec.evaluate.page", str(tmp_path), "--publish", str(docs)]
    refused = subprocess.run(call, capture_output=True, text=True)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr and "there is no folder" in refused.stderr
    docs.mkdir()
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (docs / "results.md").read_text()
    head, picture, said, written, *_ = text.split("\n\n")
    assert head == "# Results" and picture.startswith("![") and said.count("gritcodec tiny has") == 2
    assert written.startswith("Written by `gritcodec evaluate SET --limit 1`; do not edit.")
    assert (docs / "results.png").read_bytes() == (tmp_path / "results.png").read_bytes()
    html = (tmp_path / "index.html").read_text()
    assert 0 < html.index("<img") < html.index("gritcodec tiny has") < html.index("<table")


def test_no_run_is_said_in_a_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gritcodec.evaluate.page", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "run gritcodec evaluate first" in done.stderr
