"""Entries of the recipient information cache as ApplicationData.

Promise: those elements of the Contact class that belong into that cache, and no others: Alias, Email1Address, FileAs
and WeightedRank (MS-ASCNTC 2.2.2.2, 2.2.2.27, 2.2.2.30, 2.2.2.64).
"""

from __future__ import annotations

from posthouse.store.acquaintances import Acquaintance
from posthouse.wbxml.tags import Contacts
from posthouse.wbxml.tree import Element

#: What an entry takes in an answer, in bytes.
SIZE = 250

#: A rank is a time in ms; an integer of XML Schema's has 32 bits for most clients, minutes fit.
_MINUTE = 60_000


def recipient_elements(entry: Acquaintance) -> list[Element]:
    """The children of ApplicationData."""
    found = [
        Element(Contacts.Email1Address, entry.address),
        Element(Contacts.FileAs, entry.name or entry.address),
    ]
    if entry.alias:
        found.append(Element(Contacts.Alias, entry.alias))
    # The higher, the more relevant.
    found.append(Element(Contacts.WeightedRank, str(max(0, entry.rank // _MINUTE))))
    return found
