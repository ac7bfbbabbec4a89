"""The rider: takes what is due from the queue, and sees to it that nothing is stuck in silence.

Promise: every due row is attempted as soon as the lanes allow; the runner sleeps until the next one is due
or until it is poked, and never asks the store on a beat (but for a look every ten minutes, should a poke be
lost). A row is in at most one attempt at a time. An attempt whose outcome cannot be written yet keeps trying
to write it rather than sending again.

Specifications: RFC 5321 4.5.4.1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger

from posthouse.delivery.alarm import Alarm
from posthouse.delivery.attempt import Attempt, Outcome, Sender
from posthouse.delivery.backlog import Backlog
from posthouse.delivery.lanes import Lanes
from posthouse.delivery.line import Line
from posthouse.errors import PosthouseError
from posthouse.faults import reach
from posthouse.interfaces import IDatabase
from posthouse.model import OutboxRow
from posthouse.store import outbox

__all__ = ["Runner"]

_JOB = 100  # recipients of one job (RFC 5321 4.5.3.1.8)
_LOOK_AT_LEAST = 600.0
_STORE_PAUSE = 5.0

_log = Logger()


@define(eq=False)
class Runner:
    """The queue's service. Not an IService itself: ``tap`` orders start and stop.

    :param clock: IReactorTime. :param grace: seconds that :meth:`stop` leaves to running attempts.
    """

    database: IDatabase
    sender: Sender
    clock: Any
    lanes: Lanes = field(factory=Lanes)
    grace: float = 10.0
    _running: bool = field(default=False, init=False)
    _looking: bool = field(default=False, init=False)
    _again: bool = field(default=False, init=False)
    _alarm: Alarm = field(init=False)
    _next: Any = field(default=None, init=False)
    _waiting: OrderedDict[str, Line[Attempt]] = field(factory=OrderedDict, init=False)
    _ready: OrderedDict[str, None] = field(factory=OrderedDict, init=False)  # keys that may have a free lane
    backlog: Backlog = field(factory=Backlog)
    _attempts: set[Deferred[Any]] = field(factory=set, init=False)

    @property
    def busy(self) -> int:
        """Attempts that run now."""
        return self.lanes.active

    def __attrs_post_init__(self) -> None:
        self._alarm = Alarm(self.clock, self._wake)

    def start(self) -> Deferred[None]:
        """Free what a crash left leased, then work; fires when the first look is done."""
        self._running = True
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        while self._running:
            try:
                await self.database.write(outbox.release_leases)
                break
            except PosthouseError as error:
                _log.warn("the queue cannot start: {error}", event="outbox.store", error=str(error))
                await deferLater(self.clock, _STORE_PAUSE)
        await self._look()

    def stop(self) -> Deferred[None]:
        """Begin nothing new, give running attempts ``grace`` seconds, then break them off.

        What was broken off stays leased and is tried again when its next attempt is due.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._running = False
        self._alarm.off()
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._waiting.clear()
        self._ready.clear()
        self.backlog.clear()
        running = list(self._attempts)
        if not running:
            return

        def break_off() -> None:
            for attempt in running:
                attempt.cancel()

        late = self.clock.callLater(self.grace, break_off)
        await DeferredList(running)
        if late.active():
            late.cancel()

    def poke(self) -> None:
        """Something may be due that was not before: look at all of the queue, soon."""
        self.backlog.again()
        self.hear()

    def hear(self) -> None:
        """Something was queued: look soon. Cheap, at any time."""
        if self._running:
            self._alarm.set(0.0)

    # -- looking -------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        looking = Deferred.fromCoroutine(self._look())
        looking.addErrback(lambda failure: _log.failure("the queue stumbled", failure, event="outbox.broken"))

    async def _look(self) -> None:
        """Read what is due, start what may start, sleep until the next."""
        if self._looking:
            self._again = True
            return
        self._looking = True
        delay = _LOOK_AT_LEAST
        try:
            self._again = True
            while self._again and self._running:
                self._again = False
                delay = await self._read()
                self._begin()
        except PosthouseError as error:
            _log.warn("the queue cannot be read: {error}", event="outbox.store", error=str(error))
            self.backlog.again()
            delay = _STORE_PAUSE
        finally:
            self._looking = False
            if self._running:
                self._alarm.set(delay)

    async def _read(self) -> float:
        """Learn of due rows. Returns in how many seconds to look again."""
        now = self.sender.now()
        look = await self.database.read(self.backlog.ask(now))
        if self._running:
            self._sort(self.backlog.take(look))
        if look.more:
            return 0.0
        if look.next is None:
            return _LOOK_AT_LEAST
        return min(max((look.next - now) / 1000.0, 0.0) + 0.001, _LOOK_AT_LEAST)

    def _sort(self, rows: Sequence[OutboxRow]) -> None:
        """Put rows of the same message for the same destination into one attempt."""
        groups: dict[tuple[Any, ...], list[OutboxRow]] = {}
        for row in rows:
            domain = row.recipient.rpartition("@")[2].lower()
            key = self.sender.routes.key(domain) if self.sender.routes is not None else ""
            envelope = (row.sender, row.envid, row.ret, row.smtputf8, row.require_tls)
            same = (row.body_id, row.trace, row.account_id, *envelope)
            # Through one smarthost, too, a job has recipients of one domain: their fate is decided together.
            groups.setdefault((key, domain, *same, row.priority), []).append(row)
        for (key, domain, *_), members in groups.items():
            for start in range(0, len(members), _JOB):
                attempt = Attempt(key, domain, tuple(members[start : start + _JOB]))
                self._waiting.setdefault(key, Line()).put(attempt, members[0].priority)
                self._ready[key] = None

    # -- attempts ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start waiting attempts while lanes are free, destination by destination in turn."""
        while self._running and self._ready and not self.lanes.full:
            key, _ = self._ready.popitem(last=False)
            line = self._waiting.get(key)
            if not line or not self.lanes.free(key):
                continue  # the end of an attempt in that lane brings it back
            attempt = line.take()
            if line:
                self._ready[key] = None
            else:
                del self._waiting[key]
            self.lanes.enter(key)
            running = Deferred.fromCoroutine(self._attempt(attempt))
            self._attempts.add(running)
            running.addBoth(self._ended, running, attempt)

    async def _attempt(self, attempt: Attempt) -> bool | None:
        leased = await self.sender.lease(attempt)
        if not leased.rows:
            return None
        reach("queue.before-connect")
        outcome: Outcome = await self.sender.send(attempt, leased)
        reach("queue.before-record")
        while True:
            try:
                await self.sender.record(leased, outcome)
                return outcome.success
            except PosthouseError as error:
                _log.warn("an outcome cannot be written: {error}", event="outbox.store", error=str(error))
                await deferLater(self.clock, _STORE_PAUSE)

    def _ended(self, result: Any, running: Deferred[Any], attempt: Attempt) -> None:
        self._attempts.discard(running)
        failed = not (result is None or isinstance(result, bool))
        self.lanes.leave(attempt.key, None if failed else result)
        self.backlog.drop(attempt.rows)
        if attempt.key in self._waiting:
            self._ready[attempt.key] = None
        if failed:
            self.backlog.again()  # what could not be taken is still due
        if failed and not result.check(CancelledError, PosthouseError):
            _log.failure("an attempt broke", result, event="outbox.broken", domain=attempt.domain)
        if not self._running:
            return
        if self._waiting and (self._next is None or not self._next.active()):
            self._next = self.clock.callLater(0, self._begin)
        # The rows just written may be due soon, and a store that was busy leaves rows due now.
        self._alarm.set(_STORE_PAUSE if failed or self._waiting else 0.0)
