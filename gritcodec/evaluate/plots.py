"""Quality against rate, as pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence

from gritcodec.evaluate.measures import MEASURES
from gritcodec.evaluate.results import Results
from gritcodec.evaluate.sets import CLEAN

_COLOURS = {
    "opus": "#1f77b4",
    "opus-1.6": "#6baed6",
    "opus-wide": "#08519c",
    "opus-lace": "#17a589",
    "opus-nolace": "#0b5345",
    "codec2": "#8c564b",
    "speex": "#2ca02c",
    "amr-wb": "#9467bd",
    "lc3": "#ff7f0e",
    "mp3": "#7f7f7f",
    "encodec": "#17becf",
    "dac": "#bcbd22",
    "mimi": "#e377c2",
    "snac": "#aec7e8",
}
# Names in a line below the picture.
_LEGEND = 7
_OWN = ("#d62728", "#000000", "#ff9896", "#555555")


def rate_distortion(results: Results, panels: Sequence[tuple[str, str]], columns: int = 3) -> bytes:
    """Draw measures against true kbps, a curve for each codec.

    Args:
        results: what was found.
        panels: (measure, condition) of each panel.
        columns: panels side by side.

    Returns:
        A PNG file.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.6 * columns, 4.0 * rows), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (measure, condition) in zip(axes.flat, panels, strict=False):
        _panel(axis, results, measure, condition)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    # The original alone has no point.
    if labels:
        figure.legend(handles, labels, loc="lower center", ncol=min(len(labels), _LEGEND), frameon=False)
    lines = -(-len(labels) // _LEGEND)
    figure.tight_layout(rect=(0, (0.1 + 0.25 * lines) / figure.get_figheight(), 1, 1))
    buffer = io.BytesIO()
    # No software name and date inside: the same figures give the same file.
    figure.savefig(buffer, dpi=90, format="png", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def _panel(axis: object, results: Results, measure: str, condition: str) -> None:
    from matplotlib.axes import Axes
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

    assert isinstance(axis, Axes)
    own = 0
    for name in results.names():
        if name == "original":
            continue
        mine = name not in _COLOURS
        colour = _OWN[own % len(_OWN)] if mine else _COLOURS[name]
        own += mine
        points = [
            (results.kbps(entry.label, condition), results.estimate(entry.label, measure, condition))
            for entry in results.of(name)
        ]
        found = [(rate, value) for rate, value in points if rate is not None and value is not None]
        if not found:
            continue
        rates, means = [rate for rate, _ in found], [value.mean for _, value in found]
        low, high = [value.low for _, value in found], [value.high for _, value in found]
        width, size = (2.5, 9) if mine else (1.2, 5)
        axis.plot(rates, means, color=colour, label=name, marker=".", linewidth=width, markersize=size)
        axis.fill_between(rates, low, high, color=colour, alpha=0.12, linewidth=0)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 4, 8, 16, 32]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_formatter(NullFormatter())
    where = "" if condition == CLEAN else f", {condition}"
    arrow = "" if MEASURES[measure].better == "higher" else " (lower is better)"
    axis.set_title(f"{MEASURES[measure].title}{where}{arrow}")
    axis.set_xlabel("true kbps, bytes on disk")
    axis.grid(alpha=0.3)
