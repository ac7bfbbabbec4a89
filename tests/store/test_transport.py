"""Policies of others, our own, and counted sessions."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import NoSuchAccount
from posthouse.model import TlsSession
from posthouse.store import accounts, transport
from posthouse.store.transport import DAY, KeptPolicy, OwnPolicy
from tests.support.store import NOW, make_account, make_database

ONE = TlsSession(
    "there.example", "sts", ("mode: enforce",), ("*.there.example",), "", "mx.there.example", "192.0.2.1"
)


class TransportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        make_account(self.db, "ann@here.example")

    def do(self, function: Any, *arguments: Any) -> Any:
        return self.db.write_now(lambda tx: function(tx, *arguments))

    def test_a_policy_is_kept_replaced_and_leaves_when_it_has_expired(self) -> None:
        self.assertIsNone(self.do(transport.kept_policy, "there.example"))
        policy = KeptPolicy("there.example", "1", b"version: STSv1", NOW, NOW + 1000)
        self.do(transport.keep_policy, policy)
        newer = evolve(policy, version="2", expires=NOW + 2000)
        self.do(transport.keep_policy, newer)
        self.assertEqual(self.do(transport.kept_policy, "there.example"), newer)
        self.assertEqual(self.do(transport.prune_transport, NOW + 1500, 10), 0)
        self.assertEqual(self.do(transport.prune_transport, NOW + 2001, 10), 1)
        self.assertIsNone(self.do(transport.kept_policy, "there.example"))

    def test_our_own_goes_with_its_domain(self) -> None:
        own = OwnPolicy("here.example", "testing", 86_400, ("b.example",), NOW)
        self.do(transport.set_own_policy, own)
        self.do(transport.set_own_policy, evolve(own, mode="enforce"))
        self.assertEqual(self.do(transport.own_policy, "here.example"), evolve(own, mode="enforce"))
        self.assertRaises(
            NoSuchAccount, self.do, transport.set_own_policy, evolve(own, domain="there.example")
        )
        self.do(accounts.add_domain, "second.example", NOW)
        self.do(transport.set_own_policy, evolve(own, domain="second.example"))
        self.do(accounts.delete_domain, "second.example")
        self.assertIsNone(self.do(transport.own_policy, "second.example"))

    def test_sessions_are_counted_by_day_and_how_they_ended(self) -> None:
        bad = evolve(ONE, result="certificate-expired", reason="it expired")
        self.do(transport.count_sessions, [ONE, ONE, bad], NOW, 5)
        self.do(transport.count_sessions, [ONE], NOW + 1, 7)
        day = transport.day_of(NOW)
        self.assertEqual(dict(self.do(transport.counts_of, day, "there.example")), {ONE: 3, bad: 1})
        self.do(transport.count_sessions, [ONE], NOW + DAY, 5)
        self.assertIsNone(self.do(transport.due_day, day + DAY + 4))
        found = self.do(transport.due_day, day + DAY + 5)
        self.assertEqual((found.day, found.domain, found.tries), (day, "there.example", 0))
        self.do(transport.put_off_day, found, found.due + 100)
        self.assertIsNone(self.do(transport.due_day, found.due))
        again = self.do(transport.due_day, found.due + 100)
        self.assertEqual((again.day, again.tries), (day, 1))
        self.do(transport.forget_day, again)
        self.assertEqual(self.do(transport.counts_of, day, "there.example"), [])
        self.assertEqual(self.do(transport.due_day, NOW + 10 * DAY).day, day + DAY)

    def test_what_a_domain_can_fill_is_bounded(self) -> None:
        many = [evolve(ONE, result="validation-failure", reason=f"{number}") for number in range(1005)]
        self.do(transport.count_sessions, many, NOW, 0)
        self.do(transport.count_sessions, [evolve(many[0], reason="new"), many[0]], NOW, 0)
        found = dict(self.do(transport.counts_of, transport.day_of(NOW), "there.example"))
        self.assertEqual(len(found), 1000)
        self.assertEqual(found[many[0]], 2)

    def test_days_that_nobody_reports_leave_after_a_week(self) -> None:
        self.do(transport.count_sessions, [ONE], NOW, 0)
        self.assertEqual(self.do(transport.prune_transport, NOW + 6 * DAY, 10), 0)
        self.assertEqual(self.do(transport.prune_transport, NOW + 9 * DAY, 10), 1)
        self.assertEqual(self.do(transport.counts_of, transport.day_of(NOW), "there.example"), [])
