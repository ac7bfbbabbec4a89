"""Whether a certificate names a host."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.tlspolicy.certificates import is_issuer, load, names_host
from tests.support.authority import issue


class NameTests(SynchronousTestCase):
    def test_names_and_wildcards(self) -> None:
        certificate = issue(
            "mx.example.org", "*.mail.example.org", "*.org", "192.0.2.1", "2001:db8::1"
        ).certificate
        for host, expected in (
            ("MX.example.org.", True),
            ("a.mail.example.org", True),
            ("a.b.mail.example.org", False),
            ("mail.example.org", False),
            ("example.org", False),
            ("192.0.2.1", True),
            ("192.0.2.2", False),
            ("2001:DB8::1", True),
        ):
            self.assertEqual(names_host(certificate, [host]), expected, host)
        self.assertTrue(names_host(certificate, ["no.example", "mx.example.org"]))

    def test_the_subject_counts_only_where_that_is_asked_and_there_is_nothing_else(self) -> None:
        old = issue(common="mx.example.org").certificate
        self.assertFalse(names_host(old, ["mx.example.org"]))
        self.assertTrue(names_host(old, ["mx.example.org"], common_name=True))
        new = issue("other.example", common="mx.example.org").certificate
        self.assertFalse(names_host(new, ["mx.example.org"], common_name=True))

    def test_issuers(self) -> None:
        root, other = issue(ca=True), issue(ca=True)
        leaf = issue("a.example", by=root).certificate
        self.assertTrue(is_issuer(root.certificate, leaf))
        self.assertFalse(is_issuer(other.certificate, leaf))
        self.assertFalse(is_issuer(leaf, issue("b.example").certificate))
        self.assertIsNone(load(b"noise"))
