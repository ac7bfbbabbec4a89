"""Distribution lists: an alias with a name, an owner who gets its bounces, and a rule who may write to it."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.errors import Malformed, NoSuchThing, NotPermitted, TooLarge
from posthouse.model import MailGroup
from posthouse.store.aliases import add_alias, set_targets, targets
from posthouse.store.dialect import clean
from posthouse.store.people import set_person
from posthouse.store.transaction import Transaction

__all__ = [
    "MAX_POSTERS",
    "POSTING",
    "add_group",
    "group_named",
    "group_of_alias",
    "groups",
    "members_of",
    "owner_of",
    "set_group",
    "set_members",
]

#: who may write to a group
POSTING = ("anyone", "members", "listed")
MAX_POSTERS = 500


def add_group(tx: Transaction, group: MailGroup, members: Sequence[str], now: int) -> None:
    """Make a group.

    :raises Exists, NoSuchAccount, NotPermitted, TooLarge: as ``aliases.add_alias``.
    :raises Malformed: an unknown rule.
    """
    alias_id = add_alias(tx, group.address, members, now, group.name)
    tx.execute(
        "INSERT INTO mail_group (alias_id, name, posting, owner) VALUES (?, '', 'anyone', '')", (alias_id,)
    )
    _write(tx, alias_id, group)


def set_group(tx: Transaction, group: MailGroup) -> None:
    """Change everything of a group but its members. :raises NoSuchThing: there is none of that address."""
    _write(tx, _id(tx, group.address), group)
    if group.name:
        set_person(tx, group.address, {"name": group.name})


def _write(tx: Transaction, alias_id: int, group: MailGroup) -> None:
    if group.posting not in POSTING:
        raise Malformed(f"Who may write is one of {', '.join(POSTING)}.")
    if len(group.posters) > MAX_POSTERS:
        raise TooLarge(f"A group may list {MAX_POSTERS} senders; name a domain as @example.org.")
    tx.execute(
        "UPDATE mail_group SET name = ?, posting = ?, owner = ? WHERE alias_id = ?",
        (clean(group.name), group.posting, clean(group.owner), alias_id),
    )
    tx.execute("DELETE FROM mail_group_poster WHERE alias_id = ?", (alias_id,))
    tx.many(
        "INSERT INTO mail_group_poster (alias_id, address) VALUES (?, ?)",
        [(alias_id, clean(address)) for address in sorted(group.posters)],
    )


def set_members(tx: Transaction, address: str, members: Sequence[str]) -> None:
    """Let a group mean these. :raises NoSuchThing: no such group. :raises NotPermitted: nobody would be left."""
    if not members:
        raise NotPermitted("A group needs a member; delete it instead.")
    set_targets(tx, _id(tx, address), members)


def members_of(tx: Transaction, address: str) -> list[str]:
    """The members of a group, as they were named. :raises NoSuchThing: no such group."""
    return targets(tx, _id(tx, address))


def group_named(tx: Transaction, address: str) -> MailGroup:
    """One group. :raises NoSuchThing: there is none of that address."""
    found = group_of_alias(tx, _id(tx, address), clean(address))
    assert found is not None
    return found


def groups(tx: Transaction) -> list[tuple[MailGroup, tuple[str, ...]]]:
    """Every group with its members, by address."""
    rows = tx.execute(
        "SELECT a.id, a.address FROM alias a JOIN mail_group g ON g.alias_id = a.id ORDER BY a.address"
    )
    found = [(group_of_alias(tx, row[0], row[1]), tuple(targets(tx, row[0]))) for row in rows]
    return [(group, members) for group, members in found if group is not None]


def group_of_alias(tx: Transaction, alias_id: int, address: str) -> MailGroup | None:
    """The group behind an alias; None for a plain one."""
    row = tx.one("SELECT name, posting, owner FROM mail_group WHERE alias_id = ?", (alias_id,))
    if row is None:
        return None
    posters: frozenset[str] = frozenset()
    if row[1] == "listed":
        posters = frozenset(
            one[0]
            for one in tx.execute("SELECT address FROM mail_group_poster WHERE alias_id = ?", (alias_id,))
        )
    return MailGroup(address, row[0], row[1], row[2], posters)


def owner_of(tx: Transaction, address: str) -> str | None:
    """Who answers for the group of that address ("": nobody in particular); None when it is no group."""
    found: str | None = tx.value(
        "SELECT g.owner FROM alias a JOIN mail_group g ON g.alias_id = a.id WHERE a.address = ?", (address,)
    )
    return found


def _id(tx: Transaction, address: str) -> int:
    found = tx.value(
        "SELECT a.id FROM alias a JOIN mail_group g ON g.alias_id = a.id WHERE a.address = ?",
        (clean(address),),
    )
    if found is None:
        raise NoSuchThing(f"There is no group {address}.")
    return int(found)
