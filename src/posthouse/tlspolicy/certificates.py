"""Whether a certificate names a host, and whether one certificate was issued by another.

Promise: pure, and never an exception for a strange certificate: what cannot be read names nothing and proves
nothing. Names are compared as RFC 9525 6.3 says: a wildcard is the whole leftmost label and stands for one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

__all__ = ["in_force", "is_issuer", "load", "names_host"]


def load(der: bytes) -> x509.Certificate | None:
    """A certificate, None when the bytes are none."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def names_host(certificate: x509.Certificate, hosts: Iterable[str], *, common_name: bool = False) -> bool:
    """Does it name one of these hosts (A-labels, or IP addresses)?

    :param common_name: look at the subject, too, where there are no alternative names (RFC 7672 3.2.3).
    """
    try:
        names, addresses = _alternative(certificate)
        if not names and not addresses and common_name:
            names = [
                str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            ]
    except ValueError:
        return False
    for host in hosts:
        name = host.lower().rstrip(".")
        try:
            if ipaddress.ip_address(name) in addresses:
                return True
            continue
        except ValueError:
            pass
        if any(_fits(pattern.lower().rstrip("."), name) for pattern in names):
            return True
    return False


def _alternative(certificate: x509.Certificate) -> tuple[list[str], list[object]]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], []
    return found.get_values_for_type(x509.DNSName), list(found.get_values_for_type(x509.IPAddress))


def _fits(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        label, _, parent = name.partition(".")
        return bool(label) and "." in parent and pattern[2:] == parent
    return bool(pattern) and pattern == name


def in_force(certificate: x509.Certificate, now: datetime) -> bool:
    """Is it valid at that time (aware)?"""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def is_issuer(issuer: x509.Certificate, certificate: x509.Certificate, *, anchor: bool = False) -> bool:
    """Did one sign the other, and may it? An anchor may be anything that its owner calls one."""
    try:
        certificate.verify_directly_issued_by(issuer)
        if anchor and issuer.version is x509.Version.v1:
            return True
        return bool(issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return anchor
    except Exception:  # a wrong signature, an unknown algorithm, an unreadable extension: it proves nothing
        return False
