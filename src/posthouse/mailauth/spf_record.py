"""The text of an SPF record becomes terms, or one sentence that says what is wrong with it.

Promise: a record is read as a whole before anything in it counts, so an error at its end spoils it all, as
RFC 7208 4.6 demands; time is linear in the length of the record.

Specifications: RFC 7208 4.5, 4.6, 5, 6, 7.1 and the collected grammar of section 12.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from attrs import frozen

__all__ = ["MAX_RECORD", "SpfRecord", "SpfTerm", "is_spf", "parse_spf"]

MAX_RECORD = 8192
_MAX_TERMS = 500

_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(.*)\Z", re.DOTALL)
_MECHANISM = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9._-]*)(.*)\Z", re.DOTALL)
_DUAL_CIDR = re.compile(r"(?:/(\d{1,3}))?(?://(\d{1,3}))?\Z")
_MACRO_STRING = re.compile(
    r"(?:[!-$&-~]|%%|%_|%-|%\{[SsLlOoDdIiPpVvHhCcRrTt](?:0*[1-9]\d*)?[Rr]?[.\-+,/_=]*\})*\Z"
)
# c, r and t are for explanations only (7.2)
_EXPLAINING = re.compile(r"%\{[CcRrTt]")
_ENDS_IN_MACRO = re.compile(r"(?:%%|%_|%-|%\{[^{}]*\})\Z")
_TOP_LABEL = re.compile(r"\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?\Z")
_IP4 = re.compile(r"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?:/(\d{1,3}))?\Z")
_IP6 = re.compile(r"([0-9A-Fa-f:.]{2,45})(?:/(\d{1,3}))?\Z")

_RESULTS = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


@frozen
class SpfTerm:
    """One mechanism. ``result`` is what a match means; ``domain`` a domain-spec, "" for the current one.

    For ip4 and ip6 ``bits`` is the family (32 or 128) and ``network`` and ``mask`` are numbers.
    """

    result: str
    kind: str
    text: str
    domain: str = ""
    cidr4: int = 32
    cidr6: int = 128
    bits: int = 0
    network: int = 0
    mask: int = 0


@frozen
class SpfRecord:
    """``redirect`` and ``exp`` are domain-specs, "" when absent."""

    terms: tuple[SpfTerm, ...]
    redirect: str = ""
    exp: str = ""


class _Wrong(Exception):
    """A syntax error; the sentence is its argument."""


def is_spf(raw: bytes) -> bool:
    """Is a TXT record an SPF record (4.5)? What else is wrong with it comes later."""
    return raw[:6].lower() == b"v=spf1" and (len(raw) == 6 or raw[6:7] == b" ")


@lru_cache(maxsize=4096)
def parse_spf(raw: bytes) -> SpfRecord | str:
    """The record, or what is wrong with it."""
    if len(raw) > MAX_RECORD:
        return "the record is too long"
    try:
        return _parse(raw.decode("ascii"))
    except UnicodeDecodeError:
        return "the record is not ASCII"
    except _Wrong as wrong:
        return str(wrong)


def _parse(text: str) -> SpfRecord:
    terms: list[SpfTerm] = []
    modifiers: dict[str, str] = {}
    words = [word for word in text[6:].split(" ") if word]
    if len(words) > _MAX_TERMS:
        raise _Wrong("too many terms")
    for word in words:
        modifier = _MODIFIER.match(word)
        if modifier is None:
            terms.append(_term(word))
            continue
        name = modifier[1].lower()
        if name not in ("redirect", "exp"):
            if not _MACRO_STRING.match(modifier[2]):
                raise _Wrong(f"bad value of {name[:40]}")
            continue
        if name in modifiers:
            raise _Wrong(f"{name} twice")
        modifiers[name] = _domain_spec(modifier[2], word)
    return SpfRecord(tuple(terms), modifiers.get("redirect", ""), modifiers.get("exp", ""))


def _term(word: str) -> SpfTerm:
    match = _MECHANISM.match(word)
    if match is None:
        raise _Wrong(f"unknown term {word[:60]}")
    result, kind, rest = _RESULTS[match[1]], match[2].lower(), match[3]
    if kind == "all":
        if rest:
            raise _Wrong(f"bad term {word[:60]}")
        return SpfTerm(result, kind, word)
    if kind in ("include", "exists"):
        if not rest.startswith(":"):
            raise _Wrong(f"{kind} without a domain")
        return SpfTerm(result, kind, word, _domain_spec(rest[1:], word))
    if kind == "ptr":
        if not rest:
            return SpfTerm(result, kind, word)
        if not rest.startswith(":"):
            raise _Wrong(f"bad term {word[:60]}")
        return SpfTerm(result, kind, word, _domain_spec(rest[1:], word))
    if kind in ("a", "mx"):
        return _address_term(result, kind, rest, word)
    if kind in ("ip4", "ip6"):
        return _network_term(result, kind, rest, word)
    raise _Wrong(f"unknown mechanism {kind[:40]}")


def _address_term(result: str, kind: str, rest: str, word: str) -> SpfTerm:
    domain, cidr = rest, ""
    # A domain-spec may hold slashes, within macros and without: the lengths are the last ones that fit.
    for start in _slashes(rest):
        if _DUAL_CIDR.match(rest, start):
            domain, cidr = rest[:start], rest[start:]
            break
    match = _DUAL_CIDR.match(cidr)
    assert match is not None
    cidr4, cidr6 = _length(match[1], 32, word), _length(match[2], 128, word)
    if not domain:
        return SpfTerm(result, kind, word, "", cidr4, cidr6)
    if not domain.startswith(":"):
        raise _Wrong(f"bad term {word[:60]}")
    return SpfTerm(result, kind, word, _domain_spec(domain[1:], word), cidr4, cidr6)


def _slashes(text: str) -> list[int]:
    """Where a dual-cidr-length could begin: at most the last three slashes can be of one."""
    places: list[int] = []
    end = len(text)
    while len(places) < 3 and (end := text.rfind("/", 0, end)) >= 0:
        places.append(end)
    return places[::-1]


def _network_term(result: str, kind: str, rest: str, word: str) -> SpfTerm:
    family = 4 if kind == "ip4" else 6
    match = (_IP4 if family == 4 else _IP6).match(rest, 1) if rest.startswith(":") else None
    if match is None:
        raise _Wrong(f"bad term {word[:60]}")
    bits = 32 if family == 4 else 128
    length = _length(match[2], bits, word)
    try:
        address = ipaddress.IPv4Address(match[1]) if family == 4 else ipaddress.IPv6Address(match[1])
    except ValueError:
        raise _Wrong(f"bad address in {word[:60]}") from None
    mask = (1 << bits) - (1 << (bits - length))
    return SpfTerm(result, kind, word, bits=bits, network=int(address) & mask, mask=mask)


def _length(digits: str | None, most: int, word: str) -> int:
    if digits is None:
        return most
    if (digits[0] == "0" and digits != "0") or int(digits) > most:
        raise _Wrong(f"bad prefix length in {word[:60]}")
    return int(digits)


def _domain_spec(text: str, word: str) -> str:
    if not text or not _MACRO_STRING.match(text) or _EXPLAINING.search(text):
        raise _Wrong(f"bad domain in {word[:60]}")
    # 7.1 domain-end: a top label, or a macro
    if not _ENDS_IN_MACRO.search(text[-64:]) and not _TOP_LABEL.search(text[-80:]):
        raise _Wrong(f"bad domain in {word[:60]}")
    return text
