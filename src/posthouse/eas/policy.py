"""What a device has to accept before it may synchronise, and whether it has.

Promise: a device is asked once; its key stays the same over restarts, repeated acknowledgements and renewed
requests, and changes only when the policy does. Implements MS-ASPROV 2.2.2 (the document), 3.2.5.1 (keys) and
MS-ASCMD 2.2.2 (statuses 141 to 144).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from attrs import field, frozen

from posthouse.eas.statuses import Status
from posthouse.eas.versions import Version
from posthouse.model import Device
from posthouse.wbxml import tags
from posthouse.wbxml.tree import E, Element

POLICY_TYPE = "MS-EAS-Provisioning-WBXML"

_P = tags.Provision

#: Every setting in the order of the schema: tag, what it is when nothing is demanded (None is the empty
#: tag, which also takes back what was set before: MS-ASPROV R652), first version that has it.
FIELDS: tuple[tuple[str, int | None, Version], ...] = (
    (_P.DevicePasswordEnabled, 0, (12, 0)),
    (_P.AlphanumericDevicePasswordRequired, 0, (12, 0)),
    (_P.PasswordRecoveryEnabled, 0, (12, 0)),
    (_P.RequireStorageCardEncryption, 0, (12, 0)),
    (_P.AttachmentsEnabled, 1, (12, 0)),
    (_P.MinDevicePasswordLength, None, (12, 0)),
    (_P.MaxInactivityTimeDeviceLock, None, (12, 0)),
    (_P.MaxDevicePasswordFailedAttempts, None, (12, 0)),
    (_P.MaxAttachmentSize, None, (12, 0)),
    (_P.AllowSimpleDevicePassword, 1, (12, 0)),
    (_P.DevicePasswordExpiration, None, (12, 0)),
    (_P.DevicePasswordHistory, 0, (12, 0)),
    (_P.AllowStorageCard, 1, (12, 1)),
    (_P.AllowCamera, 1, (12, 1)),
    (_P.RequireDeviceEncryption, 0, (12, 1)),
    (_P.AllowUnsignedApplications, 1, (12, 1)),
    (_P.AllowUnsignedInstallationPackages, 1, (12, 1)),
    (_P.MinDevicePasswordComplexCharacters, 1, (12, 1)),
    (_P.AllowWiFi, 1, (12, 1)),
    (_P.AllowTextMessaging, 1, (12, 1)),
    (_P.AllowPOPIMAPEmail, 1, (12, 1)),
    (_P.AllowBluetooth, 2, (12, 1)),
    (_P.AllowIrDA, 1, (12, 1)),
    (_P.RequireManualSyncWhenRoaming, 0, (12, 1)),
    (_P.AllowDesktopSync, 1, (12, 1)),
    (_P.MaxCalendarAgeFilter, 0, (12, 1)),
    (_P.AllowHTMLEmail, 1, (12, 1)),
    (_P.MaxEmailAgeFilter, 0, (12, 1)),
    (_P.MaxEmailBodyTruncationSize, -1, (12, 1)),
    (_P.MaxEmailHTMLBodyTruncationSize, -1, (12, 1)),
    (_P.RequireSignedSMIMEMessages, 0, (12, 1)),
    (_P.RequireEncryptedSMIMEMessages, 0, (12, 1)),
    (_P.RequireSignedSMIMEAlgorithm, 0, (12, 1)),
    (_P.RequireEncryptionSMIMEAlgorithm, 0, (12, 1)),
    (_P.AllowSMIMEEncryptionAlgorithmNegotiation, 2, (12, 1)),
    (_P.AllowSMIMESoftCerts, 1, (12, 1)),
    (_P.AllowBrowser, 1, (12, 1)),
    (_P.AllowConsumerEmail, 1, (12, 1)),
    (_P.AllowRemoteDesktop, 1, (12, 1)),
    (_P.AllowInternetSharing, 1, (12, 1)),
)

_NAMES = {tag.partition(":")[2]: tag for tag, _, _ in FIELDS}


@frozen
class Policy:
    """What is demanded of a device.

    :ivar values: setting ("DevicePasswordEnabled") to number, for those that differ from "nothing demanded".
    :ivar allow_partial: accept a device that says it cannot apply all of it (else status 139).
    :ivar allow_external: accept a device that says others manage it (else status 145).
    """

    values: Mapping[str, int | None] = field(factory=dict)
    allow_partial: bool = True
    allow_external: bool = True

    def document(self, version: Version) -> Element:
        """The EASProvisionDoc for a device of that version (MS-ASPROV 2.2.2.28)."""
        values = {_NAMES[name]: value for name, value in self.values.items() if name in _NAMES}
        return E(
            _P.EASProvisionDoc,
            [E(tag, values.get(tag, default)) for tag, default, since in FIELDS if since <= version],
        )

    @property
    def digest(self) -> str:
        """Names this document, so that a change of it is noticed."""
        text = ";".join(f"{name}={value}" for name, value in sorted(self.values.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


#: Demands nothing, but is asked for and acknowledged, so that a later change reaches every device.
DEFAULT_POLICY = Policy()


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
        # 142 also without a key, where R458 has 141: Android's own client takes 141 as a denial.
        return int(Status.DEVICE_NOT_PROVISIONED)
    if not sent_key:
        if command in KEYLESS:
            return 0
        return int(Status.LEGACY_DEVICE_ON_STRICT_POLICY)
    if sent_key != device.policy_key or device.policy_hash != policy.digest:
        # R4914: the policy has probably changed.
        return int(Status.INVALID_POLICY_KEY)
    return 0
