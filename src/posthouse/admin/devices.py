"""Phones as they are: who connects with what, what they said last, and the trace of their WBXML."""

from __future__ import annotations

from typing import Any

from posthouse.admin.people import account_of
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Conflict, NoSuchThing
from posthouse.model import Device, Folder, Item
from posthouse.policy import PRESETS
from posthouse.store import accounts, devices, folders, items, policies
from posthouse.store.devices import Aside

__all__ = ["device_of"]

#: Under this name a phone's recovery password lies (posthouse.eas.commands.settings).
RECOVERY_PASSWORD = "recovery password"


@operation("device list")
async def device_list(ports: Ports, address: str | None = None) -> list[dict[str, Any]]:
    """List the phones of all users, or of one."""
    only = (await account_of(ports, address)).id if address is not None else None

    def read(tx: Any) -> list[dict[str, Any]]:
        names = {account.id: account.address for account in accounts.accounts(tx)}
        return [_device(device, names.get(device.account_id, "")) for device in devices.devices(tx, only)]

    result: list[dict[str, Any]] = await ports.db.read(read)
    return result


@operation("device live")
async def device_live(ports: Ports) -> list[dict[str, Any]]:
    """Show which phones are connected now, with what and for how long."""
    return ports.live()


@operation("device show")
async def device_show(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Show everything about a phone: what it is, what holds for it, and what is kept from it."""
    found = await device_of(ports, device, address)

    def read(tx: Any) -> dict[str, Any]:
        account = accounts.account_by_id(tx, found.account_id)
        rule = policies.rule_for(tx, found.account_id, ports.default_policy)
        known = rule.settings is not None or rule.policy in PRESETS
        return {
            **_device(found, account.address if account is not None else ""),
            "information": dict(found.information),
            "policy": rule.policy if known else f"default ({rule.policy} does not exist)",
            "synchronised": len(devices.states(tx, found.id)),
            "recovery_password": devices.load_value(tx, found.id, RECOVERY_PASSWORD) is not None,
            "aside": [_aside(tx, one) for one in devices.aside(tx, found.id)],
        }

    result: dict[str, Any] = await ports.db.read(read)
    return result


@operation("device log")
async def device_log(ports: Ports, device: str, address: str | None = None, lines: int = 100) -> list[Any]:
    """Show what a phone did lately, the newest last: requests since the start of the server, failures and traces."""
    found = await device_of(ports, device, address)
    limit = max(1, min(lines, 10_000))
    kept: list[Any] = await ports.db.read(lambda tx: devices.device_log(tx, found.id, limit))
    # A request that failed or was traced stands in both.
    told = {(at, line) for at, line in kept}
    every = [*kept, *(one for one in ports.recent(found.id) if one not in told)]
    return [{"at": at, "line": line} for at, line in sorted(every, key=lambda one: one[0])[-limit:]]


@operation("device trace")
async def device_trace(ports: Ports, device: str, on: bool, address: str | None = None) -> dict[str, Any]:
    """Switch on or off the trace of everything that a phone and the server say to each other."""
    found = await device_of(ports, device, address)
    await ports.db.write(lambda tx: devices.update_device(tx, found.id, trace=on))
    return {"device": found.device_id, "trace": on}


@operation("device password")
async def device_password(ports: Ports, device: str, address: str | None = None) -> dict[str, Any]:
    """Show the recovery password that a phone left here, for a user who forgot his."""
    found = await device_of(ports, device, address)
    kept: bytes | None = await ports.db.read(lambda tx: devices.load_value(tx, found.id, RECOVERY_PASSWORD))
    if kept is None:
        raise NoSuchThing("The phone left no recovery password; its policy needs PasswordRecoveryEnabled=1.")
    return {"device": found.device_id, "recovery_password": kept.decode()}


async def device_of(ports: Ports, device: str, address: str | None) -> Device:
    """The phone with that device id or list number.

    :raises NoSuchThing: there is none. :raises Conflict: several users have one of that name.
    """
    only = (await account_of(ports, address)).id if address is not None else None
    everybody: list[Device] = await ports.db.read(lambda tx: devices.devices(tx, only))
    found = [one for one in everybody if one.device_id.lower() == device.lower() or str(one.id) == device]
    if not found:
        raise NoSuchThing(f'There is no device "{device[:64]}".')
    if len(found) > 1:
        raise Conflict(f'Several users have a device "{device[:64]}"; name the user, too.')
    return found[0]


def _aside(tx: Any, one: Aside) -> dict[str, Any]:
    """An item that could not be sent. Its subject is the user's own business: folder, size and number name it."""
    folder: Folder | None = folders.folder_by_id(tx, one.folder_id)
    item: Item | None = items.items(tx, one.folder_id, [one.number]).get(one.number)
    return {
        "number": one.number,
        "folder": folder.name if folder is not None else "(deleted)",
        "size": item.size if item is not None else 0,
        "at": one.at,
        "reason": one.reason,
    }


def _device(device: Device, address: str) -> dict[str, Any]:
    return {
        "id": device.id,
        "address": address,
        "device": device.device_id,
        "type": device.device_type,
        "model": device.information.get("Model", ""),
        "user_agent": device.user_agent,
        "protocol": device.protocol,
        "provisioned": device.provisioned,
        "access": device.access.name.lower(),
        "ceiling": device.version_ceiling,
        "wipe": f"{device.wipe} wipe {device.wipe_state}" if device.wipe else "",
        "wipe_ordered": device.wipe_ordered or None,
        "wipe_at": device.wipe_at or None,
        "first_seen": device.first_seen,
        "last_seen": device.last_seen,
        "last_command": device.last_command,
        "last_error": device.last_error,
        "trace": device.trace,
    }
