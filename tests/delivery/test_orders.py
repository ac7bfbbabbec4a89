"""What the administrator ordered, as the queue carries it out; and addresses that bounced for good."""

from __future__ import annotations

from posthouse.errors import NotPermitted
from posthouse.store import outbox, queue_orders
from posthouse.store.outbox import BULK
from tests.delivery.test_runner import OUT, RunnerCase


class BounceTests(RunnerCase):
    def test_a_message_given_up_by_hand_is_reported_and_not_sent(self) -> None:
        self.relay.answer = lambda recipient: (451, "4.0.0", "later")
        self.send(OUT.replace(b"far@there.example", b"far@there.example, near@there.example"))
        far, near = self.queue()
        self.assertEqual(len(self.relay.jobs), 1)
        self.db.write_now(lambda tx: queue_orders.bounce(tx, far.id, "The list is closed", self.now()))
        self.db.write_now(lambda tx: outbox.retry_now(tx, near.id, self.now()))
        self.relay.answer = lambda recipient: (250, "2.0.0", "ok")
        self.runner.poke()
        self.clock.advance(0)
        self.assertEqual(self.states(), {"far@there.example": "failed", "near@there.example": "sent"})
        self.assertEqual(self.relay.jobs[1].recipients, ("near@there.example",))
        (report,) = self.reports()
        self.assertIn(b"Diagnostic-Code: smtp; 554 5.3.0 The list is closed", self.body(report))

    def test_nothing_goes_to_a_paused_domain(self) -> None:
        self.db.write_now(lambda tx: queue_orders.pause_domain(tx, "there.example", "", self.now()))
        self.send()
        self.run_for(3600)
        self.assertEqual((self.states(), self.relay.jobs), ({"far@there.example": "paused"}, []))

    def test_what_waits_for_a_lane_when_its_domain_is_paused_stays(self) -> None:
        self.relay.hold = True
        for number in range(3):
            self.send(OUT.replace(b"<1@", b"<%d@" % number))
        self.assertEqual(len(self.relay.held), 2)
        self.db.write_now(lambda tx: queue_orders.pause_domain(tx, "there.example", "", self.now()))
        self.db.write_now(lambda tx: queue_orders.move_paused(tx, "there.example", 100))
        self.relay.release()
        self.run_for(60)
        self.assertEqual([row.state for row in self.queue(finished=True)], ["sent", "sent", "paused"])


class SuppressedTests(RunnerCase):
    def test_an_address_that_is_none_is_written_to_once(self) -> None:
        self.relay.answer = lambda recipient: (550, "5.1.1", "no such user")
        self.send()
        self.relay.answer = lambda recipient: (250, "2.0.0", "ok")
        self.send(OUT.replace(b"<1@", b"<2@").replace(b"far@", b"Far@"))
        self.assertEqual(len(self.relay.jobs), 1)
        _, report = self.reports()
        self.assertIn(b"5.1.1 no such user (mx.there.example)", self.body(report))
        self.db.write_now(lambda tx: queue_orders.unsuppress(tx, "far@there.example"))
        self.send(OUT.replace(b"<1@", b"<3@"))
        self.assertEqual(len(self.relay.jobs), 2)

    def test_it_is_refused_to_whom_has_logged_in(self) -> None:
        self.db.write_now(lambda tx: queue_orders.suppress(tx, "far@there.example", "gone", "", self.now()))
        for _ in range(2):
            check = self.intake.check_recipient("far@There.example", self.ann)
            self.assertIn("bounced before", self.failureResultOf(check, NotPermitted).value.public)

    def test_a_verdict_about_us_or_the_message_suppresses_nobody(self) -> None:
        for code, enhanced in ((550, "5.7.1"), (554, "5.6.0"), (552, "5.2.2")):
            self.relay.answer = lambda recipient, c=code, e=enhanced: (c, e, "no")  # type: ignore[misc]
            self.send(OUT.replace(b"<1@", enhanced.encode().join((b"<", b"@"))))
        self.assertEqual(len(self.relay.jobs), 3)
        self.assertEqual(self.db.read_now(lambda tx: queue_orders.suppressed_listing(tx, 9)), [])


class PriorityTests(RunnerCase):
    def test_a_letter_overtakes_a_newsletter(self) -> None:
        self.relay.hold = True
        for number in range(6):
            self.send(OUT.replace(b"<1@", b"<%d@" % number))
        self.db.write_now(
            lambda tx: tx.execute("UPDATE outbox SET priority = ? WHERE state = 'due'", (BULK,))
        )
        self.runner._waiting.clear()
        self.runner.backlog.drop([row for row in self.queue() if row.state == "due"])
        self.runner.poke()
        self.clock.advance(0)
        self.send(OUT.replace(b"<1@", b"<letter@"))
        self.relay.release()
        self.clock.advance(0)
        self.assertIn(b"<letter@", self.relay.messages[2])
        self.relay.hold = False
        self.relay.release()
        self.run_for(30)
        self.assertEqual({row.state for row in self.queue(finished=True)}, {"sent"})
