"""Mail of strangers at the intake: refused, put aside, or marked; never held up by DNS."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed

from posthouse.delivery import authentication
from posthouse.delivery.absence import AutoReply
from posthouse.delivery.authentication import Verifier, authors_of
from posthouse.dns.codec import Answer, Status
from posthouse.errors import NotAuthentic
from posthouse.mailauth.dkim_sign import OutgoingBody, key_record, load_key, make_key, sign
from posthouse.model import Item
from posthouse.smtp.replies import reply_to_error
from posthouse.store import folders
from tests.delivery.house import HOST, HouseCase
from tests.mailauth.zone import Zone
from tests.support.store import NOW

HEAD = (
    b"From: Far <far@there.example>\r\nTo: bob@here.example\r\nSubject: Hello\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@there.example>\r\n"
)
BODY = b"Hello Bob\r\n"
MAIL = HEAD + b"\r\n" + BODY
KEY = load_key("there.example", "s1", make_key("ed25519"))
PEER = "192.0.2.7"  # the client of HouseCase


def with_signature(head: bytes = HEAD, body: bytes = BODY) -> bytes:
    outgoing = OutgoingBody()
    outgoing.feed(body)
    return sign(head, outgoing.digest(), [KEY], NOW // 1000) + head + b"\r\n" + body


class VerifierCase(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.zone = Zone()
        self.zone.text("s1._domainkey.there.example", key_record(KEY))
        self.zone.text("there.example", f"v=spf1 ip4:{PEER} -all")
        self.held: dict[str, Deferred[Answer]] = {}
        self.verifier = Verifier(self.ask, self.clock, self.pool, HOST)
        self.intake.verifier = self.verifier

    def ask(self, name: str, kind: str) -> Deferred[Answer]:
        if name in self.held:
            return self.held[name]
        return succeed(self.zone.answer(name, kind))

    def policy(self, text: str) -> None:
        self.zone.text("_dmarc.there.example", f"v=DMARC1; {text}")

    def elsewhere(self) -> None:
        """SPF of the domain names other senders."""
        self.zone.text("there.example", "v=spf1 ip4:9.9.9.9 -all")

    def junk(self) -> list[Item]:
        def find(tx: Any) -> Any:
            listed = folders.list_folders(tx, self.bob.mailbox_id)
            return next(folder for folder in listed if folder.name == "Junk Email")

        return self.items_in(self.db.read_now(find))

    def sent(self, data: bytes = MAIL, sender: str = "far@there.example", **fields: Any) -> str:
        """Deliver to Bob. The trace of his copy, unfolded."""
        self.accept(data, sender, "bob@here.example", **fields)
        (item,) = self.items(self.bob)
        return item.trace.decode().replace("\r\n\t", " ")

    def refused(self, data: bytes = MAIL, sender: str = "far@there.example") -> NotAuthentic:
        envelope = self.envelope(sender, "bob@here.example")
        failure = self.failureResultOf(self.intake.accept(envelope, self.spooled(data)), NotAuthentic)
        self.assertEqual((self.items(self.bob), self.junk()), ([], []))
        error: NotAuthentic = failure.value
        return error


class VerdictTests(VerifierCase):
    def test_good_mail_is_marked_so(self) -> None:
        self.policy("p=reject")
        trace = self.sent(with_signature())
        self.assertIn(f"Authentication-Results: {HOST};", trace)
        self.assertIn("spf=pass (ip4:192.0.2.7) smtp.mailfrom=far@there.example;", trace)
        self.assertIn("dkim=pass header.d=there.example header.s=s1 header.a=ed25519-sha256", trace)
        self.assertIn("dmarc=pass (p=reject, spf of there.example) header.from=there.example", trace)
        self.assertLess(trace.index("Authentication-Results"), trace.index("Received"))

    def test_the_signature_alone_is_enough(self) -> None:
        self.policy("p=reject")
        self.elsewhere()
        trace = self.sent(with_signature(), sender="list@lists.example")
        self.assertIn("dmarc=pass (p=reject, dkim of there.example)", trace)

    def test_reject_is_550_5_7_26_and_nothing_is_kept(self) -> None:
        self.policy("p=reject")
        self.elsewhere()
        error = self.refused()
        reply = reply_to_error(error)
        assert reply is not None
        self.assertEqual((reply.code, reply.enhanced), (550, "5.7.26"))
        self.assertIn("there.example", error.public)
        self.assertNotIn("bob", error.public)

    def test_a_changed_message_is_as_good_as_unsigned(self) -> None:
        self.policy("p=reject")
        self.elsewhere()
        self.refused(with_signature().replace(b"Hello Bob", b"Pay Eve!"))

    def test_quarantine_is_the_junk_folder_with_a_reason(self) -> None:
        self.policy("p=quarantine")
        self.elsewhere()
        self.accept(MAIL, "far@there.example", "bob@here.example")
        self.assertEqual(self.items(self.bob), [])
        (item,) = self.junk()
        self.assertIn(
            b"X-Posthouse-Reason: there.example asks to put mail aside that fails DMARC\r\n", item.trace
        )
        self.assertIn(b"dmarc=fail (p=quarantine)", item.trace)
        self.assertEqual(self.body(item), MAIL)

    def test_no_policy_no_consequence(self) -> None:
        self.elsewhere()
        trace = self.sent()
        self.assertIn("spf=fail (-all) smtp.mailfrom", trace)
        self.assertIn("dmarc=none header.from=there.example", trace)

    def test_report_only_refuses_and_moves_nothing(self) -> None:
        self.verifier.enforce = False
        self.elsewhere()
        self.policy("p=reject")
        self.assertIn("dmarc=fail (p=reject)", self.sent())

    def test_every_author_must_hold(self) -> None:
        self.policy("p=reject")
        self.zone.text("evil.example", f"v=spf1 ip4:{PEER} -all")
        self.zone.text("_dmarc.evil.example", "v=DMARC1; p=none")
        for head in (b"From: eve@evil.example\r\n" + HEAD, HEAD + b"From: eve@evil.example\r\n"):
            self.refused(head + b"\r\n" + BODY, "eve@evil.example")

    def test_one_field_with_authors_of_several_domains_is_put_aside_at_worst(self) -> None:
        self.policy("p=reject")
        self.zone.text("evil.example", f"v=spf1 ip4:{PEER} -all")
        mail = MAIL.replace(b"From: Far", b"From: Eve <eve@evil.example>, Far")
        self.accept(mail, "eve@evil.example", "bob@here.example")
        (item,) = self.junk()
        self.assertIn(b"there.example asks to put mail aside", item.trace)
        self.accept(mail + b"2", "far@there.example", "bob@here.example")
        self.assertEqual((len(self.junk()), len(self.items(self.bob))), (1, 1))

    def test_a_crowd_of_authors_is_put_aside(self) -> None:
        crowd = b", ".join(b"a@d%d.example" % number for number in range(20))
        self.accept(b"From: " + crowd + b"\r\n\r\nx\r\n", "far@there.example", "bob@here.example")
        (item,) = self.junk()
        self.assertIn(b"X-Posthouse-Reason: too many authors", item.trace)

    def test_mail_without_author_is_taken_and_marked(self) -> None:
        self.assertIn("dmarc=permerror (no author)", self.sent(b"Subject: x\r\n\r\nx\r\n"))

    def test_the_null_sender_is_judged_by_its_host(self) -> None:
        self.zone.text("client.example", f"v=spf1 ip4:{PEER} -all")
        self.assertIn("spf=pass (ip4:192.0.2.7) smtp.helo=client.example", self.sent(sender=""))

    def test_a_message_in_a_file_is_verified_as_well(self) -> None:
        self.policy("p=reject")
        self.elsewhere()
        mail = with_signature(body=b"a line of the big one\r\n" * 30_000)
        envelope = self.envelope("far@there.example", "bob@here.example")
        spooled = self.spooled(mail, memory_limit=65_536)
        self.assertIsNone(spooled.data)
        self.successResultOf(self.intake.accept(envelope, spooled))
        (item,) = self.items(self.bob)
        self.assertIn(b"dkim=pass", item.trace)


class WhoseTests(VerifierCase):
    def test_our_own_users_are_not_judged(self) -> None:
        mine = MAIL.replace(b"far@there.example", b"ann@here.example")
        self.accept(mine, "ann@here.example", "bob@here.example", account=self.ann)
        (item,) = self.items(self.bob)
        self.assertNotIn(b"Authentication-Results", item.trace)
        self.assertEqual(self.zone.asked, [])

    def test_loopback_and_trusted_networks_are_not_judged(self) -> None:
        verifier = Verifier(
            self.ask, self.clock, self.pool, HOST, trusted=("198.51.100.0/24", "2001:db8::/32")
        )
        envelope = self.envelope("far@there.example", "bob@here.example")
        for peer, concerned in (
            ("127.0.0.1", False),
            ("::1", False),
            ("::ffff:127.0.0.1", False),
            ("198.51.100.9", False),
            ("::ffff:198.51.100.9", False),
            ("2001:db8::9", False),
            ("", False),
            ("nonsense", False),
            ("192.0.2.7", True),
            ("2001:db9::9", True),
        ):
            self.assertIs(verifier.concerns(evolve(envelope, peer=peer)), concerned, peer)

    def test_results_in_our_name_are_taken_out(self) -> None:
        forged = f"Authentication-Results: {HOST}; dmarc=pass\r\nX-Posthouse-Reason: none\r\n".encode()
        other = b"Authentication-Results: mx.there.example; spf=pass\r\n"
        self.accept(forged + other + MAIL, "far@there.example", "bob@here.example")
        (item,) = self.items(self.bob)
        self.assertEqual(self.body(item), other + MAIL)
        self.assertEqual(item.trace.count(b"Authentication-Results"), 1)
        self.assertEqual(item.size, len(other + MAIL))

    def test_they_are_taken_out_where_nobody_verifies(self) -> None:
        self.intake.verifier = None
        forged = f"Authentication-Results: {HOST}; dmarc=pass\r\n".encode()
        self.accept(forged + MAIL, "far@there.example", "bob@here.example")
        (item,) = self.items(self.bob)
        self.assertEqual(self.body(item), MAIL)

    def test_a_signature_over_what_is_taken_out_still_counts(self) -> None:
        self.policy("p=reject")
        self.elsewhere()
        forged = f"Authentication-Results: {HOST}; dmarc=pass\r\n".encode()
        self.assertIn("dkim=pass", self.sent(forged + with_signature()))


class TroubleTests(VerifierCase):
    def test_dns_that_fails_never_stops_mail(self) -> None:
        for name in ("there.example", "_dmarc.there.example", "s1._domainkey.there.example"):
            self.zone.records[name, "TXT"] = Status.FAILED
        trace = self.sent(with_signature())
        self.assertIn("spf=temperror", trace)
        self.assertIn("dkim=temperror", trace)
        self.assertIn("dmarc=temperror", trace)

    def test_a_lookup_that_breaks_is_one_without_answer(self) -> None:
        self.verifier.ask = lambda name, kind: fail(RuntimeError("broken"))
        self.assertIn("spf=temperror", self.sent())

    def test_after_the_time_mail_goes_on(self) -> None:
        for name in ("there.example", "_dmarc.there.example", "s1._domainkey.there.example"):
            self.held[name] = Deferred()
        envelope = self.envelope("far@there.example", "bob@here.example")
        accepted = self.intake.accept(envelope, self.spooled(with_signature()))
        self.clock.advance(7.9)
        self.assertNoResult(accepted)
        self.clock.advance(0.2)
        self.successResultOf(accepted)
        (item,) = self.items(self.bob)
        self.assertIn(b"dmarc=temperror", item.trace)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_senders_slow_dns_does_not_hide_him_from_anothers_policy(self) -> None:
        self.policy("p=reject")
        evil = load_key("evil.example", "s", make_key("ed25519"))
        outgoing = OutgoingBody()
        outgoing.feed(BODY)
        mail = sign(HEAD, outgoing.digest(), [evil], NOW // 1000) + MAIL
        for name in ("evil.example", "client.example", "s._domainkey.evil.example"):
            self.held[name] = Deferred()
        envelope = self.envelope("eve@evil.example", "bob@here.example")
        accepted = self.intake.accept(envelope, self.spooled(mail))
        self.assertNoResult(accepted)
        self.clock.advance(10)
        self.failureResultOf(accepted, NotAuthentic)

    def test_the_last_questions_end_as_well(self) -> None:
        self.policy("p=reject")
        self.elsewhere()
        self.zone.text("mail.there.example", f"v=spf1 ip4:{PEER} -all")
        self.held["_dmarc.mail.there.example"] = Deferred()
        envelope = self.envelope("far@mail.there.example", "bob@here.example")
        accepted = self.intake.accept(envelope, self.spooled(MAIL))
        self.assertNoResult(accepted)
        self.clock.advance(2.1)
        self.successResultOf(accepted)
        (item,) = self.items(self.bob)
        self.assertIn(b"dmarc=temperror", item.trace)

    def test_what_is_known_is_not_asked_for(self) -> None:
        self.policy("p=reject")
        self.verifier.known = self.zone.answer
        self.verifier.ask = lambda name, kind: fail(RuntimeError("asked"))
        self.assertIn("dmarc=pass", self.sent(with_signature()))

    def test_a_host_that_sends_much_is_looked_up_once_a_minute(self) -> None:
        self.zone.text("client.example", f"v=spf1 ip4:{PEER} -all")
        for _ in range(3):
            self.accept(MAIL + b"x", "far@there.example", "bob@here.example")
        self.assertEqual(self.zone.asked.count(("client.example", "TXT")), 1)
        self.clock.advance(61)
        self.accept(MAIL + b"y", "far@there.example", "bob@here.example")
        self.assertEqual(self.zone.asked.count(("client.example", "TXT")), 2)

    def test_answers_that_come_in_time_count(self) -> None:
        self.policy("p=reject")
        held = self.held["there.example"] = Deferred()
        envelope = self.envelope("far@there.example", "bob@here.example")
        accepted = self.intake.accept(envelope, self.spooled(MAIL))
        self.clock.advance(3)
        self.assertNoResult(accepted)
        held.callback(Answer(Status.FOUND, (f"v=spf1 ip4:{PEER} -all".encode(),)))
        self.successResultOf(accepted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_fault_of_ours_is_logged_and_mail_goes_on(self) -> None:
        def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("broken")

        self.patch(authentication.dkim, "signatures", broken)
        self.assertNotIn("Authentication-Results", self.sent())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class AuthorTests(HouseCase):
    def test_every_domain_once(self) -> None:
        head = (
            "From: a@One.example, b <b@two.example>,\r\n\tc@one.example\r\nTo: x@three.example\r\n"
            "FROM : d@bücher.example\r\nX-From: y@four.example\r\nFrom: nobody\r\nFromage: z@five.example\r\n"
        ).encode()
        self.assertEqual(authors_of(head), ["one.example", "two.example", "xn--bcher-kva.example"])


class AwayTests(VerifierCase):
    def test_what_is_put_aside_is_not_answered(self) -> None:
        asked: list[Any] = []

        class Eager(AutoReply):
            def answer(self, *args: Any) -> int:
                asked.append(args)
                return 0

        self.intake.auto_reply = Eager(self.reporter)
        self.sent()
        self.assertEqual(len(asked), 1)
        self.policy("p=quarantine")
        self.elsewhere()
        self.accept(MAIL + b"more", "far@there.example", "bob@here.example")
        self.assertEqual((len(asked), len(self.items(self.bob)), len(self.junk())), (1, 1, 1))
