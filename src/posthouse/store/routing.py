"""Where mail for an address goes: mailboxes, aliases, groups, forwarding, plus addresses, catch-all.

Promise: an address leads somewhere or is refused, never half of either; what leads in circles ends. In this order
something is found: a closed address takes nothing; the domain that another one stands for; the address itself; the
address without its ``+tag``; ``GROUP-owner``; postmaster and abuse; the catch-all of the domain.

RFC 5321 4.5.1 and RFC 2142: postmaster and abuse are always accepted. RFC 5233: the tag.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import define, evolve, field, frozen

from posthouse.errors import NoSuchAccount, TryLater
from posthouse.mime.addresses import fold_address
from posthouse.model import FolderType, MailGroup, Recipient
from posthouse.store.aliases import MAX_TARGETS, add_alias, aliases, delete_alias
from posthouse.store.dialect import clean, fold_name
from posthouse.store.domains import is_local_domain, real_domain
from posthouse.store.groups import group_of_alias, owner_of
from posthouse.store.senders import owned_addresses
from posthouse.store.transaction import Transaction

__all__ = [
    "MAX_TARGETS",
    "OWNER",
    "add_alias",
    "aliases",
    "delete_alias",
    "is_taken",
    "owned_addresses",
    "route",
]

# RFC 5321 4.5.1, RFC 2142 section 4
_ALWAYS = ("postmaster", "abuse")
#: what an address of a group's owner ends in
OWNER = "-owner"
# account.forward
_WITH_COPY = 2


@frozen
class _Box:
    """A mailbox, and the tag with which it was found."""

    account_id: int
    mailbox_id: int
    forward: int
    tag: str = ""


@frozen
class _Several:
    """An alias or a group."""

    targets: list[str]
    group: MailGroup | None = None


@define
class _Walk:
    """What was found on the way from one address."""

    mailboxes: dict[int, None] = field(factory=dict)
    remote: dict[str, None] = field(factory=dict)
    staying: dict[int, str] = field(factory=dict)  # a mailbox that forwards -> where it was found
    leads: dict[str, list[str]] = field(
        factory=dict
    )  # address -> the next ones; none where something arrives
    passing: dict[str, int] = field(factory=dict)  # address -> a mailbox that keeps no copy
    groups: dict[str, MailGroup] = field(factory=dict)
    outside: bool = False  # something is reached without any group
    tag: str = ""

    def arrives(self, address: str) -> bool:
        """Is there a mailbox, or an address elsewhere, at the end of the way from here?"""
        seen = {address}
        waiting = [address]
        while waiting:
            targets = self.leads.get(waiting.pop())
            if targets == []:
                return True
            waiting += [one for one in targets or () if one not in seen]
            seen.update(waiting)
        return False


def route(tx: Transaction, folded_address: str) -> Recipient:
    """What an address means.

    A disabled account gets its mail: only its owner is kept out.

    :raises NoSuchAccount: a domain of ours, but nobody there, or closed.
    :raises TryLater: groups of groups beyond ``MAX_TARGETS``.
    """
    address = clean(folded_address)
    if "@" not in address:
        # RFC 5321 4.5.1: RCPT TO:<postmaster> needs no domain.
        domain = tx.value("SELECT name FROM domain WHERE alias_of = '' ORDER BY id LIMIT 1")
        if address not in _ALWAYS or domain is None:
            raise NoSuchAccount
        address = f"{address}@{domain}"
    if not is_local_domain(tx, address.rpartition("@")[2]):
        return Recipient(folded_address, remote=(address,))
    walk = _walk(tx, address)
    if not walk.mailboxes and not walk.remote:
        raise NoSuchAccount
    groups = tuple(
        _with_members(tx, group, walk if group.address == address else None) for group in walk.groups.values()
    )
    # A tag names a folder of one reader, not of many.
    alone = len(walk.mailboxes) == 1 and not walk.remote
    return Recipient(
        folded_address,
        mailbox_ids=tuple(walk.mailboxes),
        remote=tuple(walk.remote),
        folder_id=_tagged_folder(tx, next(iter(walk.mailboxes)), walk.tag) if alone and walk.tag else 0,
        groups=groups,
        group=groups[0] if len(groups) == 1 and not walk.outside else None,
        staying=tuple(walk.staying),
    )


def _walk(tx: Transaction, address: str) -> _Walk:
    """Follow aliases, groups and forwarding to their ends.

    Two accounts that forward to each other, or one that forwards to somebody who is gone, would send mail nowhere:
    then each of them keeps it, whoever else gets it too.
    """
    walk = _Walk()
    seen = {address}
    waiting: deque[tuple[str, bool]] = deque([(address, False)])
    while waiting:
        current, grouped = waiting.popleft()
        found = _local(tx, current) if is_local_domain(tx, current.rpartition("@")[2]) else current
        targets: list[str] = []
        if isinstance(found, str):
            walk.remote[found] = None
            walk.leads[current] = []
        elif isinstance(found, _Box):
            walk.tag = found.tag
            before = walk.staying.get(found.mailbox_id)
            if found.forward and before is None:
                walk.staying[found.mailbox_id] = current
                targets = _forwarding(tx, found.account_id)
            if not found.forward or found.forward == _WITH_COPY:
                walk.mailboxes[found.mailbox_id] = None
                walk.leads[current] = []
            elif before is None:
                walk.passing[current] = found.mailbox_id
                walk.leads[current] = targets or [current]
            else:
                walk.leads[current] = [before]
        elif found is not None:
            targets = walk.leads[current] = found.targets
            if found.group is not None and not grouped:
                walk.groups[found.group.address] = found.group
                grouped = True
        walk.outside = walk.outside or (not grouped and not isinstance(found, _Several))
        for target in targets:
            if target in seen:
                continue
            if len(seen) > MAX_TARGETS:  # the address itself is one of them
                # Some of them without the others would lose mail in silence.
                raise TryLater(
                    "The group is too large.", cause=f"{address} means over {MAX_TARGETS} others", after=3600
                )
            seen.add(target)
            waiting.append((target, grouped))
    for address, mailbox_id in walk.passing.items():
        if not walk.arrives(address):
            walk.mailboxes[mailbox_id] = None
    return walk


def _with_members(tx: Transaction, group: MailGroup, walk: _Walk | None) -> MailGroup:
    """The group with its members, where they are who may write: not whoever else an address means beside it."""
    if group.posting != "members":
        return group
    walk = walk or _walk(tx, group.address)
    boxes = frozenset((*walk.mailboxes, *walk.staying))
    return evolve(group, members=boxes, posters=frozenset(map(fold_address, walk.remote)))


def _forwarding(tx: Transaction, account_id: int) -> list[str]:
    rows = tx.execute("SELECT target FROM forwarding WHERE account_id = ? ORDER BY position", (account_id,))
    return [row[0] for row in rows]


def _local(tx: Transaction, address: str) -> _Box | _Several | None:
    """A mailbox, the targets of an alias or group, or None."""
    local, _, given = address.rpartition("@")
    row: Any = tx.one("SELECT alias_of, catch_all FROM domain WHERE name = ?", (given,))
    domain = given
    if row is not None and row[0]:
        # The domain's own addresses may be closed, too.
        domain = row[0]
        row = tx.one("SELECT alias_of, catch_all FROM domain WHERE name = ?", (domain,))
    stem, _, tag = local.partition("+")
    for name in (local, stem) if stem and stem != local else (local,):
        if _is_closed(tx, f"{name}@{given}") or (domain != given and _is_closed(tx, f"{name}@{domain}")):
            return None
        found = _named(tx, f"{name}@{domain}", tag if name == stem else "")
        if found is not None:
            return found
    owner = _group_owner(tx, stem, domain)
    if owner is not None:
        return _Several([owner or f"postmaster@{domain}"])
    if stem in _ALWAYS:
        box = tx.one(
            "SELECT id, mailbox_id FROM account WHERE deleting = 0 AND enabled = 1 ORDER BY admin DESC, id LIMIT 1"
        )
        if box is not None:
            return _Box(box[0], box[1], 0)
    if row is not None and row[1] and local:
        return _Several([row[1]])
    return None


def _group_owner(tx: Transaction, stem: str, domain: str) -> str | None:
    """Whom ``GROUP-owner`` means; "" is the postmaster, None: there is no such group."""
    return owner_of(tx, f"{stem.removesuffix(OWNER)}@{domain}") if stem.endswith(OWNER) else None


def _named(tx: Transaction, address: str, tag: str) -> _Box | _Several | None:
    row = tx.one("SELECT id, mailbox_id, forward FROM account WHERE address = ? AND deleting = 0", (address,))
    if row is not None:
        return _Box(row[0], row[1], row[2], tag)
    rows = tx.execute(
        "SELECT t.target, a.id FROM alias a JOIN alias_target t ON t.alias_id = a.id WHERE a.address = ? "
        "ORDER BY t.position",
        (address,),
    )
    if not rows:
        return None
    return _Several([each[0] for each in rows], group_of_alias(tx, rows[0][1], address))


def _is_closed(tx: Transaction, address: str) -> bool:
    return tx.one("SELECT 1 FROM closed_address WHERE address = ?", (address,)) is not None


def _tagged_folder(tx: Transaction, mailbox_id: int, tag: str) -> int:
    """The folder for mail that a tag names; 0 when the user does not want that, or has none of that name."""
    found = tx.value(
        "SELECT f.id FROM account a JOIN folder f ON f.mailbox_id = a.mailbox_id WHERE a.mailbox_id = ? "
        "AND a.plus_folders = 1 AND f.name_key = ? AND f.type IN (?, ?) AND f.role IS NULL AND f.deleted = 0 "
        "AND f.hidden = 0 ORDER BY f.number LIMIT 1",
        (mailbox_id, fold_name(tag), int(FolderType.GENERIC), int(FolderType.USER_MAIL)),
    )
    return int(found or 0)


def is_taken(tx: Transaction, address: str) -> bool:
    """Does somebody have this (folded) address, or is it closed? What a catch-all gets is nobody's."""
    local, _, domain = address.rpartition("@")
    name = f"{local.partition('+')[0]}@{real_domain(tx, domain)}"
    return (
        tx.one(
            "SELECT 1 FROM account WHERE address = ? UNION ALL SELECT 1 FROM alias WHERE address = ? "
            "UNION ALL SELECT 1 FROM closed_address WHERE address = ?",
            (name, name, name),
        )
        is not None
        or local.partition("+")[0] in _ALWAYS
        or _group_owner(tx, local.partition("+")[0], name.rpartition("@")[2]) is not None
    )
