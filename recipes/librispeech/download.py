"""LibriSpeech and LibriTTS from openslr.org, through torchaudio's data set classes."""

from __future__ import annotations

import importlib
import shutil
import sys
import tarfile
import types
import zlib
from pathlib import Path
from typing import Any

from gritcodec.train.packing import RecipeError, fresh_folder

HOMES = {"librispeech": "LibriSpeech", "libritts": "LibriTTS"}
SUBSETS = (
    "dev-clean",
    "dev-other",
    "test-clean",
    "test-other",
    "train-clean-100",
    "train-clean-360",
    "train-other-500",
)


def torchaudio_datasets() -> Any:
    """Import torchaudio.datasets, also beside a torch without CUDA, where `import torchaudio` fails.

    Raises:
        RecipeError: torchaudio is not installed.
    """
    try:
        return importlib.import_module("torchaudio.datasets")
    except ImportError as error:
        raise RecipeError('--download needs torchaudio: pip install ".[train]"') from error
    except OSError:
        # The wheel's extension wants CUDA's libraries. Its data sets are plain Python and never call it.
        stub: Any = types.ModuleType("torchaudio._extension")
        stub._IS_TORCHAUDIO_EXT_AVAILABLE = False
        stub.fail_if_no_align = lambda function: function
        sys.modules["torchaudio._extension"] = stub
        return importlib.import_module("torchaudio.datasets")


def download(corpus: str, subset: str, root: Path) -> str:
    """Fetch one subset, unless it is there.

    Args:
        corpus: `librispeech` or `libritts`.
        subset: such as train-clean-100.
        root: receives LibriSpeech/<subset> or LibriTTS/<subset>; the folder appears only when it is whole.

    Returns:
        One line that says what is there.

    Raises:
        RecipeError: no such subset, no network, a damaged download, or a damaged copy.
    """
    if subset not in SUBSETS:
        raise RecipeError(f"{corpus} has no subset {subset}; it has {', '.join(SUBSETS)}")
    datasets = torchaudio_datasets()
    make = {"librispeech": datasets.LIBRISPEECH, "libritts": datasets.LIBRITTS}[corpus]
    home = HOMES[corpus]
    final = root / home / subset
    if not final.is_dir():
        # torchaudio takes any folder of that name for the whole subset, so it unpacks in another place first.
        staging = root / f".download-{corpus}-{subset}"
        fresh_folder(staging / home)
        try:
            make(str(staging), url=subset, download=True)
        except (OSError, RuntimeError, EOFError, tarfile.TarError, zlib.error) as error:
            archive = staging / f"{subset}.tar.gz"
            if archive.is_file():
                raise RecipeError(f"cannot unpack {archive}: {error}; delete it to fetch it again") from error
            raise RecipeError(f"cannot download {corpus} {subset}: {error}") from error
        final.parent.mkdir(parents=True, exist_ok=True)
        for file in (staging / home).iterdir():  # the subset, and SPEAKERS.TXT and the like, once
            if not (final.parent / file.name).exists():
                file.replace(final.parent / file.name)
        shutil.rmtree(staging)
    return _describe(make(str(root), url=subset), corpus, subset)


def _describe(dataset: Any, corpus: str, subset: str) -> str:
    if not len(dataset):
        raise RecipeError(f"{corpus} {subset} is there but has no utterance in it: delete its folder to fetch it again")
    if corpus == "libritts":  # its class tells no metadata without decoding the audio, which torchaudio cannot do here
        return f"{corpus} {subset}: {len(dataset)} utterances"
    try:
        speakers = {dataset.get_metadata(index)[3] for index in range(len(dataset))}
    except (OSError, ValueError) as error:
        raise RecipeError(f"{corpus} {subset} is damaged: {error}; delete its folder to fetch it again") from error
    return f"{corpus} {subset}: {len(dataset)} utterances of {len(speakers)} speakers"
