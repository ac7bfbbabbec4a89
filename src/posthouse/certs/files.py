"""Reads a certificate chain and its key, and says in one sentence what is wrong with them."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

from posthouse.errors import ConfigError

__all__ = ["Pair", "load_pair"]

_LARGEST = 1 << 20
_SOON = 14 * 86_400_000


@frozen(eq=False)
class Pair:
    """A certificate with its key. ``expires`` in milliseconds; ``warnings`` are sentences for the log."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKeyTypes
    names: tuple[str, ...]
    expires: int
    warnings: tuple[str, ...]


def load_pair(certificate: Path, key: Path, now: int) -> Pair:
    """Read PEM files; both may be the same one. Blocks shortly.

    An expired certificate is a warning: mail that arrives under it is better than none.

    :param now: milliseconds since the epoch.
    :raises ConfigError: missing, unreadable, no PEM, encrypted, or a key of another certificate.
    """
    certificate_pem, key_pem = _read(certificate, "certificate"), _read(key, "key")
    try:
        chain = x509.load_pem_x509_certificates(certificate_pem)
    except ValueError:
        raise ConfigError(f"The certificate file {certificate} holds no certificate in PEM form.") from None
    try:
        private = serialization.load_pem_private_key(key_pem, None)
    except TypeError:
        raise ConfigError(f"The key file {key} is encrypted; a daemon has nobody to ask.") from None
    except Exception:  # ValueError, UnsupportedAlgorithm, whatever a broken key brings out of the library
        raise ConfigError(f"The key file {key} holds no private key in PEM form.") from None
    leaf = chain[0]
    if _public(private.public_key()) != _public(leaf.public_key()):
        raise ConfigError(f"The key in {key} does not belong to the certificate in {certificate}.")
    return Pair(
        certificate=leaf,
        chain=tuple(chain[1:]),
        key=private,
        names=_names(leaf),
        expires=int(leaf.not_valid_after_utc.timestamp() * 1000),
        warnings=tuple(_warnings(leaf, certificate, key, now)),
    )


def _read(path: Path, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"Cannot read the {what} file {path}: {error.strerror}.") from None
    if len(data) > _LARGEST:
        raise ConfigError(f"The {what} file {path} is too large to be one.")
    return data


def _public(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)  # type: ignore[attr-defined]


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return tuple(str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    return (
        *found.get_values_for_type(x509.DNSName),
        *(str(address) for address in found.get_values_for_type(x509.IPAddress)),
    )


def _warnings(leaf: x509.Certificate, certificate: Path, key: Path, now: int) -> list[str]:
    found = []
    expires = leaf.not_valid_after_utc.timestamp() * 1000
    day = f"{leaf.not_valid_after_utc:%Y-%m-%d}"
    if expires <= now:
        found.append(f"The certificate {certificate} has expired on {day}; clients will refuse it.")
    elif expires <= now + _SOON:
        found.append(f"The certificate {certificate} expires on {day}.")
    if leaf.not_valid_before_utc.timestamp() * 1000 > now:
        found.append(f"The certificate {certificate} is not valid yet.")
    if key.stat().st_mode & 0o007:
        found.append(f"The key file {key} can be read by everybody on this machine.")
    return found
