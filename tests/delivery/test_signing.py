"""What our users send elsewhere carries their domain's signatures, and verifies at the other end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SkipTest

from posthouse.delivery.signing import Signer
from posthouse.errors import TryLater
from posthouse.mailauth.dkim import BodyHashes, signatures, verify
from posthouse.mailauth.dkim_sign import key_record, load_key, make_key
from posthouse.model import FolderType, OutboxRow
from posthouse.store import bodies, dkim_keys
from tests.delivery.house import PLAIN, HouseCase
from tests.mailauth.zone import Zone, run
from tests.support.store import NOW

OUT = PLAIN.replace(b"bob@here.example", b"far@there.example")
KEYS = tuple(
    dkim_keys.DkimKey("here.example", kind[0] + "1", kind, make_key(kind), NOW) for kind in ("rsa", "ed25519")
)


class SignerCase(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.signer = Signer(self.db, self.pool)
        self.intake.signer = self.submission.signer = self.signer
        self.zone = Zone()
        for key in KEYS:
            self.db.write_now(lambda tx, key=key: dkim_keys.add_key(tx, key))
            loaded = load_key(key.domain, key.selector, key.private)
            self.zone.text(f"{key.selector}._domainkey.{key.domain}", key_record(loaded))

    def row(self) -> OutboxRow:
        (row,) = self.queue()
        return row

    def wire(self, row: OutboxRow) -> bytes:
        """What the relay would send."""
        body = self.db.read_now(lambda tx: bodies.read_body(tx, row.body_id))
        return row.trace + body

    def verdicts(self, message: bytes) -> list[str]:
        head, _, body = message.partition(b"\r\n\r\n")
        found = signatures(head + b"\r\n")
        hashes = BodyHashes(found)
        hashes.feed(body)
        return [one.result for one in run(verify(found, hashes, self.zone.lookup, NOW // 1000))]


class SubmissionTests(SignerCase):
    def test_smtp_submissions_are_signed_twice(self) -> None:
        self.accept(OUT, "ann@here.example", "far@there.example", account=self.ann)
        self.assertEqual(self.verdicts(self.wire(self.row())), ["pass", "pass"])

    def test_the_next_keys_sign_when_they_are_switched_to(self) -> None:
        following = dkim_keys.DkimKey("here.example", "r2", "rsa", make_key("rsa"), NOW, dkim_keys.NEXT, NOW)
        self.db.write_now(lambda tx: dkim_keys.add_key(tx, following))
        self.submit(OUT)
        self.assertNotIn(b"s=r2;", self.wire(self.row()))
        self.db.write_now(lambda tx: dkim_keys.switch(tx, "here.example", NOW))
        self.signer.forget()
        self.submit(OUT)
        first, second = (self.wire(row) for row in self.queue())
        self.assertEqual((first.count(b"s=r2;"), second.count(b"s=r2;")), (0, 1))
        self.assertNotIn(b"s=r1;", second)

    def test_activesync_submissions_are_signed(self) -> None:
        self.submit(OUT)
        self.assertEqual(self.verdicts(self.wire(self.row())), ["pass", "pass"])

    def test_dkimpy_verifies_what_goes_out(self) -> None:
        try:
            import dkim
        except ImportError:
            raise SkipTest("dkimpy is not installed") from None
        self.submit(OUT.replace(b"Hello Bob", b"Hello  Far \r\n\r\n"))

        def dns(name: bytes, timeout: int = 5) -> bytes:
            return bytes(self.zone.records[name.decode().rstrip("."), "TXT"][0])

        self.assertTrue(dkim.DKIM(self.wire(self.row())).verify(idx=0, dnsfunc=dns))

    def test_what_is_added_and_what_is_taken_away_is_signed_so(self) -> None:
        bare = b"From: ann@here.example\r\nTo: far@there.example\r\nBcc: bob@here.example\r\n\r\nHi\r\n"
        for send in (
            lambda: self.accept(bare, "ann@here.example", "far@there.example", account=self.ann),
            lambda: self.submit(bare),
        ):
            before = {row.id for row in self.queue()}
            send()
            (row,) = [row for row in self.queue() if row.id not in before]
            message = self.wire(row)
            self.assertIn(b"\r\nMessage-ID:", message)
            self.assertNotIn(b"Bcc", message)
            self.assertEqual(self.verdicts(message), ["pass", "pass"])
            self.assertEqual(self.verdicts(message.replace(b"\r\nDate: ", b"\r\nDate: x")), ["fail", "fail"])

    def test_bare_line_feeds_are_signed_as_they_will_be_sent(self) -> None:
        self.submit(OUT.replace(b"\r\n", b"\n"))
        wire = self.wire(self.row()).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self.assertEqual(self.verdicts(wire), ["pass", "pass"])

    def test_a_big_message_is_signed_in_slices(self) -> None:
        big = OUT + b"a line of the big one\r\n" * 30_000
        envelope = self.envelope("ann@here.example", "far@there.example", account=self.ann)
        self.successResultOf(self.intake.accept(envelope, self.spooled(big, memory_limit=65_536)))
        self.assertEqual(self.verdicts(self.wire(self.row())), ["pass", "pass"])

    def test_copies_here_carry_no_signature(self) -> None:
        self.submit(OUT.replace(b"To: far", b"To: bob@here.example, far"))
        for account, kind in ((self.bob, FolderType.INBOX), (self.ann, FolderType.SENT)):
            (item,) = self.items(account, kind)
            self.assertNotIn(b"DKIM-Signature", item.trace)


class UnsignedTests(SignerCase):
    def unsigned(self) -> None:
        self.assertNotIn(b"DKIM-Signature", self.row().trace)

    def test_mail_that_stays_here_costs_no_signature(self) -> None:
        # It would say so in the log.
        self.intake.signer = self.submission.signer = Signer(_Busy(), self.pool)  # type: ignore[arg-type]
        self.submit(PLAIN)
        self.accept(PLAIN, "ann@here.example", "bob@here.example", account=self.ann)
        self.assertEqual(len(self.items(self.bob)), 2)

    def test_what_is_forwarded_for_others_is_not_ours_to_sign(self) -> None:
        self.accept(PLAIN, "x@elsewhere.example", "away@here.example")
        self.unsigned()

    def test_a_domain_without_keys_sends_unsigned(self) -> None:
        self.db.write_now(lambda tx: tx.execute("DELETE FROM dkim_key"))
        self.submit(OUT)
        self.unsigned()

    def test_a_store_that_is_busy_delays_no_mail(self) -> None:
        broken = Signer(_Busy(), self.pool)  # type: ignore[arg-type]
        self.intake.signer = broken
        self.accept(OUT, "ann@here.example", "far@there.example", account=self.ann)
        self.unsigned()
        self.assertEqual(len(self.flushLoggedErrors(TryLater)), 1)

    def test_keys_are_remembered_until_they_change(self) -> None:
        self.submit(OUT)
        self.db.write_now(lambda tx: tx.execute("DELETE FROM dkim_key"))
        self.submit(OUT)
        self.assertEqual([b"DKIM" in row.trace for row in self.queue()], [True, True])
        self.signer.forget()
        self.submit(OUT)
        self.assertEqual([b"DKIM" in row.trace for row in self.queue()].count(False), 1)


class _Busy:
    def read(self, function: Any) -> Deferred[Any]:
        return fail(TryLater(cause="busy"))
