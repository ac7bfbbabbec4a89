"""Our own mail for a peer without 8BITMIME."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from posthouse.errors import Malformed
from posthouse.model import RelayJob
from posthouse.store import bodies, outbox
from posthouse.store.outbox import OutboxDraft
from tests.delivery.test_runner import OUT, RunnerCase
from tests.support.store import NOW

EIGHT = OUT.replace(b"Hello Bob", b"Hello Bob, many Gr\xc3\xbc\xc3\x9fe")


class SignerOfAll:
    async def fields(self, message: Any, added: bytes, now: int) -> bytes:
        return b"DKIM-Signature: over " + b"%d" % (message.size + len(added)) + b"\r\n"


class SevenBitTests(RunnerCase):
    def converted(self, job: RelayJob) -> RelayJob:
        assert job.seven_bit is not None
        converting: Any = job.seven_bit()
        found: RelayJob = self.successResultOf(Deferred.fromCoroutine(converting))
        return found

    def test_it_is_converted_and_signed_anew(self) -> None:
        self.submission.signer = self.runner.sender.signer = SignerOfAll()  # type: ignore[assignment]
        self.send(EIGHT)
        (job,) = self.relay.jobs
        self.assertTrue(job.eight_bit)
        seven = self.converted(job)
        data: Any = seven.read(0, seven.size)
        self.assertTrue(data.isascii())
        self.assertEqual((seven.eight_bit, seven.size, data.count(b"DKIM-Signature:")), (False, len(data), 1))
        signature, _, signed = data.partition(b"\r\n")
        self.assertEqual(signature, b"DKIM-Signature: over %d" % len(signed))
        self.assertIn(b"Gr=C3=BC=C3=9Fe", data)

    def test_what_was_written_in_a_transaction_is_signed_on_its_way(self) -> None:
        self.runner.sender.signer = SignerOfAll()  # type: ignore[assignment]
        draft = OutboxDraft(
            None, "", "far@there.example", len(EIGHT), NOW + 10**9, NOW, eight_bit=True, own=True
        )

        def queue(tx: Any) -> None:
            body = bodies.put_body(tx, bodies.prepare(EIGHT), NOW)
            outbox.enqueue(tx, evolve(draft, body_id=body.id), NOW)

        self.db.write_now(queue)
        self.clock.advance(0)
        (job,) = self.relay.jobs
        data: Any = job.read(0, job.size)
        self.assertEqual(data, b"DKIM-Signature: over %d\r\n" % len(EIGHT) + EIGHT)
        seven = self.converted(job)
        data = seven.read(0, seven.size)
        self.assertEqual((data.isascii(), data.count(b"DKIM-Signature:")), (True, 1))

    def test_what_is_sealed_fails(self) -> None:
        self.send(EIGHT.replace(b"\r\n\r\n", b"\r\nContent-Type: application/pkcs7-mime\r\n\r\n", 1))
        (job,) = self.relay.jobs
        assert job.seven_bit is not None
        converting: Any = job.seven_bit()
        self.failureResultOf(Deferred.fromCoroutine(converting), Malformed)

    def test_the_mail_of_others_is_not_ours_to_change(self) -> None:
        self.accept(EIGHT, "x@else.example", "away@here.example")
        self.clock.advance(0)
        (job,) = self.relay.jobs
        self.assertTrue(job.eight_bit)
        self.assertIsNone(job.seven_bit)
