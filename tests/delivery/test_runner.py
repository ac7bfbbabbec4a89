"""The queue at work: six days shrunk by the clock."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail
from zope.interface.verify import verifyObject

from posthouse.delivery.catcher import CAUGHT, Catcher
from posthouse.delivery.routes import Routes, Smarthost
from posthouse.errors import AcceptsNoMail, NoSuchDomain, StorageFull, TryLater
from posthouse.interfaces import IRelay
from posthouse.mime.headers import parse_headers
from posthouse.model import Item, RelayJob
from posthouse.store import folders, outbox
from tests.delivery.house import PLAIN, HouseCase

HOUR = 3600
DAY = 24 * HOUR
OUT = PLAIN.replace(b"bob@here.example", b"far@there.example")


class RunnerCase(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.successResultOf(self.runner.start())

    def run_for(self, seconds: float, step: float = 30.0) -> None:
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(step, end - self.clock.seconds()))

    def send(self, data: bytes = OUT) -> None:
        self.submit(data, save=False)
        self.clock.advance(0)
        self.clock.advance(0)

    def states(self) -> dict[str, str]:
        return {row.recipient: row.state for row in self.queue(finished=True)}

    def reports(self) -> list[Item]:
        return self.items(self.ann)


class SendingTests(RunnerCase):
    def test_a_message_leaves_at_once(self) -> None:
        self.send()
        self.assertEqual(self.states(), {"far@there.example": "sent"})
        (job,) = self.relay.jobs
        self.assertEqual((job.sender, job.recipients), ("ann@here.example", ("far@there.example",)))
        self.assertEqual(job.hosts[0].addresses, ("192.0.2.25",))
        (message,) = self.relay.messages
        self.assertEqual(len(message), job.size)
        self.assertTrue(message.startswith(b"Received: by mx.here.example (Posthouse)"))
        self.assertTrue(message.endswith(OUT))
        self.assertEqual(self.reports(), [])

    def test_any_range_can_be_read(self) -> None:
        self.send()
        (job,), (message,) = self.relay.jobs, self.relay.messages
        for start in range(0, job.size, 37):
            for length in (0, 1, 200, 10_000):
                read: Any = job.read(start, start + length)
                data = read if isinstance(read, bytes) else self.successResultOf(Deferred.fromCoroutine(read))
                self.assertEqual(data, message[start : start + length])

    def test_recipients_of_one_domain_share_a_job_others_do_not(self) -> None:
        self.resolver.add("else.example")
        self.send(OUT.replace(b"far@there.example", b"a@there.example, b@There.example, c@else.example"))
        self.assertEqual(
            sorted(job.recipients for job in self.relay.jobs),
            [("a@there.example", "b@there.example"), ("c@else.example",)],
        )

    def test_an_attempt_is_on_record_before_anything_is_sent(self) -> None:
        self.relay.hold = True
        self.send()
        (row,) = self.queue()
        self.assertEqual((row.state, row.attempts), ("leased", 1))
        self.assertGreater(row.due, self.now() + 4 * 60_000)
        self.relay.release()
        self.assertEqual(self.states(), {"far@there.example": "sent"})

    def test_a_row_is_in_one_attempt_at_a_time(self) -> None:
        self.relay.hold = True
        self.send()
        self.run_for(2 * HOUR, 60)
        self.assertEqual(len(self.relay.jobs), 1)
        self.relay.release()

    def test_lanes_are_kept_and_everything_goes_in_the_end(self) -> None:
        self.relay.hold = True
        for number in range(30):
            self.send(OUT.replace(b"<1@", b"<%d@" % number))
        self.assertEqual((len(self.relay.held), self.runner.busy), (2, 2))
        most = 0
        while self.relay.held:
            self.relay.release()
            self.clock.advance(0)
            most = max(most, len(self.relay.held))
        self.assertEqual(len(self.relay.jobs), 30)
        self.assertEqual(most, 10)
        self.assertEqual(self.queue(), [])

    def test_a_slow_destination_does_not_hold_up_another(self) -> None:
        self.relay.hold = True
        for number in range(9):
            self.send(OUT.replace(b"<1@", b"<%d@" % number))
        self.resolver.add("else.example")
        self.send(OUT.replace(b"far@there.example", b"c@else.example"))
        self.assertIn(("c@else.example",), [job.recipients for job, _ in self.relay.held])
        self.relay.release()

    def test_the_smarthost_gets_everything_with_its_login(self) -> None:
        self.resolver.known["relay"] = ["127.0.0.1"]
        self.runner = self.make_runner(
            routes=Routes(self.resolver, smarthost=Smarthost("relay", 465, "u", "p", "verified", True))
        )
        self.successResultOf(self.runner.start())
        self.send()
        (job,) = self.relay.jobs
        self.assertEqual(
            (job.hosts[0].host, job.hosts[0].port, job.hosts[0].implicit_tls), ("relay", 465, True)
        )
        self.assertEqual((job.login, job.tls), (("u", "p"), "verified"))
        self.assertNotIn("there.example", self.resolver.asked)


class RetryTests(RunnerCase):
    def refuse(self, code: int = 451, enhanced: str = "4.7.1", text: str = "greylisted") -> None:
        self.relay.answer = lambda recipient: (code, enhanced, text)

    def test_six_days_of_a_dead_destination(self) -> None:
        self.refuse()
        start = self.clock.seconds()
        self.send()
        times: list[float] = []
        seen = 0
        delayed_at = None
        while self.clock.seconds() - start < 6 * DAY:
            self.clock.advance(60)
            if len(self.relay.jobs) > seen:
                seen = len(self.relay.jobs)
                times.append(self.clock.seconds() - start)
            if delayed_at is None and self.reports():
                delayed_at = self.clock.seconds() - start
        self.assertTrue(20 <= seen <= 30, seen)
        self.assertTrue(abs(times[0] - 60) <= 60 and 4 * 60 < times[1] < 8 * 60, times[:3])
        gaps = [later - earlier for earlier, later in pairwise(times[8:-1])]
        self.assertTrue(all(5.3 * HOUR < gap < 6.7 * HOUR for gap in gaps), gaps)
        self.assertTrue(abs(times[-1] - 5 * DAY) < 120, times[-1])
        self.assertEqual(self.states(), {"far@there.example": "failed"})
        delay, failure = self.reports()
        assert delayed_at is not None
        self.assertTrue(4 * HOUR <= delayed_at < 9 * HOUR)
        self.assertEqual(delay.message_class, "REPORT.IPM.Note.DELAYED")
        self.assertIn(b"Will-Retry-Until:", self.body(delay))
        self.assertEqual(failure.message_class, "REPORT.IPM.Note.NDR")
        self.assertIn(b"Status: 5.4.7", self.body(failure))
        self.assertIn(b"greylisted", self.body(failure))

    def test_a_temporary_refusal_passes(self) -> None:
        self.refuse()
        self.send()
        (row,) = self.queue()
        self.assertEqual((row.state, row.last_reply), ("due", "451 4.7.1 greylisted (mx.there.example)"))
        self.relay.answer = lambda recipient: (250, "2.0.0", "ok")
        self.run_for(6 * 60)
        self.assertEqual(self.states(), {"far@there.example": "sent"})
        self.assertEqual(self.reports(), [])

    def test_a_permanent_refusal_is_reported_at_once(self) -> None:
        self.refuse(550, "5.1.1", "no such user")
        self.send()
        self.assertEqual(self.states(), {"far@there.example": "failed"})
        (report,) = self.reports()
        data = self.body(report)
        fields = dict(parse_headers(report.trace + data))
        self.assertEqual(fields["return-path"], b"<>")
        self.assertEqual(fields["auto-submitted"], b"auto-replied")
        for line in (
            b"Reporting-MTA: dns; mx.here.example",
            b"Final-Recipient: rfc822; far@there.example",
            b"Action: failed",
            b"Status: 5.1.1",
            b"Remote-MTA: dns; mx.there.example",
            b"Diagnostic-Code: smtp; 550 5.1.1 no such user",
            b"Message-ID: <1@here.example>",
        ):
            self.assertIn(line, data)

    def test_one_report_for_all_that_failed_together(self) -> None:
        self.relay.answer = lambda recipient: (
            (250, "2.0.0", "ok") if recipient[0] == "b" else (550, "5.1.1", "no")
        )
        self.send(OUT.replace(b"far@there.example", b"a@there.example, b@there.example, c@there.example"))
        (report,) = self.reports()
        self.assertEqual(self.body(report).count(b"Final-Recipient"), 2)
        self.assertEqual(
            self.states(),
            {"a@there.example": "failed", "b@there.example": "sent", "c@there.example": "failed"},
        )

    def test_no_dsn_for_dsn(self) -> None:
        self.refuse(550, "5.1.1", "no such user")
        self.accept(PLAIN, "", "away@here.example")
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.states(), {"far@there.example": "failed"})
        self.assertEqual((self.reports(), self.items(self.bob), self.queue()), ([], [], []))

    def test_the_report_of_a_forward_goes_to_the_remote_sender_from_nobody(self) -> None:
        self.relay.answer = lambda recipient: (
            (550, "5.1.1", "no") if recipient[0] == "f" else (250, "2.0.0", "ok")
        )
        self.resolver.add("else.example")
        self.accept(PLAIN, "x@else.example", "away@here.example")
        for _ in range(5):
            self.clock.advance(0)
        self.assertEqual(self.states(), {"far@there.example": "failed", "x@else.example": "sent"})
        self.assertEqual(self.relay.jobs[-1].sender, "")
        self.assertIn(b"Final-Recipient: rfc822; far@there.example", self.relay.messages[-1])

    def test_what_failed_may_be_sent_again_at_once(self) -> None:
        """The same bytes within the hour are no repeat of what was never delivered."""
        self.relay.answer = lambda recipient: (552, "5.2.2", "full")
        for _ in range(2):
            envelope = self.envelope("ann@here.example", "far@there.example", account=self.ann)
            self.successResultOf(self.intake.accept(envelope, self.spooled(OUT)))
            self.clock.advance(0)
        self.assertEqual((len(self.relay.jobs), len(self.reports())), (2, 2))

    def test_a_report_that_fails_ends_in_silence(self) -> None:
        self.refuse(550, "5.1.1", "no")
        self.resolver.add("else.example")
        self.accept(PLAIN, "x@else.example", "away@here.example")
        for _ in range(5):
            self.clock.advance(0)
        self.assertEqual(set(self.states().values()), {"failed"})
        self.assertEqual(len(self.queue(finished=True)), 2)

    def test_notify_never_is_kept(self) -> None:
        self.refuse(550, "5.1.1", "no")
        envelope = self.envelope("ann@here.example", "far@there.example", account=self.ann)

        envelope = evolve(envelope, recipients=(evolve(envelope.recipients[0], notify="NEVER"),))
        self.successResultOf(self.intake.accept(envelope, self.spooled(OUT)))
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.states(), {"far@there.example": "failed"})
        self.assertEqual(self.reports(), [])


class RouteTests(RunnerCase):
    def status(self) -> str:
        (report,) = self.reports()
        data = self.body(report)
        return data[data.index(b"Status: ") + 8 :].split(b"\r\n")[0].decode()

    def test_no_such_domain(self) -> None:
        self.resolver.hosts["there.example"] = NoSuchDomain()
        self.send()
        self.assertEqual((self.states(), self.status()), ({"far@there.example": "failed"}, "5.1.2"))

    def test_null_mx(self) -> None:
        self.resolver.hosts["there.example"] = AcceptsNoMail()
        self.send()
        self.assertEqual((self.states(), self.status()), ({"far@there.example": "failed"}, "5.1.10"))

    def test_servfail_is_temporary(self) -> None:
        self.resolver.hosts["there.example"] = TryLater(cause="SERVFAIL")
        self.send()
        self.assertEqual((self.states(), self.reports()), ({"far@there.example": "due"}, []))
        self.resolver.add("there.example")
        self.run_for(6 * 60)
        self.assertEqual(self.states(), {"far@there.example": "sent"})

    def test_loop_by_own_mx(self) -> None:
        self.resolver.add("there.example", "127.0.0.1")
        self.send()
        self.assertEqual((self.states(), self.status()), ({"far@there.example": "failed"}, "5.4.6"))
        self.assertEqual(self.relay.jobs, [])


class CrashTests(RunnerCase):
    def test_a_crash_in_the_middle_is_tried_once_more(self) -> None:
        self.relay.hold = True
        self.send()
        self.runner._running = False  # the process dies: nothing of it is heard again
        self.relay.held.clear()
        self.relay.hold = False
        self.runner = self.make_runner()
        self.successResultOf(self.runner.start())
        self.run_for(2 * HOUR)
        self.assertEqual((len(self.relay.jobs), self.states()), (2, {"far@there.example": "sent"}))

    def test_a_crash_loop_does_not_hammer(self) -> None:
        self.relay.hold = True
        self.send()
        for _ in range(50):
            self.runner._running = False
            self.runner = self.make_runner()
            self.successResultOf(self.runner.start())
            self.clock.advance(2)
        self.assertLess(len(self.relay.jobs), 5)

    def test_stop_waits_for_what_runs(self) -> None:
        self.relay.hold = True
        self.send()
        stopping = self.runner.stop()
        self.assertNoResult(stopping)
        self.relay.release()
        self.successResultOf(stopping)
        self.assertEqual(self.states(), {"far@there.example": "sent"})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_breaks_off_after_the_grace_and_leaves_the_lease(self) -> None:
        self.relay.hold = True
        self.send()
        stopping = self.runner.stop()
        self.clock.advance(self.runner.grace)
        self.successResultOf(stopping)
        self.assertEqual(self.states(), {"far@there.example": "leased"})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_outcome_that_cannot_be_written_is_written_later_not_sent_again(self) -> None:
        self.relay.hold = True
        self.send()
        real = self.db.write
        self.db.write = lambda function: fail(StorageFull())  # type: ignore[method-assign]
        self.relay.release()
        self.run_for(60, 5)
        self.assertEqual(self.states(), {"far@there.example": "leased"})
        self.db.write = real  # type: ignore[method-assign]
        self.run_for(10, 5)
        self.assertEqual((self.states(), len(self.relay.jobs)), ({"far@there.example": "sent"}, 1))

    def test_a_store_that_cannot_be_read_is_asked_again(self) -> None:
        real = self.db.read
        self.submit(OUT, save=False)
        self.db.read = lambda function: fail(TryLater())  # type: ignore[method-assign]
        self.clock.advance(0)
        self.db.read = real  # type: ignore[method-assign]
        self.run_for(10, 5)
        self.assertEqual(self.states(), {"far@there.example": "sent"})

    def test_a_row_whose_body_vanished_fails_with_a_report(self) -> None:
        self.relay.answer = lambda recipient: (451, "4.0.0", "later")
        self.send()
        (row,) = self.queue()
        self.db.write_now(lambda tx: tx.execute("DELETE FROM body WHERE id = ?", (row.body_id,)))
        self.run_for(6 * 60)
        self.assertEqual(self.states(), {"far@there.example": "failed"})
        self.assertIn(b"lost on this server", self.body(self.reports()[0]))

    def test_a_damaged_body_keeps_to_the_schedule_and_fails_with_a_report(self) -> None:
        self.relay.answer = lambda recipient: (451, "4.0.0", "later")
        self.send()
        self.db.write_now(lambda tx: tx.execute("DELETE FROM chunk WHERE id < 1 << 17"))
        self.run_for(DAY, 60)
        self.assertTrue(8 < len(self.relay.jobs) < 12, len(self.relay.jobs))
        self.assertIn("lacks chunks", self.queue()[0].last_reply)
        self.run_for(5 * DAY, 600)
        self.assertEqual(self.states(), {"far@there.example": "failed"})
        self.assertEqual(self.reports()[-1].message_class, "REPORT.IPM.Note.NDR")

    def test_a_relay_that_breaks_is_a_retry(self) -> None:
        self.patch(self.relay, "send", lambda job: fail(ZeroDivisionError()))
        self.send()
        self.assertEqual(self.states(), {"far@there.example": "due"})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_dropped_row_is_neither_sent_nor_reported(self) -> None:
        self.relay.hold = True
        self.relay.answer = lambda recipient: (550, "5.1.1", "no")
        self.send()
        (row,) = self.queue()
        self.db.write_now(lambda tx: outbox.drop(tx, row.id))
        self.relay.release()
        self.assertEqual((self.states(), self.reports()), ({}, []))

    def test_a_poke_wakes_and_an_empty_queue_sleeps(self) -> None:
        reads: list[Any] = []
        real = self.db.read
        self.patch(self.db, "read", lambda function: (reads.append(1), real(function))[1])
        self.run_for(599, 10)
        self.assertEqual(reads, [])
        self.runner.poke()
        self.runner.poke()
        self.clock.advance(0)
        self.assertEqual(len(reads), 1)


class CatcherTests(HouseCase):
    def caught(self) -> list[Item]:
        found = self.db.read_now(lambda tx: folders.list_folders(tx, self.ann.mailbox_id))
        return [item for folder in found if folder.name == CAUGHT for item in self.items_in(folder)]

    def test_mail_for_elsewhere_is_caught_and_counts_as_sent(self) -> None:
        catcher = Catcher(self.db, self.pool, self.clock.seconds)
        verifyObject(IRelay, catcher)
        self.runner = self.make_runner(catcher)
        self.runner.sender.routes = None
        self.successResultOf(self.runner.start())
        for number in range(2):
            self.submit(
                OUT.replace(b"<1@", b"<%d@" % number).replace(b"\r\nSubject", b", x@gone.example\r\nSubject")
            )
            self.clock.advance(0)
            self.clock.advance(0)
        self.assertEqual({row.state for row in self.queue(finished=True)}, {"sent"})
        self.assertIn("250 caught", self.queue(finished=True)[0].last_reply)
        items = self.caught()
        self.assertEqual(len(items), 4)
        self.assertIn(b"Delivered-To: far@there.example", items[0].trace)
        self.assertEqual(items[0].subject, "Hello")
        self.assertEqual(self.resolver.asked, [])

    def test_a_full_store_is_a_retry(self) -> None:
        catcher = Catcher(self.db, self.pool, self.clock.seconds)
        self.patch(self.db, "write", lambda function: fail(StorageFull()))

        job = RelayJob((), "a@b", ("c@d",), lambda start, stop: OUT[start:stop], len(OUT))
        (result,) = self.successResultOf(catcher.send(job))
        self.assertEqual((result.outcome, result.code), ("retry", 451))
