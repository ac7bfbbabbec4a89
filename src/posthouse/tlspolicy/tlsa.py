"""DANE for mail: TLSA records, and whether the certificates that a server showed are those.

Promise: pure. ``match`` says "" for a server that proved itself, else why it did not. Only usages 3 (this key
or certificate) and 2 (this authority) count; a record that means anything else is unusable, and a set without a
usable one asks for encryption alone.

Specifications: RFC 6698 2.1 (records), RFC 7671 (updates), RFC 7672 3.1 and 3.2 (SMTP).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from posthouse.tlspolicy.certificates import in_force, is_issuer, load, names_host

__all__ = ["Tlsa", "advice", "match", "parse_tlsa", "presentation", "usable"]

_SIZES = {1: 32, 2: 64}  # of SHA-256 and SHA-512
_LONGEST_CHAIN = 10
_LARGEST = 8192  # bytes of a record's data
DANE_TA, DANE_EE = 2, 3


@frozen(order=True)
class Tlsa:
    """One record (RFC 6698 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def good(self) -> bool:
        """Can it prove a mail server (RFC 7672 3.1.3: PKIX usages cannot)?"""
        if self.usage not in (DANE_TA, DANE_EE) or self.selector not in (0, 1):
            return False
        if self.matching == 0:
            return 0 < len(self.data) <= _LARGEST
        return len(self.data) == _SIZES.get(self.matching)


def parse_tlsa(rdata: bytes) -> Tlsa | None:
    """A record's wire form; None when it is too short to be one."""
    if len(rdata) < 4:
        return None
    return Tlsa(rdata[0], rdata[1], rdata[2], bytes(rdata[3:]))


def usable(records: Sequence[Tlsa]) -> tuple[Tlsa, ...]:
    """Those that can prove a server. RFC 7671 9: of each usage and selector the strongest digest alone counts."""
    good = sorted({record for record in records if record.good})
    best: dict[tuple[int, int], int] = {}
    for record in good:
        key = (record.usage, record.selector)
        best[key] = max(best.get(key, 0), record.matching)
    return tuple(record for record in good if record.matching in (0, best[(record.usage, record.selector)]))


def _selected(certificate: x509.Certificate, selector: int) -> bytes:
    if selector == 0:
        return certificate.public_bytes(Encoding.DER)
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _is(record: Tlsa, certificate: x509.Certificate) -> bool:
    try:
        content = _selected(certificate, record.selector)
    except Exception:  # a key of a kind that nobody here knows
        return False
    if record.matching:
        content = hashlib.new("sha256" if record.matching == 1 else "sha512", content).digest()
    return hmac.compare_digest(content, record.data)


def match(records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> str:
    """Do the certificates fit the records? "" when they do, else a sentence.

    :param records: usable ones. :param chain: as the server sent them, DER, its own first.
    :param names: what the server may be called. :param now: aware.
    """
    certificates = [one for der in chain[:_LONGEST_CHAIN] if (one := load(der)) is not None]
    if not certificates:
        return "the server showed no certificate"
    leaf = certificates[0]
    # RFC 7672 3.1.1: neither names nor dates of the certificate matter; those of the record do.
    if any(record.usage == DANE_EE and _is(record, leaf) for record in records):
        return ""
    anchors = [record for record in records if record.usage == DANE_TA]
    if not anchors:
        return "the certificate is not the one that the TLSA records name"
    if not _reaches(leaf, certificates[1:], anchors, now):
        return "the certificate does not come from an authority that the TLSA records name"
    if not names_host(leaf, names, common_name=True):
        return f"the certificate does not name {names[0] if names else 'the server'}"
    return ""


def _reaches(
    leaf: x509.Certificate, others: list[x509.Certificate], anchors: list[Tlsa], now: datetime
) -> bool:
    """Does a chain of signatures lead from the server's certificate to one that a record names?"""
    # RFC 7672 3.1.2: an anchor that stands in the record as a whole need not be sent.
    given = [load(record.data) for record in anchors if record.selector == 0 and record.matching == 0]
    others = others + [one for one in given if one is not None]
    current, seen = leaf, {id(leaf)}
    for _ in range(_LONGEST_CHAIN):
        if not in_force(current, now):
            return False
        following = None
        for issuer in others:
            anchor = any(_is(record, issuer) for record in anchors)
            if id(issuer) in seen or not is_issuer(issuer, current, anchor=anchor):
                continue
            if anchor and in_force(issuer, now):
                return True
            following = following or issuer
        if following is None:
            return False
        seen.add(id(following))
        current = following
    return False


def presentation(record: Tlsa) -> str:
    """As a zone file writes it."""
    return f"{record.usage} {record.selector} {record.matching} {record.data.hex()}"


def advice(certificate: x509.Certificate) -> Tlsa:
    """The record that says: this server is known by the key of its present certificate (3 1 1)."""
    return Tlsa(DANE_EE, 1, 1, hashlib.sha256(_selected(certificate, 1)).digest())
