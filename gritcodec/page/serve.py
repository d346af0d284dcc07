"""The page's files for a web server that is a Python program, such as the Gradio page's."""

from __future__ import annotations

import functools
import mimetypes

from gritcodec import model_store
from gritcodec.errors import ModelError
from gritcodec.page import weights
from gritcodec.page.write import contents

_TYPES = {
    ".js": "text/javascript",
    ".webmanifest": "application/manifest+json",
    ".safetensors": "application/octet-stream",
}
_contents = functools.lru_cache(maxsize=1)(contents)


def is_playable(model: str) -> bool:
    """Whether the network of a model runs in a browser."""
    try:
        weights.about(model_store.read(model_store.resolve(model)))
    except ModelError:
        return False
    return True


def find(model: str, name: str) -> tuple[bytes, str] | None:
    """Return a file of the page and its media type, or None where there is no such file.

    Args:
        model: the name of a shipped model, or a folder.
        name: relative to the page; empty: the page itself.
    """
    data = _contents(model).get(name or "index.html")
    ending = name[name.rfind(".") :]
    kind = _TYPES.get(ending) or mimetypes.guess_type(name or "index.html")[0] or "application/octet-stream"
    return None if data is None else (data, kind)
