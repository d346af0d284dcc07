"""The report: Markdown with a picture, and one HTML file that holds tables, pictures and players.

`python -m gritcodec.evaluate.page runs/evaluate --publish docs` writes that of a finished run again; it scores nothing.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from typing import Annotated

import typer

from gritcodec import files, messages
from gritcodec.errors import GritcodecError, OutputError
from gritcodec.evaluate import plots, summary, tables
from gritcodec.evaluate import results as stored
from gritcodec.evaluate.results import Entry, Results, Sound
from gritcodec.evaluate.sets import CLEAN

_MAIN = ("pesq", "estoi", "visqol")
_MORE = ("dnsmos", "distillmos", "speaker", "wer")
# Settings of one codec that the page plays: more would make the file too large to send.
_HEARD_SETTINGS = 3

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; }
th, td { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; white-space: nowrap; }
th { background: #f2f2f2; } img { max-width: 100%; } audio { width: 17rem; height: 2rem; }
li { overflow-wrap: anywhere; }
"""


def write(results: Results, out: Path, publish: Path | None, command: str) -> list[Path]:
    """Write results.md, its picture and index.html, and the first two once more to be published.

    Args:
        results: what was found.
        out: folder of the run, with the sounds.
        publish: folder that gets results.md and results.png, or None.
        command: what makes them again, as the report says it.

    Returns:
        The files written.

    Raises:
        OutputError: they cannot be written.
    """
    folders = [out] if publish is None else [out, publish]
    for folder in folders:
        if not folder.is_dir():
            raise OutputError(f"cannot write {folder / 'results.md'}: there is no folder {folder}")
    picture = plots.rate_distortion(results, main_panels(results))
    text = markdown(results, command)
    written = []
    for folder in folders:
        files.write_bytes(folder / "results.png", picture)
        files.write_bytes(folder / "results.md", text.encode())
        written += [folder / "results.md", folder / "results.png"]
    files.write_bytes(out / "index.html", page(results, out, picture, command).encode())
    return [*written, out / "index.html"]


def main_panels(results: Results) -> list[tuple[str, str]]:
    """Return the panels of the picture for README: the first measures, clean clips."""
    names = [name for name in _MAIN if name in results.measures] or list(results.measures)[:1]
    return [(name, CLEAN) for name in names]


def more_panels(results: Results) -> list[tuple[str, str]]:
    """Return the panels of the page's second picture: other measures, then every other condition."""
    found = [(name, CLEAN) for name in _MORE if name in results.measures]
    for condition in results.conditions()[1:]:
        usable = [name for name in ("pesq", "visqol", *results.measures) if name in results.measures]
        fitting = [
            name for name in usable if any(results.estimate(entry.label, name, condition) for entry in results.entries)
        ]
        found += [(name, condition) for name in fitting[:1]]
    return found


def markdown(results: Results, command: str) -> str:
    """Return the report as Markdown."""
    parts = [
        "# Results",
        "![Quality against true kbps](results.png)",
        " ".join(summary.sentences(results)),
        f"Written by `{command}`; do not edit. {_about(results)}",
        *(table.markdown().strip() for table in tables.tables(results)),
        *(_list(title, lines) for title, lines in _notes(results)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(title: str, lines: list[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {line}" for line in lines)]) if lines else ""


def _about(results: Results) -> str:
    counts = [f"{sum(clip.condition == name for clip in results.clips)} {name}" for name in results.conditions()]
    return f"Set `{results.set_name}`, size {results.size}; clips: {', '.join(counts)}."


def _notes(results: Results) -> list[tuple[str, list[str]]]:
    versions = [f"{name}: {version}" for name, version in results.measures.items()]
    return [
        ("Not measured", results.missing),
        ("Files that cannot be read", results.unread),
        ("Clips without an answer", results.failures()),
        ("Versions of the measures (the bench's own first, then the packages')", versions),
    ]


def page(results: Results, out: Path, picture: bytes, command: str) -> str:
    """Return the report as one HTML file."""
    about = html.escape(_about(results).replace("`", ""))
    parts = [
        "<h1>Results</h1>",
        _image(picture, "quality against rate"),
        f"<p>{html.escape(' '.join(summary.sentences(results)))}</p>",
        f"<p>{about} Written by <code>{html.escape(command)}</code>.</p>",
    ]
    more = more_panels(results)
    if more:
        parts.append(_image(plots.rate_distortion(results, more), "more measures, and other conditions"))
    parts += [_players(results, out)]
    parts += [table.html() for table in tables.tables(results)]
    for title, lines in _notes(results):
        if lines:
            items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
            parts.append(f"<h2>{html.escape(title)}</h2><ul>{items}</ul>")
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><title>gritcodec: results</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def heard_entries(results: Results) -> list[Entry]:
    """Return the codecs and settings to listen to: every codec, a few settings from low to high."""
    chosen = []
    for name in results.names():
        entries = results.of(name)
        step = max((len(entries) - 1) / max(_HEARD_SETTINGS - 1, 1), 1.0)
        places = {round(k * step) for k in range(_HEARD_SETTINGS)}
        chosen += [entry for place, entry in enumerate(entries) if place in places]
    return chosen


def sounds(results: Results) -> dict[tuple[str, str], dict[str, Sound]]:
    """Return what there is to hear: for every (condition, clip), the sounds by codec label."""
    found: dict[tuple[str, str], dict[str, Sound]] = {}
    for sound in results.sounds:
        found.setdefault((sound.condition, sound.clip), {})[sound.label] = sound
    return found


def _players(results: Results, out: Path) -> str:
    parts = ["<h2>Listen</h2>"]
    entries = heard_entries(results)
    for (condition, clip), by_label in sounds(results).items():
        rows = []
        for entry in entries:
            if entry.label not in by_label:
                continue
            data = base64.b64encode((out / by_label[entry.label].path).read_bytes()).decode()
            player = f'<audio controls preload="none" src="data:audio/flac;base64,{data}"></audio>'
            kbps = results.kbps(entry.label, condition)
            rate = "" if kbps is None else f"{kbps:.2f} kbps"
            title = html.escape(f"{entry.name} {entry.setting}".strip())
            rows.append(f"<tr><td>{title}</td><td>{rate}</td><td>{player}</td></tr>")
        parts.append(f"<h3>{html.escape(clip)} ({html.escape(condition)})</h3><table>{''.join(rows)}</table>")
    return "\n".join(parts) if len(parts) > 1 else ""


def _image(data: bytes, alt: str) -> str:
    return f'<p><img alt="{alt}" src="data:image/png;base64,{base64.b64encode(data).decode()}"></p>'


def again(out: Path, publish: Path | None = None) -> list[Path]:
    """Write the report of a finished run again, by what `results.json` says: nothing is scored.

    Args:
        out: folder of the run.
        publish: as in `write`.

    Raises:
        UsageError: there is no run, or one of another release.
        OutputError: files cannot be written.
    """
    found = stored.load(out)
    return write(found, out, publish, found.command or _command_of(out / "results.md"))


def _command_of(report: Path) -> str:
    """Return the command that a report names: results of older releases do not say it."""
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    named = re.search(r"^Written by `([^`]+)`", text, re.MULTILINE)
    return named[1] if named else "gritcodec evaluate"


def main(
    out: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")] = Path("runs/evaluate"),
    publish: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results.md and results.png there too.")
    ] = None,
) -> None:
    """Write the report of a finished run of `gritcodec evaluate` again, without scoring."""
    try:
        for path in again(out, publish):
            print(path)
    except GritcodecError as error:
        raise typer.Exit(messages.report(error)) from None


if __name__ == "__main__":
    typer.run(main)
