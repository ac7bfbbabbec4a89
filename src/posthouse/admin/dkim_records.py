"""The keys of a domain as DNS has to have them, and new ones.

Specifications: RFC 1035 5 (zone files), RFC 6376 3.1 and 3.6.1 (selectors, records), RFC 8463.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from posthouse.admin.registry import Ports
from posthouse.mailauth.dkim_sign import key_record, load_key
from posthouse.store.dkim_keys import ACTIVE, NEXT, RETIRED, DkimKey

__all__ = ["key_lines", "new_keys", "record_line", "record_name"]

_STRING = 250  # bytes of one string of a TXT record; 255 is the most
# RSA for everybody, Ed25519 (RFC 8463) for those who know it
_KINDS = ("rsa", "ed25519")


def key_lines(keys: Sequence[DkimKey]) -> list[str]:
    """The part of a domain's zone text."""
    lines = []
    for state, comment in (
        (ACTIVE, "; The keys that sign."),
        (NEXT, "; The keys that will sign: publish them, then: posthouse domain dkim {domain} switch"),
        (RETIRED, "; Keys that have signed; they stay until: posthouse domain dkim {domain} retire"),
    ):
        found = [key for key in keys if key.state == state]
        if found:
            lines += [comment.format(domain=found[0].domain), *map(record_line, found)]
    return lines


def record_line(key: DkimKey) -> str:
    """The TXT record of a key as a line of a zone file."""
    record = key_record(load_key(key.domain, key.selector, key.private))
    strings = [record[start : start + _STRING] for start in range(0, len(record), _STRING)]
    text = " ".join(f'"{part}"' for part in strings)
    return f"{record_name(key)}. IN TXT {f'( {text} )' if strings[1:] else text}"


async def new_keys(
    ports: Ports, domain: str, beside: Sequence[DkimKey] = (), state: str = ACTIVE
) -> list[DkimKey]:
    """A key of each kind, under selectors that none of those ``beside`` has."""
    if ports.make_key is None:
        return []
    now = ports.now()
    month = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m")
    taken = {key.selector for key in beside}
    # The month tells people how old a key is; a number, when it is not the first of the month.
    for number in range(1, 100):
        names = [f"{kind[0]}{month}{f'-{number}' if number > 1 else ''}" for kind in _KINDS]
        if not taken.intersection(names):
            break
    return [
        DkimKey(domain, name, kind, await ports.make_key(kind), now, state, now)
        for name, kind in zip(names, _KINDS, strict=True)
    ]


def record_name(key: DkimKey) -> str:
    """The name of its record."""
    return f"{key.selector}._domainkey.{key.domain}"
