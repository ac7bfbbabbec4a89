"""What a device has to accept before it may synchronise, and whether it has.

Promise: a device is asked once; its key stays the same over restarts, repeated acknowledgements and renewed
requests, and changes only when the policy does. Implements MS-ASPROV 2.2.2 (the document), 3.2.5.1 (keys) and
MS-ASCMD 2.2.2 (statuses 141 to 144). Bare numbers are MS-ASPROV.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from attrs import field, frozen

from posthouse.eas.statuses import Status
from posthouse.eas.versions import Version
from posthouse.model import Device
from posthouse.policy import FIXED, NONE, PRESETS, SETTINGS, Value, trimmed
from posthouse.wbxml import tags
from posthouse.wbxml.tree import E, Element

POLICY_TYPE = "MS-EAS-Provisioning-WBXML"

_P = tags.Provision


def _tag(name: str) -> str:
    return f"{_P.EASProvisionDoc.partition(':')[0]}:{name}"


#: Every setting that is a number, in the order of the schema: tag, what it is when nothing is demanded (None is
#: the empty tag, which also takes back what was set before: MS-ASPROV R652), first version that has it.
FIELDS: tuple[tuple[str, int | None, Version], ...] = tuple(
    (_tag(one.name), one.nothing, one.since) for one in SETTINGS.values() if one.sent and not one.texts
)
_LISTS = tuple(one for one in SETTINGS.values() if one.sent and one.texts)


@frozen
class Policy:
    """What is demanded of a device.

    :ivar values: setting ("DevicePasswordEnabled") to its value, for those that differ from "nothing demanded".
    :ivar allow_partial: accept a device that says it cannot apply all of it (else status 139).
    :ivar allow_external: accept a device that says others manage it (else status 145).
    """

    values: Mapping[str, Value] = field(factory=dict)
    allow_partial: bool = True
    allow_external: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Policy:
        """A policy as `posthouse.policy` writes it; lists may have come back from JSON as lists."""
        values = trimmed(
            {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
        )
        partial = values.pop("AllowNonProvisionableDevices", 1) != 0
        external = values.pop("AllowExternalDeviceManagement", 1) != 0
        return cls(values, partial, external)

    def document(self, version: Version) -> Element:
        """The EASProvisionDoc for a device of that version (MS-ASPROV 2.2.2.28)."""
        values = {_tag(name): value for name, value in self.values.items()}
        fields = [
            E(tag, _number(values.get(tag, default))) for tag, default, since in FIELDS if since <= version
        ]
        lists = [
            E(_tag(one.name), [E(_tag(one.texts), text) for text in texts])
            for one in _LISTS
            if one.since <= version and isinstance(texts := values.get(_tag(one.name)), tuple)
        ]
        return E(_P.EASProvisionDoc, fields, lists)

    def beyond(self, version: Version) -> tuple[str, ...]:
        """The settings that are demanded and that a device of that version does not know (MS-ASCMD R4899)."""
        return tuple(name for name in self.values if name in SETTINGS and SETTINGS[name].since > version)

    @property
    def recovers_passwords(self) -> bool:
        """Whether devices may leave a password here that opens them (MS-ASPROV 2.2.2.39)."""
        return self.values.get("PasswordRecoveryEnabled") == 1

    @property
    def attachments_allowed(self) -> bool:
        """Whether attachments may be downloaded (R206, R207); the server sees to it, too."""
        return self.values.get("AttachmentsEnabled") != 0

    def attachment_limit(self, limit: int) -> int:
        """The most bytes of one attachment (2.2.2.35), and never more than ``limit``."""
        own = self.values.get("MaxAttachmentSize")
        return min(limit, own) if isinstance(own, int) else limit

    @property
    def digest(self) -> str:
        """Names what is demanded, so that a change of it is noticed."""
        text = ";".join(f"{name}={value}" for name, value in sorted(self.values.items()))
        if not self.allow_partial or not self.allow_external:
            text += f";{int(self.allow_partial)}{int(self.allow_external)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def refusal(self) -> str:
        """What stands in place of the digest for a device that said it will not comply."""
        return f"refused {self.digest}"


def _number(value: Value) -> int | None:
    return None if isinstance(value, tuple) else value


@lru_cache(maxsize=256)
def _parsed(settings: str) -> Policy:
    return Policy.of(json.loads(settings))


def policy_by_name(name: str, settings: str | None) -> Policy | None:
    """The policy of that name; None demands nothing.

    :param settings: JSON as stored under that name, None when nothing is. A name that is neither stored nor
        ready-made (its policy was deleted) means the default, and never less than Provision.
    """
    if settings is not None and name not in FIXED:
        return _parsed(settings)
    if name == NONE:
        return None
    return _PRESETS.get(name, DEFAULT_POLICY)


#: Demands nothing, but is asked for and acknowledged, so that a later change reaches every device.
DEFAULT_POLICY = Policy()

_PRESETS = {name: Policy.of(settings) for name, settings in PRESETS.items() if name != NONE}


#: Commands that need not name the key (MS-ASPROV R61103), from a device that has accepted the policy.
KEYLESS = frozenset(("Ping",))


def demand(policy: Policy | None, device: Device, sent_key: int, command: str = "") -> int:
    """Whether a device has to provision first.

    :param sent_key: the policy key of the request, 0 for none.
    :return: 0 when it may go on, else the status (MS-ASCMD 2.2.2).
    """
    if policy is None:
        return 0
    if not device.provisioned or not device.policy_key:
        if device.policy_hash == policy.refusal:
            # MS-ASCMD R4904: it was asked, and said that it cannot.
            return int(Status.LEGACY_DEVICE_ON_STRICT_POLICY)
        # 142 also without a key, where R458 has 141: Android's own client takes 141 as a denial.
        return int(Status.DEVICE_NOT_PROVISIONED)
    if not sent_key:
        if command in KEYLESS:
            # A phone that hears nothing but Pings for days learns of a new policy all the same.
            return 0 if device.policy_hash == policy.digest else int(Status.POLICY_REFRESH)
        # 141 is for a server that does not allow devices without a key (R458, R685). Elsewhere they are asked: an
        # account that is set up again on the same phone begins without one, and Android takes 141 as a denial.
        asked = (
            Status.DEVICE_NOT_PROVISIONED if policy.allow_partial else Status.LEGACY_DEVICE_ON_STRICT_POLICY
        )
        return int(asked)
    if sent_key != device.policy_key or device.policy_hash != policy.digest:
        # MS-ASCMD R4914: the policy has probably changed; R693.
        return int(Status.INVALID_POLICY_KEY)
    return 0
