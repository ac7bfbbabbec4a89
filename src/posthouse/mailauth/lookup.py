"""How this room asks DNS, and which texts are names that DNS can be asked for.

Promise: nothing here waits or asks by itself: ``lookup(name, type)`` is given by the caller, who also limits
its time. It must never fail: an answer that cannot be had is an answer with the status FAILED, so that "no"
and "cannot tell" never look alike.

Specifications: RFC 1035 2.3.4 (lengths), RFC 5891 and RFC 8616 (A-labels in authentication).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Protocol

import idna

__all__ = ["Answer", "Lookup", "dns_name", "failed", "found", "is_within", "query_name"]

_LABEL = re.compile(r"[!-\-/-\[\]-~]{1,63}\Z")  # printable, neither "." nor the escape of zone files
_HOST_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z")


class Answer(Protocol):
    """What a lookup gives; ``posthouse.dns.codec.Answer`` is one.

    ``status`` is a member of an enumeration named FOUND, NO_DATA, NO_DOMAIN or FAILED. ``records``: A and
    AAAA: address texts; TXT: bytes, strings joined; MX: (preference, host); PTR: host.
    """

    @property
    def status(self) -> Any: ...
    @property
    def records(self) -> tuple[Any, ...]: ...


#: name (lower case, A-labels, no trailing dot) and type ("TXT") to something to await
Lookup = Callable[[str, str], Awaitable[Answer]]


def failed(answer: Answer) -> bool:
    """Is it unknown what DNS would say?"""
    return bool(answer.status.name == "FAILED")


def found(answer: Answer) -> tuple[Any, ...]:
    """The records; none for every kind of "no" and for a failure."""
    return answer.records if answer.status.name == "FOUND" else ()


@lru_cache(maxsize=4096)
def dns_name(text: str) -> str | None:
    """A domain as mail writes it: lower case, A-labels, no trailing dot. None when it cannot be one.

    Address literals are none, nor is a name of one label: nobody publishes a policy there.
    """
    if len(text) > 1024:
        return None
    text = text.removesuffix(".")
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    text = text.lower()
    if not 3 <= len(text) <= 253 or "." not in text or not all(map(_HOST_LABEL.match, text.split("."))):
        return None
    return text


@lru_cache(maxsize=4096)
def query_name(text: str) -> str | None:
    """A name made by macros or selectors, which may hold more than letters; None when none can be asked."""
    text = text.removesuffix(".").lower()
    if not text or len(text) > 253 or not all(map(_LABEL.match, text.split("."))):
        return None
    return text


def is_within(name: str, parent: str) -> bool:
    """Is ``name`` the domain ``parent`` or below it? Both folded."""
    return name == parent or name.endswith("." + parent)
