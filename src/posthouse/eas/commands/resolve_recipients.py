"""ResolveRecipients: who is meant, with certificates and pictures (MS-ASCMD 2.2.1.15, statuses 2.2.3.177.12).

Promise: each To has its own answer; somebody who is meant for certain comes with everything asked for, an
ambiguous name with suggestions and nothing else (R4279, R4623). Certificates are those that an administrator
entered and that have not expired; a mini certificate is never made up, its form being written down nowhere,
so the client is told 7 and asks for the whole one. Free/busy times come from calendars: where there is none
that the server can read, the answer is 163 (R4298).
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

from attrs import define, frozen
from cryptography import x509

from posthouse.eas.call import Call
from posthouse.eas.content.directory import PictureWish, read_pictures, read_wish
from posthouse.eas.content.moments import read_moment
from posthouse.eas.grammar import MANY, Child, Rule, number
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import StatusError
from posthouse.mime.addresses import fold_address
from posthouse.store import people
from posthouse.store.people import Kind, Person
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import ResolveRecipients as R
from posthouse.wbxml.tree import E, Element

OK = 1
AMBIGUOUS = 2
PARTLY = 3
NOBODY = 4
PROTOCOL_ERROR = 5
NO_CERTIFICATE = 7
CERTIFICATE_LIMIT = 8
GROUP_TOO_LARGE = 161
NO_FREE_BUSY = 163

#: R5655, R5656.
_MOST_RECIPIENTS = 100
#: Suggestions for one name when the client sets no limit, or a larger one.
_MOST_SUGGESTIONS = 100
_MOST_CHARACTERS = 256
#: 2.2.3.16: people of a group whose times are merged.
_MOST_MEMBERS = 20
#: 2.2.3.58.1: at least half an hour, at most 42 days (R5175).
_SHORTEST = 30 * 60_000
_LONGEST = 42 * 86_400_000

#: 2.2.3.186.5: an entry of the directory. 2 will be a contact of the user's own.
_DIRECTORY = 1

_NUMBER = Child(kind="number", high=9999)


@define
class _Wish:
    """The Options of a request.

    :ivar retrieval: 1 no certificates, 2 whole ones, 3 mini certificates.
    :ivar left: certificates that may still be given (R3255).
    """

    retrieval: int = 1
    left: int = 9999
    suggestions: int = _MOST_SUGGESTIONS
    free_busy: bool = False
    pictures: PictureWish | None = None


@frozen
class _Certificates:
    """Of a person or the members of a group: who is asked, and what they have."""

    people: int
    found: tuple[bytes, ...]


@command("ResolveRecipients")
class ResolveRecipients(Command):
    """All names of one request, in their order."""

    grammar = Rule(
        {
            R.To: Child(least=1, most=MANY, length=_MOST_CHARACTERS),
            R.Options: Child(
                kind="container",
                rule=Rule(
                    {
                        R.CertificateRetrieval: Child(kind="number", low=1, high=3),
                        R.MaxCertificates: _NUMBER,
                        R.MaxAmbiguousRecipients: _NUMBER,
                        R.Availability: Child(kind="any"),
                        R.Picture: Child(kind="any"),
                    },
                    status=PROTOCOL_ERROR,
                ),
            ),
        },
        status=PROTOCOL_ERROR,
    )

    async def run(self, call: Call) -> Element:
        request = call.request
        assert request is not None
        names = [child.value.strip() for child in request.findall(R.To)]
        if len(names) > _MOST_RECIPIENTS:
            raise StatusError(PROTOCOL_ERROR, f"{len(names)} recipients")
        wish = _read_wish(request.find(R.Options), call.version)
        now = call.now()
        answers = []
        for name in names:
            # One by one, so that a hundred names leave others their turn.
            answers.append(await call.read(lambda tx, name=name: _resolve(tx, name, wish, now)))
        call.notes["recipients"] = len(names)
        return E(R.ResolveRecipients, E(R.Status, OK), answers)


def _read_wish(options: Element | None, version: tuple[int, int]) -> _Wish:
    """:raises StatusError: 5."""
    wish = _Wish()
    if options is None:
        return wish
    numbers = {child.tag: child for child in options.children}
    if R.CertificateRetrieval in numbers:
        wish.retrieval = number(numbers[R.CertificateRetrieval], 1, 3, PROTOCOL_ERROR)
    if R.MaxCertificates in numbers:
        wish.left = number(numbers[R.MaxCertificates], 0, 9999, PROTOCOL_ERROR)
    if R.MaxAmbiguousRecipients in numbers:
        asked = number(numbers[R.MaxAmbiguousRecipients], 0, 9999, PROTOCOL_ERROR)
        wish.suggestions = min(asked, _MOST_SUGGESTIONS)
    # Free/busy times came with 14.0, pictures with 14.1 (R7262).
    if version >= (14, 0) and R.Availability in numbers:
        _check_times(numbers[R.Availability])
        wish.free_busy = True
    if version >= (14, 1):
        wish.pictures = read_wish(numbers.get(R.Picture), PROTOCOL_ERROR)
    return wish


def _check_times(availability: Element) -> None:
    """R813, R2264, R2266, R3986, R5175."""
    start, end = availability.text(R.StartTime), availability.text(R.EndTime)
    if start is None or end is None:
        raise StatusError(PROTOCOL_ERROR, "Availability without StartTime and EndTime")
    length = read_moment(end, PROTOCOL_ERROR) - read_moment(start, PROTOCOL_ERROR)
    if not _SHORTEST <= length <= _LONGEST:
        raise StatusError(PROTOCOL_ERROR, f"free/busy times of {length} ms")


def _resolve(tx: Transaction, name: str, wish: _Wish, now: int) -> Element:
    """One Response."""
    found, total = people.find_people(
        tx, fold_address(name) if "@" in name else name, max(wish.suggestions, 2)
    )
    if not total:
        return E(R.Response, E(R.To, name), E(R.Status, NOBODY), E(R.RecipientCount, 0))
    certain = total == 1
    shown = found if certain else found[: wish.suggestions]
    pictures = read_pictures(tx, shown, wish.pictures)
    status = OK if certain else AMBIGUOUS if len(shown) == total else PARTLY
    recipients = [
        E(
            R.Recipient,
            E(R.Type, _DIRECTORY),
            E(R.DisplayName, person.name),
            E(R.EmailAddress, person.address),
            _availability(tx, person) if certain and wish.free_busy else None,
            _certificates(tx, person, wish, now) if certain and wish.retrieval != 1 else None,
            E(R.Picture, E(R.Status, picture.status), E(R.Data, picture.data) if picture.data else None)
            if picture is not None
            else None,
        )
        for person, picture in zip(shown, pictures, strict=True)
    ]
    # R3250, R4283: the count is of everybody who may be meant.
    return E(R.Response, E(R.To, name), E(R.Status, status), E(R.RecipientCount, total), recipients)


def _availability(tx: Transaction, person: Person) -> Element:
    status = NO_FREE_BUSY
    if person.kind is Kind.GROUP and len(people.members(tx, person)) > _MOST_MEMBERS:
        status = GROUP_TOO_LARGE
    return E(R.Availability, E(R.Status, status))


def _certificates(tx: Transaction, person: Person, wish: _Wish, now: int) -> Element:
    has = _valid_certificates(tx, person, now)
    status, given = OK, has.found
    count = len(has.found)
    if not has.found or wish.retrieval == 3:
        status, given, count = NO_CERTIFICATE, (), 0
    elif count > wish.left:
        # R851, R3254: all of somebody's certificates or none; the count says how many there are.
        status, given = CERTIFICATE_LIMIT, ()
    wish.left -= len(given)
    return E(
        R.Certificates,
        E(R.Status, status),
        E(R.CertificateCount, count),
        E(R.RecipientCount, has.people),
        [E(R.Certificate, b64encode(der).decode("ascii")) for der in given],
    )


def _valid_certificates(tx: Transaction, person: Person, now: int) -> _Certificates:
    members = people.members(tx, person) if person.kind is Kind.GROUP else [person]
    when = datetime.fromtimestamp(now / 1000, UTC)
    found = [
        der
        for member in members
        if member is not None
        for der in people.certificates(tx, member.id)
        if _is_valid(der, when)
    ]
    return _Certificates(len(members), tuple(dict.fromkeys(found)))


def _is_valid(der: bytes, when: datetime) -> bool:
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        return False
    return certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc
