"""The directory as an administrator fills it: who is found, with which telephone, picture and certificate.

Users and aliases are in it by themselves; a shared contact is somebody elsewhere whom everybody here may look
up.
"""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from posthouse.admin.people import fold_address
from posthouse.admin.registry import Data, Ports, operation
from posthouse.certs.chain import load_certificates
from posthouse.errors import Malformed, NoSuchThing, NotPermitted
from posthouse.store import people
from posthouse.store.people import MAX_PICTURE, Kind, Person, Picture

_MOST_LISTED = 10_000


@operation("people list")
async def people_list(ports: Ports, search: str | None = None) -> list[dict[str, Any]]:
    """List the directory, or whom a user would find with these words."""
    if search is not None:
        words = search

        def look(tx: Any) -> list[Person]:
            return people.search_people(tx, words, 1000)[0]

        return [_entry(person) for person in await ports.db.read(look)]
    found: list[Person] = []
    while len(found) < _MOST_LISTED:
        after = found[-1].address if found else ""
        page: list[Person] = await ports.db.read(lambda tx, after=after: people.people(tx, after))
        if not page:
            break
        found += page
    return [_entry(person) for person in found]


@operation("people show")
async def people_show(ports: Ports, address: str) -> dict[str, Any]:
    """Show everything that the directory knows of somebody."""
    person = await _person(ports, address)
    ders: list[bytes] = await ports.db.read(lambda tx: people.certificates(tx, person.id))
    return _entry(person) | {"certificates": [_certificate(der) for der in ders]}


@operation("people set")
async def people_set(
    ports: Ports,
    address: str,
    name: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    alias: str | None = None,
    title: str | None = None,
    company: str | None = None,
    office: str | None = None,
    phone: str | None = None,
    mobile: str | None = None,
    home_phone: str | None = None,
    hidden: bool | None = None,
) -> dict[str, Any]:
    """Tell the directory about somebody; an empty text clears what was there."""
    given = {
        "name": name,
        "first_name": first_name,
        "last_name": last_name,
        "alias": alias,
        "title": title,
        "company": company,
        "office": office,
        "phone": phone,
        "mobile": mobile,
        "home_phone": home_phone,
    }
    fields = {key: value for key, value in given.items() if value is not None}
    for key, value in fields.items():
        if not value.isprintable():
            raise Malformed(f"The {key.replace('_', ' ')} must be one line of text.")
    if not fields and hidden is None:
        raise Malformed("Say what to set, such as --phone +4930123456.")
    folded = fold_address(address)
    changed: Person = await ports.db.write(lambda tx: people.set_person(tx, folded, fields, hidden))
    return _entry(changed)


@operation("people picture")
async def people_picture(
    ports: Ports, address: str, picture: Data | None = None, remove: bool = False
) -> dict[str, Any]:
    """Show a picture of somebody on every phone, or remove it."""
    person = await _person(ports, address)
    data = _content(picture, remove)
    found = None
    if data is not None:
        if len(data) > MAX_PICTURE:
            raise Malformed(f"The picture must have {MAX_PICTURE // 1024} KB at most.")
        found = Picture(_picture_type(data), data)
    await ports.db.write(lambda tx: people.set_picture(tx, person, found))
    return {"address": person.address, "picture": len(data) if data is not None else 0}


@operation("people certificate")
async def people_certificate(
    ports: Ports, address: str, certificates: Data | None = None, remove: bool = False
) -> dict[str, Any]:
    """Set the S/MIME certificates with which mail to somebody is encrypted, or remove them."""
    person = await _person(ports, address)
    data = _content(certificates, remove)
    ders: list[bytes] = []
    if data is not None:
        try:
            ders = [one.public_bytes(Encoding.DER) for one in load_certificates(data)]
        except ValueError:
            raise Malformed("The file holds no certificate in PEM or DER.") from None
    await ports.db.write(lambda tx: people.set_certificates(tx, person, ders))
    return {"address": person.address, "certificates": [_certificate(der) for der in ders]}


@operation("people add")
async def people_add(ports: Ports, address: str, name: str = "") -> dict[str, Any]:
    """Add a shared contact: somebody elsewhere whom everybody here may look up."""
    folded = fold_address(address)
    if len(name) > people.MAX_FIELD or not name.isprintable():
        raise Malformed(f"The name must be one line of {people.MAX_FIELD} characters at most.")
    added: Person = await ports.db.write(lambda tx: people.add_contact(tx, folded, name.strip()))
    return _entry(added)


@operation("people delete")
async def people_delete(ports: Ports, address: str) -> dict[str, Any]:
    """Take a shared contact out of the directory."""
    person = await _person(ports, address)
    if person.kind is not Kind.CONTACT:
        what = "a user" if person.kind is Kind.USER else "an alias"
        raise NotPermitted(
            f"{person.address} is {what} of this server; hide the entry instead: "
            f"posthouse people set {person.address} --hidden yes"
        )
    await ports.db.write(lambda tx: people.forget_person(tx, person.address))
    return {"address": person.address}


async def _person(ports: Ports, address: str) -> Person:
    folded = fold_address(address)
    found: Person | None = await ports.db.read(lambda tx: people.person_by_address(tx, folded))
    if found is None:
        raise NoSuchThing(f"{folded} is not in the directory.")
    return found


def _content(data: Data | None, remove: bool) -> bytes | None:
    """The bytes of a file, None to remove what was there."""
    if (data is None) != remove:
        raise Malformed("Name a file, or say --remove.")
    if data is None:
        return None
    try:
        return base64.b64decode(data.encode("ascii"), validate=True)
    except ValueError:
        raise Malformed("The file did not arrive whole.") from None


def _picture_type(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    raise Malformed("The picture is neither JPEG nor PNG.")


def _entry(person: Person) -> dict[str, Any]:
    entry: dict[str, Any] = {"address": person.address, "kind": person.kind.name.lower()}
    entry |= {name: getattr(person, name) for name in people.FIELDS}
    return entry | {"hidden": person.hidden, "picture": person.picture}


def _certificate(der: bytes) -> str:
    """One line about a certificate."""
    try:
        (certificate,) = load_certificates(der)
        subject = certificate.subject.rfc4514_string() or "no subject"
        until = certificate.not_valid_after_utc
    except ValueError:
        return "unreadable"
    return f"{subject} until {until:%Y-%m-%d}"
