"""SendMail: a message from the device, as the device wrote it (MS-ASCMD 2.2.1.17).

Promise: a repeated request sends nothing twice (status 118, R4848-R4850), and success is an empty 200 after
the message, its Sent copy and the record of its ClientId are durable in one transaction. At 12.1 and below
the body is the MIME itself and SaveInSent stands in the query (MS-ASHTTP R120-R122).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from posthouse.eas.call import Call
from posthouse.eas.grammar import Child, Rule
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import Status, StatusError
from posthouse.errors import Malformed, NotPermitted, TooLarge
from posthouse.mime.headers import parse_headers
from posthouse.store import devices
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import ComposeMail

_MOST_CLIENT_ID = 40


@command("SendMail")
class SendMail(Command):
    """Hands the MIME to the outbox, byte by byte."""

    raw_until = (12, 1)
    grammar = Rule(
        {
            ComposeMail.ClientId: Child(least=1, least_length=1, length=_MOST_CLIENT_ID),
            ComposeMail.AccountId: Child(length=1024),
            ComposeMail.SaveInSentItems: Child(kind="empty"),
            ComposeMail.Mime: Child(least=1, kind="any"),
        }
    )

    async def run(self, call: Call) -> None:
        if call.request is None:
            await submit(call, call.raw, call.query.save_in_sent, "")
            return
        if call.request.find(ComposeMail.AccountId) is not None:
            # R729: the only account of a user is the primary one, and that has no AccountId.
            raise StatusError(Status.INVALID_ACCOUNT_ID, "AccountId")
        mime = call.request.blob(ComposeMail.Mime) or b""
        client_id = call.request.text(ComposeMail.ClientId) or ""
        await refuse_repetition(call, client_id, mime)
        saves = call.request.find(ComposeMail.SaveInSentItems) is not None
        await submit(call, mime, saves, client_id)


async def refuse_repetition(call: Call, client_id: str, sent_as: bytes) -> None:
    """To be asked before anything that may have changed since the first time: the original of an answer may be
    gone, the day's allowance used up. What was sent is sent, or its user sends it again.

    :raises StatusError: 118.
    """
    digest, row = hashlib.sha256(sent_as).digest(), call.device.id
    if bool(client_id) and await call.read(lambda tx: devices.was_sent(tx, row, client_id, digest)):
        raise StatusError(Status.MESSAGE_PREVIOUSLY_SENT, f"ClientId {client_id!r} again")


async def submit(
    call: Call,
    mime: bytes,
    save_in_sent: bool,
    client_id: str,
    *,
    sent_as: bytes = b"",
    then: Callable[[Transaction], None] | None = None,
) -> None:
    """Send a message for the account of the request.

    :param client_id: "" when the protocol version has none; then a repetition cannot be told apart.
    :param sent_as: what the device sent, when ``mime`` was made of it here; repetitions are known by it.
    :param then: more to do in the transaction that sends it.
    :raises StatusError: 107 no MIME, 115 too large, 118 sent before, 119 nobody to send it to, 120 not
        allowed.
    """
    call.notes["message_bytes"] = len(mime)
    check_mime(mime)
    digest, row, now = hashlib.sha256(sent_as or mime).digest(), call.device.id, call.now()

    def remember(tx: Transaction) -> None:
        # In the transaction of the message: either both are there or none.
        if client_id and not devices.remember_send(tx, row, client_id, digest, now):
            raise StatusError(Status.MESSAGE_PREVIOUSLY_SENT, f"ClientId {client_id!r} again")
        if then is not None:
            then(tx)

    try:
        await call.services.outbox.submit(call.account, mime, save_in_sent, remember)
    except TooLarge as error:
        raise StatusError(Status.SEND_QUOTA_EXCEEDED, error.cause) from error
    except Malformed as error:
        raise StatusError(Status.INVALID_MIME, error.cause or error.public) from error
    except NotPermitted as error:
        raise StatusError(Status.MAIL_SUBMISSION_FAILED, error.cause or error.public) from error


def check_mime(mime: bytes) -> None:
    """:raises StatusError: 107 no MIME, 119 nobody to send it to."""
    head = mime[:1_048_576].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    fields = {name for name, value in parse_headers(head + b"\n") if value.strip()}
    if not fields:
        raise StatusError(Status.INVALID_MIME, "no header")
    if not fields & {"to", "cc", "bcc"}:
        raise StatusError(Status.MESSAGE_HAS_NO_RECIPIENT, "neither To, Cc nor Bcc")
