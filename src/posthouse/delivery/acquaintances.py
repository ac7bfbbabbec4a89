"""Whom a message makes its sender's acquaintances: everybody it goes to, by the name that the sender gave them.

Promise: nobody is among them who is not a recipient, whatever the header says.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.mime.addresses import fold_address, parse_mailboxes

__all__ = ["people_of"]

_FIELDS = ("to", "cc", "bcc")


def people_of(
    fields: Sequence[tuple[str, bytes]], addresses: Sequence[str]
) -> tuple[tuple[str, str, str], ...]:
    """Folded address, address and name ("" when the header does not say) of each recipient.

    :param fields: the message's, names in lower case. :param addresses: of the recipients.
    """
    names: dict[str, str] = {}
    for field, value in fields:
        if field in _FIELDS:
            for box in parse_mailboxes(value):
                # Many programs repeat the address where a name belongs.
                if box.name and box.name.casefold() != box.address.casefold():
                    names.setdefault(fold_address(box.address), box.name)
    found = {fold_address(address): address for address in addresses}
    return tuple((key, address, names.get(key, "")) for key, address in found.items())
