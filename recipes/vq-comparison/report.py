"""Tables and plot of the comparison; the prose around the tables is left as it is."""

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
    "usage_seen": ("by training vectors", "{:.0%}"),
    "perplexity": ("perplexity / K", "{:.0%}"),
    "gradient": ("gradient norm", "{:.4f}"),
    "gradient_variance": ("its variance", "{:.4f}"),
    "ms": ("CPU ms a step", "{:.0f}"),
}
SPREAD = ("error", "log_mel", "si_sdr", "usage", "perplexity")
PANEL = 5  # methods that make a panel of the plot
FAR = 1.15  # times the best log-mel distance, beyond which a method is not plotted
LINE, LETTER, DOT = 12, 6.5, 4  # pixels between two names, of a letter, of half a point


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
        what = "cached latents" if level == "latents" else "codec and quantizer together"
        text.append(f"### {what.capitalize()}: K = {size}, {stages} stage{'s' * (stages > 1)}\n")
        text.append("| quantizer | seeds | " + " | ".join(COLUMNS[name][0] for name in names) + " |")
        text.append("| --- " * (len(names) + 2) + "|")
        for method in ordered:
            cells = [_cell(name, [run[name] for run in methods[method]]) for name in names]
            text.append(f"| {method} | {len(methods[method])} | " + " | ".join(cells) + " |")
        text.append("")
    return "\n".join(text)


def tried(trials: list[dict[str, Any]]) -> str:
    """One Markdown table a level and codebook size of what was tried on seed 0, best log-mel distance first."""
    text = []
    for (level, size, stages), methods in sorted(groups(trials).items(), key=lambda item: (item[0][1], item[0][0])):
        what = "cached latents" if level == "latents" else "codec and quantizer together"
        text.append(f"### Tried on seed 0, {what}: K = {size}, {stages} stages\n")
        text.append("| quantizer | codes' rate | transform's rate | first latents | log-mel | codes used |")
        text.append("| --- " * 6 + "|")
        for run in sorted((run for several in methods.values() for run in several), key=lambda run: run["log_mel"]):
            rates = ["own", "own"] if run["rates"] is None else [f"{rate:g}" for rate in run["rates"]]
            first = "as ever" if run["first"] is None else f"{400 * run['first']:,}"
            cells = [run["method"], *rates, first, _cell("log_mel", [run["log_mel"]]), _cell("usage", [run["usage"]])]
            text.append(f"| {' | '.join(cells)} |")
        text.append("")
    return "\n".join(text)


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Log-mel distance against perplexity, a panel a level and codebook size; GRIT-VQ in colour, bars are one s.d."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [run for run in runs if run["method"] != "no quantization"]
    found = sorted(groups(shown).items(), key=lambda item: (item[0][1], item[0][0]))
    found = [item for item in found if len(item[1]) >= PANEL] or found
    rows = -(-len(found) // 2)
    figure, axes = pyplot.subplots(rows, 2, figsize=(14, 6 * rows), dpi=110, squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.set_visible(False)
    drawn = []
    for axis, ((level, size, stages), methods) in zip(axes.flat, found, strict=False):
        what = "cached latents" if level == "latents" else "trained jointly"
        axis.set(title=f"{what}, K = {size}, {stages} stage{'s' * (stages > 1)}", xlabel="perplexity, % of K")
        axis.set_ylabel("log-mel distance of unseen voices (lower is better)")
        axis.grid(alpha=0.3)
        drawn.append((axis, _points(axis, methods)))
    figure.tight_layout()
    for axis, points in drawn:  # once the axes stand where they will
        _names(axis, points)
    figure.savefig(path, dpi=figure.dpi)


def _points(axis: Any, methods: dict[str, list[dict[str, Any]]]) -> dict[str, tuple[float, float]]:
    """Points of one panel, (perplexity in %, log-mel distance); methods far worse than the best stand in a corner."""
    axis.margins(x=0.15, y=0.1)
    best = min(statistics.mean(run["log_mel"] for run in several) for several in methods.values())
    points, far = {}, []
    for method, several in methods.items():
        x, y = [100 * run["perplexity"] for run in several], [run["log_mel"] for run in several]
        if statistics.mean(y) > FAR * best:
            far.append(f"{method} {statistics.mean(y):.3f}")
            continue
        spread = [statistics.stdev(values) if len(values) > 1 else 0 for values in (x, y)]
        points[method] = statistics.mean(x), statistics.mean(y)
        axis.errorbar(*points[method], spread[1], spread[0], fmt="o", color=_colour(method), ms=4)
    if far:
        axis.text(0.02, 0.97, "above: " + "\n".join(far), transform=axis.transAxes, va="top", fontsize=7)
    return points


def _names(axis: Any, points: dict[str, tuple[float, float]]) -> None:
    """Name each point; names make way for each other upwards."""
    middle = sum(axis.get_xlim()) / 2
    # What is taken, (left, right, height) in pixels: the points, then the names one by one.
    taken = [(x - DOT, x + DOT, y) for x, y in (axis.transData.transform(point) for point in points.values())]
    for method, point in sorted(points.items(), key=lambda item: item[1][1]):
        x, y = axis.transData.transform(point)
        width, left = LETTER * len(method), point[0] > middle
        start, height = (x - 2 * DOT - width if left else x + 2 * DOT), y
        while any(start < end and begin < start + width and abs(height - at) < LINE for begin, end, at in taken):
            height += 1
        taken.append((start, start + width, height))
        axis.annotate(
            method,
            point,
            xytext=((-2 if left else 2) * DOT, height - y),
            textcoords="offset pixels",
            ha="right" if left else "left",
            va="center",
            fontsize=7,
            color=_colour(method),
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": _colour(method)} if height - y > LINE else None,
        )


def _colour(method: str) -> str:
    return "#c0392b" if method.startswith("GRIT") else "#34495e"


def write(runs: list[dict[str, Any]], trials: list[dict[str, Any]], docs: Path) -> None:
    """Put tables into docs/vq-comparison-tables.md between its marks, and the plot beside it."""
    page = docs / "vq-comparison-tables.md"
    text = (
        page.read_text(encoding="utf-8") if page.is_file() else f"# Vector quantizers: all tables\n\n{BEGIN}\n{END}\n"
    )
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    page.write_text(f"{head}{BEGIN}\n\n{tables(runs)}\n{tried(trials)}\n{END}{tail}", encoding="utf-8")
    plot(runs, docs / "vq-comparison.png")
