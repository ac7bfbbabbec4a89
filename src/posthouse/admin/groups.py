"""Distribution lists: who is in, who may write, who hears of bounces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from posthouse.admin.addresses import domain_named, require_targets
from posthouse.admin.people import fold_address
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Exists, Malformed, NoSuchThing
from posthouse.model import MailGroup, evolve
from posthouse.store import groups, people, routing
from posthouse.store.groups import POSTING

_MOST_SHOWN = 1000


@operation("group add")
async def group_add(
    ports: Ports,
    address: str,
    members: list[str],
    name: str = "",
    posting: str = "anyone",
    owner: str = "",
    allow: list[str] | None = None,
) -> dict[str, Any]:
    """Add a group: mail to its address goes to all members, its bounces to the owner."""
    group = _changed(MailGroup(fold_address(address)), name, posting, owner, allow)
    to = [fold_address(member) for member in members]

    def write(tx: Any) -> dict[str, Any]:
        groups.add_group(tx, group, to, ports.now())
        require_targets(tx, [*to, *filter(None, [group.owner])])
        return _shown(tx, group.address)

    added: dict[str, Any] = await ports.db.write(write)
    return added


@operation("group set")
async def group_set(
    ports: Ports,
    address: str,
    name: str | None = None,
    posting: str | None = None,
    owner: str | None = None,
    allow: list[str] | None = None,
) -> dict[str, Any]:
    """Change the name of a group, its owner, or who may write to it."""
    folded = fold_address(address)

    def write(tx: Any) -> dict[str, Any]:
        group = _changed(groups.group_named(tx, folded), name, posting, owner, allow)
        require_targets(tx, filter(None, [group.owner]))
        groups.set_group(tx, group)
        return _shown(tx, folded)

    changed: dict[str, Any] = await ports.db.write(write)
    return changed


@operation("group join")
async def group_join(ports: Ports, address: str, members: list[str]) -> dict[str, Any]:
    """Add members to a group."""
    to = [fold_address(member) for member in members]

    def join(tx: Any, there: list[str]) -> list[str]:
        if all(member in there for member in to):
            raise Exists("They are members already.")
        require_targets(tx, to)
        return [*there, *to]

    return await _change_members(ports, address, join)


@operation("group leave")
async def group_leave(ports: Ports, address: str, members: list[str]) -> dict[str, Any]:
    """Take members out of a group; the last one stays, or the group is deleted."""
    gone = [fold_address(member) for member in members]

    def leave(tx: Any, there: list[str]) -> list[str]:
        for member in gone:
            if member not in there:
                raise NoSuchThing(f"{member} is no member of {fold_address(address)}.")
        return [member for member in there if member not in gone]

    return await _change_members(ports, address, leave)


async def _change_members(
    ports: Ports, address: str, change: Callable[[Any, list[str]], list[str]]
) -> dict[str, Any]:
    folded = fold_address(address)

    def write(tx: Any) -> dict[str, Any]:
        groups.set_members(tx, folded, change(tx, groups.members_of(tx, folded)))
        return _shown(tx, folded)

    changed: dict[str, Any] = await ports.db.write(write)
    return changed


@operation("group list")
async def group_list(ports: Ports) -> list[dict[str, Any]]:
    """List all groups."""
    return [
        {
            "group": group.address,
            "name": group.name,
            "members": len(members),
            "posting": group.posting,
            "owner": group.owner or None,
        }
        for group, members in await ports.db.read(groups.groups)
    ]


@operation("group show")
async def group_show(ports: Ports, address: str) -> dict[str, Any]:
    """Show a group with its members, and whom its mail reaches."""
    folded = fold_address(address)
    shown: dict[str, Any] = await ports.db.read(lambda tx: _shown(tx, folded))
    return shown


@operation("group delete")
async def group_delete(ports: Ports, address: str) -> dict[str, Any]:
    """Delete a group; its members stay what they are."""
    folded = fold_address(address)

    def write(tx: Any) -> None:
        groups.group_named(tx, folded)
        routing.delete_alias(tx, folded)

    await ports.db.write(write)
    return {"group": folded}


def _changed(
    group: MailGroup, name: str | None, posting: str | None, owner: str | None, allow: list[str] | None
) -> MailGroup:
    if name is not None:
        if len(name) > people.MAX_FIELD or not name.isprintable():
            raise Malformed(f"The name must be one line of {people.MAX_FIELD} characters at most.")
        group = evolve(group, name=name.strip())
    if allow:
        # Whoever names senders means that they are the ones.
        posting = posting if posting is not None and posting != "anyone" else "listed"
        posters = frozenset(
            f"@{domain_named(one)}" if one.strip().startswith("@") else fold_address(one) for one in allow
        )
        group = evolve(group, posters=posters)
    if posting is not None:
        if posting not in POSTING:
            raise Malformed(f"Who may write is one of {', '.join(POSTING)}.")
        group = evolve(group, posting=posting)
    if group.posting == "listed" and not group.posters:
        raise Malformed("Say who may write: --allow ann@example.org, or --allow @example.org for a domain.")
    if owner is not None:
        group = evolve(group, owner=fold_address(owner) if owner.strip() else "")
    return group


def _shown(tx: Any, address: str) -> dict[str, Any]:
    group = groups.group_named(tx, address)
    route = routing.route(tx, address)
    return {
        "group": group.address,
        "name": group.name,
        "owner": group.owner or None,
        "posting": group.posting,
        "allow": sorted(group.posters),
        "members": groups.members_of(tx, address)[:_MOST_SHOWN],
        "mailboxes": len(route.mailbox_ids),
        "elsewhere": len(route.remote),
    }
