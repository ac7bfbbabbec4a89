"""Which domains vouch for a message, by DKIM.

Promise: each of the first ten signatures gets one result of RFC 8601, never an exception. A pass means that the
whole body and every From are covered: a signature over a part of the body (``l=``), or one that leaves room
for a second From, vouches for nothing that a reader sees, and is ``neutral``.

In three steps, since reading the body is the caller's: :func:`signatures`, :class:`BodyHashes` fed with the
body, :func:`verify`.

Specifications: RFC 6376 3.7, 5.4.2, 6.1; RFC 8301; RFC 8463; RFC 8601 2.7.1.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from attrs import define, field, frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from posthouse.mailauth.canonical import BodyHash, canonical_field, split_fields
from posthouse.mailauth.dkim_tags import (
    MAX_BITS,
    MIN_BITS,
    Flaw,
    Key,
    Signature,
    parse_key,
    parse_signature,
)
from posthouse.mailauth.lookup import Answer, Lookup, dns_name, failed, found

__all__ = [
    "MAX_SIGNATURES",
    "BodyHashes",
    "DkimResult",
    "Signed",
    "is_valid",
    "key_flaw",
    "signatures",
    "signed_data",
    "verify",
]

MAX_SIGNATURES = 10
_MAX_FORMS = 4  # different (canonicalization, l=) of one message
_MAX_HEAD = 1 << 20
_MAX_KEYS = 3  # TXT records at one selector
_LATER = 86_400  # seconds that a signer's clock may be ahead

_PADDING = PKCS1v15()
_SHA256 = SHA256()


@frozen
class DkimResult:
    """One signature. ``result`` is "pass", "fail", "policy", "neutral", "temperror" or "permerror"."""

    result: str
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    identity: str = ""
    mark: str = ""
    reason: str = ""


@define(eq=False)
class Signed:
    """The header of a message and the signatures in it."""

    fields: list[tuple[bytes, bytes]]
    found: list[tuple[int, Signature | Flaw]]  # with their places in fields
    _places: dict[bytes, list[int]] = field(factory=dict, init=False)
    _forms: dict[tuple[int, bool], bytes] = field(factory=dict, init=False)

    def form(self, place: int, relaxed: bool) -> bytes:
        """The canonical form of a field, made once."""
        key = (place, relaxed)
        known = self._forms.get(key)
        if known is None:
            known = self._forms[key] = canonical_field(self.fields[place][1], relaxed)
        return known

    def places(self) -> dict[bytes, list[int]]:
        """Where the fields of each name are, the lowest last."""
        if not self._places:
            for place, (name, _) in enumerate(self.fields):
                self._places.setdefault(name, []).append(place)
        return self._places


def signatures(head: bytes) -> Signed:
    """The signatures of a header block, as it came. Beyond the tenth they are not looked at."""
    if b"dkim-signature" not in head[:_MAX_HEAD].lower() or len(head) > _MAX_HEAD:
        return Signed([], [])
    fields = split_fields(head)
    places = [place for place, (name, _) in enumerate(fields) if name == b"dkim-signature"]
    return Signed(fields, [(place, parse_signature(fields[place][1])) for place in places[:MAX_SIGNATURES]])


class BodyHashes:
    """The hashes of a body that the signatures of a message need. Falsy when none does.

    :param more: signatures of another kind over the same body.
    """

    def __init__(self, signed: Signed, *more: Signature) -> None:
        self._hashes: dict[tuple[bool, int | None], BodyHash] = {}
        self._digests: dict[tuple[bool, int | None], tuple[bytes, int]] = {}
        for one in (*more, *(each for _, each in signed.found)):
            if isinstance(one, Signature) and len(self._hashes) < _MAX_FORMS:
                key = (one.relaxed_body, one.length)
                self._hashes.setdefault(key, BodyHash(*key))

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def feed(self, block: bytes) -> None:
        """The next bytes of the body; blocks of at most 64 KB keep a reactor's turn short."""
        for one in self._hashes.values():
            one.feed(block)

    def of(self, signature: Signature) -> tuple[bytes, int] | None:
        """(hash, length of the canonical body); None when the message asked for too many. Ends the body."""
        key = (signature.relaxed_body, signature.length)
        if key not in self._digests and key in self._hashes:
            body = self._hashes[key]
            self._digests[key] = (body.digest(), body.length)
        return self._digests.get(key)


