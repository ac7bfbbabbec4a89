"""Waiting for news."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from posthouse.bus import Bus
from posthouse.interfaces import IBus, ISubscription
from posthouse.model import News


class BusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bus = Bus()

    def test_it_keeps_its_interfaces(self) -> None:
        verifyObject(IBus, self.bus)
        verifyObject(ISubscription, self.bus.subscribe(1))

    def test_a_waiter_is_woken_by_its_folder_only(self) -> None:
        waiting = self.bus.subscribe(1, frozenset({10, 11})).wait()
        self.bus.publish(News(1, 12))
        self.bus.publish(News(2, 10))
        self.assertNoResult(waiting)
        self.bus.publish(News(1, 11))
        self.assertEqual(self.successResultOf(waiting), {11})

    def test_news_between_subscribing_and_waiting_is_remembered(self) -> None:
        subscription = self.bus.subscribe(1)
        for folder in (3, 4, 3):
            self.bus.publish(News(1, folder))
        self.assertEqual(self.successResultOf(subscription.wait()), {3, 4})
        self.assertNoResult(subscription.wait())

    def test_news_before_subscribing_is_not_heard(self) -> None:
        self.bus.publish(News(1, 3))
        self.assertNoResult(self.bus.subscribe(1).wait())

    def test_cancelling_a_wait_keeps_the_subscription(self) -> None:
        subscription = self.bus.subscribe(1)
        waiting = subscription.wait()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.bus.publish(News(1, 9))
        self.assertEqual(self.successResultOf(subscription.wait()), {9})

    def test_closing_cancels_the_wait_and_forgets_the_listener(self) -> None:
        subscription = self.bus.subscribe(1)
        waiting = subscription.wait()
        subscription.close()
        subscription.close()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.bus.listening, 0)
        self.bus.publish(News(1, 9))
        self.failureResultOf(subscription.wait(), CancelledError)

    def test_two_waits_at_once_are_refused(self) -> None:
        subscription = self.bus.subscribe(1)
        waiting = subscription.wait()
        self.assertRaises(RuntimeError, subscription.wait)
        self.bus.publish(News(1, 1))
        self.successResultOf(waiting)

    def test_the_woken_may_close_others_and_subscribe_in_the_round(self) -> None:
        first, second = self.bus.subscribe(1), self.bus.subscribe(1)
        heard: list[frozenset[int]] = []

        def woken(folders: frozenset[int]) -> None:
            heard.append(folders)
            first.close()
            second.close()
            self.bus.subscribe(1)

        for subscription in (first, second):
            subscription.wait().addCallback(woken).addErrback(lambda failure: failure.trap(CancelledError))
        self.bus.publish(News(1, 5))
        self.assertEqual(heard, [{5}])

    def test_a_subscription_is_small(self) -> None:
        subscription = self.bus.subscribe(1)
        self.assertFalse(hasattr(subscription, "__dict__"))
        self.assertLess(sys.getsizeof(subscription), 128)

    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.one_of(st.integers(0, 4), st.just("wait"), st.just("cancel"))))
    def test_every_folder_with_news_is_told_once_per_change_or_joined(self, steps: list[int | str]) -> None:
        bus, told, owed = Bus(), [], set()
        subscription = bus.subscribe(7, frozenset({0, 1, 2, 3}))
        waiting = None

        def tell(folders: frozenset[int]) -> None:
            told.append(folders)
            owed.difference_update(folders)

        for step in steps:
            if step == "wait":
                if waiting is None or waiting.called:
                    waiting = subscription.wait().addCallbacks(tell, lambda failure: None)
            elif step == "cancel":
                if waiting is not None:
                    waiting.cancel()
            else:
                if step != 4:
                    owed.add(step)
                bus.publish(News(7, int(step)))
        if waiting is None or waiting.called:
            subscription.wait().addCallbacks(tell, lambda failure: None)
        self.assertEqual(owed, set())
        self.assertNotIn(frozenset(), told)
