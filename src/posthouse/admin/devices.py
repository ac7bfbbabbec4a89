"""Phones: who connects with what, what they said last, and the trace of their WBXML."""

from __future__ import annotations

from typing import Any

from posthouse.admin.people import account_of
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Conflict, NoSuchThing
from posthouse.model import Device
from posthouse.store import accounts, devices


@operation("device list")
async def device_list(ports: Ports, address: str | None = None) -> list[dict[str, Any]]:
    """List the phones of all users, or of one."""
    only = (await account_of(ports, address)).id if address is not None else None

    def read(tx: Any) -> list[dict[str, Any]]:
        names = {account.id: account.address for account in accounts.accounts(tx)}
        return [_device(device, names.get(device.account_id, "")) for device in devices.devices(tx, only)]

    result: list[dict[str, Any]] = await ports.db.read(read)
    return result


@operation("device log")
async def device_log(ports: Ports, device: str, address: str | None = None, lines: int = 100) -> list[Any]:
    """Show what a phone did lately, the newest last."""
    found = await _find(ports, device, address)
    limit = max(1, min(lines, 10_000))
    result: list[Any] = await ports.db.read(lambda tx: devices.device_log(tx, found.id, limit))
    return result


@operation("device trace")
async def device_trace(ports: Ports, device: str, on: bool, address: str | None = None) -> dict[str, Any]:
    """Switch on or off the trace of everything that a phone and the server say to each other."""
    found = await _find(ports, device, address)
    await ports.db.write(lambda tx: devices.update_device(tx, found.id, trace=on))
    return {"device": found.device_id, "trace": on}


async def _find(ports: Ports, device: str, address: str | None) -> Device:
    only = (await account_of(ports, address)).id if address is not None else None
    everybody: list[Device] = await ports.db.read(lambda tx: devices.devices(tx, only))
    found = [one for one in everybody if one.device_id.lower() == device.lower() or str(one.id) == device]
    if not found:
        raise NoSuchThing(f'There is no device "{device[:64]}".')
    if len(found) > 1:
        raise Conflict(f'Several users have a device "{device[:64]}"; name the user, too.')
    return found[0]


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
        "first_seen": device.first_seen,
        "last_seen": device.last_seen,
        "last_command": device.last_command,
        "last_error": device.last_error,
        "trace": device.trace,
    }
