"""What an administrator may demand of a phone: every setting of a policy, its values, and the ready-made policies.

Promise: one table says for each setting which values it takes, what it is when nothing is demanded, and from
which protocol version on a phone knows it; whatever is not in it is refused with a sentence that names what is.
MS-ASPROV 2.2.2 (the elements of ``EASProvisionDoc``).

The two settings that are not sent decide what becomes of a phone that cannot or will not comply.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from posthouse.errors import Malformed

__all__ = [
    "FIXED",
    "NONE",
    "PRESETS",
    "SETTINGS",
    "Setting",
    "Value",
    "check_name",
    "check_setting",
    "trimmed",
]

#: A number, several texts, or None: nothing is demanded (the empty tag).
Value = int | tuple[str, ...] | None

_MOST_TEXTS = 200
_TEXT_LENGTH = 255


@frozen
class Setting:
    """One setting.

    :ivar low: least and ``high`` greatest number. :ivar choices: the only numbers, where there are gaps.
    :ivar nothing: what it is when nothing is demanded; None for the empty tag.
    :ivar texts: a list of texts instead of a number. :ivar sent: whether the phone is told.
    """

    name: str
    low: int = 0
    high: int = 1
    nothing: int | None = 0
    since: tuple[int, int] = (12, 1)
    choices: tuple[int, ...] = ()
    texts: str = ""
    sent: bool = True

    @property
    def range(self) -> str:
        """The values in words."""
        if self.texts:
            return "texts, separated by commas"
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low} or {self.high}" if self.high == self.low + 1 else f"{self.low} to {self.high}"


_ALLOWED = 1
_U31, _U32 = 2**31 - 1, 2**32 - 1

#: In the order of the schema. Section 2.2.2 has for each of them a page of its own.
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        one.name: one
        for one in (
            Setting("DevicePasswordEnabled", since=(12, 0)),
            Setting("AlphanumericDevicePasswordRequired", since=(12, 0)),
            Setting("PasswordRecoveryEnabled", since=(12, 0)),
            Setting("RequireStorageCardEncryption", since=(12, 0)),
            Setting("AttachmentsEnabled", nothing=_ALLOWED, since=(12, 0)),
            Setting("MinDevicePasswordLength", 1, 16, None, (12, 0)),
            # Seconds; 9999 and above mean never (R278).
            Setting("MaxInactivityTimeDeviceLock", 1, 9999, None, (12, 0)),
            Setting("MaxDevicePasswordFailedAttempts", 4, 16, None, (12, 0)),
            Setting("MaxAttachmentSize", 0, _U32, None, (12, 0)),
            Setting("AllowSimpleDevicePassword", nothing=_ALLOWED, since=(12, 0)),
            # Days; 0 means never (R220).
            Setting("DevicePasswordExpiration", 0, 730, None, (12, 0)),
            Setting("DevicePasswordHistory", 0, 50, 0, (12, 0)),
            Setting("AllowStorageCard", nothing=_ALLOWED),
            Setting("AllowCamera", nothing=_ALLOWED),
            Setting("RequireDeviceEncryption"),
            Setting("AllowUnsignedApplications", nothing=_ALLOWED),
            Setting("AllowUnsignedInstallationPackages", nothing=_ALLOWED),
            Setting("MinDevicePasswordComplexCharacters", 1, 4, 1),
            Setting("AllowWiFi", nothing=_ALLOWED),
            Setting("AllowTextMessaging", nothing=_ALLOWED),
            Setting("AllowPOPIMAPEmail", nothing=_ALLOWED),
            # 1: hands-free only (R74).
            Setting("AllowBluetooth", 0, 2, 2),
            Setting("AllowIrDA", nothing=_ALLOWED),
            Setting("RequireManualSyncWhenRoaming"),
            Setting("AllowDesktopSync", nothing=_ALLOWED),
            Setting("MaxCalendarAgeFilter", choices=(0, 4, 5, 6, 7)),
            Setting("AllowHTMLEmail", nothing=_ALLOWED),
            Setting("MaxEmailAgeFilter", choices=(0, 1, 2, 3, 4, 5)),
            Setting("MaxEmailBodyTruncationSize", -1, _U31, -1),
            Setting("MaxEmailHTMLBodyTruncationSize", -1, _U31, -1),
            Setting("RequireSignedSMIMEMessages"),
            Setting("RequireEncryptedSMIMEMessages"),
            Setting("RequireSignedSMIMEAlgorithm"),
            Setting("RequireEncryptionSMIMEAlgorithm", 0, 4),
            Setting("AllowSMIMEEncryptionAlgorithmNegotiation", 0, 2, 2),
            Setting("AllowSMIMESoftCerts", nothing=_ALLOWED),
            Setting("AllowBrowser", nothing=_ALLOWED),
            Setting("AllowConsumerEmail", nothing=_ALLOWED),
            Setting("AllowRemoteDesktop", nothing=_ALLOWED),
            Setting("AllowInternetSharing", nothing=_ALLOWED),
            Setting("UnapprovedInROMApplicationList", nothing=None, texts="ApplicationName"),
            Setting("ApprovedApplicationList", nothing=None, texts="Hash"),
            # Exchange's names: 0 refuses a phone that applies the policy in part or not at all (status 139), and
            # one that says that somebody else manages it (status 145).
            Setting("AllowNonProvisionableDevices", nothing=_ALLOWED, sent=False),
            Setting("AllowExternalDeviceManagement", nothing=_ALLOWED, sent=False),
        )
    }
)

#: The policy that asks for nothing, not even for Provision.
NONE = "none"

_PIN: dict[str, Value] = {
    "DevicePasswordEnabled": 1,
    "MinDevicePasswordLength": 4,
    "MaxInactivityTimeDeviceLock": 900,
    "MaxDevicePasswordFailedAttempts": 10,
}

#: Policies that are there from the start.
PRESETS: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    {
        NONE: {},
        "default": {},
        "pin": _PIN,
        "strict": {
            **_PIN,
            "MinDevicePasswordLength": 6,
            "MaxInactivityTimeDeviceLock": 300,
            "AllowSimpleDevicePassword": 0,
            "RequireDeviceEncryption": 1,
            "AllowNonProvisionableDevices": 0,
            "AllowExternalDeviceManagement": 0,
        },
    }
)
#: Presets that mean what they mean for ever.
FIXED = frozenset((NONE, "default"))

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


def check_name(name: str) -> str:
    """The name of a policy, in lower case.

    :raises Malformed: it is none.
    """
    folded = name.strip().lower()
    if not _NAME.fullmatch(folded):
        raise Malformed("A policy's name has up to 40 letters, digits, dots, dashes and underscores.")
    return folded


def check_setting(text: str) -> tuple[str, Value]:
    """``"AllowCamera=0"`` as (name, value); nothing behind the sign is None.

    :raises Malformed: no such setting, or not one of its values.
    """
    name, sign, value = text.partition("=")
    setting = _setting(name.strip())
    if not sign:
        raise Malformed(f"Write a setting as {setting.name}=VALUE ({setting.range}).")
    value = value.strip()
    if not value:
        return setting.name, None
    if setting.texts:
        texts = tuple(part.strip() for part in value.split(",") if part.strip())
        if len(texts) > _MOST_TEXTS or any(len(one) > _TEXT_LENGTH for one in texts):
            raise Malformed(f"{setting.name} takes {_MOST_TEXTS} texts of {_TEXT_LENGTH} characters.")
        return setting.name, texts or None
    if not re.fullmatch(r"-?[0-9]{1,10}", value):
        raise Malformed(f"{setting.name} takes {setting.range}.")
    number = int(value)
    if not setting.low <= number <= setting.high and not setting.choices:
        raise Malformed(f"{setting.name} takes {setting.range}.")
    if setting.choices and number not in setting.choices:
        raise Malformed(f"{setting.name} takes {setting.range}.")
    return setting.name, number


def trimmed(values: Mapping[str, Value]) -> dict[str, Value]:
    """Without what demands nothing, and without what this version of the table does not know."""
    return {
        name: values[name]
        for name, setting in SETTINGS.items()
        if name in values and values[name] is not None and values[name] != setting.nothing
    }


def _setting(name: str) -> Setting:
    for known, setting in SETTINGS.items():
        if known.lower() == name.lower():
            return setting
    near = difflib.get_close_matches(name.lower(), {known.lower(): known for known in SETTINGS}, n=1)
    hint = next((known for known in SETTINGS if near and known.lower() == near[0]), "")
    raise Malformed(f'There is no setting "{name[:60]}"' + (f'; did you mean "{hint}"?' if hint else "."))
