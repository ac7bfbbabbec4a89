"""Mail that a rule sends on: redirected as it is, or forwarded as the attachment of a new message.

Promise: nothing is sent on that is junk, that nobody sent (the null reverse path), that a machine answered, that came
from a list, or that was here before (Delivered-To); nothing to a group; and never more in a day than half of what the
account may send. Whatever is not sent on lies in the mailbox all the same. What goes to somebody in this house goes to
the Inbox and is not sorted again, so rules cannot run in circles.

Specifications: RFC 5322 3.6.6 (Resent-*), RFC 7208 appendix D.3 (SRS), RFC 3834 2 and 5, RFC 9228 (Delivered-To).
"""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from posthouse.delivery.bounce import Reporter
from posthouse.delivery.directory import find_route, owns, roomy
from posthouse.delivery.message import message_of
from posthouse.delivery.schedule import expires_at
from posthouse.delivery.srs import Srs
from posthouse.delivery.trace import delivered_to_line, delivery_trace
from posthouse.errors import NoSuchThing, OverQuota, TryLater
from posthouse.mime import compose
from posthouse.mime.addresses import Mailbox, fold_address, format_mailbox, normalise_address
from posthouse.mime.dates import format_date
from posthouse.model import Account, BodyRef, Recipient
from posthouse.rules.decide import Outcome
from posthouse.store import accounts, allowance, delivery
from posthouse.store.allowance import Allowance
from posthouse.store.bodies import prepare
from posthouse.store.delivery import Copy, Delivered
from posthouse.store.outbox import BULK, OutboxDraft, enqueue

__all__ = ["MAX_ATTACHED", "SendingOn", "stays_here"]

#: bytes of a message that is attached to another; of a longer one the header is
MAX_ATTACHED = 1 << 20
_SUBJECT = 200


def stays_here(letter: Any, copy: Copy, owned: frozenset[str], redirect: bool) -> str:
    """Why a message is not sent on by a rule; "" when it is."""
    if copy.role == "junk":
        return "junk"
    if not letter.sender:
        return "a report"
    for name, value in letter.message.fields:
        if name == "delivered-to" and owns(owned, value[:1000].decode("utf-8", "replace").strip()):
            return "it was here before"
        if name.startswith("list-") or (
            name == "precedence" and value.strip().lower() in (b"bulk", b"list", b"junk")
        ):
            return "a mailing list"
        if name == "auto-submitted":
            word = value.partition(b";")[0].strip().lower()
            # What a machine made by itself (a bill) may be redirected; an answer to something may not.
            if word != b"no" and not (redirect and word == b"auto-generated"):
                return "sent by a machine"
    return ""


