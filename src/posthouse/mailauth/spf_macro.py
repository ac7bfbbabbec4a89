"""SPF's macro language: text with ``%{...}`` in it becomes a domain, or a sentence.

Promise: never fails on text whose syntax ``spf_record`` took; the result is bounded.

Specifications: RFC 7208 7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

__all__ = ["NEEDS_NAME", "as_domain", "expand", "is_explanation"]

_MACRO = re.compile(r"%(?:\{([A-Za-z])(\d*)([Rr]?)([.\-+,/_=]*)\}|([%_-]))")
_EXPLANATION = re.compile(
    r"(?:[ -$&-~]|%%|%_|%-|%\{[SsLlOoDdIiPpVvHhCcRrTt](?:0*[1-9]\d*)?[Rr]?[.\-+,/_=]*\})*\Z"
)
#: the validated name of the client is needed, which costs lookups
NEEDS_NAME = re.compile(r"%\{[Pp]")
_SIGNS = {"%": "%", "_": " ", "-": "%20"}
_MAX = 4096
_MAX_NAME = 253


def is_explanation(text: str) -> bool:
    """Is this an explain-string (6.2)? Spaces are allowed there."""
    return len(text) <= _MAX and _EXPLANATION.match(text) is not None


def expand(spec: str, values: Mapping[str, str]) -> str:
    """Put the values in (7.3). ``values`` maps the lower-case letters."""
    if "%" not in spec:
        return spec

    def replace(match: re.Match[str]) -> str:
        letter, digits, reverse, delimiters, sign = match.groups()
        if sign:
            return _SIGNS[sign]
        value = values.get(letter.lower(), "")
        if digits or reverse or delimiters:
            parts = re.split("[" + re.escape(delimiters or ".") + "]", value)
            if reverse:
                parts.reverse()
            if digits and len(digits) < 5:
                parts = parts[-int(digits) :] if int(digits) else parts
            value = ".".join(parts)
        # An upper-case letter asks for URL escaping.
        return quote(value, safe="") if letter.isupper() else value

    return _MACRO.sub(replace, spec)[: 4 * _MAX]


def as_domain(text: str) -> str:
    """Too long a name loses labels at its left until it fits (7.3)."""
    text = text.removesuffix(".")
    while len(text) > _MAX_NAME:
        _, dot, rest = text.partition(".")
        if not dot:
            return ""
        text = rest
    return text
