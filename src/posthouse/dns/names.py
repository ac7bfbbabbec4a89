"""Domain names and address literals as mail writes them, brought to the form that DNS takes.

Promise: whatever a mail address carries behind its ``@`` becomes an A-label name without the trailing dot,
an IP address, or a :class:`~posthouse.errors.NoSuchDomain`; never anything else.

Specifications: RFC 5321 4.1.3 (address literals), RFC 5891 (A-labels), RFC 1035 2.3.4 (lengths).
"""

from __future__ import annotations

import ipaddress
import re

import idna

from posthouse.errors import NoSuchDomain

__all__ = ["address_literal", "ascii_name", "is_address"]

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z")


def is_address(text: str) -> bool:
    """Is this an IPv4 or IPv6 address (no brackets, no scope)?"""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def address_literal(domain: str) -> str | None:
    """The IP address of ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]``; None when it is not in brackets.

    :raises NoSuchDomain: brackets around something else.
    """
    if not domain.startswith("["):
        return None
    inner = domain[1:-1] if domain.endswith("]") else ""
    try:
        if inner[:5].lower() == "ipv6:" and "%" not in inner:
            return str(ipaddress.IPv6Address(inner[5:]))
        return str(ipaddress.IPv4Address(inner))
    except ValueError:
        raise NoSuchDomain(cause=f"not an address literal: {domain[:80]!r}") from None


def ascii_name(name: str) -> str:
    """Fold a host or domain name: lower case, A-labels, no trailing dot.

    Underscores are taken, since service names (``_dmarc``) and a few real mail hosts carry them.

    :raises NoSuchDomain: it cannot be a name in DNS, so nothing can be found under it.
    """
    text = name[:-1] if name.endswith(".") else name
    if len(text) > 1024:
        raise NoSuchDomain(cause="name too long")
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True, transitional=False).decode("ascii")
        except idna.IDNAError as error:
            raise NoSuchDomain(cause=f"no IDNA name: {name[:80]!r}: {str(error)[:80]}") from None
    text = text.lower()
    if not text or len(text) > 253 or not all(map(_LABEL.match, text.split("."))):
        raise NoSuchDomain(cause=f"not a domain name: {name[:80]!r}")
    return text
