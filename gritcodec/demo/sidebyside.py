"""The two wide views as HTML: all bitrates beside each other, and the codes of a file."""

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from gritcodec.demo.compare import Column, Comparison
from gritcodec.demo.markup import player

# Gives the address under which the browser finds a column's sound and picture.
Address = Callable[[Column], tuple[str, str]]
# Numbers along the time axis, at most.
_TICKS = 8


def comparison(view: Comparison, bitrate: float, address: Address, measures: Sequence[str], note: str) -> str:
    """One player with two pictures, and a table whose rows it plays.

    Args:
        view: what is compared.
        bitrate: kbps a channel, of what is heard first.
        address: of a column's sound and picture.
        measures: those that can be had: of "PESQ", "STOI".
        note: a line more.
    """
    ours = [column for column in view.columns if column.codec == "gritcodec"]
    first = min(ours, key=lambda column: min(abs(asked - bitrate) for asked in column.asked))
    rows = "".join(
        _row(column, view.original, *address(column), measures, column is first)
        for column in (*view.columns, view.original)
    )
    # Where there is no room for a column more, it stands below the bytes.
    names = ("play", "kbps", "bytes<small>smaller</small>")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    head += '<th scope="col" class="smaller">smaller</th>' + "".join(
        f'<th scope="col">{name}</th>' for name in measures
    )
    wav, picture = address(first)
    return (
        f'<div class="compare"><div class="stage">{_picture(address(view.original)[1], "Original", "")}'
        + _picture(picture, _label(first), " chosen")
        + player(wav, _label(first), "comparison")
        + f'</div><div><table id="table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        + "".join(f'<p class="hint">{escape(line)}</p>' for line in (*_notes(view, measures), note) if line)
        + "</div></div>"
    )


def _notes(view: Comparison, measures: Sequence[str]) -> list[str]:
    lines = []
    if view.least is not None:
        lines.append(f"Opus goes no lower than {view.least.kbps:.2f} kbps here: what costs less has no Opus beside it.")
    if view.channels > 1:
        lines.append(f"A bitrate is asked for per channel; kbps and bytes are those of all {view.channels} channels.")
    ranges = {"PESQ": "PESQ (1 to 4.6)", "STOI": "STOI (0 to 1)"}
    if measures:
        lines.append(f"{' and '.join(ranges[name] for name in measures)}: the higher, the closer to the original.")
    lines.append(f"The first {view.seconds:.1f} s. Pictures: time to the right, low tones at the bottom.")
    return lines


def _label(column: Column) -> str:
    return f"{column.codec} {column.name}" if column.name else "Original"


def _picture(address: str, label: str, kind: str) -> str:
    return (
        f'<figure class="spectrogram{kind}"><figcaption>{escape(label)}</figcaption>'
        f'<img src="{escape(address)}" alt="spectrogram: {escape(label)}"></figure>'
    )


def _row(column: Column, original: Column, wav: str, picture: str, measures: Sequence[str], first: bool) -> str:
    label = escape(_label(column))
    smaller = "" if column is original else f"{original.size / column.size:,.0f} x"
    values = {"PESQ": _number(column.pesq, 2), "STOI": _number(column.stoi, 3)}
    aside = "<small>its least</small>" if column.least else ""
    codec = column.codec.capitalize() if column is original else column.codec
    # What Opus came to says the column beside it.
    name = f" <b>{escape(column.name)}</b>" if column.codec == "gritcodec" else ""
    cells = [
        f'<td class="kbps">{_kbps(column.kbps)}</td>',
        f'<td class="bytes">{column.size:,}<small>{smaller}</small></td>',
        f'<td class="smaller">{smaller}</td>',
        *(f"<td>{values[name]}</td>" for name in measures),
    ]
    return (
        f'<tr class="{column.codec.lower()}" data-wav="{escape(wav)}" data-picture="{escape(picture)}" '
        f'data-label="{label}"{" aria-current=true" if first else ""}>'
        f'<th scope="row"><div><button type="button" class="hear" aria-label="Play {label}"></button>'
        f'<span><span class="codec">{escape(codec)}</span>{name}{aside}</span></div></th>{"".join(cells)}</tr>'
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _kbps(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def codes(
    pictures: tuple[str, str],
    kept: NDArray[np.int64],
    stages: int,
    bitrates: Sequence[float],
    chosen: int,
    frame_rate: float,
) -> str:
    """The codes of a file, and what each bitrate keeps of them; words are text, so that they never shrink.

    Args:
        pictures: addresses of `pictures.codes_png` and of `pictures.kept_png`.
        kept: int64 [bitrates, frames].
        stages: of the file.
        bitrates: kbps, ascending.
        chosen: the row of `kept` whose limit is drawn into the codes.
        frame_rate: frames a second.
    """
    frames = kept.shape[1]
    time = _time(frames, frame_rate)
    line = " ".join(f"{at},{count} {at + 1},{count}" for at, count in enumerate(kept[chosen]))
    limit = (
        f'<svg viewBox="0 0 {frames} {stages}" preserveAspectRatio="none" aria-hidden="true">'
        f'<polyline points="{line}" vector-effect="non-scaling-stroke"/></svg>'
    )
    rate = f"{bitrates[chosen]:g} kbps"
    numbers = [str(number) if number % 2 == 0 or stages < 8 else "" for number in range(1, stages + 1)]
    return (
        f'<figure class="codes"><figcaption><b>Every code in the file</b> A row is a stage, the coarsest on top; '
        f"a column is {1000 / frame_rate:g} ms; a colour is one of the codes. {rate} keeps what is above the red line."
        f"</figcaption>{_plot('stage', numbers, pictures[0], 'codes, stages by time', limit, frames, time)}</figure>"
        f'<figure class="codes"><figcaption><b>What each bitrate keeps</b> The darker, the more of the {stages} '
        "stages: packet by packet, as the sound needs them.</figcaption>"
        + _plot(
            "kbps",
            [f"{each:g}" for each in bitrates],
            pictures[1],
            "stages kept, bitrates by time",
            "",
            frames,
            time,
            chosen,
        )
        + '<p class="key"><span>0 stages</span><i></i><span>'
        + f"{stages}</span></p></figure>"
    )


def _plot(
    unit: str,
    names: Sequence[str],
    address: str,
    text: str,
    above: str,
    frames: int,
    time: str,
    chosen: int | None = None,
) -> str:
    marked = (f"<span{' class=chosen' if at == chosen else ''}>{escape(name)}</span>" for at, name in enumerate(names))
    return (
        f'<div class="plot" style="--rows: {len(names)}; --frames: {frames}">'
        f'<div class="axis"><i>{unit}</i>{"".join(marked)}</div>'
        # Reachable by keyboard, as it scrolls.
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(text)}"><div class="area">'
        f'<img src="{escape(address)}" alt="{escape(text)}">{above}<div class="time">{time}</div></div></div></div>'
        '<p class="swipe" aria-hidden="true">Swipe the picture for the rest →</p>'
    )


def _time(frames: int, frame_rate: float) -> str:
    """Numbers along a time axis, in seconds."""
    seconds = frames / frame_rate
    step = next((step for step in (0.5, 1, 2, 5, 10) if seconds / step <= _TICKS), 20)
    marks = np.arange(0, seconds, step)
    return "".join(f'<span style="left: {100 * at / seconds:.3f}%">{at:g} s</span>' for at in marks)
