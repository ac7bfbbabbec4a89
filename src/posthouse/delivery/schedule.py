"""When to try again, when to tell the sender, when to give up: the one retry formula of the house.

Promise: pure arithmetic; the wait after the n-th failed attempt is 5, 15, 30 minutes, 1, 2, 4 hours and then
6 hours, each 10 % longer or shorter by chance, until the message is five days old (two for a report). The
last attempt falls on the last moment of that life.

Specifications: RFC 5321 4.5.4.1 (at least 30 minutes apart later on; give up after 4-5 days), RFC 3461 4.1.
"""

from __future__ import annotations

from posthouse.model import OutboxRow

__all__ = [
    "BOUNCE_LIFE",
    "DELAY_NOTICE_AFTER",
    "LIFE",
    "expires_at",
    "next_attempt",
    "wants_delay_notice",
    "wants_failure_report",
    "wants_success_report",
]

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

WAITS = (5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 6 * _HOUR)
LIFE = 5 * _DAY
BOUNCE_LIFE = 2 * _DAY
DELAY_NOTICE_AFTER = 4 * _HOUR
_JITTER = 0.1


def expires_at(created: int, sender: str) -> int:
    """The end of a message's life, ms. A report (null sender) lives shorter: nobody waits for it."""
    return created + (LIFE if sender else BOUNCE_LIFE)


def next_attempt(attempts: int, now: int, expires: int, chance: float) -> int | None:
    """When to try again after the ``attempts``-th attempt (1 is the first) failed at ``now``.

    :param expires: the end of the message's life. :param chance: random, 0.0 to 1.0.
    :returns: ms since the epoch, or None: give up now.
    """
    wait = WAITS[min(max(attempts, 1), len(WAITS)) - 1]
    wait = int(wait * (1 - _JITTER + 2 * _JITTER * chance))
    if expires - now < WAITS[0] // 2:
        return None
    return min(now + wait, expires)


def wants_delay_notice(row: OutboxRow, now: int) -> bool:
    """Is it time to tell the sender that the message still waits? Once, and for submissions only."""
    if row.delay_told or row.account_id is None or not row.sender or now - row.created < DELAY_NOTICE_AFTER:
        return False
    notify = _notify(row)
    return not notify or "DELAY" in notify


def wants_failure_report(row: OutboxRow) -> bool:
    """May a failure be reported? Never for a report (RFC 3461 6), nor where the sender said NEVER."""
    notify = _notify(row)
    return bool(row.sender) and (not notify or "FAILURE" in notify)


def wants_success_report(row: OutboxRow) -> bool:
    """Did the sender ask to hear when it arrived (RFC 3461 4.1)? A report's own sender is nobody."""
    return bool(row.sender) and "SUCCESS" in _notify(row)


def _notify(row: OutboxRow) -> frozenset[str]:
    return frozenset(word.strip().upper() for word in row.notify.split(",") if word.strip())
