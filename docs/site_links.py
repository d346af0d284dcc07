"""For mkdocs: links that leave docs/ name their file where they were a link, as the site holds these pages alone."""

import re
from typing import Any

_OUTWARD = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page's text with `[text](../place)` as text and place."""
    return _OUTWARD.sub(_named, markdown)


def _named(link: re.Match[str]) -> str:
    text, place = link[1], link[2]
    return f"`{place}`" if place.startswith(text.strip("`")) else f"{text} (`{place}`)"
