"""Who has a mailbox, and with which devices."""

from __future__ import annotations

from enum import IntEnum

from attrs import field, frozen

__all__ = [
    "Account",
    "Device",
    "DeviceAccess",
]


@frozen
class Account:
    """Somebody who can log in; owns exactly one mailbox.

    ``address`` is the primary address, folded (lower-case local part, A-label domain).
    """

    id: int
    mailbox_id: int
    address: str
    name: str
    enabled: bool
    admin: bool
    created: int = 0


class DeviceAccess(IntEnum):
    """What the administrator decided about a device."""

    ALLOWED = 0
    QUARANTINED = 1
    BLOCKED = 2


@frozen
class Device:
    """One phone of one account: keyed by (account, DeviceId, DeviceType)."""

    id: int
    account_id: int
    device_id: str
    device_type: str
    user_agent: str = ""
    first_seen: int = 0
    last_seen: int = 0
    protocol: str = ""
    policy_key: int = 0
    pending_policy_key: int = 0
    policy_hash: str = ""
    provisioned: bool = False
    access: DeviceAccess = DeviceAccess.ALLOWED
    trace: bool = False
    information: dict[str, str] = field(factory=dict)
    last_command: str = ""
    last_error: str = ""
    version_ceiling: str = ""
    wipe: str = ""  # "device" or "account" once an administrator ordered it
    wipe_state: str = ""  # "ordered", "sent", "failed", "acknowledged", "cancelled"
    wipe_ordered: int = 0
    wipe_at: int = 0  # when the state came to be

    @property
    def wipe_pending(self) -> bool:
        """Whether the device still has to be told to erase itself, or has to confirm it."""
        return self.wipe_state in ("ordered", "sent", "failed")
