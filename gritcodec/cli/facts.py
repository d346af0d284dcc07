"""What there is to say about a .grit file, for people and programs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gritcodec import bitstream, model_store
from gritcodec.bitstream import Chunk, Contents, Damage, Header, Pause
from gritcodec.bitstream.items import MARK, SPLICE, read_mark
from gritcodec.cli import console
from gritcodec.errors import FormatError
from gritcodec.messages import counted, visible

# The least width of a fact's name.
_LABEL = 30
_CODINGS = {bitstream.PLAIN: "plain", bitstream.ENTROPY: "entropy", bitstream.CHAINED: "chained"}


def facts_of(data: bytes, name: str, size: int, strict: bool) -> dict[str, Any]:
    """Return what there is to say, in the order in which to say it.

    Args:
        data: a .grit file, or several that are chained: then `chain` has what there is to say of each.
        name: of the file.
        size: its bytes, in whatever container it was.
        strict: whether damage is an error.

    Raises:
        FormatError: not a .grit file; with `strict`, a damaged one.
    """
    files: list[Contents] = []
    trouble: list[str] = []
    try:
        for contents in bitstream.read_all(data, strict):
            files.append(contents)
    except FormatError as error:
        if strict or not files:
            raise
        trouble.append(f"another .grit file follows, and cannot be read: {error}")
    damage = [*damage_lines([(each.header, each.damage) for each in files]), *trouble]
    models = {model_store.fingerprint(model_store.resolve(known)): known for known in model_store.available()}
    about = {"file": name, "bytes": size}
    if len(files) == 1:
        # Costs are of the whole file, container and damaged bytes included: what "bytes" says.
        return {**about, **_facts(files[0], models, size), "chained_files": 1, "damage": damage}
    seconds = [each.header.seconds for each in files]
    total = None if None in seconds else round(sum(filter(None, seconds)), 6)
    return {
        **about,
        "seconds": total,
        "kbps": round(8 * size / total / 1000, 3) if total else None,
        "chained_files": len(files),
        "chain": [
            {
                "bytes": _size(each),
                **_facts(each, models, _size(each)),
                "damage": damage_lines([(each.header, each.damage)]),
            }
            for each in files
        ],
        "damage": damage,
    }


def lines_of(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that show facts to people, values below each other; each chained file is a section."""
    chain = facts.get("chain", [])
    width = max(_LABEL, 2 + max(len(name) for each in (facts, *chain) for name in each))
    for name, value in facts.items():
        if name != "chain":
            yield f"{name.replace('_', ' '):<{width}}{show(value)}"
    for number, each in enumerate(chain, start=1):
        yield ""
        yield f"{'chained file':<{width}}{number} of {len(chain)}"
        yield from lines_of(each)


