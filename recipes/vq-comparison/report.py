"""Tables and plot of the comparison; the prose of docs/vq-comparison.md is left as it is."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- tables: begin (compare.py writes them) -->", "<!-- tables: end -->"
COLUMNS = {
    "error": ("error", "{:.4f}"),
    "log_mel": ("log-mel", "{:.3f}"),
    "si_sdr": ("SI-SDR, dB", "{:.1f}"),
    "usage": ("codes used", "{:.0%}"),
    "perplexity": ("perplexity / K", "{:.0%}"),
    "gradient": ("gradient norm", "{:.4f}"),
    "gradient_variance": ("its variance", "{:.3f}"),
    "ms": ("CPU ms a step", "{:.0f}"),
}
SPREAD = ("error", "log_mel", "si_sdr", "usage", "perplexity")


def _cell(name: str, values: list[float]) -> str:
    form = COLUMNS[name][1]
    text = form.format(statistics.mean(values))
    if name in SPREAD and len(values) > 1:
        text += f" ± {form.format(statistics.stdev(values))}"
    return text


def groups(runs: list[dict[str, Any]]) -> dict[tuple[str, int, int], dict[str, list[dict[str, Any]]]]:
    """Runs by (level, K, stages), then by method."""
    found: dict[tuple[str, int, int], dict[str, list[dict[str, Any]]]] = {}
    for run in runs:
        found.setdefault((run["level"], run["size"], run["stages"]), {}).setdefault(run["method"], []).append(run)
    return found


def tables(runs: list[dict[str, Any]]) -> str:
    """One Markdown table a level and codebook size, best log-mel distance first."""
    text = []
    for (level, size, stages), methods in sorted(groups(runs).items(), key=lambda item: (item[0][1], item[0][0])):
        names = [name for name in COLUMNS if name in next(iter(methods.values()))[0]]
        ordered = sorted(methods, key=lambda method: statistics.mean(run["log_mel"] for run in methods[method]))
        seeds = max(len(found) for found in methods.values())
        what = "cached latents" if level == "latents" else "codec and quantizer together"
        text.append(f"### {what.capitalize()}: K = {size}, {stages} stage{'s' * (stages > 1)}, {seeds} seeds\n")
        text.append("| quantizer | " + " | ".join(COLUMNS[name][0] for name in names) + " |")
        text.append("| --- " * (len(names) + 1) + "|")
        for method in ordered:
            cells = [_cell(name, [run[name] for run in methods[method]]) for name in names]
            text.append(f"| {method} | " + " | ".join(cells) + " |")
        text.append("")
    return "\n".join(text)


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Log-mel distance against perplexity, a panel a level and codebook size; GRIT-VQ in colour, bars are one s.d."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = sorted(groups(runs).items(), key=lambda item: (item[0][1], item[0][0]))
    rows = -(-len(found) // 2)
    figure, axes = pyplot.subplots(rows, 2, figsize=(14, 6.5 * rows), squeeze=False)
    for axis, ((level, size, stages), methods) in zip(axes.flat, found, strict=False):
        for method, several in methods.items():
            x = [100 * run["perplexity"] for run in several]
            y = [run["log_mel"] for run in several]
            colour = "#c0392b" if method.startswith("GRIT") else "#34495e"
            spread = [statistics.stdev(v) if len(v) > 1 else 0 for v in (x, y)]
            axis.errorbar(statistics.mean(x), statistics.mean(y), spread[1], spread[0], fmt="o", color=colour, ms=4)
            axis.annotate(
                method,
                (statistics.mean(x), statistics.mean(y)),
                xytext=(4, 3),
                textcoords="offset points",
                fontsize=6.5,
                color=colour,
            )
        axis.set(title=f"{level}, K = {size}, {stages} stages", xlabel="perplexity, % of K")
        axis.set_ylabel("log-mel distance of unseen voices (lower is better)")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def write(runs: list[dict[str, Any]], docs: Path) -> None:
    """Put tables into docs/vq-comparison.md between its marks, and the plot beside it."""
    page = docs / "vq-comparison.md"
    text = page.read_text(encoding="utf-8") if page.is_file() else f"# Vector quantizers compared\n\n{BEGIN}\n{END}\n"
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    page.write_text(f"{head}{BEGIN}\n\n{tables(runs)}\n{END}{tail}", encoding="utf-8")
    plot(runs, docs / "vq-comparison.png")
