"""Real handshakes, in memory: what is shown, and what is thought of it."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from OpenSSL import SSL, crypto
from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import HopPolicy
from posthouse.smtp.tls import Contexts, Proof, judge, proof_of, sni_name
from tests.support.authority import Pair, issue

NOW = datetime.now(UTC).replace(microsecond=0)
HOST = "mx.example.org"


def handshake(client: SSL.Connection, *chain: Pair) -> str:
    """Shake hands with a server that shows this chain; the name that the client asked for."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(chain[0].certificate)
    context.use_privatekey(crypto.PKey.from_cryptography_key(chain[0].key))
    for extra in chain[1:]:
        context.add_extra_chain_cert(extra.certificate)
    server = SSL.Connection(context, None)
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(6):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            try:
                other.bio_write(one.bio_read(65_536))
            except SSL.WantReadError:
                pass
    name = server.get_servername()
    return name.decode() if name else ""


class TlsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = issue(ca=True, common="root", now=NOW)
        self.leaf = issue(HOST, by=self.root, now=NOW)
        path = self.mktemp()
        with open(path, "wb") as stream:
            stream.write(self.root.pem)
        # The authorities of the machine are whom this variable names.
        patch = mock.patch.dict(os.environ, {"SSL_CERT_FILE": path, "SSL_CERT_DIR": "/nonexistent"})
        patch.start()
        self.addCleanup(patch.stop)
        self.contexts = Contexts()

    def connect(self, *chain: Pair, verify: bool = True, host: str = HOST) -> SSL.Connection:
        connection: SSL.Connection = self.contexts(host, verify).clientConnectionForTLS(None)
        self.asked = handshake(connection, *chain)
        return connection

    def result(self, *chain: Pair, mode: str = "verified", host: str = HOST, **policy: Any) -> str:
        proof = proof_of(self.connect(*chain, verify=mode == "verified", host=host))
        return judge(proof, mode, HopPolicy(mode, **policy), host, NOW)[0]

    def test_a_certificate_of_an_authority_for_the_host(self) -> None:
        self.assertEqual(self.result(self.leaf, self.root), "")
        self.assertEqual(self.asked, HOST)

    def test_each_fault_has_its_name(self) -> None:
        other = issue("other.example", by=self.root, now=NOW)
        old = issue(HOST, by=self.root, now=NOW - timedelta(days=90))
        for chain, expected in (
            ((other, self.root), "certificate-host-mismatch"),
            ((old, self.root), "certificate-expired"),
            ((issue(HOST, now=NOW),), "certificate-not-trusted"),
            ((issue(HOST, by=issue(ca=True, now=NOW), now=NOW),), "certificate-not-trusted"),
        ):
            self.assertEqual(self.result(*chain), expected)

    def test_the_name_in_the_policy_counts(self) -> None:
        self.assertEqual(self.result(self.leaf, self.root, names=("b.example",)), "certificate-host-mismatch")

    def test_dane_by_key_and_by_authority(self) -> None:
        key = (3, 1, 1, hashlib.sha256(self.leaf.spki).digest())
        authority = (2, 0, 1, hashlib.sha256(self.root.der).digest())
        for record, expected in ((key, ""), (authority, ""), ((*key[:3], b"x" * 32), "validation-failure")):
            self.assertEqual(
                self.result(self.leaf, self.root, mode="dane", tlsa=(record,), names=(HOST,)), expected
            )
        # Nobody has to know the authority, and a key has no date.
        old = issue("x.example", now=NOW - timedelta(days=90))
        record = (3, 1, 1, hashlib.sha256(old.spki).digest())
        self.assertEqual(self.result(old, mode="dane", tlsa=(record,), names=(HOST,)), "")

    def test_other_modes_ask_for_nothing(self) -> None:
        for mode in ("opportunistic", "required"):
            self.assertEqual(self.result(issue("x.example", now=NOW - timedelta(days=90)), mode=mode), "")

    def test_nothing_shown_is_no_proof(self) -> None:
        self.assertEqual(proof_of(None), Proof())
        self.assertEqual(judge(Proof(), "verified", HopPolicy(), HOST, NOW)[0], "certificate-not-trusted")
        self.assertEqual(judge(Proof(), "dane", HopPolicy(), HOST, NOW)[0], "validation-failure")

    def test_contexts_are_made_once(self) -> None:
        for verify in (True, False):
            one, two = (
                self.contexts(host, verify).clientConnectionForTLS(None)
                for host in ("a.example", "b.example")
            )
            self.assertIs(one.get_context(), two.get_context())

    def test_errors_of_one_connection_are_not_anothers(self) -> None:
        bad, good = self.connect(issue(HOST, now=NOW)), self.connect(self.leaf, self.root)
        self.assertNotEqual(proof_of(bad).error, 0)
        self.assertEqual(proof_of(good).error, 0)

    def test_names_that_are_asked_for(self) -> None:
        for host, expected in (
            ("mx.example.", "mx.example"),
            ("b\u00fccher.example", "xn--bcher-kva.example"),
            ("192.0.2.1", ""),
            ("2001:db8::1", ""),
            ("a" * 70 + "\u00fc.example", ""),
        ):
            self.assertEqual(sni_name(host), expected)

    def test_strict_handshakes_end_with_that_host_only(self) -> None:
        other = issue("other.example", by=self.root, now=NOW)
        by_address = issue("192.0.2.1", by=self.root, now=NOW)
        for host, chain, good in (
            (HOST, (self.leaf, self.root), True),
            ("192.0.2.1", (by_address, self.root), True),
            (HOST, (other, self.root), False),
            (HOST, (issue(HOST, now=NOW),), False),
            (HOST, (issue(HOST, by=self.root, now=NOW - timedelta(days=90)), self.root), False),
        ):
            connection = self.contexts.strict(host).clientConnectionForTLS(None)
            if good:
                handshake(connection, *chain)
                connection.do_handshake()
            else:
                self.assertRaises(SSL.Error, handshake, connection, *chain)
        # The relay's own judgement is not touched by it.
        self.assertEqual(self.result(other, self.root), "certificate-host-mismatch")
