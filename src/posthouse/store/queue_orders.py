"""What the administrator orders of the queue: let go, bounce, pause a domain; and the addresses that bounced.

Promise: an order changes at most ``limit`` rows of one call and says which; a row that is being sent just now is
left to its attempt, whose end finds the order. An address on the list of the suppressed is written to no more
until it is taken off, by whomever.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from posthouse.model import OutboxRow
from posthouse.store.dialect import clean
from posthouse.store.outbox import _COLUMNS, _WAITING, OPEN, _row
from posthouse.store.transaction import Transaction

__all__ = [
    "Paused",
    "Stats",
    "Suppressed",
    "bounce",
    "move_paused",
    "pause_domain",
    "paused_domains",
    "release",
    "resume_domain",
    "select",
    "stats",
    "suppress",
    "suppressed",
    "suppressed_listing",
    "unsuppress",
]

_REASON = 1000
_TOP = 20
_OPEN = ", ".join(f"'{state}'" for state in OPEN)


@frozen
class Paused:
    """A domain that nothing is sent to for now. ``at`` in ms."""

    domain: str
    at: int
    reason: str


@frozen
class Suppressed:
    """An address that nothing is sent to. ``reason``: what was said of it; ``sender``: who wrote there."""

    address: str
    at: int
    reason: str
    sender: str


@frozen
class Stats:
    """The queue in figures. ``domains``: the fullest, with what waits for each of them."""

    states: dict[str, int]
    domains: tuple[tuple[str, int], ...]
    oldest: int | None
    bytes: int
    due: int
    suppressed: int


def select(
    tx: Transaction, limit: int, *, states: tuple[str, ...] = OPEN, domain: str = "", sender: str = "",
    after: int = 0,
) -> list[OutboxRow]:  # fmt: skip
    """Rows in some states, oldest first.

    :param domain: of the recipient, lower case; "" for any. :param sender: the reverse path, "" for any.
    :param after: the last id of the page before.
    """
    marks = ", ".join("?" for _ in states)
    where, values = f"state IN ({marks}) AND id > ?", [*states, after]
    if domain:
        if set(states) <= set(OPEN):
            where += f" AND state IN ({_OPEN})"  # so that the index on domains can be used
        where += " AND domain = ?"
        values.append(clean(domain))
    if sender:
        where += " AND sender = ?"
        values.append(clean(sender))
    rows = tx.execute(f"SELECT {_COLUMNS} FROM outbox WHERE {where} ORDER BY id LIMIT ?", (*values, limit))
    return [_row(row) for row in rows]


def release(tx: Transaction, outbox_id: int, now: int) -> bool:
    """Let a held row go, at once. False when it is not held."""
    tx.execute(
        f"UPDATE outbox SET state = {_WAITING}, due = ?, due_before = ? WHERE id = ? AND state = 'held'",
        (now, now, outbox_id),
    )
    return tx.rowcount > 0


def bounce(tx: Transaction, outbox_id: int, reason: str, now: int) -> bool:
    """Give a row up: its next attempt, due now, reports it to the sender. False when it is finished.

    What is on its way just now may still arrive.
    """
    tx.execute(
        "UPDATE outbox SET state = CASE WHEN state = 'leased' THEN 'leased' ELSE 'due' END, "
        "due = CASE WHEN state = 'leased' THEN due ELSE ? END, due_before = ?, verdict = ? "
        f"WHERE id = ? AND state IN ({_OPEN})",
        (now, now, clean(reason)[:_REASON], outbox_id),
    )
    return tx.rowcount > 0


# -- domains -----------------------------------------------------------------------------------------------


def pause_domain(tx: Transaction, domain: str, reason: str, now: int) -> bool:
    """Send nothing to a domain from now on; what waits is moved by ``move_paused``. False: it was so already."""
    tx.execute(
        "INSERT INTO paused_domain (domain, at, reason) VALUES (?, ?, ?) ON CONFLICT (domain) DO NOTHING",
        (clean(domain), now, clean(reason)[:_REASON]),
    )
    return tx.rowcount > 0


def resume_domain(tx: Transaction, domain: str) -> bool:
    """Send again; what waits is moved by ``move_paused``. False: it was not paused."""
    tx.execute("DELETE FROM paused_domain WHERE domain = ?", (clean(domain),))
    return tx.rowcount > 0


def move_paused(tx: Transaction, domain: str, limit: int) -> int:
    """Put a slice of a domain's rows into the state that they must be in. :returns: how many; until 0."""
    paused = tx.one("SELECT 1 FROM paused_domain WHERE domain = ?", (clean(domain),)) is not None
    before, after = ("due", "paused") if paused else ("paused", "due")
    # A row that the administrator gave up is reported all the same.
    tx.execute(
        f"UPDATE outbox SET state = ? WHERE id IN (SELECT id FROM outbox WHERE domain = ? AND state = ? "
        f"AND state IN ({_OPEN}) AND verdict = '' LIMIT ?)",
        (after, clean(domain), before, limit),
    )
    return max(tx.rowcount, 0)


def paused_domains(tx: Transaction) -> list[Paused]:
    """The domains that are paused, by name."""
    return [
        Paused(*row) for row in tx.execute("SELECT domain, at, reason FROM paused_domain ORDER BY domain")
    ]


# -- suppressed addresses ----------------------------------------------------------------------------------


def suppress(tx: Transaction, address: str, reason: str, sender: str, now: int) -> None:
    """Write to a (folded) address no more. What is known of it already stays."""
    tx.execute(
        "INSERT INTO suppressed (address, at, reason, sender) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (address) DO NOTHING",
        (clean(address), now, clean(reason)[:_REASON], clean(sender)),
    )


def suppressed(tx: Transaction, address: str) -> Suppressed | None:
    """Is this (folded) address on the list?"""
    row = tx.one("SELECT address, at, reason, sender FROM suppressed WHERE address = ?", (clean(address),))
    return Suppressed(*row) if row else None


def unsuppress(tx: Transaction, address: str) -> bool:
    """Take an address off the list. False: it was not there."""
    tx.execute("DELETE FROM suppressed WHERE address = ?", (clean(address),))
    return tx.rowcount > 0


def suppressed_listing(tx: Transaction, limit: int) -> list[Suppressed]:
    """The list, by address."""
    rows = tx.execute("SELECT address, at, reason, sender FROM suppressed ORDER BY address LIMIT ?", (limit,))
    return [Suppressed(*row) for row in rows]


def stats(tx: Transaction, now: int) -> Stats:
    """The queue in figures. Looks at every row that is not finished."""
    states = {str(state): int(count) for state, count in tx.execute(
        "SELECT state, count(*) FROM outbox GROUP BY state ORDER BY state"
    )}  # fmt: skip
    domains = tx.execute(
        f"SELECT domain, count(*) FROM outbox WHERE state IN ({_OPEN}) GROUP BY domain "
        "ORDER BY count(*) DESC, domain LIMIT ?",
        (_TOP,),
    )
    totals: Any = tx.one(
        "SELECT min(created), coalesce(sum(size), 0), coalesce(sum(due <= ? AND state = 'due'), 0) "
        f"FROM outbox WHERE state IN ({_OPEN})",
        (now,),
    )
    count = tx.value("SELECT count(*) FROM suppressed")
    oldest, size, waiting = totals
    return Stats(states, tuple((str(one), int(many)) for one, many in domains), oldest, size, waiting, count)
