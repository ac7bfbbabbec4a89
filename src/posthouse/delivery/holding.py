"""What waits before it is sent, and is sent when its time has come (RFC 4865; "undo send").

Promise: a message is handed out once, in the transaction that takes it out of the Outbox; taking it back
(``store.held.take_back``) is another transaction, so one of them finds the other done. Where it goes is decided when
it is sent: an alias that changed meanwhile is taken as it is then. What cannot be sent any more is reported. Nothing
leaves in the name of a user who is disabled. Sleeps until the next message is due, or until it is poked.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from posthouse.delivery.alarm import Alarm
from posthouse.delivery.bounce import Original
from posthouse.delivery.message import Message, message_of
from posthouse.delivery.submission import Parcel, Submission
from posthouse.errors import PosthouseError, TryLater
from posthouse.mime import compose
from posthouse.mime.report import RecipientStatus
from posthouse.model import Account, Item
from posthouse.store import accounts, bodies, held
from posthouse.store.held import Held
from posthouse.store.keep import keep_body

__all__ = ["Holding"]

_PAGE = 20
_LOOK_AT_LEAST = 600.0
_STORE_PAUSE = 5.0
_POSTPONED = 60_000  # ms
_DISABLED = 3_600_000  # ms after which to look again whether its user is disabled

_log = Logger()


@define(eq=False)
class Holding:
    """Sends what waited. Not an IService itself: ``tap`` orders start and stop.

    :param submission: hands out what is due. :param clock: IReactorTime.
    """

    submission: Submission
    clock: Any
    _running: bool = field(default=False, init=False)
    _looking: Deferred[Any] | None = field(default=None, init=False)
    _again: bool = field(default=False, init=False)
    _alarm: Alarm = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._alarm = Alarm(self.clock, self._wake)

    def start(self) -> None:
        """Look now, and whenever something is due."""
        self._running = True
        self._alarm.set(0.0)

    def stop(self) -> Deferred[Any] | None:
        """Begin nothing new; fires when the message under way is done."""
        self._running = False
        self._alarm.off()
        return self._looking

    def poke(self) -> None:
        """Something was held: its time may come first. Cheap, at any time."""
        if self._running:
            self._again = True
            self._alarm.set(0.0)

    def _wake(self) -> None:
        if self._looking is not None:
            return
        looking: Deferred[Any] = Deferred.fromCoroutine(self._look())
        self._looking = looking

        def done(result: Any) -> None:
            self._looking = None
            delay = result if isinstance(result, float) else _STORE_PAUSE
            if not isinstance(result, float):
                _log.failure("what waits cannot be sent", result, event="held.broken")
            if self._running:
                self._alarm.set(0.0 if self._again else delay)

        looking.addBoth(done)

    async def _look(self) -> float:
        """Send what is due. Returns in how many seconds to look again."""
        self._again = False
        now = self._now()

        def read(tx: Any) -> tuple[list[Held], int | None]:
            return held.due_held(tx, now, _PAGE), held.next_held(tx)

        try:
            due, following = await self.submission.database.read(read)
            for one in due:
                if not self._running:
                    return _LOOK_AT_LEAST
                await self._send(one)
        except TryLater as error:
            _log.warn("what waits cannot be read: {error}", event="held.store", error=str(error))
            return _STORE_PAUSE
        if due:
            return 0.0
        if following is None:
            return _LOOK_AT_LEAST
        return min(max(following - now, 0) / 1000.0 + 0.001, _LOOK_AT_LEAST)

    def _now(self) -> int:
        return int(self.clock.seconds() * 1000)

    async def _send(self, one: Held) -> None:
        try:
            found = await self.submission.database.read(lambda tx: _read(tx, one))
            if found is None:
                await self.submission.database.write(lambda tx: held.finish(tx, one, None, ()))
                return
            account, item, data = found
            if not account.enabled:
                later = self._now() + _DISABLED
                await self.submission.database.write(lambda tx: held.postpone(tx, one, later))
                return
            parcel = await self._parcel(one, account, item, data)
            await self.submission.database.write(lambda tx: self._hand_out(tx, one, parcel, item.body_id))
        except TryLater as error:
            _log.warn(
                "{name} is held a little longer: {error}", event="held.later", name=one.name, error=str(error)
            )
            later = self._now() + _POSTPONED
            await self.submission.database.write(lambda tx: held.postpone(tx, one, later))
        except PosthouseError as error:
            await self._give_up(one, error)
        except Exception:
            # One message that breaks us must not keep the others.
            _log.failure("{name} cannot be sent", event="held.broken", name=one.name)
            later = self._now() + 60 * _POSTPONED
            await self.submission.database.write(lambda tx: held.postpone(tx, one, later))
        else:
            _log.info(
                "{name} was sent: {size} bytes for {recipients} recipients",
                event="mail.released",
                name=one.name,
                size=parcel.message.size,
                recipients=len(one.recipients),
            )

    async def _parcel(self, one: Held, account: Account, item: Item, data: bytes) -> Parcel:
        """The message as others see it, ready to be handed out."""
        submission, now = self.submission, self._now()
        message: Message = message_of(data, await submission.structure_of(data))
        if any(key == "bcc" for key, _ in message.fields):
            message = message.with_head(compose.edit_headers(message.head, remove=("Bcc",)))
        draft = message.draft(now, item.trace)
        body = await keep_body(submission.database, submission.pool, message, now)
        addresses = tuple(recipient.address for recipient in one.recipients)
        return Parcel(
            sender=submission,
            save_in_sent=False,
            account=account,
            name=one.name,
            now=now,
            added=item.trace,
            recipients=one.recipients,
            message=message,
            body=body,
            draft=draft,
            sent_body=body,
            sent_draft=draft,
            signature=await submission.signature(account, addresses, message, item.trace, now),
            reverse_path=one.sender,
            fields=one.fields,
            held=True,
        )

    def _hand_out(self, tx: Any, one: Held, parcel: Parcel, body_id: int) -> None:
        item = held.waiting_item(tx, one)
        if item is not None and item.body_id != body_id:
            raise TryLater(cause="it was changed at this moment")
        handed = self.submission.hand_out(tx, parcel) if item is not None else ()
        held.finish(tx, one, item, handed)

    async def _give_up(self, one: Held, error: PosthouseError) -> None:
        """It will not be sent: the message stays in the Outbox, its sender hears why."""
        now, reporter = self._now(), self.submission.reporter
        text = f"550 5.7.1 {error.public}"
        statuses = [
            RecipientStatus(recipient.address, "failed", "5.7.1", recipient.orcpt, diagnostic=text)
            for recipient in one.recipients
        ]
        envid, release = one.fields.get("envid", ""), one.fields.get("hold_until", 0)
        original = Original(one.sender, b"", one.created, envid, release=release)
        report = reporter.failed(original, statuses, now)

        def write(tx: Any) -> bool:
            if held.waiting_item(tx, one) is None:
                return False  # taken back at this moment: there is nothing to tell
            held.finish(tx, one, None, ())
            return reporter.deliver(tx, report, now)

        _log.warn("{name} is not sent: {error}", event="held.failed", name=one.name, error=str(error))
        await self.submission.database.write(write)


def _read(tx: Any, one: Held) -> tuple[Account, Item, bytes] | None:
    """What is to be sent; None when it was taken back, or its sender is gone."""
    account = accounts.account_by_id(tx, one.account_id)
    item = held.waiting_item(tx, one)
    if account is None or item is None:
        return None
    return account, item, bodies.read_body(tx, item.body_id)
