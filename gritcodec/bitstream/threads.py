"""Small matrix products on one thread: sharing them out costs several times what it gains."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@functools.cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    # Looking through all loaded libraries takes a millisecond; numpy's is among them by now.
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep numpy's matrix products on the calling thread while the block lasts."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
