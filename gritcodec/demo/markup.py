"""Results as HTML. Everything that comes from outside goes through `escape`."""

import time
from collections.abc import Sequence
from html import escape

from gritcodec.demo.blindtest import Score, Trial
from gritcodec.demo.coding import Recording, Take

# Above it, a listener is not known to hear more than chance would.
_SURE = 0.05


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


def original(recording: Recording, wav: str, size: int, seconds: float) -> str:
    """The card of the original."""
    kbps = 8 * size / max(seconds, 1e-9) / 1000
    channels = f", {recording.channels} channels" if recording.channels > 1 else ""
    return (
        f'<section class="card original">{_heading(recording, "original")}'
        + player(wav, "original", recording.place, play=True)
        + facts(
            [(f"{size:,} bytes", "as a WAV file", "bytes"), (f"{kbps:,.0f} kbps", f"uncompressed{channels}", "kbps")]
        )
        + "</section>"
    )


def take(recording: Recording, label: str, done: Take, wav: str, grit: str, play: bool) -> str:
    """The card of a recording that went through the codec; `label` says at which bitrate."""
    each, rate, said = recording.channels, "-", "true bitrate, header included"
    if done.kbps:
        rate = f"{done.kbps / each:.2f} kbps"
        said = f"true bitrate per channel; {done.kbps:.2f} kbps for all {each}" if each > 1 else said
    return (
        f'<section class="card">{_heading(recording, label)}'
        + player(wav, "decoded", recording.place, play)
        + _sizes(done)
        + facts(
            [
                (f"{done.size:,} bytes", "in the .grit file", "bytes"),
                (rate, said, "kbps"),
                (f"{done.ratio:,.0f} times", f"smaller than WAV: {done.wav_size:,} bytes", "ratio"),
            ]
        )
        + f'<p class="hint" id="speed">{_speed(done)}</p>'
        + damage(done.damage)
        + '<p class="downloads">'
        + link(grit, done.grit.name, f"Download {done.grit.name}", "download-grit")
        + link(wav, done.wav.name, f"Download {done.wav.name}", "download-wav")
        + "</p></section>"
    )


def _heading(recording: Recording, label: str) -> str:
    return f"<h3>{escape(recording.title or recording.name)} <span>{escape(label)}</span></h3>"


def _speed(done: Take) -> str:
    decoded = f"decoded {done.decode_speed:,.0f} times faster than real time."
    if done.encode_speed is None:
        return decoded.capitalize()
    return f"Encoded {done.encode_speed:,.0f} and {decoded}"


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
    """The running score of a pair, and what it proves."""
    text = f"{pair[0]} against {pair[1]}: {count.right} of {count.asked} right."
    if count.asked:
        tries = f"{100 * count.chance:.0f} of 100" if count.chance >= 0.01 else "fewer than 1 of 100"
        text += (
            f" You hear the difference: guessing alone gets this far in {tries} tries."
            if count.chance <= _SURE
            else f" That proves nothing yet: guessing alone gets this far in {tries} tries."
        )
    return f'<p class="score" id="score">{escape(text)}</p>'
