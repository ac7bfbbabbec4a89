"""What a sender who asks for reports gets (RFC 3461)."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from posthouse.model import Account, RecipientResult, RelayJob
from posthouse.store import accounts
from posthouse.store.outbox import BULK
from tests.delivery.test_runner import OUT, RunnerCase


class ReceiptCase(RunnerCase):
    def post(
        self,
        *recipients: str,
        notify: str = "SUCCESS,FAILURE",
        orcpt: str = "",
        data: bytes = OUT,
        **fields: Any,
    ) -> None:
        account: Account = self.ann
        envelope = self.envelope("ann@here.example", *recipients, account=account, **fields)
        asked = tuple(evolve(one, notify=notify, orcpt=orcpt) for one in envelope.recipients)
        self.successResultOf(self.intake.accept(evolve(envelope, recipients=asked), self.spooled(data)))
        for _ in range(3):
            self.clock.advance(0)

    def only_report(self) -> bytes:
        (report,) = self.reports()
        return self.body(report)

    def knows_dsn(self, **fields: Any) -> None:
        """From now on the next hop answers with these fields in its results."""
        real = self.relay.result

        def result(job: RelayJob, recipient: str) -> RecipientResult:
            return evolve(real(job, recipient), **fields)

        self.relay.result = result  # type: ignore[method-assign]


class SuccessTests(ReceiptCase):
    def test_relayed_where_the_next_hop_sends_no_reports(self) -> None:
        self.post("far@there.example", orcpt="rfc822;F+41r@there.example", envid="X+2B1")
        data = self.only_report()
        self.assertIn(b"Action: relayed\r\nStatus: 2.0.0\r\n", data)
        self.assertIn(b"Original-Envelope-Id: X+1\r\n", data)
        self.assertIn(b"Original-Recipient: rfc822;FAr@there.example\r\n", data)
        self.assertEqual(self.reports()[0].message_class, "REPORT.IPM.Note.DR")
        (job,) = self.relay.jobs
        self.assertEqual((job.notify, job.envid), (("SUCCESS,FAILURE",), "X+2B1"))
        self.assertEqual(job.orcpt, ("rfc822;F+41r@there.example",))

    def test_nothing_where_the_next_hop_does(self) -> None:
        self.knows_dsn(dsn=True)
        self.post("far@there.example")
        self.assertEqual((self.states(), self.reports()), ({"far@there.example": "sent"}, []))

    def test_delivered_by_lmtp(self) -> None:
        self.knows_dsn(final=True)
        self.post("far@there.example")
        self.assertIn(b"Action: delivered\r\n", self.only_report())

    def test_delivered_to_a_mailbox_here(self) -> None:
        self.post("bob@here.example")
        data = self.only_report()
        self.assertIn(b"Final-Recipient: rfc822; bob@here.example\r\nAction: delivered\r\n", data)
        self.assertEqual((len(self.items(self.bob)), self.relay.jobs), (1, []))

    def test_not_told_unless_asked(self) -> None:
        for notify in ("", "FAILURE", "NEVER", "FAILURE,DELAY"):
            data = OUT.replace(b"<1@", b"<n%s@" % notify.replace(",", ".").encode())
            self.post("bob@here.example", "far@there.example", notify=notify, data=data)
        self.assertEqual((self.reports(), len(self.relay.jobs)), ([], 4))

    def test_an_address_of_ours_that_means_one_elsewhere_takes_the_wish_along(self) -> None:
        self.post("away@here.example")
        self.assertEqual(self.relay.jobs[0].notify, ("SUCCESS,FAILURE",))
        self.assertIn(
            b"Final-Recipient: rfc822; far@there.example\r\nAction: relayed\r\n", self.only_report()
        )

    def test_an_address_that_means_several_is_expanded(self) -> None:
        targets = ["bob@here.example", "far@there.example"]
        self.db.write_now(lambda tx: accounts.add_alias(tx, "both@here.example", targets, self.now()))
        self.post("both@here.example")
        self.assertIn(
            b"Final-Recipient: rfc822; both@here.example\r\nAction: expanded\r\n", self.only_report()
        )
        self.assertEqual(self.relay.jobs[0].notify, ("FAILURE",))

    def test_success_alone_means_no_word_of_failure(self) -> None:
        self.relay.answer = lambda recipient: (550, "5.1.1", "no")
        self.post("far@there.example", notify="SUCCESS")
        self.assertEqual((self.states(), self.reports()), ({"far@there.example": "failed"}, []))


class ReturnTests(ReceiptCase):
    def test_the_whole_message_comes_back_only_when_it_is_asked_for(self) -> None:
        self.relay.answer = lambda recipient: (550, "5.7.1", "no")
        for ret, whole in (("FULL", True), ("HDRS", False), ("", False)):
            data = OUT.replace(b"<1@", b"<x%s@" % ret.encode())
            self.post("far@there.example", notify="", ret=ret, data=data)
            report = self.body(self.reports()[-1])
            self.assertEqual(b"\r\n\r\nHello Bob" in report, whole, ret)
            self.assertEqual(b"Content-Type: message/rfc822" in report, whole, ret)
            self.assertIn(b"Subject: Hello\r\n", report)

    def test_what_is_too_big_comes_back_as_its_header(self) -> None:
        self.relay.answer = lambda recipient: (550, "5.7.1", "no")
        self.post("far@there.example", notify="", ret="FULL", data=OUT + b"x" * 70 * 1000 * 20)
        self.assertIn(b"Content-Type: text/rfc822-headers", self.only_report())

    def test_a_success_brings_only_the_header(self) -> None:
        self.post("far@there.example", ret="FULL")
        self.assertIn(b"Content-Type: text/rfc822-headers", self.only_report())

    def test_a_delay_is_told_only_to_those_who_want_to_hear_it(self) -> None:
        self.relay.answer = lambda recipient: (451, "4.0.0", "later")
        self.post("far@there.example", notify="DELAY,FAILURE")
        self.post("near@there.example", notify="FAILURE", data=OUT.replace(b"<1@", b"<2@"))
        self.run_for(10 * 3600, 60)
        (report,) = self.reports()
        self.assertIn(b"Final-Recipient: rfc822; far@there.example\r\nAction: delayed", self.body(report))


class PriorityTests(ReceiptCase):
    def priority(self, data: bytes) -> int:
        self.relay.send = lambda job: Deferred() if job else succeed([])  # type: ignore[method-assign]
        self.post("far@there.example", notify="", data=data)
        return self.queue()[-1].priority

    def test_letters_first(self) -> None:
        self.assertEqual(self.priority(OUT), 0)
        for number, line in enumerate(
            (b"List-Id: <l.example>", b"Precedence: bulk", b"Auto-Submitted: auto-generated")
        ):
            data = line + b"\r\n" + OUT.replace(b"<1@", b"<p%d@" % number)
            self.assertEqual(self.priority(data), BULK, line)
        big = OUT.replace(b"<1@", b"<big@") + b"x" * (1 << 20)
        self.assertEqual(self.priority(big), BULK)