@frozen
class SendingOn:
    """:param reporter: knows our name and makes ids. :param allowance: what an account may send in a day.

    :param quota: bytes of a mailbox that has none of its own; 0: no limit.
    """

    reporter: Reporter
    allowance: Allowance = field(factory=Allowance)
    quota: int = 0

    def send(
        self,
        tx: Any,
        letter: Any,
        copy: Copy,
        outcome: Outcome,
        owner: Account,
        done: Delivered,
        now: int,
    ) -> list[str]:
        """Send one copy on. :returns: what was not, and why."""
        owned = accounts.owned_addresses(tx, owner.id)
        notes = []
        for kind, wanted in (("redirect", outcome.redirect), ("forward", outcome.forward)):
            why = stays_here(letter, copy, owned, kind == "redirect") if wanted else ""
            if why:
                notes.append(f"{owner.address}: no {kind}: {why}")
                continue
            for _, address in wanted:
                if owns(owned, address):
                    continue
                try:
                    recipient = find_route(tx, address, now).recipient
                    if recipient.groups:
                        # Who may write to a group is asked about people.
                        notes.append(f"{owner.address}: no {kind} to the group {address}")
                        continue
                    # A full mailbox takes nothing from colleagues' rules either.
                    recipient = roomy(tx, recipient, self.quota, now)
                    self._count(tx, owner, recipient, now)
                    if kind == "redirect":
                        self._redirect(tx, letter, copy, owner, recipient, done.body, now)
                    else:
                        self._forward(tx, letter, copy, owner, recipient, now)
                except (NoSuchThing, OverQuota, TryLater) as error:
                    notes.append(f"{owner.address}: no {kind} to {address}: {error}")
        return notes

    def _count(self, tx: Any, owner: Account, recipient: Recipient, now: int) -> None:
        """:raises TryLater: the account has sent its share of the day."""
        elsewhere = [fold_address(one) for one in recipient.remote]
        if elsewhere:
            # Half of it: a flood of mail shall not take the user's own letters away.
            share = Allowance(-(-self.allowance.recipients // 2))
            allowance.check(tx, owner.id, elsewhere, share, now)
            allowance.note(tx, owner.id, elsewhere, now)

    def _redirect(
        self,
        tx: Any,
        letter: Any,
        copy: Copy,
        owner: Account,
        recipient: Recipient,
        body: BodyRef | None,
        now: int,
    ) -> None:
        if body is None:
            return
        trace = self._resent(owner, recipient.address, now) + delivered_to_line(copy.recipient) + letter.trace
        copies = [
            Copy(mailbox_id, recipient.address, delivery_trace(letter.sender, recipient.address, trace))
            for mailbox_id in recipient.mailbox_ids
            if mailbox_id != copy.mailbox_id
        ]
        if copies:
            delivery.deliver(tx, body, letter.draft, copies, letter.sender, [], now, dedupe=False)
        for address in recipient.remote:
            sender = letter.sender
            if not accounts.is_local_domain(tx, fold_address(sender).rpartition("@")[2]):
                domain = owner.address.rpartition("@")[2]
                sender = Srs(allowance.secret(tx, "srs")).forward(sender, domain, now)
            eight_bit = not letter.message.head.isascii() or any(
                part.cte in ("8bit", "binary") for part in letter.message.root.walk()
            )
            row = OutboxDraft(
                account_id=None,
                sender=sender,
                recipient=address,
                size=body.size,
                smtputf8=not (sender + address).isascii(),
                eight_bit=eight_bit,
                trace=trace,
                expires=expires_at(now, sender),
                due=now,
                body_id=body.id,
                priority=BULK,
                require_tls=letter.require_tls,
            )
            enqueue(tx, row, now)

    def _resent(self, owner: Account, to: str, now: int) -> bytes:
        """RFC 5322 3.6.6: who introduced the message to the transport again, newest block first."""
        return (
            compose.field("Resent-From", format_mailbox(Mailbox(owner.name, owner.address)))
            + compose.field("Resent-To", normalise_address(to))
            + compose.field("Resent-Date", format_date(now))
            + compose.field("Resent-Message-ID", f"<{self.reporter.token()}@{self.reporter.hostname}>")
        )

    def _forward(
        self, tx: Any, letter: Any, copy: Copy, owner: Account, recipient: Recipient, now: int
    ) -> None:
        data = self._compose(letter, copy, owner, recipient.address, now)
        draft = message_of(data).draft(now)
        body = prepare(data)
        copies = [
            Copy(mailbox_id, recipient.address, delivery_trace(owner.address, recipient.address, b""))
            for mailbox_id in recipient.mailbox_ids
            if mailbox_id != copy.mailbox_id
        ]
        row = OutboxDraft(
            account_id=owner.id,
            sender=owner.address,
            recipient="",
            size=len(data),
            eight_bit=not data.isascii(),
            expires=expires_at(now, owner.address),
            due=now,
            own=True,
            priority=BULK,
            require_tls=letter.require_tls,
        )
        rows = [
            evolve(row, recipient=address, smtputf8=not (owner.address + address).isascii())
            for address in recipient.remote
        ]
        delivery.deliver(tx, body, draft, copies, owner.address, rows, now, dedupe=False)

    def _compose(self, letter: Any, copy: Copy, owner: Account, to: str, now: int) -> bytes:
        message = letter.message
        if message.size <= MAX_ATTACHED:
            file = compose.File("message.eml", "message/rfc822", letter.added + message.read(0, message.size))
            text = f"A message for {copy.recipient} is attached. A rule sent it on.\n"
        else:
            file = compose.File("header.txt", "text/rfc822-headers", letter.added + message.head)
            text = (
                f"A message for {copy.recipient} of {message.size // 1024} KB was too large for a rule to send on; "
                "its header is attached.\n"
            )
        header = [
            # Where it has been, so that it does not come in circles.
            ("Delivered-To", copy.recipient),
            ("From", format_mailbox(Mailbox(owner.name, owner.address))),
            ("To", normalise_address(to)),
            ("Subject", f"Fwd: {letter.draft.subject[:_SUBJECT]}".strip()),
            ("Date", format_date(now)),
            ("Message-ID", f"<{self.reporter.token()}@{self.reporter.hostname}>"),
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "All"),
        ]
        return compose.build(header, text, attachments=[file], boundary=self.reporter.token)
