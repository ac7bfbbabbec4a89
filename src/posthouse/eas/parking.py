"""Requests that wait: Ping and hanging Sync.

Promise: a waiting request is a subscription, a timer and a coroutine; it holds no thread, lock, transaction or
database handle. It ends by news, by its heartbeat to the second, by a newer request of the same kind from the same
device, or when its client goes away. Requests of one device for one collection run one after the other.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from posthouse.eas.query import Query
from posthouse.eas.versions import Version
from posthouse.model import Account, Device

#: Why a wait ended.
NEWS, EXPIRED, SUPERSEDED, GONE = "news", "expired", "superseded", "gone"
#: An administrator decided something about the device: it is answered, and its next request hears of it.
RELEASED = "released"

_REMEMBERED = 10_000
#: Requests remembered of each device.
_LINES = 20


class Request(Protocol):
    """What is needed of a request here, and told to the administrator; `posthouse.eas.call.Call` is one."""

    account: Account
    device: Device
    version: Version
    query: Query
    peer: str
    notes: dict[str, Any]

    @property
    def clock(self) -> IReactorTime:
        """The reactor's."""

    def disconnected(self) -> Deferred[None]:
        """Fires when the client goes away; may be cancelled."""

    def rest(self) -> None:
        """Let go of what only reading the request needed."""


@define(eq=False)
class Parked:
    """One waiting request. ``heard`` collects the folders that had news (0: the hierarchy)."""

    call: Request
    kind: str
    deadline: float
    heard: set[int] = field(factory=set)
    _waiting: Deferred[str] | None = None
    _gone: Deferred[None] | None = None
    _ended: str = ""

    def supersede(self) -> None:
        """A newer request took the place: answer at once."""
        self.end(SUPERSEDED)

    def end(self, reason: str) -> None:
        """Answer at once, now or when it would begin to wait."""
        self._ended = reason
        self._wake(reason)

    def _wake(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(reason)

    async def wait(self, subscription: Any) -> str:
        """Until something happens. :return: one of NEWS, EXPIRED, SUPERSEDED, RELEASED, GONE."""
        if self._ended:
            return self._ended
        clock = self.call.clock
        left = self.deadline - clock.seconds()
        if left <= 0:
            return EXPIRED
        done: Deferred[str] = Deferred()
        self._waiting = done
        timer = clock.callLater(left, self._wake, EXPIRED)
        if self._gone is None:
            self.call.rest()
            # Once for all waits: the web server keeps each of these until the request ends.
            self._gone = self.call.disconnected()
            self._gone.addCallbacks(lambda _: self.end(GONE), _quiet)
        news = subscription.wait()
        news.addCallbacks(self._news, _quiet)
        try:
            return await done
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()
            news.cancel()

    def leave(self) -> None:
        """It waits no more."""
        if self._gone is not None:
            self._gone.cancel()

    def _news(self, folders: frozenset[int]) -> None:
        self.heard |= folders
        self._wake(NEWS)


@frozen
class Live:
    """A request under way. ``age`` in seconds; ``left`` until its heartbeat ends, None when it does not wait."""

    call: Request
    age: float
    left: float | None


def _quiet(failure: Failure) -> None:
    failure.trap(CancelledError)


class Yard:
    """What the running process knows of devices beyond the store: who waits, who works, what was asked last."""

    def __init__(self) -> None:
        self._parked: dict[tuple[int, str], Parked] = {}
        self._locks: dict[tuple[int, str], tuple[DeferredLock, int]] = {}
        self._requests: OrderedDict[int, Any] = OrderedDict()
        self._written: OrderedDict[tuple[int, str], str] = OrderedDict()
        self._history: OrderedDict[int, tuple[tuple[int, str], ...]] = OrderedDict()
        self._under_way: dict[int, tuple[Request, float]] = {}

    @property
    def parked(self) -> list[Parked]:
        """Everyone who waits now."""
        return list(self._parked.values())

    def park(self, call: Request, kind: str, seconds: float) -> Parked:
        """Take the place of the device for that kind of request; who had it is answered at once."""
        place = (call.device.id, kind)
        before = self._parked.pop(place, None)
        now = call.clock.seconds()
        self._parked[place] = parked = Parked(call, kind, now + seconds)
        if before is not None:
            before.supersede()
        return parked

    def release(self, device: int) -> None:
        """An administrator decided something about a device: what waits is answered, what is cached forgotten."""
        for parked in [parked for place, parked in self._parked.items() if place[0] == device]:
            parked.end(RELEASED)
        self.forget(device)

    def begin(self, call: Request) -> None:
        """A request is served from now on. To be ended with `finish`."""
        self._under_way[id(call)] = (call, call.clock.seconds())

    def finish(self, call: Request) -> None:
        """The request was answered, or given up."""
        self._under_way.pop(id(call), None)

    def live(self, now: float) -> list[Live]:
        """Who is connected with what, the oldest first. :param now: the clock's seconds."""
        parked = {id(one.call): one for one in self._parked.values()}
        return [
            Live(call, now - began, parked[key].deadline - now if key in parked else None)
            for key, (call, began) in self._under_way.items()
        ]

    def leave(self, parked: Parked) -> None:
        """The wait is over."""
        place = (parked.call.device.id, parked.kind)
        if self._parked.get(place) is parked:
            del self._parked[place]
        parked.leave()

    async def enter(self, device: int, collection: str) -> None:
        """One request at a time for a collection of a device (rule 5). To be left with `depart`."""
        place = (device, collection)
        lock, users = self._locks.get(place, (None, 0))
        if lock is None:
            lock = DeferredLock()
        self._locks[place] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._release(place)
            raise

    def depart(self, device: int, collection: str) -> None:
        """Let the next one in."""
        place = (device, collection)
        lock, _ = self._locks[place]
        self._release(place)
        lock.release()

    def _release(self, place: tuple[int, str]) -> None:
        lock, users = self._locks[place]
        if users == 1:
            del self._locks[place]
        else:
            self._locks[place] = (lock, users - 1)

    # The cached Sync request (MS-ASCMD 2.2.1.21.1): in memory, for a device without one is told so (status 13).

    def remember(self, device: int, request: Any) -> None:
        """Keep the last request with a body."""
        self._requests[device] = request
        self._requests.move_to_end(device)
        while len(self._requests) > _REMEMBERED:
            self._requests.popitem(last=False)

    def recall(self, device: int) -> Any:
        """The last request with a body, None when there is none."""
        return self._requests.get(device)

    def forget(self, device: int) -> None:
        """There is nothing that an empty request could mean."""
        self._requests.pop(device, None)

    # What devices did last: in memory, for a line in the store would be a write for each request.

    def note(self, device: int, at: int, line: str) -> None:
        """Remember a request. :param at: milliseconds. :param line: about numbers and names only."""
        # Tuples: a deque has room for 64 from the start, for each of thousands of devices.
        before = self._history.pop(device, ())
        self._history[device] = (*before[1 - _LINES :], (at, line))
        while len(self._history) > _REMEMBERED:
            self._history.popitem(last=False)

    def recent(self, device: int) -> list[tuple[int, str]]:
        """The last requests of a device, the oldest first."""
        return list(self._history.get(device, ()))

    # Which answers were written to the end (rule 16).

    def answered(self, device: int, collection: str, key: str) -> None:
        self._written[device, collection] = key
        self._written.move_to_end((device, collection))
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    def broke_off(self, device: int, collection: str) -> None:
        self._written.pop((device, collection), None)

    def was_written(self, device: int, collection: str) -> bool:
        return (device, collection) in self._written
