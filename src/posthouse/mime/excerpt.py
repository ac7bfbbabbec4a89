"""The beginning of what a reader sees of a message, as plain text: for rules and for the junk filter.

Promise: at most ``limit`` characters, from at most four times as many bytes; never raises on content.
"""

from __future__ import annotations

from collections.abc import Callable

from posthouse.mime import bodies, html
from posthouse.mime.part import Part

__all__ = ["excerpt"]


def excerpt(root: Part, read: Callable[[int, int], bytes], limit: int) -> str:
    """The text of the body; of the HTML where there is no other.

    :param read: bytes of the message from an offset up to another.
    """
    choice = bodies.sort_parts(root)
    part = choice.plain
    if choice.html is not None and (part is None or part.size <= 2):
        part = choice.html
    if part is None:
        return ""
    raw = read(part.body_start, min(part.body_end, part.body_start + 4 * limit))
    text = bodies.text_of(part, raw)
    return (html.text_from_html(text, limit) if part is choice.html else text)[:limit]
