"""Results as HTML. Everything that comes from outside goes through `escape`."""

import time
from collections.abc import Callable, Sequence
from html import escape

from gritcodec.demo.blindtest import Score, Trial
from gritcodec.demo.coding import Take
from gritcodec.demo.compare import Column, Comparison

# Gives the address under which the browser finds a column's sound and picture.
Address = Callable[[Column], tuple[str, str]]


def problem(text: str) -> str:
    """One line that says what is wrong."""
    return f'<div class="problem" role="alert">{escape(text)}</div>'


def hint(text: str) -> str:
    """One line that says what to do."""
    return f'<p class="hint">{escape(text)}</p>'


def player(address: str, label: str, place: str = "", play: bool = False) -> str:
    """The browser's own player: streams, works by keyboard, needs no script.

    Args:
        address: of the sound.
        label: for screen readers.
        place: players with the same text go on from each other's position.
        play: whether to begin at once.
    """
    kept = f' data-recording="{escape(place)}"' if place else ""
    begin = f' data-play="{time.time_ns():020d}"' if play else ""
    return (
        f'<audio controls preload="metadata" src="{escape(address)}" aria-label="{escape(label)}"{kept}{begin}></audio>'
    )


def facts(pairs: Sequence[tuple[str, str, str]]) -> str:
    """Large numbers with their meaning: (number, meaning, id)."""
    tiles = "".join(
        f'<div id="{name}"><dt>{escape(meaning)}</dt><dd>{escape(number)}</dd></div>' for number, meaning, name in pairs
    )
    return f'<dl class="facts">{tiles}</dl>'


def link(address: str, name: str, text: str, ident: str) -> str:
    """A download."""
    return f'<a class="download" id="{ident}" href="{escape(address)}" download="{escape(name)}">{escape(text)}</a>'


def original(name: str, place: str, wav: str, size: int, seconds: float) -> str:
    """The card of the original; `place` as in `player`."""
    kbps = 8 * size / max(seconds, 1e-9) / 1000
    return (
        f'<section class="card off"><h3>{escape(name)}: the original</h3>{player(wav, "original", place, play=True)}'
        + facts([(f"{size:,} bytes", "WAV file", "bytes"), (f"{kbps:,.0f} kbps", "uncompressed", "kbps")])
        + "</section>"
    )


def take(name: str, place: str, done: Take, wav: str, grit: str, play: bool) -> str:
    """The card of a recording that went through the codec; `place` as in `player`."""
    pairs = [
        (f"{done.size:,} bytes", "in the .grit file", "bytes"),
        (f"{done.kbps:.2f} kbps" if done.kbps else "-", "true bitrate", "kbps"),
        (f"{done.ratio:,.0f} times", f"smaller than the WAV of {done.wav_size:,} bytes", "ratio"),
    ]
    if done.encode_speed is not None:
        pairs.append((f"{done.encode_speed:,.0f} x", "real time, encoding", "encode-speed"))
    pairs.append((f"{done.decode_speed:,.0f} x", "real time, decoding", "decode-speed"))
    return (
        f'<section class="card"><h3>{escape(name)}: out of the .grit file</h3>'
        + player(wav, "decoded", place, play)
        + _sizes(done)
        + facts(pairs)
        + damage(done.damage)
        + '<p class="downloads">'
        + link(grit, done.grit.name, f"Download {done.grit.name}", "download-grit")
        + link(wav, done.wav.name, f"Download {done.wav.name}", "download-wav")
        + "</p></section>"
    )


def _sizes(done: Take) -> str:
    """Two bars, as long as the files are large."""
    share = max(100 * done.size / max(done.wav_size, 1), 0.1)
    return (
        '<div class="sizes" aria-hidden="true"><span>WAV</span><i class="wav"></i>'
        f'<span>.grit</span><i style="width: {min(share, 100):.2f}%"></i></div>'
    )


