"""The directory: everybody whom a user of this house may look up.

An account and an alias are in the directory from the moment they exist; a contact is somebody elsewhere whom
the administrator added for all. What an administrator tells about them (telephone, title, picture, S/MIME
certificates) is kept here, and what is searched: each word of a person's names has a row in ``person_key``,
folded, so a look-up reads an index range however large the house is.

Ambiguous name resolution as in MS-ASCMD 2.2.1.16: the beginning of any word of the names, of the alias or
company, or of the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

from attrs import evolve, frozen

from posthouse.errors import Exists, NoSuchThing, NotPermitted, TooLarge
from posthouse.store.dialect import clean, fold_words
from posthouse.store.transaction import Transaction

__all__ = [
    "FIELDS",
    "MAX_CERTIFICATES",
    "MAX_FIELD",
    "MAX_PICTURE",
    "Kind",
    "Person",
    "Picture",
    "add_contact",
    "certificates",
    "find_people",
    "forget_person",
    "members",
    "people",
    "person_by_address",
    "picture",
    "remember_person",
    "search_keys",
    "search_people",
    "set_certificates",
    "set_person",
    "set_picture",
]

#: bytes of a picture: the most that a client may ask for (MS-ASCMD 2.2.3.105)
MAX_PICTURE = 102_400
#: characters of one field
MAX_FIELD = 256
MAX_CERTIFICATES = 16
MAX_CERTIFICATE = 16_384
# words of a query that count; words of a person that are found
_WORDS = 8
_KEYS = 64
_KEY_LENGTH = 64
_LAST = "\U0010ffff"


class Kind(IntEnum):
    """What stands behind an address."""

    USER = 0
    GROUP = 1
    CONTACT = 2


@frozen
class Person:
    """One entry of the directory. ``picture`` is the size of the picture in bytes, 0 for none."""

    id: int
    kind: Kind
    account_id: int | None
    address: str
    name: str
    first_name: str = ""
    last_name: str = ""
    alias: str = ""
    title: str = ""
    company: str = ""
    office: str = ""
    phone: str = ""
    mobile: str = ""
    home_phone: str = ""
    hidden: bool = False
    picture: int = 0


@frozen
class Picture:
    """:ivar type: "image/jpeg" or "image/png"."""

    type: str
    data: bytes


#: what an administrator may write, in the order of the columns
FIELDS = (
    "name",
    "first_name",
    "last_name",
    "alias",
    "title",
    "company",
    "office",
    "phone",
    "mobile",
    "home_phone",
)

_COLUMNS = (
    "p.id, p.kind, p.account_id, p.address, p.name, p.first_name, p.last_name, p.alias, p.title, p.company, "
    "p.office, p.phone, p.mobile, p.home_phone, p.hidden, coalesce(length(b.data), 0)"
)
_FROM = "FROM person p LEFT JOIN person_picture b ON b.person_id = p.id"


def _person(row: tuple[Any, ...]) -> Person:
    values = list(row)
    values[1], values[14] = Kind(row[1]), bool(row[14])
    return Person(*values)


# Words


def search_keys(person: Person) -> set[str]:
    """Under which words a person is found."""
    local = person.address.partition("@")[0]
    names = (person.name, person.first_name, person.last_name, person.alias, person.company, local)
    words = [word for text in names for word in fold_words(text).split()]
    # The address as it is typed, and an alias with its dots.
    whole = [person.address.casefold(), person.alias.casefold()]
    return {word[:_KEY_LENGTH] for word in (*whole, *words)[:_KEYS] if word}


def _wanted(query: str) -> list[str]:
    """The beginnings of words that a query asks for."""
    found: list[str] = []
    for piece in clean(query)[: _WORDS * _KEY_LENGTH].split():
        found += [piece.casefold()] if "@" in piece else fold_words(piece).split()
    return list(dict.fromkeys(word[:_KEY_LENGTH] for word in found))[:_WORDS]


# Who is there


def remember_person(
    tx: Transaction, kind: Kind, address: str, name: str, account_id: int | None = None
) -> None:
    """An account or alias came to be: put it into the directory. A contact of that address makes room."""
    forget_person(tx, address)
    _insert(tx, Person(0, kind, account_id, address, clean(name) or address.partition("@")[0]))


def add_contact(tx: Transaction, address: str, name: str) -> Person:
    """Somebody elsewhere, for all to find.

    :raises Exists: the address is in the directory already.
    """
    if person_by_address(tx, address) is not None:
        raise Exists(f"The address {address} is in the directory already.")
    person = Person(0, Kind.CONTACT, None, clean(address), clean(name) or address.partition("@")[0])
    return evolve(person, id=_insert(tx, person))


def _insert(tx: Transaction, person: Person) -> int:
    number = tx.insert(
        "INSERT INTO person (kind, account_id, address, name, name_key) VALUES (?, ?, ?, ?, ?)",
        (int(person.kind), person.account_id, person.address, person.name, fold_words(person.name)),
    )
    _index(tx, evolve(person, id=number))
    return number


def _index(tx: Transaction, person: Person) -> None:
    tx.execute("DELETE FROM person_key WHERE person_id = ?", (person.id,))
    tx.many(
        "INSERT INTO person_key (key, person_id) VALUES (?, ?)",
        [(key, person.id) for key in sorted(search_keys(person))],
    )


def forget_person(tx: Transaction, address: str) -> bool:
    """An account, alias or contact is no more. True when it was in the directory."""
    person_id = tx.value("DELETE FROM person WHERE address = ? RETURNING id", (clean(address),))
    if person_id is None:
        return False
    for table in ("person_key", "person_picture", "person_certificate"):
        tx.execute(f"DELETE FROM {table} WHERE person_id = ?", (person_id,))
    return True


def set_person(tx: Transaction, address: str, fields: dict[str, str], hidden: bool | None = None) -> Person:
    """Change fields (those of ``FIELDS``); "" clears one, only a name cannot be empty.

    :raises NoSuchThing: nobody has that address. :raises TooLarge: more than ``MAX_FIELD`` characters.
    """
    person = person_by_address(tx, address)
    if person is None:
        raise NoSuchThing(f"{address} is not in the directory.")
    for name, value in fields.items():
        if name not in FIELDS:
            raise NoSuchThing(f"A person has no {name}.")
        if len(value) > MAX_FIELD:
            raise TooLarge(f"The {name.replace('_', ' ')} may have {MAX_FIELD} characters.")
    values: dict[str, Any] = {name: clean(value).strip() for name, value in fields.items()}
    if "name" in values and not values["name"]:
        values["name"] = person.address.partition("@")[0]
    changed = evolve(person, **values, hidden=person.hidden if hidden is None else hidden)
    tx.execute(
        f"UPDATE person SET {', '.join(f'{name} = ?' for name in FIELDS)}, name_key = ?, hidden = ? "
        "WHERE id = ?",
        (
            *(getattr(changed, name) for name in FIELDS),
            fold_words(changed.name),
            int(changed.hidden),
            changed.id,
        ),
    )
    if changed.account_id is not None and changed.name != person.name:
        # Mail that the person sends shows the same name.
        tx.execute("UPDATE account SET name = ? WHERE id = ?", (changed.name, changed.account_id))
    _index(tx, changed)
    return changed


def set_picture(tx: Transaction, person: Person, picture: Picture | None) -> None:
    """Show a picture of somebody, or no longer one. :raises TooLarge: over ``MAX_PICTURE`` bytes."""
    tx.execute("DELETE FROM person_picture WHERE person_id = ?", (person.id,))
    if picture is not None:
        if len(picture.data) > MAX_PICTURE:
            raise TooLarge(f"A picture may have {MAX_PICTURE} bytes.")
        tx.execute(
            "INSERT INTO person_picture (person_id, type, data) VALUES (?, ?, ?)",
            (person.id, picture.type, picture.data),
        )


def set_certificates(tx: Transaction, person: Person, found: Iterable[bytes]) -> None:
    """Replace somebody's S/MIME certificates (DER, not looked at here).

    :raises NotPermitted: a group has none of its own. :raises TooLarge: too many, or too long.
    """
    ders = list(dict.fromkeys(found))
    if person.kind is Kind.GROUP:
        raise NotPermitted("A group has the certificates of its members.")
    if len(ders) > MAX_CERTIFICATES or any(len(der) > MAX_CERTIFICATE for der in ders):
        raise TooLarge(f"A person may have {MAX_CERTIFICATES} certificates of {MAX_CERTIFICATE} bytes.")
    tx.execute("DELETE FROM person_certificate WHERE person_id = ?", (person.id,))
    tx.many(
        "INSERT INTO person_certificate (person_id, position, data) VALUES (?, ?, ?)",
        [(person.id, position, der) for position, der in enumerate(ders)],
    )


# Looking up


def person_by_address(tx: Transaction, address: str) -> Person | None:
    """The entry of a folded address, hidden or not."""
    row = tx.one(f"SELECT {_COLUMNS} {_FROM} WHERE p.address = ?", (clean(address),))
    return _person(row) if row else None


def people(tx: Transaction, after: str = "", limit: int = 1000) -> list[Person]:
    """Everybody, hidden or not, by address, page by page."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE p.address > ? ORDER BY p.address LIMIT ?", (clean(after), limit)
    )
    return [_person(row) for row in rows]


