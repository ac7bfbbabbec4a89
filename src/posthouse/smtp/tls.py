"""The client's side of TLS: contexts that let every handshake end, and the judgement of what it showed.

Promise: a handshake never fails for the certificate's sake, so that the reason is known and can be reported;
``judge`` says afterwards whether the server is who it must be, and nothing of a message or a password is said
before. Contexts are made once: reading the authorities of the machine takes milliseconds.

Specifications: RFC 3207, RFC 7435 (opportunistic), RFC 7672 (DANE), RFC 8461 4.1 (names), RFC 8460 4.3 (results).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import define, field, frozen
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer

from posthouse.model import HopPolicy
from posthouse.tlspolicy import tlsa
from posthouse.tlspolicy.certificates import load, names_host

__all__ = ["Contexts", "Proof", "judge", "proof_of", "sni_name"]

_EXPIRED = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


@frozen
class Proof:
    """What a server showed: certificates in DER, its own first, and what OpenSSL found wrong (0: nothing)."""

    chain: tuple[bytes, ...] = ()
    error: int = 0


class _Connection(SSL.Connection):
    """Remembers what the verification found. (Twisted keeps its own things in the application's data.)"""

    def __init__(self, context: SSL.Context) -> None:
        super().__init__(context, None)
        self.errors: list[int] = []


@implementer(IOpenSSLClientConnectionCreator)
@frozen(eq=False)
class _Client:
    context: SSL.Context
    name: str

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = _Connection(self.context)
        if self.name:
            connection.set_tlsext_host_name(self.name.encode("ascii"))
        return connection


def sni_name(host: str) -> str:
    """What to ask a server for: its name as A-labels, "" for an address."""
    name = host.rstrip(".")
    if ":" in name or not any(letter.isalpha() for letter in name):
        return ""
    try:
        return name.encode("idna").decode("ascii") if not name.isascii() else name
    except UnicodeError:
        return ""


@implementer(IOpenSSLClientConnectionCreator)
@frozen(eq=False)
class _Strict:
    """Ends the handshake with whoever is not that host."""

    context: SSL.Context
    host: str

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = _Connection(self.context)
        connection.set_verify(SSL.VERIFY_PEER, self._check)
        if name := sni_name(self.host):
            connection.set_tlsext_host_name(name.encode("ascii"))
        return connection

    def _check(self, connection: Any, certificate: Any, error: int, depth: int, good: int) -> bool:
        if not good:
            return False
        return depth > 0 or names_host(certificate.to_cryptography(), (sni_name(self.host) or self.host,))


def _note(connection: Any, certificate: Any, error: int, depth: int, good: int) -> bool:
    if not good:
        connection.errors.append(error)
    return True


@define(eq=False)
class Contexts:
    """``contexts(host, verify)`` gives what ``startTLS`` takes. ``verify``: look at the certificate, too."""

    _any: SSL.Context | None = field(default=None, init=False)
    _verifying: SSL.Context | None = field(default=None, init=False)

    def warm(self) -> None:
        """Read the authorities of the machine now: that takes some 20 ms, which nobody misses at the start."""
        if self._verifying is None:
            # RFC 8461 and RFC 7672 want TLS 1.2 at least, which is the least that these options make.
            self._verifying = CertificateOptions().getContext()
            self._verifying.set_default_verify_paths()
            self._verifying.set_verify(SSL.VERIFY_PEER, _note)

    def strict(self, host: str) -> Any:
        """For HTTPS, where there is nobody to judge afterwards: the handshake fails unless it is that host."""
        self.warm()
        assert self._verifying is not None
        return _Strict(self._verifying, host)

    def __call__(self, host: str, verify: bool) -> Any:
        if verify:
            self.warm()
            assert self._verifying is not None
            return _Client(self._verifying, sni_name(host))
        if self._any is None:
            self._any = CertificateOptions().getContext()
            self._any.set_verify(SSL.VERIFY_NONE, lambda *ignored: True)
        return _Client(self._any, sni_name(host))


def proof_of(handle: Any) -> Proof:
    """What was shown in the handshake of an OpenSSL connection; nothing for None."""
    if handle is None:
        return Proof()
    chain = tuple(
        one.to_cryptography().public_bytes(Encoding.DER) for one in handle.get_peer_cert_chain() or ()
    )
    return Proof(chain, next(iter(handle.errors), 0))


def judge(proof: Proof, mode: str, policy: HopPolicy, host: str, now: datetime) -> tuple[str, str]:
    """Is the server who it must be? ("", "") when it is, else a result of RFC 8460 and a sentence.

    :param mode: "dane" or "verified"; others ask for nothing. :param now: aware.
    """
    if mode == "dane":
        records = [tlsa.Tlsa(*record) for record in policy.tlsa]
        why = tlsa.match(records, proof.chain, policy.names or (host,), now)
        return ("validation-failure", why) if why else ("", "")
    if mode != "verified":
        return "", ""
    leaf = load(proof.chain[0]) if proof.chain else None
    if leaf is None:
        return "certificate-not-trusted", "the server showed no certificate"
    if proof.error in _EXPIRED:
        return "certificate-expired", "the certificate has expired or is not valid yet"
    if proof.error:
        return "certificate-not-trusted", f"the certificate is not trusted (error {proof.error})"
    names = policy.names or (sni_name(host) or host,)
    if not names_host(leaf, names):
        return "certificate-host-mismatch", f"the certificate does not name {names[0]}"
    return "", ""
