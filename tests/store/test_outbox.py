"""The life of an outgoing recipient."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import ItemDraft, OutboxRow
from posthouse.store import bodies, delivery, outbox
from posthouse.store.outbox import OutboxDraft
from tests.support.store import NOW, make_database, put

MINUTE = 60 * 1000


FRONT = (-1, 0)


class OutboxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.body = put(self.db)

    def add(self, due: int = NOW, **fields: Any) -> int:
        draft = OutboxDraft(
            **{
                "account_id": 1, "sender": "s@x", "recipient": "r@y", "size": 9, "expires": NOW + 99, "due": due,
                "body_id": self.body.id, **fields,
            }
        )  # fmt: skip
        return self.db.write_now(lambda tx: outbox.enqueue(tx, draft, NOW))

    def row(self, number: int) -> OutboxRow:
        found = self.db.read_now(lambda tx: outbox.outbox_row(tx, number))
        assert found is not None
        return found

    def due(self, now: int) -> list[int]:
        return [
            row.id for row in self.db.read_now(lambda tx: outbox.due_after(tx, outbox.HUMAN, FRONT, now, 99))
        ]

    def write(self, function: Any, *arguments: Any) -> Any:
        return self.db.write_now(lambda tx: function(tx, *arguments))

    def test_everything_comes_back(self) -> None:
        fields = {
            "smtputf8": True, "eight_bit": True, "trace": b"t", "envid": "e", "ret": "HDRS", "notify": "NEVER",
            "orcpt": "rfc822;o",
        }  # fmt: skip
        row = self.row(self.add(**fields))
        for name, value in fields.items():
            self.assertEqual(getattr(row, name), value)
        self.assertEqual((row.state, row.attempts, row.created, row.delay_told), ("due", 0, NOW, False))

    def test_due_in_order_and_the_next_time(self) -> None:
        late, early, future = self.add(NOW), self.add(NOW - 5), self.add(NOW + 50)
        self.assertEqual(self.due(NOW), [early, late])
        self.assertEqual(self.write(outbox.next_after, outbox.HUMAN, FRONT), NOW - 5)
        self.write(outbox.sent, early, "250", NOW)
        self.write(outbox.drop, late)
        self.assertEqual(self.write(outbox.next_after, outbox.HUMAN, FRONT), NOW + 50)
        self.write(outbox.drop, future)
        self.assertIsNone(self.write(outbox.next_after, outbox.HUMAN, FRONT))

    def test_pages_follow_each_other_through_rows_of_one_moment(self) -> None:
        moment = [self.add(NOW) for _ in range(5)]
        earlier, later, future = self.add(NOW - 1), self.add(NOW + 1), self.add(NOW + 9)
        found: list[int] = []
        at = FRONT
        for _ in range(9):
            rows = self.write(outbox.due_after, outbox.HUMAN, at, NOW + 1, 2)
            if not rows:
                break
            found += [row.id for row in rows]
            at = (rows[-1].due, rows[-1].id)
        self.assertEqual(found, [earlier, *moment, later])
        self.assertEqual(self.write(outbox.next_after, outbox.HUMAN, at), NOW + 9)
        self.assertEqual(self.write(outbox.next_after, outbox.HUMAN, (NOW, moment[0])), NOW)
        self.assertEqual(self.write(outbox.last_id), future)

    def test_what_was_queued_since_is_found_by_number(self) -> None:
        first, early, future = self.add(NOW), self.add(NOW - 60_000), self.add(NOW + 60_000)
        held = self.add(NOW)
        self.write(outbox.hold, held)
        rows, passed = self.write(outbox.queued_since, first, NOW, 9)
        self.assertEqual(([row.id for row in rows], passed), ([early], None))
        rows, passed = self.write(outbox.queued_since, first - 1, NOW, 2)
        self.assertEqual(([row.id for row in rows], passed), ([first, early], early))
        self.assertEqual(self.write(outbox.queued_since, future, NOW, 9), ([], None))

    def test_a_leased_row_is_nobody_elses_until_the_lease_runs_out(self) -> None:
        number = self.add()
        self.assertEqual(self.write(outbox.lease, [number, 999], NOW + MINUTE), [number])
        self.assertEqual((self.due(NOW), self.row(number).attempts), ([], 1))
        self.assertEqual(self.due(NOW + MINUTE), [number])

    def test_after_a_crash_it_is_due_again_and_later_each_time(self) -> None:
        number = self.add()
        for attempt in range(3):
            self.write(outbox.lease, [number], NOW + 100 * MINUTE)
            self.assertEqual(self.write(outbox.release_leases), 1)
            row = self.row(number)
            self.assertEqual((row.state, row.attempts), ("due", attempt + 1))
            self.assertLess(row.due, NOW + 10 * MINUTE)
        self.assertGreater(row.due, NOW)
        self.assertEqual(self.write(outbox.release_leases), 0)

    def test_outcomes(self) -> None:
        done, later, never = self.add(), self.add(), self.add()
        self.write(outbox.lease, [done, later, never], NOW + MINUTE)
        self.assertTrue(self.write(outbox.sent, done, "250 ok", NOW + 1))
        self.assertTrue(self.write(outbox.retry, later, NOW + 500, "450 busy", NOW + 1))
        self.assertTrue(self.write(outbox.failed, never, "550 no\0", NOW + 1))
        self.assertEqual([self.row(n).state for n in (done, later, never)], ["sent", "due", "failed"])
        self.assertEqual(self.row(never).last_reply, "550 no")
        self.assertEqual((self.row(later).due, self.row(later).last_attempt), (NOW + 500, NOW + 1))
        # A finished row stays finished, whoever comes late.
        self.assertFalse(self.write(outbox.retry, done, NOW, "x", NOW))
        self.assertFalse(self.write(outbox.failed, done, "x", NOW))
        self.assertEqual(self.write(outbox.lease, [done, never], NOW), [])
        listed = self.db.read_now(lambda tx: [row.id for row in outbox.listing(tx, 9)])
        self.assertEqual(listed, [later])
        everything = self.db.read_now(lambda tx: [row.id for row in outbox.listing(tx, 9, finished=True)])
        self.assertEqual(everything, [done, later, never])

    def test_what_was_dropped_may_be_sent_again_what_was_sent_not(self) -> None:
        def deliver() -> tuple[int, ...]:
            draft = OutboxDraft(
                account_id=1, sender="s@x", recipient="r@y", size=9, expires=NOW + 99, due=NOW
            )
            item = ItemDraft(received=NOW, size=9, message_id="<1@x>")
            return self.db.write_now(
                lambda tx: delivery.deliver(tx, self.body, item, [], "s@x", [draft], NOW)
            ).outbox_ids

        (number,) = deliver()
        self.write(outbox.drop, number)
        (number,) = deliver()
        self.write(outbox.sent, number, "250", NOW)
        self.assertEqual(deliver(), ())

    def test_held_rows_wait_for_the_administrator(self) -> None:
        number = self.add()
        self.assertTrue(self.write(outbox.hold, number))
        self.assertEqual((self.due(NOW), self.write(outbox.lease, [number], NOW)), ([], []))
        self.assertTrue(self.write(outbox.retry_now, number, NOW + 5))
        self.assertEqual(self.due(NOW + 5), [number])
        self.write(outbox.mark_delay_told, number)
        self.assertTrue(self.row(number).delay_told)

    def test_the_body_stays_until_the_last_row_is_gone(self) -> None:
        first, second = self.add(), self.add()
        late = NOW + 48 * 60 * MINUTE
        sweep = lambda: self.db.write_now(lambda tx: bodies.sweep(tx, 9, late))  # noqa: E731
        self.write(outbox.sent, first, "250", NOW)
        sweep()
        self.assertEqual(self.write(outbox.prune, late, 9), 1)
        sweep()
        self.assertIsNotNone(self.db.read_now(lambda tx: bodies.body_ref(tx, self.body.id)))
        self.assertTrue(self.write(outbox.drop, second))
        self.assertFalse(self.write(outbox.drop, second))
        sweep()
        self.assertIsNone(self.db.read_now(lambda tx: bodies.body_ref(tx, self.body.id)))
