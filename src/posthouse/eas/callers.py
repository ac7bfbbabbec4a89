"""Which device is calling: its row, the policy that it is under, and what becomes of one that was never seen.

Promise: a device that calls as it did before costs one read and no write; nothing is kept of a device whose user shall
have none (MS-ASCMD R4869).
"""

from __future__ import annotations

from attrs import evolve, frozen

from posthouse.eas import policy
from posthouse.eas.policy import Policy
from posthouse.eas.query import Query
from posthouse.eas.services import Services
from posthouse.eas.statuses import Status, StatusError
from posthouse.eas.versions import Version, write_version
from posthouse.model import Account, Device, DeviceAccess
from posthouse.store import devices, policies
from posthouse.store.policies import Rule
from posthouse.store.transaction import Transaction

__all__ = ["Caller", "Callers"]


@frozen
class Caller:
    """:ivar policy: None when nothing is demanded. :ivar barred: the user shall have no phone at all."""

    device: Device
    policy: Policy | None
    barred: bool


class Callers:
    """Finds the devices of all accounts."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings

    async def known(self, account: Account, query: Query, agent: str, version: Version) -> Caller:
        """The device's row, written only when there is something new to say of it.

        :raises StatusError: 126, the user shall have no phone and this is none that was let in before; 177.
        """
        now = int(self._services.clock.seconds() * 1000)
        protocol = write_version(version)
        default = self._settings.policy_name

        def find(tx: Transaction) -> Device | None:
            return devices.find_device(tx, account.id, query.device_id, query.device_type)

        def look(tx: Transaction) -> tuple[Device | None, Rule]:
            return find(tx), policies.rule_for(tx, account.id, default)

        def touch(tx: Transaction) -> Device:
            known = find(tx)
            if known is None:
                self._make_room(tx, account, now)
            device = devices.seen_device(
                tx, account.id, query.device_id, query.device_type, agent, protocol, now
            )
            devices.update_device(tx, device.id, last_command=query.command)
            return device if known is not None else self._welcome(tx, device)

        device, rule = await self._services.db.read(look)
        barred = rule.new_devices == DeviceAccess.BLOCKED
        if barred and device is None:
            # R4869; nothing is kept
            raise StatusError(Status.USER_DISABLED_FOR_SYNC, "no phones for this user")
        wanted = policy.policy_by_name(rule.policy, rule.settings) if rule.policy else self._settings.policy
        if (
            device is None
            or device.user_agent != agent
            or device.protocol != protocol
            or not 0 <= now - device.last_seen < self._settings.seen_every
        ):
            device = await self._services.db.write(touch)
        assert device is not None
        return Caller(device, wanted, barred)

    def _welcome(self, tx: Transaction, device: Device) -> Device:
        """A device that came for the first time: let in, or held until an administrator looked at it."""
        access = policies.rule_for(tx, device.account_id, "").new_devices
        if access is None:
            access = DeviceAccess.QUARANTINED if self._settings.hold_new else DeviceAccess.ALLOWED
        if access != device.access:
            devices.update_device(tx, device.id, access=access)
            device = evolve(device, access=access)
        return device

    def _make_room(self, tx: Transaction, account: Account, now: int) -> None:
        """See to it that an account may have one more device.

        :raises StatusError: 177.
        """
        known = devices.devices(tx, account.id)
        if len(known) < self._settings.max_devices:
            return
        stalest = min(known, key=lambda device: device.last_seen)
        if now - stalest.last_seen < self._settings.stale_after:
            raise StatusError(Status.MAXIMUM_DEVICES_REACHED, f"{len(known)} devices")
        devices.delete_device(tx, stalest.id)