def damage(lines: Sequence[str]) -> str:
    """What is wrong with a file that was played nevertheless."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines[:20])
    more = f"<li>and {len(lines) - 20:,} more</li>" if len(lines) > 20 else ""
    return f'<ul class="damage" role="status">{items}{more}</ul>' if lines else ""


def comparison(view: Comparison, address: Address, missing: Sequence[str], peer_note: str) -> str:
    """Players and spectrograms of every bitrate, and the table."""
    columns = [view.original, *(column for _, column, _ in view.rows), *view.peers]
    cards = "".join(_card(column, *address(column)) for column in columns)
    notes = f"The first {view.seconds:.1f} s. Spectrograms: up to half the sampling rate, -90 to -20 dB."
    if view.peers:
        notes += " Opus at the true bitrate that it comes nearest with: 6 kbps or so is its least."
    if missing:
        notes += f" To fill the table: pip install {' '.join(missing)}."
    return f'{_table(view)}<p class="hint">{escape(notes)} {escape(peer_note)}</p><div class="grid">{cards}</div>'


def _card(column: Column, wav: str, picture: str) -> str:
    kind = "grit" if column.name.startswith("gritcodec") else "peer"
    return (
        f'<figure class="{kind}"><figcaption><b>{escape(column.name)}</b> '
        f"<span>{_kbps(column.kbps)} on disk</span></figcaption>"
        f'<img src="{escape(picture)}" alt="spectrogram of {escape(column.name)}" loading="lazy">'
        f"{player(wav, column.name, 'comparison')}</figure>"
    )


def _table(view: Comparison) -> str:
    peers = bool(view.peers)
    head = "<tr><th>asked kbps</th><th>true kbps</th><th>bytes</th><th>smaller</th><th>PESQ</th><th>STOI</th>" + (
        '<th class="peer">Opus kbps</th><th class="peer">PESQ</th><th class="peer">STOI</th></tr>' if peers else "</tr>"
    )
    body = ""
    for asked, column, peer in view.rows:
        cells = [f"{asked:g}", f"{column.kbps:.2f}", f"{column.size:,}", f"{view.original.size / column.size:.0f} x"]
        cells += [_number(column.pesq, 2), _number(column.stoi, 3)]
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        if peers:
            values = (peer.kbps, peer.pesq, peer.stoi) if peer else (None, None, None)
            row += "".join(
                f'<td class="peer">{_number(value, digits)}</td>'
                for value, digits in zip(values, (2, 2, 3), strict=True)
            )
        body += f"<tr>{row}</tr>"
    return f'<div class="wide"><table id="table"><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _kbps(value: float) -> str:
    return f"{value:,.2f} kbps" if value < 100 else f"{value:,.0f} kbps"


def strip(packets: int, lost: Sequence[int]) -> str:
    """The packets of a file, a square each."""
    gone = set(lost)
    squares = "".join(f'<i class="{"lost" if number in gone else "kept"}"></i>' for number in range(packets))
    return f'<div class="strip" role="img" aria-label="{len(gone)} of {packets} packets lost">{squares}</div>'


def trial(addresses: Sequence[tuple[str, str]]) -> str:
    """Three players; nothing here tells which is which."""
    cards = "".join(
        f'<figure class="abx"><figcaption><b>{name}</b></figcaption>{player(address, name, "abx")}</figure>'
        for name, address in addresses
    )
    return f'<div class="grid three">{cards}</div>'


def verdict(question: Trial, right: bool, names: dict[str, str]) -> str:
    """What the answer was worth, and what was heard."""
    word, kind = ("Right", "right") if right else ("Wrong", "wrong")
    played = f"A was {names[question.a]}, B was {names[question.b]}, X was {names[question.x]}."
    return f'<p class="verdict {kind}" role="status"><b>{word}.</b> {escape(played)}</p>'


def score(pair: tuple[str, str], count: Score) -> str:
    """The running score of a pair."""
    text = f"{pair[0]} against {pair[1]}: {count.right} of {count.asked} right"
    if count.asked:
        text += f"; guessing does as well {100 * count.chance:.0f} % of the time"
    return f'<p class="score" id="score">{escape(text)}</p>'
