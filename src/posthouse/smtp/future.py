"""Mail that is to leave later: the extension FUTURERELEASE (RFC 4865), on the ports for users.

Promise: what is accepted is a moment within the announced limits; both forms of it come out as the same thing, ms
since the epoch. Erratum 2040: the moment is the ``date-time`` of RFC 3339.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from posthouse.errors import Malformed

__all__ = ["KEYWORDS", "announcement", "release_time"]

#: the parameters of MAIL; only one of them may be used
KEYWORDS = ("HOLDFOR", "HOLDUNTIL")
_SECONDS = re.compile("[1-9][0-9]{0,8}")
# RFC 3339 5.6; 'T' and 'Z' in either case. UTC is what RFC 4865 4 (4) asks for, an offset does no harm.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def announcement(limit: int, now: float) -> list[bytes]:
    """The arguments of the keyword: most seconds, and the last moment. :param now: seconds since the epoch."""
    last = datetime.fromtimestamp(int(now) + limit, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [b"%d" % limit, last.encode("ascii")]


def release_time(key: str, value: str | None, limit: int, now: float) -> int:
    """When a message may leave, ms since the epoch; a moment that has passed means at once.

    :param key: one of ``KEYWORDS``. :param limit: seconds. :raises Malformed: no such moment, or beyond the limit.
    """
    text = value or ""
    if key == "HOLDFOR":
        if not _SECONDS.fullmatch(text):
            raise Malformed("Syntax: HOLDFOR=seconds")
        wait = float(text)
    else:
        if not _MOMENT.fullmatch(text):
            raise Malformed("Syntax: HOLDUNTIL=2030-01-31T08:00:00Z")
        try:
            wait = datetime.fromisoformat(text.upper()).timestamp() - now
        except (ValueError, OverflowError):
            raise Malformed("HOLDUNTIL names no moment") from None
    if wait > limit:
        raise Malformed(f"A message is held for {limit} seconds at most")
    return int((now + max(wait, 0.0)) * 1000)
