"""Policies for phones, and which account has which.

A policy is a name and its settings, as the administrator wrote them; what they mean is not known here. An account
without a row of its own has the server's policy, and its new phones are let in or held as the server says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from posthouse.errors import Conflict, NoSuchThing
from posthouse.model import DeviceAccess
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = [
    "PolicyRow",
    "Rule",
    "accounts_with",
    "assign_policy",
    "assignments",
    "delete_policy",
    "policies",
    "policy_named",
    "rule_for",
    "save_policy",
    "set_new_devices",
]


@frozen
class PolicyRow:
    """A stored policy. ``settings`` is name -> number or list of texts."""

    name: str
    settings: Mapping[str, Any]
    changed: int


@frozen
class Rule:
    """What holds for the phones of one account.

    :ivar policy: its name. :ivar settings: JSON as stored, None when no policy of that name is stored.
    :ivar new_devices: what becomes of a phone seen for the first time; None as the server says, `BLOCKED` when the
        account may have no phone at all.
    """

    policy: str
    settings: str | None = None
    new_devices: DeviceAccess | None = None


def policies(tx: Transaction) -> list[PolicyRow]:
    """Every stored policy, by name."""
    rows = tx.execute("SELECT name, settings, changed FROM policy ORDER BY name")
    return [PolicyRow(name, json.loads(settings), changed) for name, settings, changed in rows]


def policy_named(tx: Transaction, name: str) -> PolicyRow | None:
    """The stored policy of that name."""
    row = tx.one("SELECT name, settings, changed FROM policy WHERE name = ?", (clean(name),))
    return PolicyRow(row[0], json.loads(row[1]), row[2]) if row else None


def save_policy(tx: Transaction, name: str, settings: Mapping[str, Any], now: int) -> None:
    """Keep a policy, new or changed."""
    text = json.dumps(settings, ensure_ascii=False, sort_keys=True)
    tx.execute(
        "INSERT INTO policy (name, settings, changed) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
        "SET settings = excluded.settings, changed = excluded.changed",
        (clean(name), clean(text), now),
    )


def delete_policy(tx: Transaction, name: str, *, given: bool = False) -> None:
    """Forget a policy.

    :param given: also one that accounts have, because something else stands behind its name.
    :raises NoSuchThing: there is none. :raises Conflict: an account has it.
    """
    users = accounts_with(tx, name)
    if users and not given:
        raise Conflict(f'{len(users)} users have the policy "{name}"; give them another one first.')
    tx.execute("DELETE FROM policy WHERE name = ?", (clean(name),))
    if tx.rowcount <= 0:
        raise NoSuchThing(f'There is no policy "{name[:60]}".')


def assign_policy(tx: Transaction, account_id: int, name: str | None) -> None:
    """Give an account a policy by name, None: the server's."""
    tx.execute(
        "INSERT INTO account_rule (account_id, policy) VALUES (?, ?) ON CONFLICT (account_id) DO UPDATE "
        "SET policy = excluded.policy",
        (account_id, clean(name) if name is not None else None),
    )


def set_new_devices(tx: Transaction, account_id: int, access: DeviceAccess | None) -> None:
    """What becomes of an account's new phones, None: what the server says."""
    tx.execute(
        "INSERT INTO account_rule (account_id, new_devices) VALUES (?, ?) ON CONFLICT (account_id) DO UPDATE "
        "SET new_devices = excluded.new_devices",
        (account_id, int(access) if access is not None else None),
    )


def assignments(tx: Transaction) -> dict[int, Rule]:
    """Account -> its own rule, of those that have one; ``policy`` is "" where it is the server's."""
    rows = tx.execute("SELECT account_id, policy, new_devices FROM account_rule")
    return {
        row[0]: Rule(row[1] or "", None, DeviceAccess(row[2]) if row[2] is not None else None) for row in rows
    }


def accounts_with(tx: Transaction, name: str) -> Sequence[int]:
    """The accounts that were given that policy."""
    return [
        row[0] for row in tx.execute("SELECT account_id FROM account_rule WHERE policy = ?", (clean(name),))
    ]


def rule_for(tx: Transaction, account_id: int, default: str) -> Rule:
    """What holds for an account. :param default: the name of the server's policy."""
    row = tx.one("SELECT policy, new_devices FROM account_rule WHERE account_id = ?", (account_id,))
    name, access = row if row else (None, None)
    name = name or default
    settings = tx.value("SELECT settings FROM policy WHERE name = ?", (name,))
    return Rule(name, settings, DeviceAccess(access) if access is not None else None)
