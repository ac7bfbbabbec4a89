"""Addresses that are nobody's mailbox: aliases, what a domain catches, and what is refused whoever has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from posthouse.admin.people import fold_address
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Malformed, NoSuchAccount, NoSuchThing, NotPermitted, TryLater
from posthouse.mime import addresses
from posthouse.model import MailGroup
from posthouse.store import domains, groups, routing

__all__ = ["domain_named", "leads_to_groups", "require_targets"]

_NOTE = 200


def domain_named(text: str) -> str:
    """The folded name of a domain that an administrator typed. :raises Malformed: it is none."""
    return fold_address("postmaster@" + text.strip().lstrip("@")).rpartition("@")[2]


def require_targets(tx: Any, targets: Iterable[str]) -> None:
    """Do these (folded) addresses lead somewhere? :raises NoSuchAccount: one of them does not."""
    for target in targets:
        try:
            routing.route(tx, target)
        except NoSuchAccount:
            raise NoSuchAccount(f"{target} leads nowhere: there is no such user, alias or group.") from None
        except TryLater:
            pass  # too large for now


def leads_to_groups(tx: Any, target: str) -> tuple[MailGroup, ...]:
    """The groups that a (folded) address leads to."""
    try:
        return routing.route(tx, target).groups
    except TryLater:
        return (MailGroup(target),)  # too large for now: no single reader


@operation("alias add")
async def alias_add(ports: Ports, address: str, targets: list[str]) -> dict[str, Any]:
    """Let an address mean one or more others."""
    folded = fold_address(address)
    to = [fold_address(target) for target in targets]

    def add(tx: Any) -> None:
        routing.add_alias(tx, folded, to, ports.now())
        require_targets(tx, to)

    await ports.db.write(add)
    return {"alias": folded, "targets": to}


@operation("alias list")
async def alias_list(ports: Ports) -> list[dict[str, Any]]:
    """List all aliases."""
    return [{"alias": alias, "targets": list(to)} for alias, to in await ports.db.read(routing.aliases)]


@operation("alias delete")
async def alias_delete(ports: Ports, address: str) -> dict[str, Any]:
    """Delete an alias."""
    folded = fold_address(address)

    def delete(tx: Any) -> None:
        if groups.owner_of(tx, folded) is not None:
            raise NotPermitted(f"{folded} is a group; delete it with: posthouse group delete {folded}")
        routing.delete_alias(tx, folded)

    await ports.db.write(delete)
    return {"alias": folded}


@operation("catchall set")
async def catchall_set(ports: Ports, domain: str, address: str) -> dict[str, Any]:
    """Give all mail of a domain that is for nobody to one address; refuse some with: address disable."""
    name, target = domain_named(domain), fold_address(address)

    def write(tx: Any) -> None:
        require_targets(tx, [target])
        domains.set_catch_all(tx, name, target)

    await ports.db.write(write)
    return {"domain": name, "catch_all": target}


@operation("catchall remove")
async def catchall_remove(ports: Ports, domain: str) -> dict[str, Any]:
    """Refuse mail of a domain that is for nobody again."""
    name = domain_named(domain)

    def write(tx: Any) -> None:
        if not any(one.name == name and one.catch_all for one in domains.domain_listing(tx)):
            raise NoSuchThing(f"The domain {name} has no catch-all.")
        domains.set_catch_all(tx, name, "")

    await ports.db.write(write)
    return {"domain": name}


@operation("catchall list")
async def catchall_list(ports: Ports) -> list[dict[str, Any]]:
    """List the domains with a catch-all, and the addresses of each that are refused all the same."""

    def read(tx: Any) -> list[dict[str, Any]]:
        closed = [address for address, _, _ in domains.closed_addresses(tx)]
        return [
            {
                "domain": one.name,
                "address": one.catch_all,
                "refused": [address for address in closed if address.endswith(f"@{one.name}")],
            }
            for one in domains.domain_listing(tx)
            if one.catch_all
        ]

    found: list[dict[str, Any]] = await ports.db.read(read)
    return found


@operation("address disable")
async def address_disable(ports: Ports, address: str, note: str = "") -> dict[str, Any]:
    """Refuse mail for one address (550), whether a user, an alias, a group or a catch-all has it."""
    folded = fold_address(address)
    if len(note) > _NOTE or not note.isprintable():
        raise Malformed(f"The note must be one line of {_NOTE} characters at most.")
    await ports.db.write(lambda tx: domains.close_address(tx, folded, note, ports.now()))
    return {"address": folded, "enabled": False}


@operation("address enable")
async def address_enable(ports: Ports, address: str) -> dict[str, Any]:
    """Take mail for an address again."""
    folded = addresses.fold_address(address.strip())
    if not await ports.db.write(lambda tx: domains.open_address(tx, folded)):
        raise NoSuchThing(f"{folded[:300]} was not disabled.")
    return {"address": folded, "enabled": True}


@operation("address list")
async def address_list(ports: Ports) -> list[dict[str, Any]]:
    """List the addresses that are refused."""
    rows = await ports.db.read(domains.closed_addresses)
    return [{"address": address, "at": at, "note": note} for address, at, note in rows]
