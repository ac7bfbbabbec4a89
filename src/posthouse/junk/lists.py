"""DNS block lists: which question is asked about an address, and what the answer means.

Promise: pure. An answer counts only inside 127.0.0.0/8 and only with a code that the administrator wants; what a list
says to those whom it does not serve (127.255.255.x) is never taken for a listing.

Specifications: RFC 5782 2.1 (IPv4), 2.4 (IPv6), 2.3 (meanings); Spamhaus's codes for errors.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.peers import peer_address
from posthouse.settings import split_zone

__all__ = ["Zone", "is_error", "parse_zone", "question", "weighs"]

_POINTS = 4.0


@frozen
class Zone:
    """One list. ``codes``: (first, last) of the last byte of 127.0.0.x; ``points``: what a listing weighs."""

    name: str
    codes: tuple[tuple[int, int], ...] = ((2, 255),)
    points: float = _POINTS


def parse_zone(text: str) -> Zone:
    """``"zen.example"``, ``"zen.example=2-11"``, ``"zen.example=2-3,10:5"``; see ``settings.split_zone``.

    :raises ValueError: not of that form.
    """
    return Zone(*split_zone(text))


def question(address: str, zone: Zone) -> str | None:
    """The name to ask for an A record of; None when the address is none that a list could know."""
    ip = peer_address(address)
    if ip is None or not ip.is_global:
        return None
    # Both kinds count the same way: bytes or nibbles backwards.
    return (
        ip.reverse_pointer.rpartition(".in-addr.arpa" if ip.version == 4 else ".ip6.arpa")[0]
        + "."
        + zone.name
    )


def weighs(records: tuple[str, ...], zone: Zone) -> bool:
    """Do these A records say that the address is listed, for a reason that counts?"""
    for record in records:
        parts = record.split(".")
        if parts[:3] == ["127", "0", "0"] and any(
            first <= int(parts[3]) <= last for first, last in zone.codes
        ):
            return True
    return False


def is_error(records: tuple[str, ...]) -> bool:
    """Does the list say that it does not answer us (a public resolver, too many questions)?"""
    return any(record.startswith("127.255.255.") for record in records)
