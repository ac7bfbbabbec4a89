"""Our own mail for a peer without 8BITMIME."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from posthouse.errors import Malformed
from posthouse.model import RelayJob
from tests.delivery.test_runner import OUT, RunnerCase

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
