"""Corpora to codes in bulk: many sources in, shards of codes out, on one machine or by Ray; docs/tokens.md.

    from gritcodec.tokens import Pattern, Tokenizer, read_shard

The codes of a corpus are the codes of each file: they do not depend on batches, workers or machines.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gritcodec.tokens.layouts import read_shard
    from gritcodec.tokens.mapper import Tokenizer
    from gritcodec.tokens.patterns import Pattern
    from gritcodec.tokens.run import tokenize

_HOMES = {
    "Pattern": "gritcodec.tokens.patterns",
    "Tokenizer": "gritcodec.tokens.mapper",
    "read_shard": "gritcodec.tokens.layouts",
    "tokenize": "gritcodec.tokens.run",
}

__all__ = ["Pattern", "Tokenizer", "read_shard", "tokenize"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gritcodec.tokens' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
