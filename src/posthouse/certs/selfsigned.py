"""A certificate made on the spot, for the first hour and for tests.

The promise: an EC P-256 key and a certificate that names every host and address given (RFC 5280 4.2.1.6;
clients no longer look at the common name), valid for less than the 825 days beyond which Apple's devices
refuse any, and no authority of its own: whoever installs it trusts this host and nothing else. The key's file
is never readable by others, not even while it is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import idna
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from posthouse.errors import ConfigError

__all__ = ["ensure_selfsigned", "make_selfsigned", "write_private"]

_VALID = timedelta(days=820)
_SKEW = timedelta(days=1)  # for phones whose clock is behind


def make_selfsigned(hostnames: Iterable[str], ips: Iterable[str], now: int) -> tuple[bytes, bytes]:
    """A new certificate and its key, as PEM.

    :param now: milliseconds since the epoch.
    :raises ConfigError: a name or address that cannot stand in a certificate, or none at all.
    """
    names: list[x509.GeneralName] = []
    try:
        for host in hostnames:
            star, _, rest = host.rpartition("*.")
            ascii_name = idna.encode(rest.rstrip("."), uts46=True).decode("ascii")
            names.append(x509.DNSName(f"*.{ascii_name}" if star or host.startswith("*.") else ascii_name))
        names.extend(x509.IPAddress(ip_address(address)) for address in ips)
    except (idna.IDNAError, ValueError) as error:
        raise ConfigError(f"No certificate can be made for this name: {error}.") from None
    if not names:
        raise ConfigError("No certificate can be made without a host name or an IP address.")
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.fromtimestamp(now / 1000, UTC).replace(microsecond=0)
    # RFC 5280 allows 64 characters here; the alternative names carry the rest.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value)[:64])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _SKEW)
        .not_valid_after(start - _SKEW + _VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    certificate = builder.sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def ensure_selfsigned(
    certificate: Path, key: Path, hostnames: Iterable[str], ips: Iterable[str], now: int
) -> bool:
    """Make both files unless both are there; True when they were made.

    :raises ConfigError: they cannot be written.
    """
    if certificate.exists() and key.exists():
        return False
    certificate_pem, key_pem = make_selfsigned(hostnames, ips, now)
    try:
        # The certificate goes first and comes last: a crash in between leaves a pair that is made anew.
        certificate.unlink(missing_ok=True)
        write_private(key, key_pem)
        write_private(certificate, certificate_pem, 0o644)
    except OSError as error:
        raise ConfigError(f"Cannot write the certificate {error.filename}: {error.strerror}.") from None
    return True


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file as a whole or not at all, durable when this returns.

    :raises OSError: as the system says.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