def search_people(tx: Transaction, query: str, limit: int = 100, offset: int = 0) -> tuple[list[Person], int]:
    """Who is meant by the beginnings of names, in the order of the directory (by display name).

    :returns: at most ``limit`` of those who are not hidden, and how many there are.
    """
    words = _wanted(query)
    if not words:
        return [], 0
    narrowed = " AND ".join(
        "p.id IN (SELECT person_id FROM person_key WHERE key >= ? AND key < ?)" for _ in words
    )
    bounds = [bound for word in words for bound in (word, word + _LAST)]
    rows = tx.execute(
        f"SELECT {_COLUMNS}, count(*) OVER () {_FROM} WHERE p.hidden = 0 AND {narrowed} "
        "ORDER BY p.name_key, p.address LIMIT ? OFFSET ?",
        (*bounds, max(limit, 1), max(offset, 0)),
    )
    if rows:
        return [_person(row[:-1]) for row in rows][: max(limit, 0)], int(rows[0][-1])
    total = (
        tx.value(f"SELECT count(*) FROM person p WHERE p.hidden = 0 AND {narrowed}", bounds) if offset else 0
    )
    return [], int(total)


def find_people(tx: Transaction, query: str, limit: int = 100) -> tuple[list[Person], int]:
    """As `search_people`, but a whole address means that entry alone."""
    exact = person_by_address(tx, query.strip())
    if exact is not None and not exact.hidden:
        return [exact], 1
    return search_people(tx, query, limit)


