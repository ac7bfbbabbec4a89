"""A user's mailbox: how full it is, and what its owner wants done with mail on its way."""

from __future__ import annotations

import re
from typing import Any

from posthouse.admin.addresses import leads_to_groups, require_targets
from posthouse.admin.people import account_of, account_shown, fold_address
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Malformed, NotPermitted
from posthouse.store import accounts, preferences, quotas, senders
from posthouse.store.quotas import Usage

_SIZE = re.compile(r"(?i)([0-9]{1,12})(?:\.([0-9]))?\s*([kmgt]?)b?")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_LISTED = 10_000


def size_in_bytes(text: str) -> int:
    """``"500M"`` or ``"2.5 GB"``. :raises Malformed: not of that form."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Malformed(f'"{text[:50]}" is no size; write it like 500M, 2.5G or 1000000.')
    return (int(match[1]) * 10 + int(match[2] or 0)) * _UNITS[match[3].lower()] // 10


@operation("user show")
async def user_show(ports: Ports, address: str) -> dict[str, Any]:
    """Show a user: the mailbox and its quota, addresses, grants, forwarding."""
    account = await account_of(ports, address)

    def read(tx: Any) -> dict[str, Any]:
        wanted = preferences.preferences(tx, account.id)
        owned = senders.owned_addresses(tx, account.id)
        usage = quotas.usage(tx, account.mailbox_id, ports.quota)
        return {
            **account_shown(account),
            **(_usage(usage) if usage is not None else {}),
            "addresses": sorted(owned),
            "may_write_as": [one.address for one in senders.grants(tx, account.id)],
            "forward_to": list(wanted.forward_to),
            "keep_copy": wanted.keep_copy if wanted.forward_to else None,
            "plus_folders": wanted.plus_folders,
            "hold": wanted.hold,
            "app_passwords": len(accounts.app_passwords(tx, account.id)),
        }

    found: dict[str, Any] = await ports.db.read(read)
    return found


@operation("user quota")
async def user_quota(ports: Ports, address: str, size: str | None = None) -> dict[str, Any]:
    """Show how full a mailbox is, or limit it: to 500M or 5G, to "none", or to the "default" of everybody."""
    account = await account_of(ports, address)
    if size is not None:
        words: dict[str, int | None] = {"none": 0, "default": None}
        limit = words[size.lower()] if size.lower() in words else size_in_bytes(size)
        await ports.db.write(lambda tx: accounts.set_quota(tx, account.mailbox_id, limit))
    usage = await ports.db.read(lambda tx: quotas.usage(tx, account.mailbox_id, ports.quota))
    return {"address": account.address} | (_usage(usage) if usage is not None else {})


@operation("quota list")
async def quota_list(ports: Ports, over: int = 0) -> list[dict[str, Any]]:
    """List how full the mailboxes are, the fullest first."""
    found: list[Usage] = []
    while len(found) < _LISTED:
        after = found[-1].address if found else ""
        page = await ports.db.read(lambda tx, after=after: quotas.usages(tx, ports.quota, after=after))
        if not page:
            break
        found += page
    fullest = sorted(found, key=lambda one: (-one.percent, -one.size, one.address))
    return [{"address": one.address} | _usage(one) for one in fullest if one.percent >= over]


@operation("user forward")
async def user_forward(
    ports: Ports, address: str, targets: list[str] | None = None, no_copy: bool = False, off: bool = False
) -> dict[str, Any]:
    """Send all mail of a user on to other addresses, with a copy in the mailbox or without one."""
    account = await account_of(ports, address)
    to = [fold_address(target) for target in targets or []]
    if bool(to) == off:
        raise Malformed("Name addresses to forward to, or say --off.")

    def write(tx: Any) -> None:
        require_targets(tx, to)
        for target in to:
            if any(group.posting != "anyone" for group in leads_to_groups(tx, target)):
                # Whoever writes to the user would be asked for the right to write to the group.
                raise NotPermitted(f"Not everybody may write to {target}; mail cannot be forwarded there.")
        preferences.set_forwarding(tx, account.id, to, not no_copy)

    await ports.db.write(write)
    return {"address": account.address, "forward_to": to, "keep_copy": not no_copy if to else None}


@operation("user plus")
async def user_plus(ports: Ports, address: str, folders: bool) -> dict[str, Any]:
    """Put mail for NAME+FOLDER@DOMAIN into that folder, where the user has one, or all of it into the Inbox."""
    account = await account_of(ports, address)
    await ports.db.write(lambda tx: preferences.set_plus_folders(tx, account.id, folders))
    return {"address": account.address, "plus_folders": folders}


@operation("user hold")
async def user_hold(ports: Ports, address: str, seconds: int) -> dict[str, Any]:
    """Hold what a user sends for some seconds, so that it can be taken back; 0 sends at once."""
    account = await account_of(ports, address)
    await ports.db.write(lambda tx: preferences.set_hold(tx, account.id, seconds))
    return {"address": account.address, "hold": seconds}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "size": usage.size,
        "quota": usage.quota or None,
        "own_quota": usage.own,
        "percent": usage.percent if usage.quota else None,
        "full_since": usage.full_since,
    }
