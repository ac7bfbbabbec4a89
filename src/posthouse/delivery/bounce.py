"""Reports to senders: their mail failed, or still waits.

Promise: a report goes to the envelope sender, from the null sender, and never answers a report; it is put
where it belongs in the same transaction that notes the failure, so neither is there without the other.

Specifications: RFC 3461 (who gets which report), RFC 3464 (its form), RFC 3834 (Auto-Submitted), RFC 4865
(Future-Release-Request), RFC 5321 4.5.5 (null reverse path) and 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve, frozen

from posthouse.delivery.directory import find_reader
from posthouse.delivery.message import message_of
from posthouse.delivery.schedule import expires_at
from posthouse.delivery.trace import delivery_trace
from posthouse.errors import NoSuchThing, TryLater
from posthouse.mime.dates import format_date
from posthouse.mime.report import RecipientStatus, report
from posthouse.model import ItemDraft
from posthouse.store import delivery
from posthouse.store.bodies import PreparedBody, prepare
from posthouse.store.outbox import OutboxDraft

__all__ = ["Original", "Report", "Reporter"]

_MAX_SHOWN = 100  # recipients told of in the text for people; the machine-readable part has them all
# RFC 3464 2.3.3
_SUCCESS = {
    "delivered": "Your message was delivered to the mailboxes of those below marked as delivered.\n",
    "expanded": "Some addresses below mean several others; your message was handed on to them.\n",
    "relayed": "Some messages were handed to a mail system that sends no reports: no more will be heard.\n",
}


@frozen
class Original:
    """The message that a report is about. ``head`` is its header; ``arrival`` ms since the epoch.

    ``whole`` is all of it, where the sender wants it back (RET=FULL) and it is not too big for that.
    """

    sender: str
    head: bytes = b""
    arrival: int | None = None
    envid: str = ""
    whole: bytes = b""
    require_tls: bool = False  # RFC 8689 5: then its report has to travel so, too
    release: int = 0  # ms; when its sender wanted it to leave (RFC 4865)


@frozen
class Report:
    """A report, ready to be stored."""

    to: str
    body: PreparedBody
    draft: ItemDraft
    eight_bit: bool
    require_tls: bool = False


@frozen
class Reporter:
    """Writes reports.

    :param hostname: ours. :param token: gives a fresh random word of letters and digits at each call.
    """

    hostname: str
    token: Callable[[], str]

    def failed(self, original: Original, statuses: Sequence[RecipientStatus], now: int) -> Report:
        """The report of recipients that are given up. ``now`` in ms."""
        text = (
            f"This is the mail system at {self.hostname}.\n\n"
            "Your message could not be delivered to the recipients below. It will not be tried again.\n\n"
        )
        return self._report(original, "Undeliverable: your message was not delivered", text, statuses, now)

    def delayed(self, original: Original, statuses: Sequence[RecipientStatus], now: int) -> Report:
        """The notice that recipients have not been reached yet. ``now`` in ms."""
        until = max((status.will_retry_until or now for status in statuses), default=now)
        text = (
            f"This is the mail system at {self.hostname}.\n\n"
            "Your message has not been delivered yet to the recipients below. You need not send it again:\n"
            f"it will be tried until {format_date(until)}.\n\n"
        )
        return self._report(original, "Delayed: your message is still waiting", text, statuses, now)

    def succeeded(self, original: Original, statuses: Sequence[RecipientStatus], now: int) -> Report:
        """The report that somebody asked for with NOTIFY=SUCCESS. ``now`` in ms."""
        text = f"This is the mail system at {self.hostname}.\n\n" + "".join(
            _SUCCESS[action]
            for action in ("delivered", "expanded", "relayed")
            if any(status.action == action for status in statuses)
        )
        # RFC 3461 6.2: only a failure may bring the message back as a whole.
        original = evolve(original, whole=b"")
        return self._report(original, "Success: your message has arrived", text + "\n", statuses, now)

    def _report(
        self, original: Original, subject: str, text: str, statuses: Sequence[RecipientStatus], now: int
    ) -> Report:
        lines = [_line(status) for status in statuses[:_MAX_SHOWN]]
        if len(statuses) > _MAX_SHOWN:
            lines.append(f"... and {len(statuses) - _MAX_SHOWN} more.\n")
        data = report(
            sender=f"Mail Delivery System <mailer-daemon@{self.hostname}>",
            to=original.sender,
            subject=subject,
            text=text + "\n".join(lines),
            date=now,
            message_id=f"<{self.token()}@{self.hostname}>",
            reporting_mta=self.hostname,
            recipients=statuses,
            boundary=self.token,
            envelope_id=original.envid,
            arrival=original.arrival,
            release=original.release,
            returned=original.whole or original.head,
            returned_whole=bool(original.whole),
        )
        return Report(
            original.sender,
            prepare(data),
            message_of(data).draft(now),
            not data.isascii(),
            original.require_tls,
        )

    def deliver(self, tx: Any, report: Report, now: int) -> bool:
        """Put a report into its reader's inbox, or into the queue when he is elsewhere.

        :returns: False when there is nobody to tell: a sender of ours who is gone.
        """
        if not report.to:
            return False  # RFC 5321 4.5.5: never answer the null reverse path
        try:
            recipient = find_reader(tx, report.to, now)
        except (NoSuchThing, TryLater):
            return False
        copies = [
            delivery.Copy(mailbox_id, report.to, delivery_trace("", report.to, b""))
            for mailbox_id in recipient.mailbox_ids
        ]
        outbox = [
            OutboxDraft(
                account_id=None,
                sender="",
                recipient=address,
                size=report.body.size,
                smtputf8=not address.isascii(),
                eight_bit=report.eight_bit,
                expires=expires_at(now, ""),
                due=now,
                own=True,
                require_tls=report.require_tls,
            )
            for address in recipient.remote
        ]
        try:
            delivery.deliver(tx, report.body, report.draft, copies, "", outbox, now, dedupe=False)
        except NoSuchThing:
            return False
        return True


def _line(status: RecipientStatus) -> str:
    said = f" ({status.remote_mta} said)" if status.remote_mta else ""
    if status.action in _SUCCESS:
        return f"<{status.final}>: {status.action}{said}\n"
    return f"<{status.final}>{said}: {status.diagnostic or status.status}\n"
