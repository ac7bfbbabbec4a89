"""Out of office: the answer to a message whose reader is away.

Promise: one answer to a sender and week for each audience, in the transaction that delivers the message, so that
neither is there without the other; never to a list, to bulk, to what was sent by a machine, to nobody, to the
reader's own mail, nor for a message that does not name the reader. The answer says that it is automatic, and
nothing answers it: it goes out from the null reverse path.

Specifications: RFC 3834 (2: when to answer, 3: what the answer looks like, 4: where it goes), RFC 5230 4.2, 4.5
and 4.6, RFC 2919 and 2369 (List-*), RFC 2076 (Precedence), MS-OXCMAIL 2.2.3.2.14 (X-Auto-Response-Suppress),
MS-ASCMD 2.2.3.123 (the three audiences).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from posthouse.delivery.bounce import Report, Reporter
from posthouse.delivery.directory import find_route, owns
from posthouse.delivery.message import message_of
from posthouse.errors import NoSuchThing, TryLater
from posthouse.mime import compose
from posthouse.mime.addresses import Mailbox, fold_address, format_mailbox, parse_mailboxes
from posthouse.mime.dates import format_date
from posthouse.mime.headers import decode_header, first, parse_headers
from posthouse.mime.html import text_from_html
from posthouse.model import FolderType
from posthouse.store import absence, accounts, folders, people
from posthouse.store.absence import Audience, Away
from posthouse.store.bodies import prepare
from posthouse.store.delivery import Copy

__all__ = ["AutoReply", "wants_no_answer"]

Fields = list[tuple[str, bytes]]

# RFC 3834 section 2 and RFC 5230 4.6: senders that are no people.
_MACHINE = re.compile(
    r"(?i)(?:owner-.*|.*-(?:owner|request|bounces?|errors|confirm)(?:[+=].*)?|bounces?(?:[+=-].*)?|mailer(?:-daemon)?"
    r"|listserv|majordomo|(?:do-?)?not?-?reply|nobody|postmaster|root|www-data)"
)
_BULK = frozenset((b"bulk", b"list", b"junk"))
_SUPPRESS = frozenset((b"all", b"oof", b"autoreply"))
_ADDRESSED = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
_SUBJECT = 200
_REFERENCES = 20
_MESSAGE_ID = re.compile(rb"<[^<>\s]{1,250}>")


def wants_no_answer(sender: str, fields: Fields) -> str:
    """Why a message is not to be answered by a machine; "" when it may be.

    :param sender: the reverse path. :param fields: of the header, lower-case names.
    """
    local, at, _ = sender.rpartition("@")
    if not at:
        return "no sender"
    if _MACHINE.fullmatch(local):
        return "a sender that is no person"
    for name, value in fields:
        if name.startswith("list-"):
            return "a mailing list"
        word = value.partition(b";")[0].partition(b"(")[0].strip().lower()
        if name == "auto-submitted" and word != b"no":
            return "sent by a machine"
        if name == "precedence" and word in _BULK:
            return "bulk"
        if (
            name == "x-auto-response-suppress"
            and {one.strip() for one in value.lower().split(b",")} & _SUPPRESS
        ):
            return "answers are not wanted"
        if name == "content-type" and word == b"multipart/report":
            return "a report"
    return ""


@frozen
class AutoReply:
    """:param reporter: brings what it wrote to where it belongs, in the caller's transaction."""

    reporter: Reporter

    def answer(
        self, tx: Any, sender: str, head: bytes, copies: Sequence[Copy], numbers: Sequence[int], now: int
    ) -> int:
        """Answer one message to those of its readers who are away.

        :param head: its header. :param copies: as delivered, ``numbers`` beside them: 0 for a repeat.
        :returns: how many answers were sent.
        """
        if not sender:
            return 0  # RFC 3834 section 2
        boxes = [
            copy.mailbox_id
            for copy, number in zip(copies, numbers, strict=True)
            if number and copy.folder_type == FolderType.INBOX and not copy.role  # a tag's folder is as good
        ]
        readers = absence.away(tx, boxes, now)
        if not readers:
            return 0
        fields = parse_headers(head)
        if wants_no_answer(sender, fields):
            return 0
        return sum(self._one(tx, reader, sender, fields, now) for reader in readers)

    def _one(self, tx: Any, reader: Away, sender: str, fields: Fields, now: int) -> bool:
        owned = accounts.owned_addresses(tx, reader.account_id)
        if owns(owned, sender) or not _is_addressed(fields, owned):
            return False
        folded = fold_address(sender)
        audience = self._audience(tx, reader, folded)
        message = reader.absence.message(audience)
        if not message.enabled or not message.text.strip():
            return False
        try:
            find_route(tx, sender)
        except (NoSuchThing, TryLater):
            return False  # a sender of ours who is not there: do not spend the week's answer
        if not absence.first_answer(tx, reader.mailbox_id, audience, folded, now):
            return False
        data = self._compose(reader, message, sender, fields, now)
        draft = message_of(data).draft(now)
        return self.reporter.deliver(tx, Report(sender, prepare(data), draft, not data.isascii()), now)

    def _audience(self, tx: Any, reader: Away, sender: str) -> Audience:
        """R3514-3516. Known are the contacts that the house shares, and those whom the reader writes to."""
        if accounts.is_local_domain(tx, sender.rpartition("@")[2]):
            return Audience.INTERNAL
        if people.person_by_address(tx, sender) is not None:
            return Audience.KNOWN
        sent = folders.folder_of_type(tx, reader.mailbox_id, FolderType.SENT)
        known = absence.has_written_to(tx, reader.mailbox_id, sender, sent.id)
        return Audience.KNOWN if known else Audience.UNKNOWN

    def _compose(
        self, reader: Away, message: absence.Message, sender: str, fields: Fields, now: int
    ) -> bytes:
        subject = decode_header(first(fields, "subject") or b"")[:_SUBJECT]
        header = [
            ("From", format_mailbox(Mailbox(reader.name, reader.address))),
            ("To", sender),
            # RFC 3834 3.1.5
            ("Subject", f"Auto: {subject}".strip()),
            ("Date", format_date(now)),
            ("Message-ID", f"<{self.reporter.token()}@{self.reporter.hostname}>"),
            ("Auto-Submitted", "auto-replied"),
            # Exchange and its clients look at nothing else.
            ("X-Auto-Response-Suppress", "All"),
        ]
        mail_id = _MESSAGE_ID.search(first(fields, "message-id") or b"")
        if mail_id is not None:
            one = mail_id[0].decode("latin-1")
            # RFC 3834 3.1.6, RFC 5322 3.6.4
            before = first(fields, "references") or first(fields, "in-reply-to") or b""
            thread = [found.decode("latin-1") for found in _MESSAGE_ID.findall(before)][-_REFERENCES:]
            header += [("In-Reply-To", one), ("References", " ".join([*thread, one]))]
        html = message.text if message.html else None
        text = text_from_html(message.text) if message.html else message.text
        return compose.build(header, text, html, boundary=self.reporter.token)


def _is_addressed(fields: Fields, owned: frozenset[str]) -> bool:
    """RFC 5230 4.5: is the reader named as a recipient?"""
    return any(
        owns(owned, box.address)
        for name, value in fields
        if name in _ADDRESSED
        for box in parse_mailboxes(value)
        if box.address
    )
