"""English sentences by four synthetic voices, with what they say: enough words for WER to tell codecs apart.

Usage: python recipes/evaluation-words/prepare.py --out data/evaluation-words

The voices are those of the program `flite` (Debian's package of that name), made from recordings of four speakers; none
of them is ever trained on. The same version of the program gives the same samples each time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from gritcodec.train.packing import RecipeError, exit_code, run_program

PROGRAM = "flite"
VOICES = ("awb", "kal16", "rms", "slt")
LICENCE = "flite's: free for any use with credit to Carnegie Mellon University"
SENTENCES = Path(__file__).resolve().parent / "sentences.txt"
# Two sentences a clip: a recogniser guesses at shorter ones. Two voices a clip: all four say half of the text.
_PER_CLIP, _TIMES = 2, 2


def clips(lines: list[str]) -> list[tuple[str, str]]:
    """Give out what to say, as (voice, text): neighbouring sentences together, voices in turn."""
    texts = [" ".join(lines[at : at + _PER_CLIP]) for at in range(0, len(lines), _PER_CLIP)]
    return [
        (VOICES[(number + turn * len(VOICES) // _TIMES) % len(VOICES)], text)
        for number, text in enumerate(texts)
        for turn in range(_TIMES)
    ]


def speak(voice: str, text: str, target: Path) -> None:
    """Write a text, spoken, as a wav file of mono samples at 16 kHz.

    Raises:
        RecipeError: there is no such program, it has no such voice, or fails.
    """
    shown = f"{PROGRAM} -voice {voice}"
    command = (PROGRAM, "-voice", voice, "-t", text, "-o", str(target))
    run_program(command, f"apt-get install {PROGRAM}", shown=shown)
    if not target.is_file():
        raise RecipeError(f"{shown}: nothing was written")


def prepare(out: Path, text: Path) -> None:
    """Do everything; `out` appears whole or not at all."""
    if out.exists():
        raise RecipeError(f"{out} exists already: remove it to make it again")
    lines = [line.strip() for line in text.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise RecipeError(f"{text} is empty")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".evaluation-words-") as name:
        folder = Path(name) / "words"
        folder.mkdir()
        rows = []
        for number, (voice, said) in enumerate(clips(lines)):
            # The bench takes the name up to the first digit for the voice.
            file = f"{voice.rstrip('0123456789')}-{number:03d}.wav"
            speak(voice, said, folder / file)
            rows.append({"file": file, "source": voice, "language": "en", "text": said, "licence": LICENCE})
        (folder / "manifest.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        folder.rename(out)
    print(out)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="prepare.py", description="English sentences for gritcodec evaluate.")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--text", type=Path, default=SENTENCES, help="a sentence a line (default: the recipe's)")
    options = parser.parse_args(arguments)
    return exit_code("prepare.py", lambda: prepare(options.out, options.text))


if __name__ == "__main__":
    sys.exit(main())
