"""Certificates for tests: an authority, what it issues, and what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import define
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: the day on which the tests' clock stands
TODAY = datetime(2026, 1, 1, tzinfo=UTC)


@define
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def with_broken_signature(self) -> bytes:
        """The DER with another last byte: the signature's."""
        return self.der[:-1] + bytes([self.der[-1] ^ 1])


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    authority: bool = False,
    path_length: int | None = None,
    signs: bool = True,
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    days: tuple[int, int] = (-10, 10),
    cert_sign: bool | None = None,
    critical: x509.ExtensionType | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Issued:
    """A certificate from its first to its last day around ``TODAY``; self-signed without an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(TODAY + timedelta(days=days[0]))
        .not_valid_after(TODAY + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=signs,
                content_commitment=False,
                key_encipherment=True,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority if cert_sign is None else cert_sign,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if purpose is not None and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    return Issued(builder.sign(issuer.key if issuer is not None else key, hashes.SHA256()), key)
