"""What a device says about itself, in Settings and in Provision (MS-ASCMD 2.2.3.45).

Promise: kept per device, shown to its administrator, and never more than a few kilobytes.
"""

from __future__ import annotations

from posthouse.eas.call import Call
from posthouse.store import devices
from posthouse.wbxml.tags import Settings
from posthouse.wbxml.tree import Element

#: Settings.xsd: DeviceInformationStringType.
_MOST = 1024

_FIELDS = {
    tag: tag.partition(":")[2]
    for tag in (
        Settings.Model,
        Settings.IMEI,
        Settings.FriendlyName,
        Settings.OS,
        Settings.OSLanguage,
        Settings.PhoneNumber,
        Settings.UserAgent,
        Settings.MobileOperator,
        Settings.EnableOutboundSMS,
    )
}

OK = 1
INVALID = 5


def read_information(element: Element) -> dict[str, str] | None:
    """The properties inside Set, None when one of them is not valid."""
    inside = element.find(Settings.Set)
    if inside is None:
        return None
    found: dict[str, str] = {}
    for child in inside.children:
        name = _FIELDS.get(child.tag)
        if name is None:
            continue
        if len(child.value) > _MOST:
            return None
        found[name] = child.value
    return found


async def keep_information(call: Call, element: Element) -> int:
    """Store what a DeviceInformation element says; its Status is returned."""
    found = read_information(element)
    if found is None:
        return INVALID
    # What is not sent again is no longer so (MS-ASCMD 2.2.3.45); an equal repetition costs no write.
    if found != call.device.information:
        row = call.device.id
        await call.write(lambda tx: devices.update_device(tx, row, information=found))
    return OK
