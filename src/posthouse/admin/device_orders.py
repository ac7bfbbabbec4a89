"""What an administrator decides about a phone.

The promise: a decision is durable before the operation answers and holds from then on; a request that waits (Ping,
hanging Sync) is answered at that moment, so that the phone hears of it with its next one, not in an hour.
"""

from __future__ import annotations

from typing import Any

from posthouse.admin.devices import device_of
from posthouse.admin.people import account_of
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Conflict, Malformed, NoSuchFolder, NotPermitted
from posthouse.model import Account, Device, DeviceAccess, Folder
from posthouse.settings import EAS_VERSIONS
from posthouse.store import accounts, devices, folders, policies

#: The collection under which a phone's folder list lies (posthouse.eas.hierarchy); the others are folders.
_HIERARCHY = "F"
#: MS-ASPROV R6906
_ACCOUNT_ONLY_SINCE = "16.1"


@operation("device allow")
async def device_allow(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Let a phone in that waits in quarantine, was blocked, or was wiped."""
    return await _access(ports, device, address, DeviceAccess.ALLOWED)


@operation("device block")
async def device_block(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Keep a phone out, at once; what is on it stays on it."""
    return await _access(ports, device, address, DeviceAccess.BLOCKED)


@operation("device quarantine")
async def device_quarantine(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Keep a phone out until it is allowed or blocked."""
    return await _access(ports, device, address, DeviceAccess.QUARANTINED)


async def _access(ports: Ports, device: str, address: str | None, access: DeviceAccess) -> dict[str, Any]:
    found = await device_of(ports, device, address)
    fields: dict[str, Any] = {"access": access}
    if access == DeviceAccess.ALLOWED and found.wipe:
        if found.wipe_pending:
            raise Conflict(
                "A wipe of this phone is ordered; take that back first: posthouse device wipe-cancel"
            )
        fields |= {"wipe": "", "wipe_state": "", "wipe_ordered": 0, "wipe_at": 0}
    await _decide(ports, found, f"access: {access.name.lower()}", fields)
    return {"device": found.device_id, "access": access.name.lower()}


@operation("device default")
async def device_default(ports: Ports, access: str, address: str) -> dict[str, Any]:
    """Say what becomes of a user's new phones: allow, quarantine, as configured (server), or none at all, old or new.

    With ``none`` those of today are kept out, too (ActiveSync status 126).
    """
    words = {
        "allow": DeviceAccess.ALLOWED,
        "quarantine": DeviceAccess.QUARANTINED,
        "none": DeviceAccess.BLOCKED,
        "server": None,
    }
    if access not in words:
        raise Malformed(f"Write one of {', '.join(words)}.")
    account = await account_of(ports, address)
    await ports.db.write(lambda tx: policies.set_new_devices(tx, account.id, words[access]))
    if access == "none":
        for row in await ports.db.read(lambda tx: devices.devices(tx, account.id)):
            ports.release(row.id)
    return {"address": account.address, "new_devices": access}


@operation("device resync")
async def device_resync(
    ports: Ports, device: str, address: str | None = None, folder: str | None = None
) -> dict[str, Any]:
    """Let a phone fetch everything anew, or one folder (its name or number)."""
    found = await device_of(ports, device, address)

    def forget(tx: Any) -> list[str]:
        if folder is not None:
            place = _folder(tx, found, folder)
            devices.forget_state(tx, found.id, str(place.number))
            devices.offer_again(tx, found.id, place.id)
            return [place.name]
        names = [row.collection for row in devices.states(tx, found.id) if row.collection != _HIERARCHY]
        for name in names:
            devices.forget_state(tx, found.id, name)
        devices.offer_again(tx, found.id)
        return names

    forgotten: list[str] = await ports.db.write(forget)
    ports.release(found.id)
    return {"device": found.device_id, "folders": folder if folder is not None else len(forgotten)}


@operation("device reset")
async def device_reset(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Begin anew with a phone: policy, folders, items; what was decided about it stays."""
    found = await device_of(ports, device, address)
    await ports.db.write(lambda tx: devices.reset_device(tx, found.id))
    ports.release(found.id)
    return {"device": found.device_id}


@operation("device remove")
async def device_remove(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Forget a phone; when it comes again it is a new one."""
    found = await device_of(ports, device, address)
    await ports.db.write(lambda tx: devices.delete_device(tx, found.id))
    ports.release(found.id)
    return {"device": found.device_id}


@operation("device ceiling")
async def device_ceiling(
    ports: Ports, device: str, version: str, address: str | None = None
) -> dict[str, Any]:
    """Set the highest protocol version of a phone, such as 14.1; "none" takes it back."""
    if version not in (*EAS_VERSIONS, "none"):
        raise Malformed(f"Write a version ({', '.join(EAS_VERSIONS)}), or none.")
    found = await device_of(ports, device, address)
    ceiling = "" if version == "none" else version
    await _decide(ports, found, f"ceiling: {version}", {"version_ceiling": ceiling})
    return {"device": found.device_id, "ceiling": version}


@operation("device retry")
async def device_retry(
    ports: Ports, device: str, address: str | None = None, number: int | None = None
) -> dict[str, Any]:
    """Offer a phone the items again that could not be sent to it, or one of them."""
    found = await device_of(ports, device, address)
    count = await ports.db.write(lambda tx: devices.offer_again(tx, found.id, number=number))
    ports.release(found.id)
    return {"device": found.device_id, "offered": count}


@operation("device wipe")
async def device_wipe(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Order a phone to erase EVERYTHING on it, private data too, the next time it connects."""
    return await _order(ports, await device_of(ports, device, address), "device")


@operation("device wipe-account")
async def device_wipe_account(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Order a phone to erase this server's account and data alone (protocol 16.1)."""
    found = await device_of(ports, device, address)
    if found.protocol != _ACCOUNT_ONLY_SINCE:
        raise NotPermitted(
            f"The phone speaks protocol {found.protocol}; it understands an account-only wipe from "
            f"{_ACCOUNT_ONLY_SINCE} on. Keep it out with: posthouse device block, or erase all of it with: "
            "posthouse device wipe"
        )
    if found.version_ceiling not in ("", _ACCOUNT_ONLY_SINCE):
        raise NotPermitted(
            f"The phone's ceiling is {found.version_ceiling}; an account-only wipe needs {_ACCOUNT_ONLY_SINCE}."
        )
    return await _order(ports, found, "account")


async def _order(ports: Ports, found: Device, kind: str) -> dict[str, Any]:
    if found.wipe_state == "acknowledged":
        raise Conflict("The phone was erased already; remove it, or allow it to come back.")
    now = ports.now()
    fields = {"wipe": kind, "wipe_state": "ordered", "wipe_ordered": now, "wipe_at": now}
    await _decide(ports, found, f"wipe ({kind}): ordered", fields)
    return {"device": found.device_id, "wipe": f"{kind} wipe ordered", "wipe_ordered": now}


@operation("device wipe-cancel")
async def device_wipe_cancel(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Take back a wipe that the phone has not confirmed; one that was told of it may still do it."""
    found = await device_of(ports, device, address)
    if not found.wipe_pending:
        raise Conflict(
            "The phone was erased already." if found.wipe_state == "acknowledged" else "No wipe is ordered."
        )
    now = ports.now()
    await _decide(ports, found, "wipe: cancelled", {"wipe_state": "cancelled", "wipe_at": now})
    told = found.wipe_state != "ordered"
    return {"device": found.device_id, "wipe": "cancelled", "was_told_already": told}


async def _decide(ports: Ports, found: Device, line: str, fields: dict[str, Any]) -> None:
    def change(tx: Any) -> None:
        devices.update_device(tx, found.id, **fields)
        devices.log_device(tx, found.id, line, ports.now())

    await ports.db.write(change)
    ports.release(found.id)


def _folder(tx: Any, device: Device, name: str) -> Folder:
    account: Account | None = accounts.account_by_id(tx, device.account_id)
    every = folders.list_folders(tx, account.mailbox_id) if account is not None else []
    found = [one for one in every if str(one.number) == name] or [
        one for one in every if one.name.casefold() == name.casefold()
    ]
    if not found:
        raise NoSuchFolder(f'The user has no folder "{name[:100]}".')
    if len(found) > 1:
        numbers = ", ".join(str(one.number) for one in found)
        raise Conflict(f'Several folders are called "{name[:100]}"; use a number: {numbers}.')
    return found[0]