async def verify(signed: Signed, hashes: BodyHashes, lookup: Lookup, now: int) -> list[DkimResult]:
    """The result of each signature, in the order of the header. ``now`` in seconds since the epoch."""
    # All keys are asked for before the first one is waited for.
    asked: list[tuple[int, Signature | Flaw, object]] = []
    for place, one in signed.found:
        early = one if isinstance(one, Flaw) else _early(signed, one, hashes, now)
        if early is not None or isinstance(one, Flaw):
            asked.append((place, one, early))
        else:
            asked.append((place, one, lookup(f"{one.selector}._domainkey.{one.domain}", "TXT")))
    results = []
    for place, one, pending in asked:
        if isinstance(one, Flaw):
            results.append(DkimResult(one.result, reason=one.reason))
        elif isinstance(pending, Flaw):
            results.append(_result(one, pending))
        else:
            results.append(_check(signed, place, one, await pending))  # type: ignore[misc]
    return results


def _result(one: Signature, flaw: Flaw) -> DkimResult:
    return DkimResult(
        flaw.result, one.domain, one.selector, one.algorithm, one.identity, one.mark, flaw.reason
    )


def _early(signed: Signed, one: Signature, hashes: BodyHashes, now: int) -> Flaw | None:
    """What can be told without the key."""
    if one.expires is not None and one.expires < now:
        return Flaw("fail", "signature expired")
    if one.signed is not None and one.signed > now + _LATER:
        return Flaw("neutral", "signed in the future")
    body = hashes.of(one)
    if body is None:
        return Flaw("neutral", "too many kinds of signatures")
    digest, length = body
    if one.length is not None and one.length > length:
        return Flaw("fail", "body is shorter than l=")
    if not hmac.compare_digest(digest, one.body_hash):
        return Flaw("fail", "body has changed")
    if one.length is not None and one.length < length:
        return Flaw("neutral", "only a part of the body is signed")
    if len(signed.places().get(b"from", ())) > one.names.count(b"from"):
        return Flaw("neutral", "a From field is not signed")
    return None


def _check(signed: Signed, place: int, one: Signature, answer: Answer) -> DkimResult:
    if failed(answer):
        return _result(one, Flaw("temperror", "no answer for the key"))
    records = found(answer)[:_MAX_KEYS]
    flaw = Flaw("permerror", "no key")
    for raw in records:
        key = parse_key(raw)
        flaw = key if isinstance(key, Flaw) else _fits(one, key)
        if not isinstance(key, Flaw) and flaw.result == "pass":
            if is_valid(key, one.signature, signed_data(signed, one, place)):
                notes = [f"{key.bits}-bit key"] if key.bits < 2048 and key.kind == "rsa" else []
                notes += ["test mode"] if key.testing else []
                return _result(one, Flaw("pass", ", ".join(notes)))
            flaw = Flaw("fail", "signature does not fit" + (", test mode" if key.testing else ""))
    return _result(one, flaw)


def key_flaw(algorithm: str, key: Key) -> Flaw | None:
    """Why a key cannot be used for signatures of an algorithm."""
    if key.kind != algorithm.partition("-")[0]:
        return Flaw("permerror", "the key is of another kind")
    if key.kind == "rsa" and key.bits < MIN_BITS:
        return Flaw("policy", f"{key.bits}-bit key is too weak")
    if key.bits > MAX_BITS:
        return Flaw("policy", f"{key.bits}-bit key is too long")
    return None


def _fits(one: Signature, key: Key) -> Flaw:
    flaw = key_flaw(one.algorithm, key)
    if flaw is not None:
        return flaw
    if key.strict and dns_name(one.identity.rpartition("@")[2]) != one.domain:
        return Flaw("permerror", "the key is not for subdomains")  # 3.6.1 t=s
    return Flaw("pass", "")


def signed_data(signed: Signed, one: Signature, place: int | None) -> bytes:
    """What the signature is over (3.7). ``place`` is that of the signature itself, which h= never means."""
    parts = []
    places = signed.places()
    taken: dict[bytes, int] = {}
    for name in one.names:
        having: Sequence[int] = places.get(name, ())
        if place is not None and name == b"dkim-signature":
            having = [other for other in having if other != place]
        used = taken.get(name, 0)
        if used < len(having):
            # 5.4.2: from the bottom up; a name beyond the last field signs that there is none
            parts.append(signed.form(having[len(having) - 1 - used], one.relaxed_header))
            taken[name] = used + 1
    parts.append(canonical_field(one.unsigned, one.relaxed_header))
    return b"\r\n".join(parts)


def is_valid(key: Key, signature: bytes, data: bytes) -> bool:
    """Does a signature over some data fit a key?"""
    try:
        if isinstance(key.public, Ed25519PublicKey):
            key.public.verify(signature, hashlib.sha256(data).digest())  # RFC 8463 3
        else:
            key.public.verify(signature, data, _PADDING, _SHA256)
    except (InvalidSignature, ValueError):
        return False
    return True
