"""Where the compose commands of ActiveSync and the web hand their mail.

Promise: the caller's own work (replied marks, the record of a ClientId), the Sent item, the copies for local
recipients, reports of local recipients who do not exist and the queue rows for elsewhere are one transaction:
all of it is there, or nothing. The message stays byte by byte what was given, but for its Bcc fields, which
nobody sees except the sender in Sent.

Specifications: RFC 5322 3.6, RFC 6409 8, MS-ASCMD 2.2.1.17 (SendMail: a recipient who does not exist is no
error of the command; a report follows).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from posthouse.delivery.absence import AutoReply
from posthouse.delivery.acquaintances import people_of
from posthouse.delivery.authorship import check_authors, missing_fields
from posthouse.delivery.bounce import Original, Reporter
from posthouse.delivery.directory import Directory, find_route
from posthouse.delivery.envelope import local_copies, queue_rows
from posthouse.delivery.intake import MIN_FREE, is_eight_bit, priority_of
from posthouse.delivery.message import Message, message_of
from posthouse.delivery.signing import Signer
from posthouse.delivery.trace import check_hops, queue_id, received_line
from posthouse.errors import Malformed, NoSuchAccount, PosthouseError, StorageFull, TooLarge, TryLater
from posthouse.interfaces import IDatabase, IOutbox, IParcel
from posthouse.mime import compose
from posthouse.mime.addresses import Mailbox, fold_address, format_mailbox, normalise_address, parse_mailboxes
from posthouse.mime.part import Part
from posthouse.mime.report import RecipientStatus
from posthouse.mime.scan import Scanner, scan
from posthouse.model import Account, BodyRef, Envelope, FolderType, ItemDraft, Recipient
from posthouse.store import allowance, delivery
from posthouse.store.acquaintances import note_acquaintances
from posthouse.store.allowance import Allowance
from posthouse.store.bodies import PreparedBody
from posthouse.store.keep import keep_body

__all__ = ["MAX_RECIPIENTS", "Parcel", "Submission"]

MAX_RECIPIENTS = 500
_SLICE = 1 << 20  # bytes scanned in one turn of the reactor

_log = Logger()


@implementer(IParcel)
@frozen(eq=False)
class Parcel:
    """See ``IParcel``; everything that the transaction needs."""

    sender: Submission
    save_in_sent: bool
    account: Account
    name: str
    now: int
    added: bytes
    addresses: tuple[str, ...]
    message: Message  # as others see it
    body: PreparedBody | BodyRef
    draft: ItemDraft
    sent_body: PreparedBody | BodyRef
    sent_draft: ItemDraft
    signature: bytes = b""  # in front of what goes elsewhere

    def hand_over(self, tx: Any) -> None:
        self.sender.store(tx, self)

    def departed(self) -> None:
        self.sender.departed(self)


@implementer(IOutbox)
@define(eq=False)
class Submission:
    """See ``IOutbox``.

    :param clock: IReactorTime. :param size_limit: bytes of a message. Others as for ``intake.Intake``.
    """

    database: IDatabase
    directory: Directory
    pool: Any
    reporter: Reporter
    hostname: str
    clock: Any
    random: Random
    free_space: Callable[[], int]
    min_free: int = MIN_FREE
    size_limit: int = 50 * 1024 * 1024
    auto_reply: AutoReply | None = None
    signer: Signer | None = None
    allowance: Allowance = field(factory=Allowance)

    def submit(
        self,
        account: Account,
        message: bytes,
        save_in_sent: bool,
        in_transaction: Callable[[Any], Any] | None = None,
    ) -> Deferred[Any]:
        """See ``IOutbox``.

        :raises TooLarge: beyond the size limit or 500 recipients.
        :raises StorageFull: the disk is nearly full.
        :raises TryLater: the account has sent its share of a day.
        """
        return Deferred.fromCoroutine(self._submit(account, message, save_in_sent, in_transaction))

    def prepare(self, account: Account, message: bytes, save_in_sent: bool) -> Deferred[Parcel]:
        """See ``IOutbox``. :raises TooLarge: :raises StorageFull: as `submit`."""
        return Deferred.fromCoroutine(self._prepare(account, message, save_in_sent))

    async def _submit(
        self, account: Account, data: bytes, save_in_sent: bool, in_transaction: Callable[[Any], Any] | None
    ) -> Any:
        parcel = await self._prepare(account, data, save_in_sent)

        def write(tx: Any) -> Any:
            result = in_transaction(tx) if in_transaction is not None else None
            self.store(tx, parcel)
            return result

        result = await self.database.write(write)
        self.departed(parcel)
        return result

    async def _prepare(self, account: Account, data: bytes, save_in_sent: bool) -> Parcel:
        if len(data) > self.size_limit:
            raise TooLarge("The message is too large.", cause=f"{len(data)} bytes")
        if self.free_space() < self.min_free:
            raise StorageFull(cause="the disk is nearly full")
        parcel = await self._parcel(account, message_of(data, await self._scan(data)), save_in_sent)
        # Asked ahead of the transaction, which may be one that does much else for the same phone.
        await self.database.read(lambda tx: self._check_allowance(tx, parcel))
        return parcel

    def _check_allowance(self, tx: Any, parcel: Parcel) -> None:
        elsewhere: list[str] = []
        for address in parcel.addresses:
            try:
                elsewhere += find_route(tx, address).recipient.remote
            except (NoSuchAccount, TryLater):
                continue
        if elsewhere:
            folded = [fold_address(address) for address in elsewhere]
            allowance.check(tx, parcel.account.id, folded, self.allowance, parcel.now)

    def departed(self, parcel: Parcel) -> None:
        """A parcel was handed over, and that is durable."""
        _log.info(
            "{queue_id} submitted by {account}: {size} bytes for {recipients} recipients",
            event="mail.submitted",
            queue_id=parcel.name,
            account=parcel.account.address,
            size=parcel.message.size,
            recipients=len(parcel.addresses),
            message_id=parcel.draft.message_id,
        )

    async def _scan(self, data: bytes) -> Part:
        if len(data) <= _SLICE:
            return scan(data)
        scanner = Scanner()
        for start in range(0, len(data), _SLICE):
            scanner.feed(data[start : start + _SLICE])
            await deferLater(self.clock, 0)
        return scanner.close()

    async def _parcel(self, account: Account, message: Message, save_in_sent: bool) -> Parcel:
        now = int(self.clock.seconds() * 1000)
        name = queue_id(now, self.random.getrandbits(24))
        fields = message.fields
        if not fields:
            raise Malformed("The message has no header.")
        check_hops(message.head)
        check_authors(fields, await self.directory.owned(account.id), may_lack_from=True)
        addresses = _recipients(fields)
        author = format_mailbox(Mailbox(account.name, account.address))
        unique = f"<{name}.{self.random.getrandbits(64):x}@{self.hostname}>"
        added = missing_fields(fields, now, unique, author)
        seen = message
        if any(key == "bcc" for key, _ in fields):
            seen = message.with_head(compose.edit_headers(message.head, remove=("Bcc",)))
        draft = seen.draft(now, added)
        body = await keep_body(self.database, self.pool, seen, now)
        if seen is message:
            sent_body, sent_draft = body, draft
        else:
            sent_body = await keep_body(self.database, self.pool, message, now)
            sent_draft = message.draft(now, added)
        return Parcel(
            sender=self,
            save_in_sent=save_in_sent,
            account=account,
            name=name,
            now=now,
            added=added,
            addresses=addresses,
            message=seen,
            body=body,
            draft=draft,
            sent_body=sent_body,
            sent_draft=sent_draft,
            signature=await self._signature(account, addresses, seen, added, now),
        )

    async def _signature(
        self, account: Account, addresses: tuple[str, ...], message: Message, added: bytes, now: int
    ) -> bytes:
        if self.signer is None:
            return b""
        for address in addresses:
            try:
                recipient = await self.directory.route(address, account)
            except PosthouseError:
                continue
            if recipient.remote:
                return await self.signer.fields(message, added, now)
        return b""

    def store(self, tx: Any, parcel: Parcel) -> None:
        """Deliver, queue and file a parcel in a transaction."""
        account, now = parcel.account, parcel.now
        if parcel.save_in_sent:
            sent = delivery.Copy(
                account.mailbox_id, account.address, parcel.added, FolderType.SENT, read=True
            )
            # Whoever sends the same twice means it: a lost answer is recognised by the caller's own record.
            delivery.deliver(
                tx, parcel.sent_body, parcel.sent_draft, [sent], account.address, [], now, dedupe=False
            )
        recipients: list[Recipient] = []
        unknown: list[RecipientStatus] = []
        for address in parcel.addresses:
            try:
                recipients.append(find_route(tx, address).recipient)
            except NoSuchAccount:
                unknown.append(_refused(address, "5.1.1", "550 5.1.1 No such user here"))
            except TryLater:
                unknown.append(_refused(address, "5.2.1", "550 5.2.1 The mailbox is disabled"))
        envelope = Envelope(
            account.address,
            tuple(recipients),
            protocol="HTTP",
            account_id=account.id,
            smtputf8=not all(address.isascii() for address in parcel.addresses),
        )
        trace = received_line(envelope, self.hostname, parcel.name, now) + parcel.added
        copies = local_copies(envelope, trace)
        sent_on = parcel.signature + trace
        priority = priority_of(parcel.message, envelope)
        rows = queue_rows(envelope, sent_on, parcel.message.size, is_eight_bit(parcel.message), now, priority)
        allowance.note(tx, account.id, [fold_address(row.recipient) for row in rows], now)
        note_acquaintances(tx, account.id, people_of(parcel.message.fields, parcel.addresses), now)
        if copies or rows:
            done = delivery.deliver(
                tx, parcel.body, parcel.draft, copies, account.address, rows, now, dedupe=False
            )
            if self.auto_reply is not None:
                head = parcel.added + parcel.message.head
                self.auto_reply.answer(tx, account.address, head, copies, done.numbers, now)
        if unknown:
            original = Original(account.address, parcel.added + parcel.message.head, now)
            self.reporter.deliver(tx, self.reporter.failed(original, unknown, now), now)


def _refused(address: str, status: str, text: str) -> RecipientStatus:
    return RecipientStatus(address, "failed", status, diagnostic=text)


def _recipients(fields: list[tuple[str, bytes]]) -> tuple[str, ...]:
    """The addresses of To, Cc and Bcc, each once.

    :raises Malformed: none, or one that is no address. :raises TooLarge: too many.
    """
    found: dict[str, str] = {}
    for name, value in fields:
        if name not in ("to", "cc", "bcc"):
            continue
        for box in parse_mailboxes(value):
            local, at, domain = box.address.rpartition("@")
            if not (local and at and domain):
                if box.address or box.name:
                    raise Malformed(
                        "A recipient has no valid address.", cause=f"{(box.address or box.name)[:200]!r}"
                    )
                continue
            found.setdefault(fold_address(box.address), normalise_address(box.address))
    if not found:
        raise Malformed("The message has no recipient.")
    if len(found) > MAX_RECIPIENTS:
        raise TooLarge(f"A message may have {MAX_RECIPIENTS} recipients.")
    return tuple(found.values())
