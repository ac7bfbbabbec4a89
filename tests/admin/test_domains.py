"""A domain comes with its keys, and its DNS can be pasted."""

from __future__ import annotations

import hashlib
import re

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from posthouse.errors import Exists, Malformed, NoSuchAccount
from posthouse.mailauth import dkim, dmarc, spf
from posthouse.mailauth.dkim_sign import OutgoingBody, load_key, make_key, sign
from posthouse.store import dkim_keys
from posthouse.tlspolicy import mtasts
from tests.admin.test_operations import NOW, OperationsCase
from tests.mailauth.zone import Zone, run
from tests.support.authority import issue


class DomainTests(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.made: list[str] = []

        def made(kind: str) -> Deferred[bytes]:
            self.made.append(kind)
            return succeed(make_key(kind))

        self.ports = evolve(self.ports, make_key=made, hostname="mail.example.net")

    def keys(self, domain: str) -> list[dkim_keys.DkimKey]:
        return self.db.read_now(lambda tx: dkim_keys.keys_of(tx, domain))

    def test_a_new_domain_has_two_keys_under_two_selectors(self) -> None:
        self.assertEqual(self.run_op("domain add", domain="New.Example"), {"domain": "new.example"})
        self.assertEqual(
            [(key.selector, key.algorithm) for key in self.keys("new.example")],
            [("r202609", "rsa"), ("e202609", "ed25519")],
        )

    def test_a_domain_that_exists_keeps_its_keys(self) -> None:
        self.run_op("domain add", domain="new.example")
        before = self.keys("new.example")
        self.refused(Exists, "domain add", domain="new.example")
        self.assertEqual(self.keys("new.example"), before)

    def test_what_is_no_domain_costs_no_key(self) -> None:
        for domain in ("", "a b.example", "-x.example", "a@b.example", "x" * 64 + ".example"):
            self.refused(Malformed, "domain add", domain=domain)
        self.assertEqual(self.made, [])

    def test_a_domain_from_before_gets_its_keys_with_the_first_look(self) -> None:
        self.assertEqual(self.keys("example.org"), [])
        first = self.run_op("domain dns", domain="example.org")
        self.assertEqual(self.run_op("domain dns", domain="example.org"), first)
        self.assertEqual(self.made, ["rsa", "ed25519"])

    def test_only_for_domains_of_ours(self) -> None:
        self.refused(NoSuchAccount, "domain dns", domain="elsewhere.example")

    def test_the_zone_has_everything(self) -> None:
        text = "\n".join(self.run_op("domain dns", domain="example.org"))
        for line in (
            "example.org. IN MX 10 mail.example.net.",
            'example.org. IN TXT "v=spf1 mx ~all"',
            'mail.example.net. IN TXT "v=spf1 a -all"',
            '_dmarc.example.org. IN TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@example.org"',
            "autodiscover.example.org. IN CNAME mail.example.net.",
            "_autodiscover._tcp.example.org. IN SRV 0 0 443 mail.example.net.",
        ):
            self.assertIn(line, text)
        self.assertNotIn("PRIVATE", text)

    def test_our_own_verifier_believes_what_it_says(self) -> None:
        zone = Zone({("mail.example.net", "A"): ("192.0.2.25",)})
        zone.records["example.org", "MX"] = ((10, "mail.example.net"),)
        for line in self.run_op("domain dns", domain="example.org"):
            name, found, rest = line.partition(". IN TXT ")
            if found:
                strings = re.findall(r'"([^"]*)"', rest)
                self.assertTrue(all(len(string) <= 255 for string in strings))
                zone.text(name, "".join(strings))
        head = b"From: ann@example.org\r\nSubject: x\r\n"
        body = OutgoingBody()
        body.feed(b"x\r\n")
        keys = [load_key(key.domain, key.selector, key.private) for key in self.keys("example.org")]
        message = dkim.signatures(sign(head, body.digest(), keys, NOW // 1000) + head)
        hashes = dkim.BodyHashes(message)
        hashes.feed(b"x\r\n")
        results = run(dkim.verify(message, hashes, zone.lookup, NOW // 1000))
        self.assertEqual([one.result for one in results], ["pass", "pass"])
        sent = run(spf.check_mail_from("192.0.2.25", "mail.example.net", "ann@example.org", zone.lookup))
        self.assertEqual(sent.result, "pass")
        self.assertEqual(run(spf.check_helo("192.0.2.25", "mail.example.net", zone.lookup)).result, "pass")
        self.assertEqual(run(dmarc.discover("example.org", zone.lookup)).policy, "quarantine")

    def test_a_domain_says_how_others_connect(self) -> None:
        text = "\n".join(self.run_op("domain dns", domain="example.org"))
        self.assertIn('_smtp._tls.example.org. IN TXT "v=TLSRPTv1; rua=mailto:postmaster@example.org"', text)
        self.assertIn("posthouse domain sts example.org testing", text)
        self.assertNotIn("STSv1", text)
        self.assertEqual(self.run_op("domain sts", domain="example.org")["mode"], "none")
        said = self.run_op("domain sts", domain="example.org", mode="testing", mx=["B.example.net"])
        self.assertEqual(
            (said["mode"], said["max_age"], said["mx"]),
            ("testing", 604_800, ["mail.example.net", "b.example.net"]),
        )
        text = "\n".join(self.run_op("domain dns", domain="example.org"))
        self.assertIn(f'_mta-sts.example.org. IN TXT "{said["record"]}"', text)
        self.assertIn("mta-sts.example.org. IN CNAME mail.example.net.", text)
        # The same again is no news; anything else is, even within the same millisecond.
        self.assertEqual(self.run_op("domain sts", domain="example.org", mode="testing"), said)
        other = self.run_op("domain sts", domain="example.org", mode="enforce", max_age=86_400)
        self.assertNotEqual(other["record"], said["record"])
        self.assertEqual(mtasts.policy_id([other["record"].encode()]), other["record"].partition("id=")[2])

    def test_policies_that_make_no_sense_are_refused(self) -> None:
        self.refused(Malformed, "domain sts", domain="example.org", mode="always")
        self.refused(Malformed, "domain sts", domain="example.org", mode="enforce", max_age=60)
        self.refused(Malformed, "domain sts", domain="example.org", mx=["a b"])
        self.refused(NoSuchAccount, "domain sts", domain="elsewhere.example", mode="enforce")

    def test_the_record_of_the_certificate_when_it_is_wanted(self) -> None:
        pair = issue("mail.example.net")
        self.refused(Malformed, "domain dns", domain="example.org", tlsa=True)
        self.ports = evolve(self.ports, certificate=lambda: pair.certificate)
        text = "\n".join(self.run_op("domain dns", domain="example.org", tlsa=True))
        digest = hashlib.sha256(pair.spki).hexdigest()
        self.assertIn(f"_25._tcp.mail.example.net. IN TLSA 3 1 1 {digest}", text)
        self.assertNotIn("TLSA", "\n".join(self.run_op("domain dns", domain="example.org")))
