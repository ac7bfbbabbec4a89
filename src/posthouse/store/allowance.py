"""How much one account may send in 24 hours, so that a stolen password is a nuisance and no disaster.

Promise: what is counted is counted in the transaction that queues it. A recipient elsewhere counts once for each
message; one that the account has never written to before counts as new.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from posthouse.errors import SentTooMuch
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = ["Allowance", "check", "note", "prune", "secret"]

_HOUR = 3600 * 1000
_DAY = 24 * _HOUR
_KEEP = 400 * _DAY  # whom nobody wrote to for so long is new again


@frozen
class Allowance:
    """Recipients in 24 hours; 0 means without limit."""

    recipients: int = 0
    new_recipients: int = 0


def check(tx: Transaction, account_id: int, addresses: Sequence[str], allowance: Allowance, now: int) -> None:
    """May an account write to these (folded) addresses elsewhere now?

    :raises SentTooMuch: it has written to too many, or too many new ones, since yesterday.
    """
    if allowance.recipients:
        used = tx.value(
            "SELECT coalesce(sum(recipients), 0) FROM sent_hour WHERE account_id = ? AND hour > ?",
            (account_id, now // _HOUR - 24),
        )
        if used + len(addresses) > allowance.recipients:
            raise SentTooMuch(
                "You have written to too many recipients today. Try again tomorrow.",
                cause=f"account {account_id}: {used} and {len(addresses)} recipients in 24 hours",
                after=3600,
            )
    if allowance.new_recipients:
        known = "SELECT 1 FROM written_to WHERE account_id = ? AND address = ?"
        fresh = sum(
            tx.one(known, (account_id, address)) is None for address in {clean(one) for one in addresses}
        )
        used = tx.value(
            "SELECT count(*) FROM written_to WHERE account_id = ? AND first > ?", (account_id, now - _DAY)
        )
        if fresh and used + fresh > allowance.new_recipients:
            raise SentTooMuch(
                "You have written to too many new recipients today. Try again tomorrow.",
                cause=f"account {account_id}: {used} and {fresh} new recipients in 24 hours",
                after=3600,
            )


def note(tx: Transaction, account_id: int, addresses: Sequence[str], now: int) -> None:
    """An account wrote to these (folded) addresses elsewhere."""
    if not addresses:
        return
    tx.execute(
        "INSERT INTO sent_hour (account_id, hour, recipients) VALUES (?, ?, ?) "
        "ON CONFLICT (account_id, hour) DO UPDATE SET recipients = sent_hour.recipients + excluded.recipients",
        (account_id, now // _HOUR, len(addresses)),
    )
    tx.many(
        "INSERT INTO written_to (account_id, address, first, last) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account_id, address) DO UPDATE SET last = excluded.last",
        [(account_id, clean(address), now, now) for address in addresses],
    )


def prune(tx: Transaction, now: int, limit: int) -> int:
    """Forget what counts no more. :returns: how many; call it again until 0."""
    tx.execute(
        "DELETE FROM sent_hour WHERE (account_id, hour) IN "
        "(SELECT account_id, hour FROM sent_hour WHERE hour < ? LIMIT ?)",
        (now // _HOUR - 48, limit),
    )
    count = max(tx.rowcount, 0)
    tx.execute(
        "DELETE FROM written_to WHERE (account_id, address) IN "
        "(SELECT account_id, address FROM written_to WHERE last < ? LIMIT ?)",
        (now - _KEEP, limit),
    )
    return count + max(tx.rowcount, 0)


def secret(tx: Transaction, name: str) -> bytes:
    """A key that was made with the database ("srs"); b"" when there is none."""
    return bytes(tx.value("SELECT value FROM secret WHERE name = ?", (name,)) or b"")
