"""Six days of a destination that does not answer, shrunk by the clock: each time as documented, and who hears of it."""

from __future__ import annotations

from itertools import pairwise

from attrs import evolve

from posthouse.delivery.schedule import BOUNCE_LIFE, DELAY_NOTICE_AFTER, LIFE, WAITS
from posthouse.model import Item
from tests.delivery.house import PLAIN, HouseCase

HOUR = 3600
DAY = 24 * HOUR
OUT = PLAIN.replace(b"bob@here.example", b"far@there.example")
# docs/install.rst and RFC 5321 4.5.4.1; minutes
DOCUMENTED = (5, 15, 30, 60, 120, 240, 360)


class SixDaysTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.resolver.add("else.example")
        self.answer(451, "4.7.1", "come back later")
        self.successResultOf(self.runner.start())
        self.began = self.clock.seconds()

    def answer(self, code: int, enhanced: str, text: str) -> None:
        self.relay.answer = lambda recipient: (
            (250, "2.0.0", "ok") if recipient.startswith("x@") else (code, enhanced, text)
        )

    def settle(self) -> None:
        for _ in range(6):
            self.clock.advance(0)

    def live(self, days: float = 6.0) -> list[float]:
        """From one attempt to the next, until that many days are over. :returns: seconds since the beginning."""
        times: list[float] = []
        self.settle()
        while self.clock.seconds() - self.began < days * DAY:
            if len(self.relay.jobs) > len(times):
                times += [self.clock.seconds() - self.began] * (len(self.relay.jobs) - len(times))
            waiting = [row.due for row in self.queue()]
            if not waiting:
                break
            self.clock.advance(max(min(waiting) / 1000 - self.clock.seconds(), 0) + 0.002)
            self.settle()
        return times

    def submit_with(self, **wishes: str) -> None:
        """A submission by SMTP with options of RFC 3461."""
        envelope = self.envelope(
            "ann@here.example",
            "far@there.example",
            account=self.ann,
            envid=wishes.pop("envid", ""),
            ret=wishes.pop("ret", ""),
        )
        envelope = evolve(envelope, recipients=(evolve(envelope.recipients[0], **wishes),))
        self.successResultOf(self.intake.accept(envelope, self.spooled(OUT)))

    def classes(self) -> list[str]:
        return [item.message_class.rpartition(".")[2] for item in self.items(self.ann)]

    def report(self, kind: str) -> tuple[Item, bytes]:
        (item,) = [one for one in self.items(self.ann) if one.message_class.endswith(kind)]
        return item, self.body(item)

    def test_the_figures_are_the_documented_ones(self) -> None:
        self.assertEqual(tuple(wait // 60_000 for wait in WAITS), DOCUMENTED)
        self.assertEqual(
            (LIFE, BOUNCE_LIFE, DELAY_NOTICE_AFTER), (5 * 86_400_000, 2 * 86_400_000, 14_400_000)
        )

    def test_every_attempt_at_its_time(self) -> None:
        self.submit(OUT, save=False)
        times = self.live()
        gaps = [later - earlier for earlier, later in pairwise(times)]
        for number, gap in enumerate(gaps[:-1]):
            wait = DOCUMENTED[min(number, len(DOCUMENTED) - 1)] * 60
            self.assertTrue(0.9 * wait - 1 <= gap <= 1.1 * wait + 1, (number, gap))
        self.assertLess(gaps[-1], 6.7 * HOUR)
        self.assertLess(abs(times[-1] - 5 * DAY), 150)
        self.assertTrue(20 <= len(times) <= 30, len(times))
        self.assertEqual([row.state for row in self.queue(finished=True)], ["failed"])
        self.assertEqual(self.classes(), ["DELAYED", "NDR"])
        delayed, _ = self.report("DELAYED")
        # Four hours are over at the attempt after the sixth, at the latest two hours later.
        self.assertTrue(4 * HOUR <= delayed.received / 1000 - self.began <= 8.5 * HOUR)
        _, data = self.report("NDR")
        self.assertIn(b"Status: 5.4.7", data)
        self.assertIn(b"451 4.7.1 come back later", data)

    def test_days_that_end_well_end_in_silence(self) -> None:
        self.submit(OUT, save=False)
        self.live(days=3)
        self.answer(250, "2.0.0", "at last")
        self.live()
        self.assertEqual([row.state for row in self.queue(finished=True)], ["sent"])
        self.assertEqual(self.classes(), ["DELAYED"])

    def test_a_restart_every_few_hours_changes_no_time(self) -> None:
        self.submit(OUT, save=False)
        self.settle()
        attempts = 0
        while self.queue():
            self.successResultOf(self.runner.stop())
            self.clock.advance(2 * HOUR)
            self.runner = self.make_runner()
            self.successResultOf(self.runner.start())
            self.settle()
            attempts += 1
            self.assertLess(attempts, 100)
        self.assertTrue(18 <= len(self.relay.jobs) <= 30, len(self.relay.jobs))
        self.assertLess(abs(self.clock.seconds() - self.began - 5 * DAY), 2.1 * HOUR)
        self.assertEqual(self.classes(), ["DELAYED", "NDR"])

    def test_the_delay_of_what_is_passed_on_is_told_to_nobody(self) -> None:
        self.accept(OUT, "x@else.example", "away@here.example")
        self.live()
        told = [message for message in self.relay.messages if b"report-type=delivery-status" in message]
        self.assertEqual(len(told), 1)
        self.assertIn(b"Action: failed", told[0])
        self.assertEqual((self.classes(), self.items(self.bob)), ([], []))

    def test_a_report_lives_for_two_days(self) -> None:
        self.accept(OUT, "", "away@here.example")
        times = self.live()
        self.assertLess(abs(times[-1] - 2 * DAY), 150)
        self.assertEqual((self.classes(), self.queue()), ([], []))

    def test_the_sender_hears_what_he_asked_for(self) -> None:
        for notify, heard in (
            ("", ["DELAYED", "NDR"]),
            ("FAILURE", ["NDR"]),
            ("DELAY", ["DELAYED"]),
            ("DELAY,FAILURE", ["DELAYED", "NDR"]),
            ("SUCCESS", []),
            ("NEVER", []),
        ):
            before = len(self.classes())
            self.began = self.clock.seconds()
            self.submit_with(notify=notify)
            self.live()
            self.assertEqual(self.classes()[before:], heard, notify)

    def test_envid_orcpt_and_ret_are_in_the_reports(self) -> None:
        self.submit_with(envid="QQ314159", ret="FULL", orcpt="rfc822;somebody@old.example")
        self.live()
        for kind in ("DELAYED", "NDR"):
            _, data = self.report(kind)
            self.assertIn(b"Original-Envelope-Id: QQ314159", data)
            self.assertIn(b"Original-Recipient: rfc822;somebody@old.example", data)
        _, failure = self.report("NDR")
        self.assertIn(b"Hello Bob", failure)  # RFC 3461 4.3: as a whole with a failure
        _, delay = self.report("DELAYED")
        self.assertNotIn(b"Hello Bob", delay)
