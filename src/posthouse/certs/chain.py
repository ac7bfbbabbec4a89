"""Is a certificate good for signing and encrypting mail, and who says so.

Promise: a path from the certificate to a trusted root is looked for among what is given (RFC 5280 6.1 with the
extensions of RFC 8550 4), signatures, dates, and uses are all checked, and a refusal names the first thing
that is wrong on the best path. Nothing is fetched: revocation is not known here, and `check` never says it is.
Pure but for the file of roots, which is read again when it changed. A check costs a few signatures: run it in
a thread.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum

from attrs import define
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

__all__ = ["MAX_CERTIFICATE", "Roots", "Verdict", "check", "load_certificates", "system_roots"]

MAX_CERTIFICATE = 65_536  # bytes of one certificate
_MOST_DEPTH = 8
_MOST_SIGNATURES = 32

_MAIL = {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}

#: Critical extensions that are looked at below, or that change nothing for mail (RFC 5280 6.1.4 o).
_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
}

_BROKEN = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)


class Verdict(IntEnum):
    """What is to be said of a certificate, the worst last."""

    GOOD = 0
    NOT_FOR_MAIL = 1
    EXPIRED = 2
    CHAIN_EXPIRED = 3
    WRONG_USE = 4
    NOT_AN_AUTHORITY = 5
    UNTRUSTED = 6
    BAD_SIGNATURE = 7
    BAD_CHAIN = 8
    MALFORMED = 9


@define
class Roots:
    """Trusted certificates of a file in PEM, by subject; none when the file is not there."""

    path: str
    _stamp: tuple[int, int] = (0, 0)
    _found: dict[bytes, list[x509.Certificate]] | None = None

    def issuers(self, name: x509.Name) -> Sequence[x509.Certificate]:
        """Roots of that name."""
        return self._load().get(name.public_bytes(), ())

    def _load(self) -> dict[bytes, list[x509.Certificate]]:
        try:
            state = os.stat(self.path)
            stamp = (state.st_mtime_ns, state.st_size)
            if self._found is None or stamp != self._stamp:
                with open(self.path, "rb") as file:
                    self._found = _by_subject(load_certificates(file.read(16 << 20)))
                self._stamp = stamp
        except (OSError, ValueError):
            self._found = {}
        return self._found


def system_roots() -> Roots:
    """What this machine trusts (the file of OpenSSL's, as ca-certificates maintains it)."""
    paths = ssl.get_default_verify_paths()
    return Roots(paths.cafile or paths.openssl_cafile)


def load_certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates of a file: PEM, one or many, or one in DER.

    :raises ValueError: none, or none that can be read.
    """
    if b"-----BEGIN" not in data:
        return [x509.load_der_x509_certificate(data)]
    found = []
    for piece in data.split(b"-----END CERTIFICATE-----")[:-1]:
        begin = piece.rfind(b"-----BEGIN CERTIFICATE-----")
        if begin >= 0:
            found.append(x509.load_pem_x509_certificate(piece[begin:] + b"-----END CERTIFICATE-----\n"))
    if not found:
        raise ValueError("no certificate")
    return found


def _by_subject(found: Iterable[x509.Certificate]) -> dict[bytes, list[x509.Certificate]]:
    sorted_out: dict[bytes, list[x509.Certificate]] = {}
    for certificate in found:
        try:
            sorted_out.setdefault(certificate.subject.public_bytes(), []).append(certificate)
        except _BROKEN:
            continue
    return sorted_out


def check(der: bytes, chain: Sequence[bytes], roots: Roots, now: datetime) -> Verdict:
    """What there is to say of a certificate.

    :param der: the certificate. :param chain: others that may lie between it and a root.
    :param now: with a time zone.
    """
    try:
        if len(der) > MAX_CERTIFICATE:
            return Verdict.MALFORMED
        leaf = _parsed(der)
        own = max(_leaf_use(leaf), Verdict.GOOD if _in_time(leaf, now) else Verdict.EXPIRED)
    except _BROKEN:
        return Verdict.MALFORMED
    try:
        between = [_parsed(one) for one in chain]
    except _BROKEN:
        return Verdict.BAD_CHAIN
    return max(own, _Walk(_by_subject(between), roots, now).verdict(leaf, 0))


def _parsed(der: bytes) -> x509.Certificate:
    """A certificate of which every field that is looked at later can be read (the library reads them late)."""
    certificate = x509.load_der_x509_certificate(der)
    certificate.subject.public_bytes()
    certificate.issuer.public_bytes()
    return certificate


@define
class _Walk:
    """The search for a path, bounded in length and in the number of signatures that it checks."""

    chain: dict[bytes, list[x509.Certificate]]
    roots: Roots
    now: datetime
    left: int = _MOST_SIGNATURES

    def verdict(self, certificate: x509.Certificate, depth: int) -> Verdict:
        """Of the best path from a certificate to a root.

        :param depth: how many certificates lie between this one and the end.
        """
        found: list[Verdict] = []
        name = certificate.issuer
        trusted = self.roots.issuers(name)
        if certificate in trusted:
            return Verdict.GOOD
        for issuer in (*trusted, *self.chain.get(name.public_bytes(), ())):
            if self.left <= 0 or depth >= _MOST_DEPTH:
                break
            self.left -= 1
            if issuer == certificate:
                continue
            if not _signed_by(certificate, issuer):
                found.append(Verdict.BAD_SIGNATURE)
                continue
            one = _authority(issuer, depth, self.now)
            if issuer not in trusted:
                one = max(one, self.verdict(issuer, depth + 1))
            found.append(one)
        if not found and name == certificate.subject and not _signed_by(certificate, certificate):
            return Verdict.BAD_SIGNATURE
        return min(found, default=Verdict.UNTRUSTED)


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        algorithm = certificate.signature_hash_algorithm
        # RFC 6151: an MD5 signature says nothing.
        return algorithm is None or algorithm.name != "md5"
    except (InvalidSignature, *_BROKEN):
        return False


def _in_time(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _extensions(certificate: x509.Certificate) -> dict[x509.ObjectIdentifier, x509.ExtensionType]:
    """:raises ValueError: damaged, or a critical one that is not understood."""
    found: dict[x509.ObjectIdentifier, x509.ExtensionType] = {}
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise ValueError(f"critical extension {extension.oid.dotted_string}")
        found[extension.oid] = extension.value
    return found


def _leaf_use(certificate: x509.Certificate) -> Verdict:
    """RFC 8550 4.4: what an end's certificate may say of its uses."""
    extensions = _extensions(certificate)
    constraints = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        return Verdict.NOT_AN_AUTHORITY
    usage = extensions.get(ExtensionOID.KEY_USAGE)
    if isinstance(usage, x509.KeyUsage) and not (usage.digital_signature or usage.content_commitment):
        return Verdict.NOT_FOR_MAIL
    purposes = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    if isinstance(purposes, x509.ExtendedKeyUsage) and not _MAIL.intersection(purposes):
        return Verdict.NOT_FOR_MAIL
    return Verdict.GOOD


def _authority(certificate: x509.Certificate, depth: int, now: datetime) -> Verdict:
    """Whether a certificate may issue others (RFC 5280 6.1.4)."""
    try:
        extensions = _extensions(certificate)
    except _BROKEN:
        return Verdict.BAD_CHAIN
    constraints = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    if not isinstance(constraints, x509.BasicConstraints) or not constraints.ca:
        return Verdict.NOT_AN_AUTHORITY
    usage = extensions.get(ExtensionOID.KEY_USAGE)
    purposes = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    if (
        (constraints.path_length is not None and depth > constraints.path_length)
        or (isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign)
        or (isinstance(purposes, x509.ExtendedKeyUsage) and not _MAIL.intersection(purposes))
    ):
        return Verdict.WRONG_USE
    return Verdict.GOOD if _in_time(certificate, now) else Verdict.CHAIN_EXPIRED