def rows_of(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Return the lines of a table of several files, and of a last row of them all."""
    rows = [["file", "seconds", "bytes", "kbps", "channels", "Hz", "model", "status"]]
    sound = [each for each in found if "error" not in each]
    for each in found:
        if "error" in each:
            rows.append([each["file"], *["-"] * 6, "unreadable"])
            continue
        first = each.get("chain", [each])[0]
        status = "damaged" if each["damage"] else "sound"
        costs = [_figure(each["seconds"], 1), f"{each['bytes']:,}", _figure(each["kbps"], 2)]
        kind = [str(first["channels"]), f"{first['sample_rate']:,}", first["model"] or "unknown"]
        rows.append([each["file"], *costs, *kind, status])
    seconds_all, size_all = sum(each["seconds"] or 0.0 for each in sound), sum(each["bytes"] for each in sound)
    kbps = _figure(8 * size_all / seconds_all / 1000 if seconds_all else None, 2)
    states = Counter(row[-1] for row in rows[1:])
    told = ", ".join(f"{count:,} {state}" for state, count in states.items())
    rows.append([counted(len(found), "file"), f"{seconds_all:,.1f}", f"{size_all:,}", kbps, "", "", "", told])
    return console.table(rows)


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _facts(contents: Contents, models: dict[bytes, str], size: int) -> dict[str, Any]:
    """Return what there is to say about one file of so many bytes, with the names of models by their fingerprints."""
    header = contents.header
    return {
        "format_version": bitstream.VERSION,
        "model": models.get(header.fingerprint),
        "fingerprint": header.fingerprint.hex(),
        "encoder": header.encoder,
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "samples": header.num_samples,
        "seconds": None if header.seconds is None else round(header.seconds, 6),
        **_costs(contents, size),
        **_extras(contents),
        "tags": _tags(header),
    }


def _size(contents: Contents) -> int:
    """Return the bytes of a .grit file that are what they are to be."""
    return contents.header_bytes + sum(item.size for item in contents.items) + contents.ending_bytes


def _tags(header: Header) -> dict[str, str | list[str]]:
    """Return tags by name; a name that comes more than once has a list."""
    found: dict[str, str | list[str]] = {}
    for name, value in header.tags:
        before = found.get(name)
        if before is None:
            found[name] = value
        else:
            found[name] = [*(before if isinstance(before, list) else [before]), value]
    return found


def _extras(contents: Contents) -> dict[str, Any]:
    """Return what a file holds that not every file does."""
    header = contents.header
    found: dict[str, Any] = {}
    if header.start_time is not None:
        found["start_time"] = _iso(header.start_time)
    if header.gain is not None:
        found["gain_db"] = round(header.gain / 256, 3)
    if header.channel_mask is not None:
        found["channel_mask"] = f"0x{header.channel_mask:x}"
    if header.start_trim:
        found["start_trim_samples"] = header.start_trim
    pauses = [item for item in contents.items if isinstance(item, Pause)]
    if pauses:
        frames = sum(pause.frames for pause in pauses)
        found["pauses"] = len(pauses)
        found["pause_seconds"] = round(frames * 100 / header.frame_rate, 2)
        found["pause_bytes"] = sum(pause.size for pause in pauses)
    chunks = [item for item in contents.items if isinstance(item, Chunk)]
    splices = sum(chunk.mark == SPLICE for chunk in chunks)
    if splices:
        found["recordings_joined"] = splices + 1
    marks = [read_mark(chunk.payload) for chunk in chunks if chunk.mark == MARK]
    if marks:
        found["marks"] = [[round(mark[0] / header.sample_rate, 3), mark[1]] for mark in marks if mark]
    if header.unknown:
        found["unknown_fields"] = [key for key, _ in header.unknown]
    return found


def _iso(microseconds: int) -> str:
    """Return a time as in ISO 8601, or the number where a calendar does not reach it."""
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    except OverflowError:
        return f"{microseconds} us"
    return when.isoformat().replace("+00:00", "Z")


def show(value: Any) -> str:
    """Return a value of `info` as text for people, with what a terminal would act upon made visible."""
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{visible(name)}={show(text)}" for name, text in value.items()) or "none"
    if isinstance(value, list):
        return (
            "; ".join(show(each) if not isinstance(each, list) else " ".join(map(show, each)) for each in value)
            or "none"
        )
    return f"{value:,}" if isinstance(value, int) else visible(str(value))


def _costs(contents: Contents, size: int) -> dict[str, Any]:
    """Return what the bytes of a file are spent on."""
    header = contents.header
    bodies = [body for body in contents.bodies if body is not None]
    payload = sum(len(body.data) for body in bodies)
    frames = sum(body.frames for body in bodies)
    stages = sum(body.stages * body.frames for body in bodies) / max(frames, 1)

    plain = sum(header.body_bytes(body.stages, body.frames) for body in bodies)

    def percent(part: int) -> float:
        return round(100 * part / size, 2)

    return {
        "stages": header.stages,
        "mean_stages": round(stages, 3),
        "packets": len(contents.bodies),
        "frames": contents.frames,
        "code_bits": header.code_bits,
        "coding": _CODINGS.get(header.coding, str(header.coding)),
        "payload_bytes": payload,
        "entropy_coding_saves_percent": round(100 * (1 - payload / plain), 2) if plain else 0.0,
        "header_bytes": contents.header_bytes,
        "check_bytes": contents.packet_bytes - payload,
        "end_bytes": contents.ending_bytes,
        "overhead_bytes": size - payload,
        "payload_percent": percent(payload),
        "header_percent": percent(contents.header_bytes),
        "check_percent": percent(contents.packet_bytes - payload),
        "end_percent": percent(contents.ending_bytes),
        "payload_kbps": console.kbps(header, payload),
        "kbps": console.kbps(header, size),
        "ratio": console.ratio(header, size),
    }


def damage_lines(files: Sequence[tuple[Header, Sequence[Damage]]]) -> list[str]:
    """Return a line for everything that is wrong with files that are chained, with times as near as headers tell."""
    lines = []
    for number, (header, found) in enumerate(files, start=1):
        seconds = 100 / header.frame_rate
        which = "" if number == 1 else f"file {number} of those chained: "
        for damage in found:
            when = f"{damage.start * seconds:.2f} s"
            if damage.frames:
                when += f" to {(damage.start + damage.frames) * seconds:.2f} s"
            lines.append(f"{which}{damage.what} (at {when})")
    return lines
