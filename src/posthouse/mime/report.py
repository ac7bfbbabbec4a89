"""Delivery status notifications: the failure, delay and success reports that a mail server writes.

RFC 3461, RFC 3462 (multipart/report), RFC 3464 (message/delivery-status), RFC 3834 (marked as automatic), RFC 4865
(Future-Release-Request), RFC 6533 (utf-8 addresses). Values are cleaned and bounded; a hostile diagnostic text stays
one field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from attrs import frozen

from posthouse.mime import compose
from posthouse.mime.dates import format_date

MAX_RETURNED_HEADER = 65_536
MAX_DIAGNOSTIC = 2000


@frozen
class RecipientStatus:
    """What became of one recipient. ``action`` is failed, delayed, delivered, relayed or expanded.

    ``status`` is the enhanced code ("5.1.1"), times are ms since the epoch, ``original`` is ORCPT as given
    (``rfc822;user@example.org``, in xtext).
    """

    final: str
    action: str
    status: str
    original: str = ""
    diagnostic: str = ""
    remote_mta: str = ""
    last_attempt: int | None = None
    will_retry_until: int | None = None


def report(
    *,
    sender: str,
    to: str,
    subject: str,
    text: str,
    date: int,
    message_id: str,
    reporting_mta: str,
    recipients: Sequence[RecipientStatus],
    boundary: Callable[[], str],
    envelope_id: str = "",
    arrival: int | None = None,
    release: int = 0,
    returned: bytes = b"",
    returned_whole: bool = False,
    extra: Sequence[tuple[str, str]] = (),
) -> bytes:
    """A multipart/report about the delivery of one message.

    :param sender: the From header, such as ``Mail Delivery System <mailer-daemon@example.org>``.
    :param text: the explanation for people. :param envelope_id: ENVID as given, in xtext.
    :param release: ms; when the sender wanted the message to leave, 0 for at once.
    :param returned: the header of the message (its first 64 KB are sent back), or all of it if
        ``returned_whole``.
    """
    status = delivery_status(reporting_mta, recipients, envelope_id, arrival, release)
    parts = [compose.text_part("plain", text), status]
    if returned_whole:
        parts.append(_returned("message/rfc822", returned))
    elif returned:
        parts.append(_returned("text/rfc822-headers", _header_only(returned)))
    header = [
        ("From", sender),
        ("To", to),
        ("Subject", subject),
        ("Date", format_date(date)),
        ("Message-ID", message_id),
        ("Auto-Submitted", "auto-replied"),
        *extra,
    ]
    lines = [compose.field(name, value) for name, value in header]
    lines.append(b"MIME-Version: 1.0\r\n")
    return b"".join(lines) + compose.multipart(
        "report", parts, boundary, (("report-type", "delivery-status"),)
    )


def delivery_status(
    reporting_mta: str,
    recipients: Sequence[RecipientStatus],
    envelope_id: str,
    arrival: int | None,
    release: int = 0,
) -> bytes:
    """The machine-readable part (RFC 3464 2), with its MIME header."""
    message = []
    if envelope_id:
        message.append(_line("Original-Envelope-Id", _plain(envelope_id)))
    message.append(_line("Reporting-MTA", f"dns; {reporting_mta}"))
    if arrival is not None:
        message.append(_line("Arrival-Date", format_date(arrival)))
    if release:
        # RFC 4865: both forms of the wish mean a moment; "until" is the one that needs no other date.
        moment = datetime.fromtimestamp(release / 1000, UTC)
        message.append(_line("Future-Release-Request", f"until; {moment:%Y-%m-%dT%H:%M:%SZ}"))
    groups = [b"".join(message)]
    for recipient in recipients:
        rows = []
        if recipient.original:
            kind, _, address = recipient.original.partition(";")
            rows.append(_line("Original-Recipient", f"{kind};{_plain(address)}"))
        kind = "rfc822" if recipient.final.isascii() else "utf-8"
        rows.append(_line("Final-Recipient", f"{kind}; {recipient.final}"))
        rows.append(_line("Action", recipient.action))
        rows.append(_line("Status", recipient.status))
        if recipient.remote_mta:
            rows.append(_line("Remote-MTA", f"dns; {recipient.remote_mta}"))
        if recipient.diagnostic:
            rows.append(_line("Diagnostic-Code", f"smtp; {recipient.diagnostic[:MAX_DIAGNOSTIC]}"))
        if recipient.last_attempt is not None:
            rows.append(_line("Last-Attempt-Date", format_date(recipient.last_attempt)))
        if recipient.will_retry_until is not None:
            rows.append(_line("Will-Retry-Until", format_date(recipient.will_retry_until)))
        groups.append(b"".join(rows))
    body = b"\r\n".join(groups)
    if body.isascii():
        return b"Content-Type: message/delivery-status\r\n\r\n" + body
    # RFC 6533 3: addresses beyond ASCII need the type that may hold them.
    head = b"Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return head + body


def _plain(xtext: str) -> str:
    """What xtext stands for (RFC 3461 4, RFC 3464 2.2.1 and 2.3.1): ``+41`` is ``A``."""
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), xtext)


def _line(name: str, value: str) -> bytes:
    return compose.raw_field(name, value)


def _header_only(message: bytes) -> bytes:
    end = compose.header_end(message)
    head = (message[:end] if end else message)[:MAX_RETURNED_HEADER]
    return head if head.endswith(b"\n") else head[: head.rfind(b"\n") + 1]


def _returned(content_type: str, data: bytes) -> bytes:
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n").replace(b"\0", b"")
    head = f"Content-Type: {content_type}\r\n".encode("ascii")
    if not data.isascii():
        head += b"Content-Transfer-Encoding: 8bit\r\n"
    return head + b"\r\n" + data
