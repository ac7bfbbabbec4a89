"""The queue is read once, whatever waits in it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import fail

from posthouse.delivery.backlog import Backlog
from posthouse.errors import TryLater
from posthouse.model import OutboxRow
from posthouse.store import bodies, outbox, queue_orders
from posthouse.store.outbox import BULK, HUMAN
from tests.delivery.house import PLAIN, HouseCase

DOMAINS = 60


class BacklogCase(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.relay.hold = True
        self.read: Counter[int] = Counter()
        self.looks = 0
        for name in ("due_after", "queued_since"):
            self.patch(outbox, name, self.counting(getattr(outbox, name)))
        self.body = self.db.write_now(lambda tx: bodies.put_body(tx, bodies.prepare(PLAIN), 0))
        self.runner.backlog = Backlog(page=100, most=1000)

    def counting(self, function: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            found = function(*arguments)
            rows = found[0] if isinstance(found, tuple) else found
            self.read.update(row.id for row in rows)
            self.looks += 1
            return found

        return counted

    def heard(self, news: Any) -> None:
        if news.mailbox_id == outbox.QUEUE:
            self.runner.hear()

    def queue_row(self, domain: str, due: int | None = None, priority: int = HUMAN) -> int:
        self.resolver.add(domain)
        draft = outbox.OutboxDraft(
            None, "x@else.example", f"far@{domain}", 99, self.now() + 10**9,
            self.now() if due is None else due, self.body.id, priority=priority,
        )  # fmt: skip
        return self.db.write_now(lambda tx: outbox.enqueue(tx, draft, self.now()))

    def fill(self, count: int, priority: int = HUMAN) -> list[int]:
        return [self.queue_row(f"d{number % DOMAINS}.example", None, priority) for number in range(count)]

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(0)

    def sent(self) -> int:
        """How many rows have left, each counted as often as it did."""
        return sum(len(job.recipients) for job in self.relay.jobs)

    def drain(self) -> None:
        for _ in range(300):
            self.relay.release()
            self.turn(3)
            if not self.queue():
                return
        self.fail(f"{len(self.queue())} rows are left")


class ReadingTests(BacklogCase):
    def test_what_waits_is_read_once(self) -> None:
        rows = self.fill(700) + self.fill(150, BULK)
        self.successResultOf(self.runner.start())
        self.turn(30)
        self.assertEqual(self.read, Counter(rows))
        self.assertEqual(len(self.runner.backlog), 850)
        for number in range(20):
            new = self.queue_row(f"new{number}.example")
            self.turn(3)
            self.assertLessEqual(self.read.pop(new), 2)  # by its number, and by its time
        self.assertEqual(sum(self.read.values()), 850)
        self.drain()
        self.assertEqual(self.sent(), 870)
        self.assertEqual(sum(self.read.values()), 850)

    def test_a_look_without_news_reads_nothing(self) -> None:
        self.fill(300)
        self.successResultOf(self.runner.start())
        self.turn(20)
        before = sum(self.read.values())
        for _ in range(50):
            self.runner.hear()
            self.turn()
        self.assertEqual(sum(self.read.values()), before)

    def test_what_is_queued_late_under_an_earlier_time_is_found(self) -> None:
        self.fill(5)
        self.successResultOf(self.runner.start())
        self.turn(5)
        self.queue_row("late.example", self.now() - 60_000)
        self.turn(3)
        self.assertIn("far@late.example", [job.recipients[0] for job in self.relay.jobs])

    def test_what_is_due_later_wakes_the_runner(self) -> None:
        self.successResultOf(self.runner.start())
        self.queue_row("later.example", self.now() + 90_000)
        self.turn(3)
        self.clock.advance(89)
        self.assertEqual(self.relay.jobs, [])
        self.clock.advance(1.1)
        self.turn(2)
        self.assertEqual(len(self.relay.jobs), 1)

    def test_what_is_made_due_by_hand_is_found_after_a_poke(self) -> None:
        number = self.queue_row("d0.example")
        self.db.write_now(lambda tx: outbox.hold(tx, number))
        self.fill(5)
        self.successResultOf(self.runner.start())
        self.turn(5)
        self.db.write_now(lambda tx: queue_orders.release(tx, number, self.now() - 1000))
        self.runner.poke()
        self.turn(3)
        self.assertEqual(self.read[number], 1)
        self.drain()

    def test_without_a_poke_it_is_found_within_ten_minutes(self) -> None:
        number = self.queue_row("held.example")
        self.db.write_now(lambda tx: outbox.hold(tx, number))
        self.fill(5)
        self.successResultOf(self.runner.start())
        self.turn(5)
        self.db.write_now(lambda tx: queue_orders.release(tx, number, self.now() - 1000))
        self.clock.pump([30] * 21)
        self.assertIn("far@held.example", [job.recipients[0] for job in self.relay.jobs])

    def test_new_mail_does_not_wait_behind_more_than_is_held_in_memory(self) -> None:
        self.runner.backlog = Backlog(page=50, most=100)
        self.fill(400)
        self.successResultOf(self.runner.start())
        self.turn(30)
        self.assertLess(len(self.runner.backlog), 200)
        before = sum(self.read.values())
        for _ in range(20):
            self.runner.hear()
            self.turn()
        self.assertEqual(sum(self.read.values()), before)
        new = self.queue_row("new.example")
        self.turn(3)
        self.assertEqual(self.read[new], 1)
        self.drain()
        self.assertEqual(self.sent(), 401)

    def test_a_store_that_fails_for_a_moment_hides_nothing(self) -> None:
        self.fill(3)
        read, write = self.db.read, self.db.write
        failing = [True]

        def broken(real: Any) -> Any:
            def call(function: Any) -> Any:
                if failing[0]:
                    return fail(TryLater(cause="busy"))
                return real(function)

            return call

        self.successResultOf(self.runner.start())  # reads, and takes the first two
        self.db.read, self.db.write = broken(read), broken(write)  # type: ignore[method-assign]
        self.runner.hear()
        self.turn(3)
        self.relay.release()
        self.turn(3)
        failing[0] = False
        self.relay.hold = False
        self.clock.pump([1] * 20)
        self.assertEqual(self.queue(), [])
        self.assertEqual(self.sent(), 3)


class BacklogTests(BacklogCase):
    def row(self, number: int) -> OutboxRow:
        found = self.db.read_now(lambda tx: outbox.outbox_row(tx, number))
        assert found is not None
        return found

    def test_what_is_in_hand_is_not_given_twice(self) -> None:
        rows = self.fill(3)
        backlog = Backlog()
        look = self.db.read_now(backlog.ask(self.now()))
        self.assertEqual([row.id for row in backlog.take(look)], rows)
        backlog.again()
        self.assertEqual(list(backlog.take(self.db.read_now(backlog.ask(self.now())))), [])
        backlog.drop([self.row(rows[1])])
        backlog.again()
        look = self.db.read_now(backlog.ask(self.now()))
        self.assertEqual([row.id for row in backlog.take(look)], [rows[1]])

    def test_again_during_a_look_is_not_forgotten(self) -> None:
        rows = self.fill(2)
        backlog = Backlog()
        look = self.db.read_now(backlog.ask(self.now()))
        backlog.again()
        backlog.drop(backlog.take(look))
        look = self.db.read_now(backlog.ask(self.now()))
        self.assertEqual([row.id for row in backlog.take(look)], rows)

    def test_a_clock_that_was_put_back_begins_anew(self) -> None:
        (number,) = self.fill(1)
        backlog = Backlog()
        backlog.drop(backlog.take(self.db.read_now(backlog.ask(self.now()))))
        self.db.write_now(lambda tx: outbox.retry(tx, number, self.now() - 3_600_000, "450 x", 0))
        look = self.db.read_now(backlog.ask(self.now() - 3_500_000))
        self.assertEqual([row.id for row in backlog.take(look)], [number])
