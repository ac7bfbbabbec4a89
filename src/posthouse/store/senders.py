"""Under which addresses an account may write: its own, those that it was granted, and what a catch-all gets it.

An alias that leads straight to an account is its own; being a member of a group is no right to speak for it.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.errors import NoSuchThing
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = [
    "Grant",
    "add_grant",
    "caught_domains",
    "delete_grant",
    "grants",
    "owned_addresses",
    "sender_addresses",
]


@frozen
class Grant:
    """``account`` may write as ``address``, which is "@example.org" for all of a domain."""

    account: str
    address: str
    created: int


def owned_addresses(tx: Transaction, account_id: int) -> frozenset[str]:
    """The primary address and every alias that points to it directly, in each domain that means theirs."""
    rows = tx.execute(
        "SELECT address FROM account WHERE id = ? AND deleting = 0 UNION ALL "
        "SELECT a.address FROM account c JOIN alias_target t ON t.target = c.address "
        "JOIN alias a ON a.id = t.alias_id WHERE c.id = ? AND c.deleting = 0 "
        "AND NOT EXISTS (SELECT 1 FROM mail_group g WHERE g.alias_id = a.id)",
        (account_id, account_id),
    )
    return _in_all_domains(tx, frozenset(row[0] for row in rows))


def sender_addresses(tx: Transaction, account_id: int) -> frozenset[str]:
    """The own addresses and the granted ones; "@example.org" stands for every address of a domain."""
    rows = tx.execute("SELECT address FROM send_grant WHERE account_id = ?", (account_id,))
    granted = _in_all_domains(tx, frozenset(row[0] for row in rows))
    return owned_addresses(tx, account_id) | granted


def _in_all_domains(tx: Transaction, addresses: frozenset[str]) -> frozenset[str]:
    """The same addresses in the domains that stand for theirs, too."""
    twins = tx.execute("SELECT alias_of, name FROM domain WHERE alias_of <> ''")
    if not twins:
        return addresses
    found = set(addresses)
    for real, name in twins:
        found |= {
            f"{local}@{name}"
            for local, _, domain in (one.rpartition("@") for one in addresses)
            if domain == real
        }
    return frozenset(found)


def caught_domains(tx: Transaction, account_id: int) -> frozenset[str]:
    """The domains whose stray mail this account gets: it may answer it under the address that was written to."""
    rows = tx.execute(
        "SELECT d.name FROM account c JOIN domain d ON d.catch_all = c.address WHERE c.id = ? UNION ALL "
        "SELECT e.name FROM account c JOIN domain d ON d.catch_all = c.address "
        "JOIN domain e ON e.alias_of = d.name WHERE c.id = ?",
        (account_id, account_id),
    )
    return frozenset(row[0] for row in rows)


def add_grant(tx: Transaction, account_id: int, address: str, now: int) -> bool:
    """Let an account write as an address, or as a whole domain ("@example.org"). False: it might before."""
    tx.execute(
        "INSERT INTO send_grant (address, account_id, created) VALUES (?, ?, ?) "
        "ON CONFLICT (address, account_id) DO NOTHING",
        (clean(address), account_id, now),
    )
    return tx.rowcount > 0


def delete_grant(tx: Transaction, account_id: int, address: str) -> None:
    """Take it back. :raises NoSuchThing: there was none."""
    tx.execute("DELETE FROM send_grant WHERE address = ? AND account_id = ?", (clean(address), account_id))
    if tx.rowcount <= 0:
        raise NoSuchThing(f"There is no grant to write as {address}.")


def grants(tx: Transaction, account_id: int | None = None) -> list[Grant]:
    """Who may write as whom; of one account, or all."""
    rows = tx.execute(
        "SELECT c.address, g.address, g.created FROM send_grant g JOIN account c ON c.id = g.account_id "
        "WHERE ? IS NULL OR c.id = ? ORDER BY c.address, g.address",
        (account_id, account_id),
    )
    return [Grant(*row) for row in rows]
