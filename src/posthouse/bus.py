"""Wakes who waits for a mailbox to change: parked Pings, hanging Syncs, event streams.

The promise: waiting costs one small object and nothing else; news costs a walk over the listeners of that one
mailbox; nothing that happened between looking and waiting is lost. There is no polling and no timer here: the
waiter brings its own time-out and cancels its wait.

``publish`` is called in the reactor thread after a commit, never before one.
"""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from zope.interface import implementer

from posthouse.interfaces import IBus, ISubscription
from posthouse.model import News

__all__ = ["Bus"]

_NOTHING: frozenset[int] = frozenset()


@implementer(ISubscription)
@define(eq=False, slots=True)
class _Subscription:
    """One listener. What it heard and was not yet told about is in ``_heard``: a set bounded by the number of
    folders, not by the number of news."""

    _bus: Bus | None
    _mailbox_id: int
    _folders: frozenset[int] | None
    _heard: frozenset[int] = _NOTHING
    _waiter: Deferred[frozenset[int]] | None = None

    def wait(self) -> Deferred[frozenset[int]]:
        if self._bus is None:
            return fail(CancelledError())
        if self._waiter is not None:
            raise RuntimeError("a subscription has one waiter at a time")
        if self._heard:
            heard, self._heard = self._heard, _NOTHING
            return succeed(heard)
        # The canceller is a bound method: Deferred then fires with CancelledError by itself.
        self._waiter = Deferred(self._cancelled)
        return self._waiter

    def close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            bus._forget(self._mailbox_id, self)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.cancel()

    def _cancelled(self, waiter: Deferred[frozenset[int]]) -> None:
        self._waiter = None

    def _hear(self, folder_id: int) -> None:
        if self._bus is None or (self._folders is not None and folder_id not in self._folders):
            return
        waiter = self._waiter
        if waiter is None:
            if folder_id not in self._heard:
                self._heard |= {folder_id}
        else:
            self._waiter = None
            waiter.callback(frozenset((folder_id,)))


@implementer(IBus)
@define(eq=False, slots=True)
class Bus:
    """The exchange for all mailboxes of the process."""

    _listeners: dict[int, set[_Subscription]] = field(init=False, factory=dict)

    def publish(self, news: News) -> None:
        listeners = self._listeners.get(news.mailbox_id)
        if listeners:
            # A copy: those who are woken close, or subscribe anew, while the round goes on.
            for listener in tuple(listeners):
                listener._hear(news.folder_id)

    def subscribe(self, mailbox_id: int, folders: frozenset[int] | None = None) -> ISubscription:
        subscription = _Subscription(self, mailbox_id, folders)
        self._listeners.setdefault(mailbox_id, set()).add(subscription)
        return subscription

    @property
    def listening(self) -> int:
        """How many subscriptions are open; for the administrator and for tests of leaks."""
        return sum(map(len, self._listeners.values()))

    def _forget(self, mailbox_id: int, subscription: _Subscription) -> None:
        listeners = self._listeners.get(mailbox_id)
        if listeners is not None:
            listeners.discard(subscription)
            if not listeners:
                del self._listeners[mailbox_id]
