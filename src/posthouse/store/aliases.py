"""Addresses that mean others. A group (``store.groups``) is an alias with a name, rules and an owner."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.errors import Exists, NoSuchAccount, TooLarge
from posthouse.store.dialect import clean
from posthouse.store.domains import require_own_addresses
from posthouse.store.people import Kind, forget_person, remember_person
from posthouse.store.transaction import Transaction

__all__ = ["MAX_TARGETS", "add_alias", "aliases", "delete_alias", "naming", "set_targets", "targets"]

#: addresses that one address may mean, all steps counted
MAX_TARGETS = 200


def add_alias(tx: Transaction, address: str, targets: Sequence[str], now: int, name: str = "") -> int:
    """Let an address mean others, here or elsewhere. :returns: the alias's id.

    :raises Exists: the address is taken. :raises NoSuchAccount: its domain is not ours, or no target.
    :raises NotPermitted: its domain stands for another one. :raises TooLarge: more than ``MAX_TARGETS``.
    """
    address = clean(address)
    require_own_addresses(tx, address)
    _check_count(targets)
    taken = "SELECT 1 FROM account WHERE address = ? UNION ALL SELECT 1 FROM alias WHERE address = ?"
    if tx.one(taken, (address, address)) is not None:
        raise Exists(f"The address {address} exists already.")
    alias_id = int(
        tx.value("INSERT INTO alias (address, created) VALUES (?, ?) RETURNING id", (address, now))
    )
    set_targets(tx, alias_id, targets)
    remember_person(tx, Kind.GROUP, address, name)
    return alias_id


def _check_count(targets: Sequence[str]) -> None:
    if not targets:
        raise NoSuchAccount("An alias needs a target.")
    if len(set(targets)) > MAX_TARGETS:
        raise TooLarge(f"An alias may have {MAX_TARGETS} targets.")


def set_targets(tx: Transaction, alias_id: int, targets: Sequence[str]) -> None:
    """Let an alias mean these. :raises NoSuchAccount: none. :raises TooLarge: more than ``MAX_TARGETS``."""
    _check_count(targets)
    tx.execute("DELETE FROM alias_target WHERE alias_id = ?", (alias_id,))
    tx.many(
        "INSERT INTO alias_target (alias_id, position, target) VALUES (?, ?, ?)",
        [(alias_id, position, clean(target)) for position, target in enumerate(dict.fromkeys(targets))],
    )


def targets(tx: Transaction, alias_id: int) -> list[str]:
    """What an alias means, in order."""
    rows = tx.execute("SELECT target FROM alias_target WHERE alias_id = ? ORDER BY position", (alias_id,))
    return [row[0] for row in rows]


def naming(tx: Transaction, address: str) -> list[str]:
    """What names an address: aliases, groups, users who forward there, and catch-alls (as "@example.org")."""
    address = clean(address)
    rows = tx.execute(
        "SELECT a.address FROM alias_target t JOIN alias a ON a.id = t.alias_id WHERE t.target = ? UNION "
        "SELECT c.address FROM forwarding f JOIN account c ON c.id = f.account_id "
        "WHERE f.target = ? AND c.deleting = 0 UNION "
        "SELECT '@' || name FROM domain WHERE catch_all = ? ORDER BY 1",
        (address, address, address),
    )
    return [row[0] for row in rows]


def delete_alias(tx: Transaction, address: str) -> None:
    """Forget an alias or group. :raises NoSuchAccount: there is none."""
    alias_id = tx.value("DELETE FROM alias WHERE address = ? RETURNING id", (clean(address),))
    if alias_id is None:
        raise NoSuchAccount(f"There is no alias {address}.")
    for table in ("alias_target", "mail_group", "mail_group_poster"):
        tx.execute(f"DELETE FROM {table} WHERE alias_id = ?", (alias_id,))
    # Whoever gets this address next is somebody else.
    tx.execute("DELETE FROM send_grant WHERE address = ?", (clean(address),))
    forget_person(tx, address)


def aliases(tx: Transaction) -> list[tuple[str, tuple[str, ...]]]:
    """Every alias with its targets, by address; groups are not among them."""
    found: dict[str, list[str]] = {}
    for address, target in tx.execute(
        "SELECT a.address, t.target FROM alias a JOIN alias_target t ON t.alias_id = a.id "
        "WHERE a.id NOT IN (SELECT alias_id FROM mail_group) ORDER BY a.address, t.position"
    ):
        found.setdefault(address, []).append(target)
    return [(address, tuple(targets)) for address, targets in found.items()]
