"""Erasing a device from afar: the directive, and what the device says became of it.

Promise: a directive is given only where an administrator ordered it (R653, R654), again and again until the device
confirms it; every step is kept with its time; a repeated confirmation is answered like the first. A device that
was erased is kept out until an administrator decides otherwise. MS-ASPROV 2.2.2.1, 2.2.2.45, 3.2.5.1.2.2 and .3.

``AccountOnlyRemoteWipe`` takes this server's data alone, and is of version 16.1 (R6906).
Bare numbers are MS-ASPROV.
"""

from __future__ import annotations

from posthouse.eas.call import Call
from posthouse.eas.statuses import Status, StatusError
from posthouse.model import Device, DeviceAccess
from posthouse.store import devices
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import Provision as P
from posthouse.wbxml.tree import E, Element

#: MS-ASPROV 2.2.2.54.2, for a device that says that it failed (R665, R66603).
OK, FAILED = 1, 2
PROTOCOL_ERROR = 2

ACCOUNT_ONLY_SINCE = (16, 1)

_TAGS = {"device": P.RemoteWipe, "account": P.AccountOnlyRemoteWipe}


def admit(device: Device, command: str, version: tuple[int, int]) -> bool:
    """What an ordered or confirmed wipe means for a request.

    :return: whether it is the wipe's own business, which an access rule does not stop.
    :raises StatusError: 140; 129 where the directive would be more than was ordered.
    """
    if device.wipe_pending:
        if device.wipe == "account" and version < ACCOUNT_ONLY_SINCE:
            raise StatusError(Status.DEVICE_IS_BLOCKED, "an account-only wipe waits for version 16.1")
        if command != "Provision":
            raise StatusError(Status.REMOTE_WIPE_REQUESTED, "a wipe is ordered")
        return True
    # The answer to its confirmation may have been lost.
    return device.wipe_state == "acknowledged" and command == "Provision"


async def answer(call: Call, request: Element) -> Element | None:
    """The answer to a Provision that is about a wipe; None when it is about policies.

    :raises StatusError: 2, a confirmation of what nobody ordered; 129, anything else after a confirmed wipe.
    """
    said = [child for child in request.children if child.tag in _TAGS.values()]
    device = call.device
    confirmed = len(said) == 1 and said[0].tag == _TAGS.get(device.wipe)
    status = (said[0].text(P.Status) or "").strip() if confirmed else ""
    if not device.wipe_pending and device.wipe_state != "acknowledged":
        if not said:
            return None
        if device.wipe_state != "cancelled" or status != "1":
            raise StatusError(PROTOCOL_ERROR, "a wipe is acknowledged that was not requested")
        # It had been told before the order was taken back.
    elif not device.wipe_pending:
        if status != "1":
            raise StatusError(Status.DEVICE_IS_BLOCKED, "the device was erased")
        return E(P.Provision, E(P.Status, OK))
    call.notes["wipe"] = device.wipe
    call.notes["wipe_said"] = status
    if status == "1":
        await _note(call, "acknowledged")
        return E(P.Provision, E(P.Status, OK))
    if said:
        # Failed, or a confirmation that nobody understands: once more (R701, R66604).
        await _note(call, "failed")
        return E(P.Provision, E(P.Status, FAILED), E(_TAGS[device.wipe]))
    await _note(call, "sent")
    return E(P.Provision, E(P.Status, OK), E(_TAGS[device.wipe]))


async def _note(call: Call, state: str) -> None:
    row, now = call.device.id, call.now()

    def note(tx: Transaction) -> None:
        device = devices.device_by_id(tx, row)
        # Cancelled or removed meanwhile: what the device says is too late, but for its having done it.
        if device is None or not (device.wipe_pending or state == "acknowledged"):
            return
        # "failed" stays to be seen while the directive goes out again.
        if state != "sent" or device.wipe_state == "ordered":
            devices.update_device(tx, row, wipe_state=state, wipe_at=now)
        devices.log_device(tx, row, f"wipe ({device.wipe}): {state}", now)
        if state == "acknowledged":
            devices.reset_device(tx, row)
            devices.update_device(tx, row, access=DeviceAccess.BLOCKED)

    await call.write(note)
