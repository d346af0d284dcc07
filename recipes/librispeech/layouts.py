"""How corpora lie on the disk: which files to take, whose voice each one is, what it says."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gritcodec.sound.audio import audio_files
from gritcodec.train.packing import RecipeError

# Never trained on, so that figures on them compare with everybody else's.
RESERVED = ("dev-", "test-")


@dataclass(frozen=True)
class Layout:
    """One way to lay out a corpus.

    Attributes:
        name: what the manifest calls its source.
        pattern: glob of the audio files below a subset, or below the base where there are no subsets.
        home: folders below the user's that may hold the corpus.
        subsets: whether the base holds one folder a subset (train-clean-100, ...).
    """

    name: str
    pattern: str
    home: tuple[str, ...]
    subsets: bool = False

    def files(self, base: Path, subset: str) -> list[str]:
        """List the audio files of a subset ("" where there are none), as sorted paths relative to `base`."""
        if self.name == "folder":
            found = audio_files(base)
        else:
            found = [file for file in (base / subset).glob(self.pattern) if not file.name.startswith(".")]
        return sorted(file.relative_to(base).as_posix() for file in found)

    def speaker(self, path: str) -> str:
        """Return whose voice the file at `path`, relative to the base, is."""
        parts = PurePosixPath(path).parts
        if self.name == "folder":
            # A folder a voice (or an album); a file that lies in none is on its own.
            return parts[0] if len(parts) > 1 else PurePosixPath(path).stem
        return parts[1]

    def text(self, base: Path, path: str) -> str | None:
        """Return the transcript of the file at `path`, where the corpus has one."""
        file = base / path
        if self.name == "librispeech":
            chapter = file.parent
            return _transcripts(chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt").get(file.stem)
        if self.name == "libritts":
            return _line(file.with_suffix(".normalized.txt"))
        if self.name == "vctk":
            return _line(base / "txt" / file.parent.name / f"{file.stem.removesuffix('_mic1')}.txt")
        return None


LIBRISPEECH = Layout("librispeech", "*/*/*.flac", ("", "LibriSpeech"), subsets=True)
LIBRITTS = Layout("libritts", "*/*/*.wav", ("", "LibriTTS", "LibriTTS_R"), subsets=True)
VCTK = Layout("vctk", "wav48_silence_trimmed/*/*_mic1.flac", ("", "VCTK-Corpus-0.92"))
FOLDER = Layout("folder", "**/*", ("",))
LAYOUTS = {layout.name: layout for layout in (LIBRISPEECH, LIBRITTS, VCTK, FOLDER)}


@functools.lru_cache(maxsize=8)  # files come chapter by chapter
def _transcripts(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return dict(line.split(" ", 1) for line in lines if " " in line)


def _line(path: Path) -> str | None:
    try:
        return " ".join(path.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return None


def detect(root: Path, name: str = "auto") -> tuple[Layout, Path]:
    """Find out how a corpus is laid out.

    Args:
        root: the corpus, or the folder that holds it (LibriSpeech, VCTK-Corpus-0.92, ...).
        name: a layout's name, or `auto`.

    Returns:
        The layout, and the folder that its paths are relative to.

    Raises:
        RecipeError: there is no such folder, or nothing in it has the layout asked for.
    """
    if not root.is_dir():
        raise RecipeError(f"there is no folder {root}; --download fetches LibriSpeech into it")
    refuse_reserved([root.resolve().name])
    for layout in LAYOUTS.values() if name == "auto" else [LAYOUTS[name]]:
        pattern = f"*/{layout.pattern}" if layout.subsets else layout.pattern
        for base in (root / home for home in layout.home):
            if layout is FOLDER or next(base.glob(pattern), None) is not None:
                # Files in folders of any depth may look like LibriTTS's; their transcripts tell.
                if name == "auto" and layout.subsets and not _has_transcripts(layout, base, pattern):
                    continue
                return layout, base
    raise RecipeError(f"{root} does not look like {name}: no {LAYOUTS[name].pattern} below it")


def _has_transcripts(layout: Layout, base: Path, pattern: str) -> bool:
    first = next(base.glob(pattern))
    return layout.text(base, first.relative_to(base).as_posix()) is not None


def training_subsets(layout: Layout, base: Path, asked: list[str]) -> list[str]:
    """Return the subsets to train on: those asked for, else all that begin with "train"; [""] without subsets.

    Raises:
        RecipeError: a subset is reserved for evaluation or is not there, or there is none to train on.
    """
    if not layout.subsets:
        if asked:
            raise RecipeError(f"a corpus laid out as {layout.name} has no subsets: leave out --train")
        return [""]
    there = sorted(folder.name for folder in base.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    refuse_reserved(asked)
    for subset in asked:
        if subset not in there:
            raise RecipeError(f"no subset {subset} in {base}; there are: {', '.join(there) or 'none'}")
    chosen = asked or [subset for subset in there if subset.startswith("train")]
    if not chosen:
        raise RecipeError(f"nothing to train on in {base}; there are: {', '.join(there) or 'no subsets'}")
    return sorted(set(chosen))


def refuse_reserved(subsets: list[str]) -> None:
    """Raise RecipeError when a subset to train on is one that models are compared on."""
    for subset in subsets:
        if subset.startswith(RESERVED):
            raise RecipeError(f"{subset} is reserved for evaluation and is never used for training")
