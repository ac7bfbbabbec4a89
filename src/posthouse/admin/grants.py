"""Who may write as whom: beyond one's own addresses, each address or domain has to be granted."""

from __future__ import annotations

from typing import Any

from posthouse.admin.addresses import domain_named
from posthouse.admin.people import account_of, fold_address
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Exists, NoSuchAccount
from posthouse.store import domains, senders


@operation("grant add")
async def grant_add(ports: Ports, user: str, address: str) -> dict[str, Any]:
    """Let a user write as another address of this server, or as all of a domain (@example.org)."""
    account = await account_of(ports, user)
    granted = _granted(address)

    def write(tx: Any) -> None:
        if not domains.is_local_domain(tx, granted.rpartition("@")[2]):
            raise NoSuchAccount(f"The domain of {granted} is not served here.")
        if not senders.add_grant(tx, account.id, granted, ports.now()):
            raise Exists(f"{account.address} may write as {granted} already.")

    await ports.db.write(write)
    return {"user": account.address, "address": granted}


@operation("grant remove")
async def grant_remove(ports: Ports, user: str, address: str) -> dict[str, Any]:
    """Take such a permission back, at once."""
    account = await account_of(ports, user)
    granted = _granted(address)
    await ports.db.write(lambda tx: senders.delete_grant(tx, account.id, granted))
    return {"user": account.address, "address": granted}


@operation("grant list")
async def grant_list(ports: Ports, user: str | None = None) -> list[dict[str, Any]]:
    """List who may write as whom."""
    account_id = None if user is None else (await account_of(ports, user)).id
    found = await ports.db.read(lambda tx: senders.grants(tx, account_id))
    return [{"user": one.account, "address": one.address, "created": one.created} for one in found]


def _granted(text: str) -> str:
    if text.strip().startswith("@"):
        return f"@{domain_named(text)}"
    return fold_address(text)
