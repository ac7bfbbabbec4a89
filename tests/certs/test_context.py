"""Contexts for all listeners, and what is said about broken files."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import SkipTest

from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from posthouse.certs.context import ContextSource
from posthouse.certs.files import load_pair
from posthouse.certs.selfsigned import make_selfsigned, write_private
from posthouse.errors import ConfigError

NOW = 1_790_000_000_000
DAY = 86_400_000


def _shake_hands(server: SSL.Connection, client: SSL.Connection) -> None:
    """A handshake between two connections in memory."""
    server.set_accept_state()
    client.set_connect_state()
    open_ends = {client, server}
    for _ in range(20):
        for end, other in ((client, server), (server, client)):
            if end in open_ends:
                try:
                    end.do_handshake()
                    open_ends.discard(end)
                except SSL.WantReadError:
                    pass
            try:
                other.bio_write(end.bio_read(65536))
            except SSL.WantReadError:
                pass
        if not open_ends:
            return
    raise AssertionError("no handshake")


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        self.now = NOW
        self.write("a.example")
        self.source = ContextSource(self.certificate, self.key, lambda: self.now)

    def write(self, host: str) -> None:
        certificate_pem, key_pem = make_selfsigned([host], [], NOW)
        write_private(self.certificate, certificate_pem)
        write_private(self.key, key_pem)


class ContextTests(_Case):
    def connect(self, client: SSL.Context | None = None, protocols: tuple[bytes, ...] = ()) -> SSL.Connection:
        factory = self.source.server_context_factory(protocols)
        end = SSL.Connection(client or SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        _shake_hands(factory.serverConnectionForTLS(None), end)
        return end

    def served(self) -> str:
        leaf = self.connect().get_peer_certificate(as_cryptography=True)
        assert leaf is not None
        return str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    def test_it_keeps_its_interface(self) -> None:
        verifyObject(IOpenSSLServerConnectionCreator, self.source.server_context_factory())

    def test_a_renewed_certificate_is_served_to_the_next_connection(self) -> None:
        self.assertEqual(self.served(), "a.example")
        self.assertIsNone(self.source.reload_if_changed())
        self.write("b.example")
        self.assertEqual(self.served(), "a.example")
        pair = self.source.reload_if_changed()
        assert pair is not None
        self.assertEqual((pair.names, self.served()), (("b.example",), "b.example"))

    def test_a_broken_renewal_keeps_the_certificate_before_and_complains_once(self) -> None:
        self.served()
        self.key.write_bytes(b"broken")
        self.assertRaises(ConfigError, self.source.reload_if_changed)
        self.assertIsNone(self.source.reload_if_changed())
        self.assertRaises(ConfigError, self.source.reload)
        self.assertEqual(self.served(), "a.example")
        self.write("b.example")
        self.source.reload_if_changed()
        self.assertEqual(self.served(), "b.example")

    def test_tls_1_2_is_the_oldest(self) -> None:
        client = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client.set_max_proto_version(SSL.TLS1_2_VERSION)
        self.assertEqual(self.connect(client).get_protocol_version_name(), "TLSv1.2")
        client = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client.set_max_proto_version(SSL.TLS1_1_VERSION)
        client.set_cipher_list(b"ALL:@SECLEVEL=0")
        self.assertRaises(SSL.Error, self.connect, client)

    def test_a_cipher_without_forward_secrecy_is_refused(self) -> None:
        client = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client.set_max_proto_version(SSL.TLS1_2_VERSION)
        client.set_cipher_list(b"AES256-GCM-SHA384:AES128-SHA")
        self.assertRaises(SSL.Error, self.connect, client)

    def test_alpn_is_the_listeners_own(self) -> None:
        client = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client.set_alpn_protos([b"h2", b"http/1.1"])
        self.assertEqual(self.connect(client, (b"http/1.1",)).get_alpn_proto_negotiated(), b"http/1.1")
        self.assertEqual(self.connect(client).get_alpn_proto_negotiated(), b"")

    def test_a_client_that_offers_other_protocols_only_is_served_too(self) -> None:
        client = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client.set_alpn_protos([b"h2"])
        self.assertEqual(self.connect(client, (b"http/1.1",)).get_alpn_proto_negotiated(), b"")

    def test_one_context_serves_all_connections_and_frees_its_buffers(self) -> None:
        first, second = (self.source.server_context_factory((b"http/1.1",)) for _ in range(2))
        self.assertIs(first.getContext(), second.getContext())
        self.assertTrue(first.getContext().set_mode(0) & SSL.MODE_RELEASE_BUFFERS)
        self.assertTrue(first.getContext().set_options(0) & SSL.OP_NO_TICKET)
        self.assertEqual(first.getContext().get_session_cache_mode(), SSL.SESS_CACHE_OFF)


class FileTests(_Case):
    def sentence(self) -> str:
        return self.assertRaises(ConfigError, self.source.reload).public

    def test_a_missing_file(self) -> None:
        self.key.unlink()
        self.assertEqual(self.sentence(), f"Cannot read the key file {self.key}: No such file or directory.")
        self.certificate.unlink()
        self.assertIn("Cannot read the certificate file", self.sentence())

    def test_an_unreadable_file(self) -> None:
        self.key.chmod(0)
        if os.access(self.key, os.R_OK):
            raise SkipTest("this user can read everything")
        self.assertIn("Permission denied", self.sentence())

    def test_a_file_that_is_something_else(self) -> None:
        self.certificate.write_bytes(b"hello")
        self.assertIn("holds no certificate in PEM form", self.sentence())
        self.certificate.write_bytes(b"x" * (2 << 20))
        self.assertIn("too large", self.sentence())

    def test_a_key_that_is_something_else(self) -> None:
        for data in (b"hello", self.certificate.read_bytes(), self.key.read_bytes()[:80]):
            self.key.write_bytes(data)
            self.assertIn("holds no private key in PEM form", self.sentence())

    def test_a_key_of_another_certificate(self) -> None:
        write_private(self.key, make_selfsigned(["a.example"], [], NOW)[1])
        self.assertIn("does not belong to the certificate", self.sentence())

    def test_an_encrypted_key(self) -> None:
        key = load_pair(self.certificate, self.key, NOW).key
        encrypted = serialization.BestAvailableEncryption(b"secret")
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encrypted)
        self.key.write_bytes(pem)
        self.assertIn("is encrypted", self.sentence())

    def test_both_in_one_file_with_a_chain(self) -> None:
        other = make_selfsigned(["ca.example"], [], NOW)[0]
        self.certificate.write_bytes(self.certificate.read_bytes() + other + self.key.read_bytes())
        pair = load_pair(self.certificate, self.certificate, NOW)
        self.assertEqual((len(pair.chain), pair.names), (1, ("a.example",)))

    def test_expiry_is_a_warning(self) -> None:
        self.assertEqual(self.source.reload().warnings, ())
        self.now = NOW + 810 * DAY
        self.assertIn("expires on", self.source.reload().warnings[0])
        self.now = NOW + 900 * DAY
        self.assertIn("has expired on", self.source.reload().warnings[0])
        self.now = NOW - 30 * DAY
        self.assertIn("not valid yet", self.source.reload().warnings[0])

    def test_a_key_that_everybody_can_read_is_a_warning(self) -> None:
        self.key.chmod(0o644)
        self.assertIn("by everybody", self.source.reload().warnings[0])
