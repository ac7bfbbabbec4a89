"""Where the compose commands of ActiveSync and the web hand their mail.

Promise: the caller's own work (replied marks, the record of a ClientId), the Sent item, the copies for local
recipients, reports of local recipients who do not exist and the queue rows for elsewhere are one transaction:
all of it is there, or nothing. Mail of a user who wants to be able to take it back waits in the Outbox instead
(``delivery.holding``). The message stays byte by byte what was given, but for its Bcc fields, which
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
from posthouse.delivery.addressing import MAX_RECIPIENTS, elsewhere, recipients_of, refusal, routed
from posthouse.delivery.authorship import check_authors, missing_fields
from posthouse.delivery.bounce import Original, Reporter
from posthouse.delivery.directory import Directory
from posthouse.delivery.envelope import arrivals, left_out, list_heads, local_copies, queue_rows
from posthouse.delivery.intake import MIN_FREE, is_eight_bit, priority_of
from posthouse.delivery.message import Message, message_of
from posthouse.delivery.posting import authors_of
from posthouse.delivery.sifting import Sifter
from posthouse.delivery.signing import Signer
from posthouse.delivery.sorting import Letter, Plan
from posthouse.delivery.trace import check_hops, queue_id, received_line
from posthouse.errors import (
    LoopDetected,
    Malformed,
    PosthouseError,
    StorageFull,
    TooLarge,
)
from posthouse.faults import reach
from posthouse.interfaces import IDatabase, IOutbox, IParcel
from posthouse.mime import compose
from posthouse.mime.addresses import Mailbox, fold_address, format_mailbox
from posthouse.mime.part import Part
from posthouse.mime.scan import Scanner, scan
from posthouse.model import Account, BodyRef, Envelope, FolderType, ItemDraft, Recipient, evolve
from posthouse.store import allowance, delivery, held, quotas
from posthouse.store.acquaintances import note_acquaintances
from posthouse.store.allowance import Allowance
from posthouse.store.bodies import PreparedBody
from posthouse.store.keep import keep_body

__all__ = ["MAX_RECIPIENTS", "Parcel", "Submission"]

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
    recipients: tuple[Recipient, ...]  # as they were named, with their wishes
    message: Message  # as others see it
    body: PreparedBody | BodyRef
    draft: ItemDraft
    sent_body: PreparedBody | BodyRef
    sent_draft: ItemDraft
    signature: bytes = b""  # in front of what goes elsewhere
    reverse_path: str = ""  # the account's own address, unless it says otherwise
    fields: dict[str, Any] = field(factory=dict)  # other fields of the envelope
    hold_until: int = 0
    held: bool = False  # it waited, and was counted then

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(one.address for one in self.recipients)

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
    sifter: Sifter | None = None

    def submit(
        self,
        account: Account,
        message: bytes,
        save_in_sent: bool,
        in_transaction: Callable[[Any], Any] | None = None,
        hold_until: int | None = None,
    ) -> Deferred[Any]:
        """See ``IOutbox``.

        :raises TooLarge: beyond the size limit or 500 recipients.
        :raises StorageFull: the disk is nearly full.
        :raises SentTooMuch: the account has sent its share of a day.
        :raises OverQuota: the sender's mailbox has no room for what it sends.
        """
        return Deferred.fromCoroutine(
            self._submit(account, message, save_in_sent, in_transaction, hold_until)
        )

    def prepare(
        self, account: Account, message: bytes, save_in_sent: bool, hold_until: int | None = None
    ) -> Deferred[Parcel]:
        """See ``IOutbox``. :raises TooLarge: :raises StorageFull: :raises OverQuota: as `submit`."""
        return Deferred.fromCoroutine(self._prepare(account, message, save_in_sent, hold_until))

    async def _submit(
        self,
        account: Account,
        data: bytes,
        save_in_sent: bool,
        in_transaction: Callable[[Any], Any] | None,
        hold_until: int | None,
    ) -> Any:
        parcel = await self._prepare(account, data, save_in_sent, hold_until)

        def write(tx: Any) -> Any:
            result = in_transaction(tx) if in_transaction is not None else None
            self.store(tx, parcel)
            reach("submission.before-commit")
            return result

        result = await self.database.write(write)
        reach("submission.after-commit")
        self.departed(parcel)
        return result

    async def _prepare(
        self, account: Account, data: bytes, save_in_sent: bool, hold_until: int | None
    ) -> Parcel:
        if len(data) > self.size_limit:
            raise TooLarge("The message is too large.", cause=f"{len(data)} bytes")
        if self.free_space() < self.min_free:
            raise StorageFull(cause="the disk is nearly full")
        if hold_until is None:
            hold = (await self.directory.preferences(account.id)).hold * 1000
            hold_until = int(self.clock.seconds() * 1000) + hold if hold else 0
        message = message_of(data, await self.structure_of(data))
        parcel = await self._parcel(account, message, save_in_sent, hold_until)
        # Asked ahead of the transaction, which may be one that does much else for the same phone.
        await self.database.read(lambda tx: self._check_allowance(tx, parcel))
        return parcel

    def _check_allowance(self, tx: Any, parcel: Parcel) -> None:
        if parcel.save_in_sent or parcel.hold_until:
            # As Exchange's ProhibitSendQuota: who cannot keep what he sends makes room first.
            quotas.check(tx, parcel.account.mailbox_id, self.directory.quota, parcel.now)
        remote = elsewhere(tx, parcel.addresses)
        if remote:
            allowance.check(tx, parcel.account.id, remote, self.allowance, parcel.now)

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

    async def structure_of(self, data: bytes) -> Part:
        """The structure of a message; a long one is looked at in slices, with turns of the reactor between."""
        if len(data) <= _SLICE:
            return scan(data)
        scanner = Scanner()
        for start in range(0, len(data), _SLICE):
            scanner.feed(data[start : start + _SLICE])
            await deferLater(self.clock, 0)
        return scanner.close()

    async def _parcel(
        self, account: Account, message: Message, save_in_sent: bool, hold_until: int
    ) -> Parcel:
        now = int(self.clock.seconds() * 1000)
        name = queue_id(now, self.random.getrandbits(24))
        fields = message.fields
        if not fields:
            raise Malformed("The message has no header.")
        check_hops(message.head)
        owned = await self.directory.owned(account.id, authors_of(fields))
        check_authors(fields, owned, may_lack_from=True)
        addresses = recipients_of(fields)
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
            recipients=tuple(map(Recipient, addresses)),
            message=seen,
            body=body,
            draft=draft,
            sent_body=sent_body,
            sent_draft=sent_draft,
            # What waits is signed when it is sent.
            signature=b"" if hold_until > now else await self.signature(account, addresses, seen, added, now),
            hold_until=hold_until if hold_until > now else 0,
        )

    async def signature(
        self, account: Account, addresses: tuple[str, ...], message: Message, added: bytes, now: int
    ) -> bytes:
        """What signs a message, if any of it goes elsewhere."""
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
        """Deliver, queue and file a parcel in a transaction, or let it wait."""
        account, now = parcel.account, parcel.now
        if parcel.hold_until:
            allowance.note(tx, account.id, elsewhere(tx, parcel.addresses), now)
            kept = evolve(parcel.sent_draft, trace=parcel.added, read=True)
            held.hold_back(
                tx, parcel.name, account.id, account.mailbox_id, kept, parcel.sent_body, account.address,
                parcel.recipients, {}, parcel.save_in_sent, now, parcel.hold_until,
            )  # fmt: skip
            return
        if parcel.save_in_sent:
            sent = delivery.Copy(
                account.mailbox_id, account.address, parcel.added, FolderType.SENT, read=True
            )
            # Whoever sends the same twice means it: a lost answer is recognised by the caller's own record.
            delivery.deliver(
                tx, parcel.sent_body, parcel.sent_draft, [sent], account.address, [], now, dedupe=False
            )
        self.hand_out(tx, parcel)

    def hand_out(self, tx: Any, parcel: Parcel) -> tuple[str, ...]:
        """Deliver and queue a parcel, and report whom it cannot reach. :returns: addresses that have it now."""
        account, now = parcel.account, parcel.now
        sender = parcel.reverse_path or account.address
        recipients, unknown = routed(tx, parcel.recipients, account, self.directory.quota, now)
        fields = {"protocol": "HTTP"} | parcel.fields
        if not all(address.isascii() for address in parcel.addresses):
            fields["smtputf8"] = True
        envelope = Envelope(sender, tuple(recipients), account_id=account.id, **fields)
        lists = {}
        try:
            lists = list_heads(envelope, parcel.message.fields)
        except LoopDetected:
            looping = [one for one in recipients if one.group is not None]
            unknown += [refusal(one, "5.4.6", "554 5.4.6 The message is in a loop") for one in looping]
            recipients = [one for one in recipients if one.group is None]
            envelope = evolve(envelope, recipients=tuple(recipients))
        trace = received_line(envelope, self.hostname, parcel.name, now) + parcel.added
        copies = local_copies(envelope, trace, lists=lists)
        sent_on = parcel.signature + trace
        rows = queue_rows(
            envelope,
            sent_on,
            parcel.message.size,
            is_eight_bit(parcel.message),
            now,
            priority_of(parcel.message, envelope),
            lists=lists,
            message=parcel.name if parcel.held else "",
        )
        if not parcel.held:
            allowance.note(tx, account.id, [fold_address(row.recipient) for row in rows], now)
        note_acquaintances(tx, account.id, people_of(parcel.message.fields, parcel.addresses), now)
        head = parcel.added + parcel.message.head
        if copies or rows:
            letter = Letter(
                parcel.message, parcel.draft, sender, trace, parcel.added, require_tls=envelope.require_tls
            )
            plan = Plan(tuple(copies))
            if self.sifter is not None:
                plan = self.sifter.plan(tx, None, letter, copies)
            done = delivery.deliver(
                tx, parcel.body, parcel.draft, plan.copies, sender, rows, now, dedupe=False
            )
            if self.sifter is not None and plan:
                self.sifter.sorter.send_on(tx, letter, plan, done, now)
            if self.auto_reply is not None:
                self.auto_reply.answer(tx, sender, head, copies, done.numbers[: len(copies)], now)
        original = Original(
            sender, head, now, envelope.envid, require_tls=envelope.require_tls, release=envelope.hold_until
        )
        told = [one for one in unknown if one.notify != "NEVER"]
        if told:
            statuses = [one.status for one in told]
            self.reporter.deliver(tx, self.reporter.failed(original, statuses, now), now)
        arrived = arrivals(envelope)
        if arrived:
            self.reporter.deliver(tx, self.reporter.succeeded(original, arrived, now), now)
        for to, status in left_out(envelope):
            report = self.reporter.failed(evolve(original, sender=to), [status], now)
            self.reporter.deliver(tx, report, now)
        here = (one.address for one in recipients if one.mailbox_ids)
        return (*here, *(one.status.final for one in unknown))
