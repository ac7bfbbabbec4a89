"""The mail that tells an organizer what an attendee says to an invitation (MS-ASCMD 2.2.3.163, RFC 6047 2.4).

Promise: it goes from the address that was invited to the organizer and to nobody else, and says what the device
asked to say; what cannot be told so is a StatusError. Bare numbers are MS-ASCMD.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from posthouse.eas.content.moments import read_moment
from posthouse.eas.statuses import StatusError
from posthouse.eas.versions import Version
from posthouse.mime import compose
from posthouse.mime.addresses import Mailbox, fold_address, format_mailbox, parse_mailboxes
from posthouse.mime.dates import format_date
from posthouse.model import Account, Item
from posthouse.pim.answer import ACCEPTED, DECLINED, TENTATIVE, Answer, write_answer
from posthouse.pim.invitation import Invitation
from posthouse.wbxml.tags import AirSyncBase
from posthouse.wbxml.tags import MeetingResponse as M
from posthouse.wbxml.tree import Element

#: 2.2.3.177.9
INVALID = 2

_PARTICIPATION = {"1": ACCEPTED, "2": TENTATIVE, "3": DECLINED}
#: What Exchange begins the subject with, so that readers and rules know it.
_SUBJECTS = {ACCEPTED: "Accepted", TENTATIVE: "Tentative", DECLINED: "Declined"}
_PROPOSED = "New Time Proposed"
_MOST_BODY = 1 << 17


@frozen
class Words:
    """What a SendResponse says. :ivar text: or else :ivar html:; both None for no body (R7114)."""

    text: str | None = None
    html: str | None = None
    proposed: tuple[int, int] | None = None


def read_words(said: Element, version: Version) -> Words:
    """:raises StatusError: 2, a body that is neither text nor HTML; half a proposal, or one before 16.1."""
    first, last = said.text(M.ProposedStartTime), said.text(M.ProposedEndTime)
    proposed = None
    if first is not None or last is not None:
        if version < (16, 1) or not first or not last:
            raise StatusError(INVALID, "half a proposal")
        proposed = read_moment(first, INVALID), read_moment(last, INVALID)
        if proposed[1] < proposed[0]:
            raise StatusError(INVALID, "a proposal that ends before it begins")
    body = said.find(AirSyncBase.Body)
    data = body.text(AirSyncBase.Data) if body is not None else None
    if body is None or not data:
        return Words(proposed=proposed)
    kind = (body.text(AirSyncBase.Type) or "1").strip()
    if kind not in ("1", "2") or len(data) > _MOST_BODY:
        raise StatusError(INVALID, f"a body of type {kind[:10]} with {len(data)} characters")
    return Words(data, None, proposed) if kind == "1" else Words(None, data, proposed)


def organizer_of(item: Item, meeting: Invitation, owned: frozenset[str]) -> str:
    """Who is to be told.

    :param owned: the addresses of who answers. :raises StatusError: 2, nobody, several, or oneself.
    """
    named = parse_mailboxes(meeting.organizer or item.sender_address, 2)
    if len(named) != 1 or "@" not in named[0].address:
        raise StatusError(INVALID, "no organizer")
    if fold_address(named[0].address) in owned:
        raise StatusError(INVALID, "one's own meeting")
    return named[0].address


def answer_mail(
    account: Account,
    owned: frozenset[str],
    item: Item,
    meeting: Invitation,
    response: str,
    words: Words,
    now: int,
    random: Callable[[int], bytes],
) -> bytes:
    """The message.

    :param owned: addresses of the account, folded. :param response: "1" to "3" (2.2.3.194).
    :raises StatusError: 2, see `organizer_of`.
    """
    organizer = organizer_of(item, meeting, owned)
    attendee = next((one for one in meeting.attendees if fold_address(one) in owned), account.address)
    participation = _PARTICIPATION[response]
    answer = Answer(organizer, attendee, participation, now, account.name, words.text or "", words.proposed)
    subject = _SUBJECTS[participation] if words.proposed is None else _PROPOSED
    header = [
        ("From", format_mailbox(Mailbox(account.name, attendee))),
        ("To", format_mailbox(Mailbox(meeting.organizer_name, organizer))),
        ("Subject", f"{subject}: {meeting.summary or item.subject}"),
        ("Date", format_date(now)),
        ("Message-ID", f"<{random(12).hex()}@{account.address.rpartition('@')[2]}>"),
    ]
    if item.message_id:
        header += [("In-Reply-To", f"<{item.message_id}>"), ("References", f"<{item.message_id}>")]
    return compose.build(
        header,
        words.text if words.text is not None or words.html is not None else "",
        words.html,
        boundary=lambda: f"=_{random(15).hex()}",
        calendar=(answer.method, write_answer(meeting, answer)),
    )
