"""People of the directory as ActiveSync shows them: the GAL code page, and pictures for three commands.

Promise: only what somebody has is shown (MS-ASCMD R3691), alias and display name always (R5711); a picture is
base64 text, whatever the document says of binary data (clients read nothing else), and never more or larger
than asked for: 173 none, 174 too large, 175 enough (2.2.3.177.12 and .13).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from attrs import frozen

from posthouse.eas.grammar import number
from posthouse.store import people
from posthouse.store.people import MAX_PICTURE, Kind, Person
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import GAL
from posthouse.wbxml.tree import E, Element

OK = 1
NO_PICTURE = 173
PICTURE_TOO_LARGE = 174
PICTURE_LIMIT = 175

#: Bytes of pictures in one answer, whatever was asked for.
_MOST_BYTES = 2 << 20


@frozen
class PictureWish:
    """:ivar max_size: bytes of one picture. :ivar most: how many."""

    max_size: int = MAX_PICTURE
    most: int = 1 << 30


@frozen
class Shown:
    """What is said about a picture; the base64 only with status 1."""

    status: int
    data: str = ""


def read_wish(picture: Element | None, status: int) -> PictureWish | None:
    """A Picture element of Options; iOS sends an empty one.

    :raises StatusError: with ``status``, when MaxSize or MaxPictures is no number.
    """
    if picture is None:
        return None
    found = {child.tag.partition(":")[2]: child for child in picture.children}
    size, most = found.get("MaxSize"), found.get("MaxPictures")
    return PictureWish(
        # R3309: 102,400 at most; a larger wish is as good as that one.
        min(number(size, 0, status=status), MAX_PICTURE) if size is not None else MAX_PICTURE,
        number(most, 0, status=status) if most is not None else 1 << 30,
    )


def read_pictures(tx: Transaction, found: Sequence[Person], wish: PictureWish | None) -> list[Shown | None]:
    """For each person, in their order, what to say about the picture; None when nobody asked."""
    if wish is None:
        return [None] * len(found)
    shown: list[Shown | None] = []
    count = size = 0
    for person in found:
        if not person.picture:
            shown.append(Shown(NO_PICTURE))
        elif person.picture > wish.max_size:
            shown.append(Shown(PICTURE_TOO_LARGE))
        elif count >= wish.most or size + person.picture > _MOST_BYTES:
            shown.append(Shown(PICTURE_LIMIT))
        else:
            picture = people.picture(tx, person.id)
            if picture is None:
                shown.append(Shown(NO_PICTURE))
                continue
            count, size = count + 1, size + person.picture
            shown.append(Shown(OK, b64encode(picture.data).decode("ascii")))
    return shown


def gal_properties(person: Person, picture: Shown | None) -> list[Element]:
    """The children of Properties in Search and Find."""
    first, last = names_of(person)
    values = (
        (GAL.DisplayName, person.name),
        (GAL.Phone, person.phone),
        (GAL.Office, person.office),
        (GAL.Title, person.title),
        (GAL.Company, person.company),
        (GAL.Alias, person.alias or person.address.partition("@")[0]),
        (GAL.FirstName, first),
        (GAL.LastName, last),
        (GAL.HomePhone, person.home_phone),
        (GAL.MobilePhone, person.mobile),
        (GAL.EmailAddress, person.address),
    )
    elements = [E(tag, value) for tag, value in values if value]
    if picture is not None:
        elements.append(
            E(GAL.Picture, E(GAL.Status, picture.status), E(GAL.Data, picture.data) if picture.data else None)
        )
    return elements


def names_of(person: Person) -> tuple[str, str]:
    """First and last name; of a person whose names nobody entered, the words of the display name."""
    if person.first_name or person.last_name or person.kind is Kind.GROUP:
        return person.first_name, person.last_name
    first, _, last = person.name.rpartition(" ")
    return (first, last) if first else (person.name, "")
