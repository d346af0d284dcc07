"""What a run found, in three sentences: gritcodec at two rates, the best of the peers there, and where one is ahead."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from gritcodec.evaluate.measures import MEASURES
from gritcodec.evaluate.results import Entry, Results

# Of all measures those that compare codecs by more than a few clips' words, in the order in which they are said.
_SAID = ("pesq", "estoi", "visqol", "distillmos")
_RATES = (3.0, 6.0)
# Peers as near as this above a rate are compared with it.
_WITHIN = 2.0
_OWN = "gritcodec "


def sentences(results: Results) -> list[str]:
    """Return what stands first in the report; nothing where no model of gritcodec was measured.

    Means over the clean clips, as in the first table. gritcodec between its settings is taken to lie on the line
    between them; above its highest one it has what that has.
    """
    names = [name for name in results.names() if name.startswith(_OWN)]
    measures = [name for name in _SAID if name in results.measures] or list(results.measures)[:1]
    own = _rated(results, results.of(names[0])) if names else []
    if not own or not measures:
        return []
    peers = [entry for name in results.names() if not name.startswith(_OWN) for entry in results.of(name)]
    rated = sorted(_rated(results, [entry for entry in peers if entry.name != "original"]), key=lambda pair: pair[0])
    chosen = dict.fromkeys(min(own, key=lambda pair: abs(pair[0] - rate)) for rate in _RATES)
    found = [_beside(results, point, rated, measures) for point in chosen]
    return [*found, _ahead(results, own, rated, measures)] if rated else found


def _rated(results: Results, entries: Sequence[Entry]) -> list[tuple[float, Entry]]:
    """Return entries with their true kbps, where some clip has any."""
    rates = [(results.kbps(entry.label), entry) for entry in entries]
    return [(rate, entry) for rate, entry in rates if rate is not None]


def _beside(
    results: Results, point: tuple[float, Entry], peers: Sequence[tuple[float, Entry]], measures: Sequence[str]
) -> str:
    rate, entry = point
    values = _values(results, entry, measures)
    own = ", ".join(f"{MEASURES[name].title} {value}" for name, value in zip(measures, values, strict=True))
    text = f"At {rate:.2f} kbps {entry.name} has {own}"
    above = [(other, peer) for other, peer in peers if other >= rate]
    if not above:
        return f"{text}."
    near = [peer for other, peer in above if other <= rate + _WITHIN]
    if not near:
        other, peer = above[0]
        return f"{text}; the next peer above it, at {other:.2f}: {_best(results, [peer], measures)}."
    best = _best(results, near, measures)
    return f"{text}; the best of the peers at that rate and up to {_WITHIN:g} kbps above: {best}."


def _best(results: Results, peers: Sequence[Entry], measures: Sequence[str]) -> str:
    """Return the best value of each measure, in the same order, and whose it is."""
    said = []
    for measure in measures:
        found = [(value.mean, peer) for peer in peers if (value := results.estimate(peer.label, measure))]
        if not found:
            said.append(("no value", ""))
            continue
        mean, peer = max(found, key=lambda pair: _sign(measure) * pair[0])
        said.append((f"{mean:.{MEASURES[measure].digits}f}", f" ({_title(peer)})"))
    # A peer that is the best several times running is named once.
    groups = groupby(said, key=lambda pair: pair[1])
    return ", ".join(", ".join(value for value, _ in group) + name for name, group in groups)


def _sign(measure: str) -> int:
    return 1 if MEASURES[measure].better == "higher" else -1


def _ahead(
    results: Results,
    own: Sequence[tuple[float, Entry]],
    peers: Sequence[tuple[float, Entry]],
    measures: Sequence[str],
) -> str:
    """Say by every measure which peer is the first, from low rates to high, to do better at the same rate."""
    found = [f"by {MEASURES[name].title} {_first_ahead(results, own, peers, name) or 'none'}" for name in measures]
    above = f"above {own[-1][0]:.2f} kbps: of what it has there"
    return f"The first peer from low rates to high that is ahead of it at the same rate ({above}): {'; '.join(found)}."


def _first_ahead(
    results: Results, own: Sequence[tuple[float, Entry]], peers: Sequence[tuple[float, Entry]], measure: str
) -> str | None:
    curve = [(rate, found.mean) for rate, entry in own if (found := results.estimate(entry.label, measure))]
    rates, values = [rate for rate, _ in curve], [value for _, value in curve]
    digits = MEASURES[measure].digits
    for rate, peer in peers:
        found = results.estimate(peer.label, measure)
        if not curve or found is None or rate < rates[0]:
            continue
        ours = float(np.interp(rate, rates, values))
        if _sign(measure) * (found.mean - ours) > 0:
            return f"{_title(peer)} at {rate:.2f} ({found.mean:.{digits}f}, gritcodec {ours:.{digits}f})"
    return None


def _values(results: Results, entry: Entry, measures: Sequence[str]) -> list[str]:
    found = [(results.estimate(entry.label, name), MEASURES[name].digits) for name in measures]
    return ["no value" if value is None else f"{value.mean:.{digits}f}" for value, digits in found]


def _title(entry: Entry) -> str:
    return f"{entry.name} {entry.setting}".strip()
