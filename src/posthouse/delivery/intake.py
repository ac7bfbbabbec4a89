"""Where the SMTP server hands its mail: the checks of an envelope, and the one transaction that keeps it.

Promise: :meth:`Intake.accept` fires after every local copy and every queue row of a message is durable, in
one transaction; when it fails, nothing was kept. Mail for elsewhere is taken from authenticated users only,
and only under addresses that they own.

Specifications: RFC 5321 3.9, 4.4, 6.1 and 6.3; RFC 6409 (submission); RFC 5322 3.6.3 (Bcc).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import implementer

from posthouse.delivery.absence import AutoReply
from posthouse.delivery.acquaintances import people_of
from posthouse.delivery.authentication import Verdict, Verifier
from posthouse.delivery.authorship import check_authors, missing_fields
from posthouse.delivery.bounce import Original, Report, Reporter
from posthouse.delivery.directory import Directory, owns
from posthouse.delivery.envelope import (
    arrivals,
    is_forwarded,
    is_sent_on,
    left_out,
    list_heads,
    local_copies,
    queue_rows,
)
from posthouse.delivery.message import Message, message_of_spooled
from posthouse.delivery.posting import authors_of, is_guarded, without_junk
from posthouse.delivery.sifting import NOTHING, Sifter
from posthouse.delivery.signing import Signer
from posthouse.delivery.sorting import Letter, Plan
from posthouse.delivery.trace import check_hops, queue_id, received_line
from posthouse.errors import NoSuchThing, NotPermitted, StorageFull, TryLater
from posthouse.faults import reach
from posthouse.interfaces import IDatabase, IMailIntake, ISpool
from posthouse.mailauth.results import remove_foreign
from posthouse.mime import compose
from posthouse.mime.addresses import fold_address, parse_mailboxes
from posthouse.model import Account, Envelope, ItemDraft, Recipient, evolve
from posthouse.store import accounts, allowance, delivery, held, quotas
from posthouse.store.acquaintances import note_acquaintances
from posthouse.store.allowance import Allowance
from posthouse.store.keep import keep_body
from posthouse.store.outbox import BULK, HUMAN

__all__ = ["MIN_FREE", "Intake", "is_eight_bit", "priority_of", "reserve_of"]

MIN_FREE = 100 * 1024 * 1024
_RESERVED_SHARE = 20
# What is larger, or goes to more, waits behind mail between people.
_SMALL = 1 << 20  # bytes
_FEW = 20  # addresses elsewhere
# seconds for which the free space that was seen holds; the disk cannot fill faster than the reserve allows
_LOOK_AGAIN = 0.5

_log = Logger()


def reserve_of(disk: int) -> int:
    """How much of a disk of so many bytes stays free, so that what was begun can be finished.

    A twentieth of a small one: 100 MB could be all that a test, a container or a phone's disk has.
    """
    return min(MIN_FREE, disk // _RESERVED_SHARE)


@implementer(IMailIntake)
@define(eq=False)
class Intake:
    """See ``IMailIntake``.

    :param pool: ``run(function, *args)`` -> Deferred, for what blocks.
    :param new_spool: makes the spool of one transaction.
    :param hostname: ours, for trace headers. :param seconds: the clock's. :param random: for queue ids.
    :param free_space: bytes free where the store lives. :param min_free: below this no mail is taken.
    :param auto_reply: answers for readers who are away.
    :param verifier: looks at mail of strangers. :param signer: signs what our users send elsewhere.
    :param allowance: what one account may send in a day.
    :param sifter: what is junk, and what the readers' rules want.
    :param reporter: tells those who asked (NOTIFY=SUCCESS) that their mail was delivered here.
    """

    database: IDatabase
    directory: Directory
    pool: Any
    new_spool: Callable[[], ISpool]
    hostname: str
    seconds: Callable[[], float]
    random: Random
    free_space: Callable[[], int]
    min_free: int = MIN_FREE
    auto_reply: AutoReply | None = None
    verifier: Verifier | None = None
    signer: Signer | None = None
    reporter: Reporter | None = None
    allowance: Allowance = field(factory=Allowance)
    sifter: Sifter | None = None
    _looked: float = field(default=-_LOOK_AGAIN, init=False)
    _free: int = field(default=0, init=False)

    def check_sender(self, sender: str, account: Account | None) -> Deferred[None]:
        """See ``IMailIntake``. An authenticated null sender is taken: receipts must have it (RFC 8098 3).

        :raises StorageFull: the disk is nearly full.
        """
        now = self.seconds()
        if not 0 <= now - self._looked < _LOOK_AGAIN:
            self._looked, self._free = now, self.free_space()
        if self._free < self.min_free:
            cause = f"only {self._free} bytes are free, {self.min_free} are needed"
            self._looked = -_LOOK_AGAIN
            return fail(StorageFull(cause=cause))
        if account is None or not sender:
            return succeed(None)
        return Deferred.fromCoroutine(self._check_owner(sender, account))

    async def _check_owner(self, sender: str, account: Account) -> None:
        if not owns(await self.directory.owned(account.id, [sender]), sender):
            raise NotPermitted(
                "You may not send as this address.", cause=f"{account.address} as {sender[:200]}"
            )

    def check_recipient(
        self, address: str, account: Account | None, sender: str | None = None
    ) -> Deferred[Recipient]:
        """See ``IMailIntake``."""
        return self.directory.route(address, account, sender)

    def spool(self) -> ISpool:
        """See ``IMailIntake``."""
        return self.new_spool()

    def accept(self, envelope: Envelope, spooled: Any) -> Deferred[str]:
        """See ``IMailIntake``. The spooled bytes are closed afterwards, whatever happens.

        :raises TryLater: the account has sent its share of a day (or the store is busy).
        :raises LoopDetected: too many hops. :raises Malformed, NotPermitted: a submission's From or Sender.
        :raises NotAuthentic: a stranger's From, by the policy of its domain.
        """
        return Deferred.fromCoroutine(self._accept(envelope, spooled))

    async def _accept(self, envelope: Envelope, spooled: Any) -> str:
        try:
            return await self._keep(envelope, spooled)
        finally:
            spooled.close()

    async def _keep(self, envelope: Envelope, spooled: Any) -> str:
        now = int(self.seconds() * 1000)
        name = queue_id(now, self.random.getrandbits(24))
        in_file = spooled.data is None
        message: Message
        if in_file:
            message = await self.pool.run(message_of_spooled, spooled)
        else:
            message = message_of_spooled(spooled)
        check_hops(message.head, [one.address for one in envelope.recipients if is_forwarded(one)])
        stranger = self.verifier is not None and self.verifier.concerns(envelope)
        asked = self.sifter.begin(envelope, message, name, stranger) if self.sifter is not None else None
        verdict = Verdict()
        if stranger and self.verifier is not None:
            try:
                verdict = await self.verifier.check(envelope, message)
            except BaseException:
                if asked is not None:
                    asked.cancel()
                raise
        # RFC 8601 5: nobody else speaks in our name. The signatures above were over what came.
        head = remove_foreign(message.head, self.hostname)
        if head is not message.head:
            message = message.with_head(head)
        added = b""
        # A Message-ID of ours says nothing about whether the same message came before.
        dedupe = True
        if envelope.account_id is not None:
            fields = message.fields
            owned = await self.directory.owned(envelope.account_id, authors_of(fields))
            check_authors(fields, owned)
            added = missing_fields(fields, now, f"<{name}.{self.random.getrandbits(64):x}@{self.hostname}>")
            dedupe = any(key == "message-id" for key, _ in fields)
            hold = (await self.directory.preferences(envelope.account_id)).hold * 1000
            due = max(envelope.hold_until, now + hold if hold else 0)
            if due > now:
                return await self._hold(envelope, message, added, name, now, due)
            if any(key == "bcc" for key, _ in fields):
                message = message.with_head(compose.edit_headers(message.head, remove=("Bcc",)))
        elif any(map(is_guarded, envelope.recipients)):
            await self.directory.check_authors(envelope.recipients, authors_of(message.fields))
        lists = {}
        if any(one.groups for one in envelope.recipients):
            lists = list_heads(envelope, message.fields)
        if not message.head:
            added += b"\r\n"  # a body without any header: keep it from running into ours
        draft = await self.pool.run(message.draft, now, added) if in_file else message.draft(now, added)
        sifted = NOTHING
        if self.sifter is not None:
            sifted = await self.sifter.sift(asked, envelope, message, draft, verdict, stranger, now)
        body = await keep_body(self.database, self.pool, message, now)
        trace = verdict.trace + received_line(envelope, self.hostname, name, now) + added
        if verdict.junk or sifted.junk:
            kept = tuple(map(without_junk, envelope.recipients))
            envelope = evolve(envelope, recipients=kept)
        copies = sifted.judged(local_copies(envelope, trace, lists=lists), verdict)
        letter = Letter(message, draft, envelope.sender, trace, added, sifted.text, envelope.require_tls)
        if self.signer is not None and envelope.account_id is not None and is_sent_on(envelope):
            trace = await self.signer.fields(message, added, now) + trace
        priority = priority_of(message, envelope)
        srs = None
        if envelope.account_id is None and envelope.sender and any(map(is_forwarded, envelope.recipients)):
            # RFC 7208 appendix D.3: from here, the sender's own domain says this mail must not come.
            srs = await self.directory.rewriter(envelope.sender)
        rows = queue_rows(envelope, trace, message.size, is_eight_bit(message), now, priority, srs, lists)

        receipt = self._receipt(envelope, trace + message.head, now)
        refusals = self._refusals(envelope, trace + message.head, now)

        elsewhere = [fold_address(row.recipient) for row in rows]
        people = (
            people_of(message.fields, [recipient.address for recipient in envelope.recipients])
            if envelope.account_id is not None
            else ()
        )

        def store(tx: Any) -> tuple[delivery.Delivered, list[str]]:
            if envelope.account_id is not None and elsewhere:
                allowance.check(tx, envelope.account_id, elsewhere, self.allowance, now)
                allowance.note(tx, envelope.account_id, elsewhere, now)
            plan = Plan(tuple(copies))
            if self.sifter is not None:
                plan = self.sifter.plan(tx, sifted, letter, copies)
            done = delivery.deliver(tx, body, draft, plan.copies, envelope.sender, rows, now, dedupe=dedupe)
            kept_here = []
            if self.sifter is not None and plan:
                kept_here = self.sifter.sorter.send_on(tx, letter, plan, done, now)
            if envelope.account_id is not None and (any(done.numbers) or done.outbox_ids):
                note_acquaintances(tx, envelope.account_id, people, now)
            if receipt is not None and self.reporter is not None and (any(done.numbers) or done.outbox_ids):
                self.reporter.deliver(tx, receipt, now)
            if self.reporter is not None and done.duplicates < len(copies) + len(rows):
                for refusal in refusals:
                    self.reporter.deliver(tx, refusal, now)
            if self.auto_reply is not None and not verdict.is_doubtful:
                head = added + message.head
                numbers = done.numbers[: len(copies)]  # what rules laid beside them is no other arrival
                self.auto_reply.answer(tx, envelope.sender, head, copies, numbers, now)
            reach("intake.before-commit")
            return done, kept_here

        try:
            delivered, notes = await self.database.write(store)
        except NoSuchThing as error:
            # A mailbox went away between RCPT and now. The next attempt hears so at RCPT.
            self.directory.forget()
            raise TryLater(cause=f"a recipient went away: {error}") from error
        _log.info(
            "{cid} accepted {queue_id}: {size} bytes for {local} here, {remote} elsewhere",
            event="mail.accepted",
            cid=envelope.cid,
            queue_id=name,
            sender=envelope.sender,
            size=message.size,
            local=len(copies),
            remote=len(rows),
            duplicates=delivered.duplicates,
            message_id=draft.message_id,
        )
        for note in notes:
            _log.info("{queue_id} {note}", event="rules.not_sent_on", queue_id=name, note=note)
        return name

    async def _hold(
        self, envelope: Envelope, message: Message, added: bytes, name: str, now: int, due: int
    ) -> str:
        """Keep a submission in its sender's Outbox until it is sent (``delivery.holding``)."""
        account_id = envelope.account_id
        assert account_id is not None
        elsewhere = [fold_address(one) for recipient in envelope.recipients for one in recipient.remote]
        whole = message.with_head(_with_hidden(message, envelope))
        draft = await self.pool.run(whole.draft, now, added)
        body = await keep_body(self.database, self.pool, whole, now)
        fields = {
            "protocol": envelope.protocol,
            "smtputf8": envelope.smtputf8,
            "envid": envelope.envid,
            "ret": envelope.ret,
            "tls": envelope.tls,
            "require_tls": envelope.require_tls,
            "hold_until": envelope.hold_until,
        }

        def store(tx: Any) -> None:
            account = accounts.account_by_id(tx, account_id)
            if account is None:
                raise TryLater(cause="the account went away")
            quotas.check(tx, account.mailbox_id, self.directory.quota, now)
            allowance.check(tx, account_id, elsewhere, self.allowance, now)
            allowance.note(tx, account_id, elsewhere, now)
            kept: ItemDraft = evolve(draft, trace=added, read=True)
            held.hold_back(
                tx, name, account_id, account.mailbox_id, kept, body, envelope.sender, envelope.recipients,
                fields, False, now, due,
            )  # fmt: skip

        await self.database.write(store)
        _log.info(
            "{cid} accepted {queue_id}: {size} bytes, held for {seconds} s",
            event="mail.held",
            cid=envelope.cid,
            queue_id=name,
            sender=envelope.sender,
            size=message.size,
            seconds=(due - now) // 1000,
            message_id=draft.message_id,
        )
        return name

    def _receipt(self, envelope: Envelope, head: bytes, now: int) -> Report | None:
        """The report of what is delivered by the transaction itself, if the sender wants one."""
        if self.reporter is None or not envelope.sender:
            return None
        statuses = arrivals(envelope)
        if not statuses:
            return None
        return self.reporter.succeeded(_original(envelope, envelope.sender, head, now), statuses, now)

    def _refusals(self, envelope: Envelope, head: bytes, now: int) -> list[Report]:
        """The reports of mailboxes that were left out because they are full."""
        if self.reporter is None:
            return []
        return [
            self.reporter.failed(_original(envelope, sender, head, now), [status], now)
            for sender, status in left_out(envelope)
        ]


