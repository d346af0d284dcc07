"""The comparison recipe, run as its README says, in a few steps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes" / "vq-comparison"


@pytest.mark.slow
def test_every_method_goes_through_its_levels(tmp_path):
    command = [sys.executable, RECIPE / "compare.py", "--smoke", "--corpus", ROOT / "gritcodec" / "clips"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    methods = {result["method"] for result in results}
    joint = [result for result in results if result["level"] == "joint"]
    assert len(results) == len(methods) + len(joint) and len(methods) > 20 and len(joint) > 5
    for result in results:
        assert 0 < result["usage"] <= 1 and 0 < result["perplexity"] <= 1 and result["gradient"] > 0, result
        assert result["log_mel"] > 0 and result["si_sdr"] < 20, result


def test_runs_of_other_weights_are_not_gone_on_with(tmp_path):
    """Latents are cached with the fingerprint of the weights that they are of."""
    kept = tmp_path / "runs" / "vq-comparison" / "latents.safetensors"
    kept.parent.mkdir(parents=True)
    save_file({"train": torch.zeros(1)}, kept, {"fingerprint": "0" * 16})
    command = [sys.executable, RECIPE / "compare.py", "--only", "latents", "--corpus", ROOT / "gritcodec" / "clips"]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "of other weights than the shipped ones" in done.stderr
    assert kept.exists() and not (tmp_path / "docs").exists()


def test_the_pages_count_the_methods_that_are_in_the_tables():
    """GRIT-VQ's own variants, and what is left of it without radius and transform, are no others."""
    tables = (ROOT / "docs" / "vq-comparison-tables.md").read_text(encoding="utf-8")
    named = set()
    for block in tables.split("\n\n"):
        if block.startswith("| quantizer |"):
            named |= {row.split(" | ")[0].removeprefix("| ") for row in block.splitlines()[2:]}
    own = ("GRIT-VQ", "STE, same draw", "no quantization")
    others = {name.removesuffix(", dead codes replaced") for name in named if not name.startswith(own)}
    for page in ("README.md", "docs/quantizers.md", "CHANGELOG.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        assert f"{len(others)} other" in text, page
    assert f"[{len(others) + 1} quantizers compared]" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


def test_report_keeps_the_prose_and_replaces_the_tables(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(RECIPE)!r}); import report, json; from pathlib import Path\n"
    code += "runs, trials = json.loads(sys.stdin.read())\n"
    code += "for _ in range(2): report.write(runs, trials, Path('.'))"
    run = {"level": "latents", "size": 16, "stages": 2, "log_mel": 0.5, "si_sdr": 1.0, "usage": 0.5, "perplexity": 0.25}
    runs = [{**run, "method": m, "seed": s, "log_mel": v} for m, s, v in [("B", 1, 0.5), ("A", 1, 0.3), ("A", 2, 0.5)]]
    trials = [
        {**run, "method": "A", "seed": 0, "rates": rates, "first": first, "log_mel": log_mel}
        for rates, first, log_mel in [(None, 12, 0.7), ([30.0, 0.5], None, 0.6)]
    ]
    page = tmp_path / "vq-comparison-tables.md"
    page.write_text("before\n<!-- tables: begin (compare.py writes them) -->\nold\n<!-- tables: end -->\nafter\n")
    subprocess.run([sys.executable, "-c", code], input=json.dumps([runs, trials]), text=True, cwd=tmp_path, check=True)
    text = page.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert text.count("| A | 2 | 0.400 ± 0.141") == 1 and text.index("| A | 2 |") < text.index("| B | 1 |")
    assert text.index("| A | 30 | 0.5 | as ever | 0.600 | 50% |") < text.index(
        "| A | own | own | 4,800 | 0.700 | 50% |"
    )
    assert (tmp_path / "vq-comparison.png").stat().st_size > 1000