def picture(tx: Transaction, person_id: int) -> Picture | None:
    """Somebody's picture."""
    row = tx.one("SELECT type, data FROM person_picture WHERE person_id = ?", (person_id,))
    return Picture(row[0], bytes(row[1])) if row else None


def certificates(tx: Transaction, person_id: int) -> list[bytes]:
    """Somebody's S/MIME certificates, DER."""
    rows = tx.execute(
        "SELECT data FROM person_certificate WHERE person_id = ? ORDER BY position", (person_id,)
    )
    return [bytes(row[0]) for row in rows]


def members(tx: Transaction, group: Person, limit: int = 200) -> list[Person | None]:
    """Who gets mail for a group; None stands for an address that is not in the directory."""
    found: list[Person | None] = []
    seen = {group.address}
    waiting: list[Iterator[str]] = [iter(_targets(tx, group.address))]
    while waiting and len(seen) <= limit:
        address = next(waiting[-1], None)
        if address is None:
            waiting.pop()
        elif address not in seen:
            seen.add(address)
            person = person_by_address(tx, address)
            if person is not None and person.kind is Kind.GROUP:
                waiting.append(iter(_targets(tx, address)))
            else:
                found.append(person)
    return found


def _targets(tx: Transaction, address: str) -> list[str]:
    rows = tx.execute(
        "SELECT t.target FROM alias a JOIN alias_target t ON t.alias_id = a.id WHERE a.address = ? "
        "ORDER BY t.position",
        (address,),
    )
    return [row[0] for row in rows]
