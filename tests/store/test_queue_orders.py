"""What an administrator orders of the queue."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import OutboxRow
from posthouse.store import outbox, queue_orders
from posthouse.store.outbox import BULK, HUMAN, OutboxDraft
from tests.support.store import NOW, make_database, put


class OrderCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.body = put(self.db)

    def add(self, recipient: str = "r@y.example", **fields: Any) -> int:
        draft = OutboxDraft(
            **{
                "account_id": 1, "sender": "s@x", "recipient": recipient, "size": 9, "expires": NOW + 99,
                "due": NOW, "body_id": self.body.id, **fields,
            }
        )  # fmt: skip
        return self.db.write_now(lambda tx: outbox.enqueue(tx, draft, NOW))

    def write(self, function: Any, *arguments: Any, **options: Any) -> Any:
        return self.db.write_now(lambda tx: function(tx, *arguments, **options))

    def row(self, number: int) -> OutboxRow:
        found = self.write(outbox.outbox_row, number)
        assert found is not None
        return found

    def due(self) -> list[int]:
        return [
            row.id for one in (HUMAN, BULK) for row in self.write(outbox.due_after, one, (-1, 0), NOW, 99)
        ]


class PauseTests(OrderCase):
    def test_what_waits_and_what_comes_stays_until_the_domain_is_resumed(self) -> None:
        first, other = self.add("a@Y.example"), self.add("a@z.example")
        self.assertTrue(self.write(queue_orders.pause_domain, "y.example", "down", NOW))
        self.assertFalse(self.write(queue_orders.pause_domain, "y.example", "again", NOW))
        self.assertEqual(self.write(queue_orders.move_paused, "y.example", 10), 1)
        self.assertEqual(self.write(queue_orders.move_paused, "y.example", 10), 0)
        second = self.add("b@y.example")
        self.assertEqual(self.due(), [other])
        self.assertEqual([self.row(one).state for one in (first, second)], ["paused", "paused"])
        self.assertEqual([one.reason for one in self.write(queue_orders.paused_domains)], ["down"])
        self.assertTrue(self.write(queue_orders.resume_domain, "y.example"))
        self.assertEqual(self.write(queue_orders.move_paused, "y.example", 1), 1)
        self.assertEqual(self.write(queue_orders.move_paused, "y.example", 1), 1)
        self.assertEqual(self.due(), [first, other, second])

    def test_an_attempt_that_ends_in_a_paused_domain_waits_with_the_others(self) -> None:
        number = self.add()
        self.write(outbox.lease, [number], NOW + 5)
        self.write(queue_orders.pause_domain, "y.example", "", NOW)
        self.write(outbox.retry, number, NOW, "451", NOW)
        self.assertEqual((self.row(number).state, self.due()), ("paused", []))

    def test_a_crash_while_a_domain_is_resumed_strands_nothing(self) -> None:
        number = self.add()
        self.write(queue_orders.pause_domain, "y.example", "", NOW)
        self.write(queue_orders.move_paused, "y.example", 10)
        self.write(queue_orders.resume_domain, "y.example")
        self.write(outbox.release_leases)
        self.assertEqual(self.due(), [number])

    def test_a_crash_does_not_wake_a_paused_domain(self) -> None:
        number = self.add()
        self.write(outbox.lease, [number], NOW + 5)
        self.write(queue_orders.pause_domain, "y.example", "", NOW)
        self.write(outbox.release_leases)
        self.assertEqual(self.row(number).state, "paused")


class RowTests(OrderCase):
    def test_a_held_row_goes_when_it_is_released(self) -> None:
        number = self.add()
        self.assertFalse(self.write(queue_orders.release, number, NOW))
        self.write(outbox.hold, number)
        self.assertEqual(self.due(), [])
        self.assertTrue(self.write(queue_orders.release, number, NOW))
        self.assertEqual(self.due(), [number])

    def test_a_bounced_row_is_due_with_its_verdict(self) -> None:
        number = self.add(due=NOW + 10_000)
        self.write(outbox.hold, number)
        self.assertTrue(self.write(queue_orders.bounce, number, "no more", NOW))
        self.assertEqual((self.due(), self.row(number).verdict), ([number], "no more"))
        self.write(outbox.failed, number, "5.3.0", NOW)
        self.assertFalse(self.write(queue_orders.bounce, number, "no more", NOW))

    def test_a_row_on_its_way_stays_leased_when_it_is_bounced(self) -> None:
        number = self.add()
        self.write(outbox.lease, [number], NOW + 5)
        self.assertTrue(self.write(queue_orders.bounce, number, "no", NOW))
        self.assertEqual((self.row(number).state, self.due()), ("leased", []))

    def test_human_mail_comes_before_what_waited_longer(self) -> None:
        bulk, human = self.add(priority=BULK, due=NOW - 5), self.add()
        self.assertEqual(self.due(), [human, bulk])
        self.assertEqual([row.id for row in self.write(outbox.due_after, BULK, (-1, 0), NOW, 9)], [bulk])
        self.assertEqual(self.write(outbox.next_after, BULK, (-1, 0)), NOW - 5)

    def test_rows_are_found_by_domain_sender_and_state(self) -> None:
        one, two = self.add("a@y.example"), self.add("a@z.example", sender="t@x")
        found = lambda **options: [row.id for row in self.write(queue_orders.select, 9, **options)]  # noqa: E731
        self.assertEqual(found(domain="y.example"), [one])
        self.assertEqual(found(sender="t@x"), [two])
        self.assertEqual(found(states=("held",)), [])
        self.assertEqual(found(after=one), [two])
        self.write(outbox.sent, one, "250", NOW)
        self.assertEqual((found(), found(states=("sent",), domain="y.example")), ([two], [one]))


class SuppressedTests(OrderCase):
    def test_an_address_is_on_the_list_until_it_is_taken_off(self) -> None:
        self.write(queue_orders.suppress, "a@y", "550 5.1.1 gone", "s@x", NOW)
        self.write(queue_orders.suppress, "a@y", "later words", "t@x", NOW + 1)
        found = self.write(queue_orders.suppressed, "a@y")
        self.assertEqual((found.reason, found.at, found.sender), ("550 5.1.1 gone", NOW, "s@x"))
        self.assertEqual(self.write(queue_orders.suppressed_listing, 10), [found])
        self.assertIsNone(self.write(queue_orders.suppressed, "b@y"))
        self.assertTrue(self.write(queue_orders.unsuppress, "a@y"))
        self.assertFalse(self.write(queue_orders.unsuppress, "a@y"))

    def test_the_figures(self) -> None:
        self.add("a@y.example")
        self.add("b@y.example", due=NOW + 9)
        self.write(outbox.hold, self.add("a@z.example"))
        self.write(outbox.sent, self.add("a@z.example"), "250", NOW)
        self.write(queue_orders.suppress, "a@y", "", "", NOW)
        stats = self.write(queue_orders.stats, NOW)
        self.assertEqual(stats.states, {"due": 2, "held": 1, "sent": 1})
        self.assertEqual(stats.domains, (("y.example", 2), ("z.example", 1)))
        self.assertEqual((stats.oldest, stats.bytes, stats.due, stats.suppressed), (NOW, 27, 1, 1))
