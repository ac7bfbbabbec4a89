"""What is known about connections to other domains: their MTA-STS policies, our own, and how sessions went.

A policy lies here until it expires, so a restart forgets nothing that an attacker would like forgotten. Counted
sessions are bounded for each domain and day; they leave with the report, or after a week.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from attrs import frozen

from posthouse.errors import NoSuchAccount
from posthouse.model import TlsSession
from posthouse.store.dialect import clean
from posthouse.store.domains import is_local_domain
from posthouse.store.transaction import Transaction

__all__ = [
    "DAY",
    "KeptPolicy",
    "OwnPolicy",
    "TlsDay",
    "count_sessions",
    "counts_of",
    "day_of",
    "due_day",
    "forget_day",
    "keep_policy",
    "kept_policy",
    "own_policy",
    "prune_transport",
    "put_off_day",
    "set_own_policy",
]

DAY = 86_400_000  # ms
_KEEP_DAYS = 7
_MOST_ROWS = 1000  # of one domain and day
_REASON = 200


@frozen
class KeptPolicy:
    """Somebody's MTA-STS policy; ``content`` is the file. Times in ms."""

    domain: str
    version: str
    content: bytes
    fetched: int
    expires: int


@frozen
class OwnPolicy:
    """What one of our domains says; ``mx`` are hosts beside the server's own name. ``changed`` in ms."""

    domain: str
    mode: str
    max_age: int
    mx: tuple[str, ...]
    changed: int


@frozen
class TlsDay:
    """A day's sessions with one domain that await their report."""

    day: int
    domain: str
    due: int
    tries: int


# -- policies of others ------------------------------------------------------------------------------------


def kept_policy(tx: Transaction, domain: str) -> KeptPolicy | None:
    """The policy of a domain as it was fetched last; it may have expired."""
    row = tx.one(
        "SELECT domain, version, content, fetched, expires FROM sts_policy WHERE domain = ?", (clean(domain),)
    )
    return KeptPolicy(row[0], row[1], bytes(row[2]), row[3], row[4]) if row else None


def keep_policy(tx: Transaction, policy: KeptPolicy) -> None:
    """Keep a policy in place of the one before."""
    tx.execute(
        "INSERT INTO sts_policy (domain, version, content, fetched, expires) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (domain) DO UPDATE SET version = excluded.version, content = excluded.content, "
        "fetched = excluded.fetched, expires = excluded.expires",
        (clean(policy.domain), clean(policy.version), policy.content, policy.fetched, policy.expires),
    )


# -- our own -----------------------------------------------------------------------------------------------


def own_policy(tx: Transaction, domain: str) -> OwnPolicy | None:
    """What we say of one of our domains, None when nothing."""
    row = tx.one("SELECT domain, mode, max_age, mx, changed FROM own_sts WHERE domain = ?", (clean(domain),))
    return OwnPolicy(row[0], row[1], row[2], tuple(row[3].split()), row[4]) if row else None


def set_own_policy(tx: Transaction, policy: OwnPolicy) -> None:
    """Say it. :raises NoSuchAccount: not one of our domains."""
    if not is_local_domain(tx, policy.domain):
        raise NoSuchAccount(f"The domain {policy.domain} is not served here.")
    tx.execute(
        "INSERT INTO own_sts (domain, mode, max_age, mx, changed) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (domain) DO UPDATE SET mode = excluded.mode, max_age = excluded.max_age, "
        "mx = excluded.mx, changed = excluded.changed",
        (policy.domain, policy.mode, policy.max_age, clean(" ".join(policy.mx)), policy.changed),
    )


# -- sessions ----------------------------------------------------------------------------------------------


def day_of(now: int) -> int:
    """The first moment of the day (UTC) of a time, both ms."""
    return now - now % DAY


def count_sessions(tx: Transaction, sessions: Iterable[TlsSession], now: int, spread: int) -> None:
    """Count sessions of today. :param spread: ms after midnight at which the report of a new day is due."""
    day = day_of(now)
    rows: dict[str, int] = {}
    for one in sessions:
        domain = clean(one.domain)
        if domain not in rows:
            tx.execute(
                "INSERT INTO tls_day (day, domain, due) VALUES (?, ?, ?) ON CONFLICT (day, domain) DO NOTHING",
                (day, domain, day + DAY + spread),
            )
            rows[domain] = tx.value(
                "SELECT count(*) FROM (SELECT 1 FROM tls_count WHERE day = ? AND domain = ? LIMIT ?)",
                (day, domain, _MOST_ROWS),
            )
        policy = json.dumps([one.policy, one.strings, one.mx], separators=(",", ":"))
        key = (
            day, domain, clean(policy), one.result, clean(one.host[:255]), clean(one.address[:100]),
            clean(one.reason[:_REASON]),
        )  # fmt: skip
        tx.execute(
            "UPDATE tls_count SET sessions = sessions + 1 WHERE day = ? AND domain = ? AND policy = ? "
            "AND result = ? AND host = ? AND address = ? AND reason = ?",
            key,
        )
        if tx.rowcount < 1 and rows[domain] < _MOST_ROWS:
            tx.execute(
                "INSERT INTO tls_count (day, domain, policy, result, host, address, reason, sessions) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
                key,
            )
            rows[domain] += 1


def due_day(tx: Transaction, now: int) -> TlsDay | None:
    """A day whose report is due."""
    row = tx.one("SELECT day, domain, due, tries FROM tls_day WHERE due <= ? ORDER BY due LIMIT 1", (now,))
    return TlsDay(*row) if row else None


def counts_of(tx: Transaction, day: int, domain: str) -> list[tuple[TlsSession, int]]:
    """What was counted that day, with how many sessions each."""
    rows: Sequence[tuple[str, str, str, str, str, int]] = tx.execute(
        "SELECT policy, result, host, address, reason, sessions FROM tls_count WHERE day = ? AND domain = ?",
        (day, domain),
    )
    found = []
    for policy, result, host, address, reason, sessions in rows:
        kind, strings, mx = json.loads(policy)
        one = TlsSession(domain, kind, tuple(strings), tuple(mx), result, host, address, reason)
        found.append((one, sessions))
    return found


def put_off_day(tx: Transaction, day: TlsDay, due: int) -> None:
    """The report could not be sent; try again then."""
    tx.execute(
        "UPDATE tls_day SET due = ?, tries = tries + 1 WHERE day = ? AND domain = ?",
        (due, day.day, day.domain),
    )


def forget_day(tx: Transaction, day: TlsDay) -> None:
    """It is reported, or nobody wants to know."""
    tx.execute("DELETE FROM tls_count WHERE day = ? AND domain = ?", (day.day, day.domain))
    tx.execute("DELETE FROM tls_day WHERE day = ? AND domain = ?", (day.day, day.domain))


def prune_transport(tx: Transaction, now: int, limit: int) -> int:
    """Remove expired policies, and days that nobody reports. :returns: how many; call it again until 0."""
    tx.execute(
        "DELETE FROM sts_policy WHERE domain IN (SELECT domain FROM sts_policy WHERE expires < ? LIMIT ?)",
        (now, limit),
    )
    count = max(tx.rowcount, 0)
    old = tx.one(
        "SELECT day, domain, due, tries FROM tls_day WHERE day < ? LIMIT 1", (now - _KEEP_DAYS * DAY,)
    )
    if old is not None:
        forget_day(tx, TlsDay(*old))
        count += 1
    return count
