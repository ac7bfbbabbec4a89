"""Chains of earlier hosts: dkimpy seals them, we verify them; whatever is changed or missing is a failure."""

from __future__ import annotations

import base64
import re

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from posthouse.dns.codec import Status
from posthouse.mailauth import arc
from posthouse.mailauth.dkim import BodyHashes, Signed
from tests.mailauth.zone import Zone, run

MAIL = (
    b"From: Far <far@there.example>\r\nTo: bob@here.example\r\nSubject: Hello\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@there.example>\r\n\r\nHello Bob\r\n"
)
_made: dict[str, bytes] = {}


def seal(mail: bytes, domain: str, results: bytes) -> bytes:
    """A message with one more set in front, as ``domain`` writes it after it found ``results``."""
    try:
        import authres  # noqa: F401
        import dkim
    except ImportError:
        raise SkipTest("dkimpy with authres is not installed") from None
    mail = b"Authentication-Results: " + domain.encode() + b"; " + results + b"\r\n" + mail
    fields = dkim.arc_sign(mail, b"s", domain.encode(), private(), domain.encode())
    return b"".join(fields) + mail


def private() -> bytes:
    if not _made:
        key = rsa.generate_private_key(65537, 2048)
        _made["private"] = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _made["record"] = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    return _made["private"]


def zone(*domains: str) -> Zone:
    private()
    made = Zone()
    for domain in domains:
        made.text(f"s._domainkey.{domain}", _made["record"])
    return made


def check(mail: bytes, lookup: Zone) -> arc.ArcResult:
    head, _, body = mail.partition(b"\r\n\r\n")
    chain = arc.chain(head + b"\r\n\r\n")
    hashes = BodyHashes(Signed([], []), *([chain.newest] if chain.newest is not None else []))
    hashes.feed(body)
    found: arc.ArcResult = run(arc.verify(chain, hashes, lookup.lookup))
    return found


class ChainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.zone = zone("list.example", "two.example")
        self.one = seal(MAIL, "list.example", b"dmarc=pass header.from=there.example")
        self.two = seal(self.one, "two.example", b"arc=pass; dmarc=fail header.from=there.example")

    def test_a_message_without_a_chain(self) -> None:
        self.assertEqual(check(MAIL, self.zone), arc.ArcResult("none"))
        self.assertFalse(arc.chain(MAIL))

    def test_one_host_and_two(self) -> None:
        found = check(self.one, self.zone)
        self.assertEqual((found.result, found.sealers), ("pass", ("list.example",)))
        found = check(self.two, self.zone)
        self.assertEqual((found.result, found.sealers), ("pass", ("list.example", "two.example")))
        self.assertTrue(arc.says_pass(found.reports[0], "there.example"))
        self.assertFalse(arc.says_pass(found.reports[1], "there.example"))
        self.assertFalse(arc.says_pass(found.reports[0], "other.example"))

    def test_what_was_changed_is_found(self) -> None:
        for what, broken in (
            ("the body", self.two.replace(b"Hello Bob", b"Hello Rob")),
            ("the subject", self.two.replace(b"Subject: Hello", b"Subject: Hallo")),
            ("an earlier report", self.two.replace(b"i=1; list.example", b"i=1; lost.example")),
            ("the newest report", self.two.replace(b"dmarc=fail", b"dmarc=pass")),
            ("an older seal", re.sub(rb"(?s)(ARC-Seal: i=1;.*?b=)(....)", rb"\1AAAA", self.two, count=1)),
        ):
            self.assertNotEqual(broken, self.two, what)
            self.assertEqual(check(broken, self.zone).result, "fail", what)

    def test_an_older_signature_may_be_broken(self) -> None:
        # The list added a line: its own seal covers that, what came before does not fit any more.
        changed = self.one.replace(b"Hello Bob\r\n", b"Hello Bob\r\n--\r\nThe list\r\n")
        self.assertEqual(check(changed, self.zone).result, "fail")
        self.assertEqual(check(seal(changed, "two.example", b"arc=pass"), self.zone).result, "pass")

    def test_sets_must_be_complete(self) -> None:
        missing = re.sub(rb"(?s)ARC-Authentication-Results: i=1;.*?\r\n(?![ \t])", b"", self.two, count=1)
        self.assertEqual(check(missing, self.zone).reason, "an instance is not complete")
        twice = b"ARC-Authentication-Results: i=1; x\r\n" + self.two
        self.assertEqual(check(twice, self.zone).reason, "two fields of instance 1")
        gap = self.two.replace(b"i=1;", b"i=3;")
        self.assertEqual(check(gap, self.zone).reason, "instances are missing")

    def test_a_host_that_found_the_chain_broken_ends_it(self) -> None:
        failed = self.one.replace(b"cv=none", b"cv=fail")
        self.assertEqual(check(failed, self.zone).reason, "instance 1 says cv=fail")

    def test_a_seal_over_fields_of_its_own_choice_is_none(self) -> None:
        self.assertEqual(check(self.one.replace(b"cv=none;", b"cv=none; h=from;"), self.zone).result, "fail")

    def test_a_chain_of_many_hosts_is_not_followed(self) -> None:
        fields = b"".join(
            b"ARC-Seal: i=%d; a=rsa-sha256; cv=%s; d=x.example; s=s; b=AAAA\r\n"
            b"ARC-Message-Signature: i=%d; a=rsa-sha256; d=x.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
            b"ARC-Authentication-Results: i=%d; x.example\r\n" % (n, b"none" if n == 1 else b"pass", n, n)
            for n in range(1, 12)
        )
        lookup = zone()
        self.assertEqual(check(fields + MAIL, lookup).reason, "the chain is too long")
        self.assertEqual(lookup.asked, [])

    def test_no_answer_is_no_failure(self) -> None:
        self.zone.records["s._domainkey.list.example", "TXT"] = Status.FAILED
        self.assertEqual(check(self.two, self.zone).result, "temperror")
        self.assertEqual(check(self.two, zone("two.example")).result, "fail")

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 10**6), st.binary(max_size=12))
    def test_whatever_stands_there_gives_a_result(self, place: int, what: bytes) -> None:
        place %= len(self.two)
        found = check(self.two[:place] + what + self.two[place + len(what) :], self.zone)
        self.assertIn(found.result, ("pass", "fail", "none", "temperror"))


class ReportTests(SynchronousTestCase):
    def test_what_a_report_says(self) -> None:
        for report, expected in (
            (b" i=1; x; spf=pass; dmarc=pass (p=reject) header.from=there.example", True),
            (b" i=1; x; dmarc=pass header.from=notthere.example", False),
            (b" i=1; x; dmarc=pass header.from=there.example.evil", False),
            (b" i=1; x; spf=pass (dmarc=pass header.from=there.example)", False),
            (b" i=1; dmarc=pass header.from=there.example", False),
            (b"", False),
        ):
            self.assertIs(arc.says_pass(report, "there.example"), expected, report)