def _original(envelope: Envelope, sender: str, head: bytes, now: int) -> Original:
    """What a report about a message is about. :param sender: who gets it."""
    return Original(sender, head, now, envelope.envid, require_tls=envelope.require_tls)


def _with_hidden(message: Message, envelope: Envelope) -> bytes:
    """The header with a Bcc of those recipients whom it does not name: what the sender has in his Outbox."""
    named = {
        fold_address(box.address)
        for name, value in message.fields
        if name in ("to", "cc", "bcc")
        for box in parse_mailboxes(value)
    }
    hidden = [one.address for one in envelope.recipients if fold_address(one.address) not in named]
    if not hidden:
        return message.head
    return compose.edit_headers(message.head, add=[("Bcc", ", ".join(hidden))])


def priority_of(message: Message, envelope: Envelope) -> int:
    """Small mail between people goes out before the rest (``store.outbox.HUMAN`` and ``BULK``)."""
    elsewhere = sum(len(recipient.remote) for recipient in envelope.recipients)
    if not elsewhere:
        return HUMAN
    if message.size > _SMALL or elsewhere > _FEW:
        return BULK
    for name, value in message.fields:
        if name in ("list-id", "list-unsubscribe", "list-post"):
            return BULK
        word = value.partition(b";")[0].strip().lower()
        if name == "precedence" and word in (b"bulk", b"list", b"junk"):
            return BULK
        if name == "auto-submitted" and word != b"no":
            return BULK
    return HUMAN


def is_eight_bit(message: Message) -> bool:
    """Must the next hop know 8BITMIME? By the bytes where they are at hand, else by what the parts declare."""
    if message.data is not None:
        return not message.data.isascii()
    declared = (part.cte in ("8bit", "binary") for part in message.root.walk())
    return not message.head.isascii() or any(declared)
