"""What earlier hosts saw of a message before they changed it: the Authenticated Received Chain, verified.

Promise: one result for the chain, "none", "pass", "fail" or "temperror", never an exception. A pass says that the
last host's signature covers the message as it came, and that each host sealed what was there before it; not that any
of them told the truth: whom to believe is the caller's.

Every seal is verified, and of the message signatures the newest, since those before are broken by honest changes.

Specifications: RFC 8617 4 (sets), 5.1.1 (what a seal signs), 5.2 (verifying); RFC 6376 for the signatures.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re

from attrs import frozen

from posthouse.mailauth.canonical import canonical_field, split_fields
from posthouse.mailauth.dkim import BodyHashes, Signed, is_valid, key_flaw, signed_data
from posthouse.mailauth.dkim_tags import Flaw, Signature, parse_key, parse_tags, signature_of, without_b
from posthouse.mailauth.lookup import Answer, Lookup, dns_name, failed, found

__all__ = ["MAX_SETS", "ArcResult", "Chain", "chain", "says_pass", "verify"]

MAX_SETS = 50  # 4.2.1
# Each set is a key to ask for and a signature to check; nobody forwards so often.
_MOST_VERIFIED = 10
_MAX_HEAD = 1 << 20
_MAX_FIELD = 32_768
_MAX_KEYS = 3
_NAMES = (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")
_INSTANCE = re.compile(rb"^[ \t\r\n]*i[ \t]*=[ \t]*(\d{1,3})[ \t\r\n]*;")
_DIGITS = re.compile(r"\d{1,3}\Z")
_SELECTOR = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\Z")
_SPACE = re.compile(r"[ \t\r\n]+")
_COMMENT = re.compile(rb"\([^()]*\)")


@frozen
class ArcResult:
    """:ivar sealers: the domains that sealed, the first one first. :ivar reports: what each of them saw."""

    result: str
    sealers: tuple[str, ...] = ()
    reports: tuple[bytes, ...] = ()
    reason: str = ""


@frozen
class _Seal:
    domain: str
    selector: str
    algorithm: str
    signature: bytes
    state: str  # cv=


@frozen
class Chain:
    """A chain as it stands in the header; ``flaw`` is why it fails before any key was asked for.

    :ivar sets: of each instance, the three whole fields in the order of ``_NAMES``.
    """

    fields: tuple[tuple[bytes, bytes], ...] = ()
    sets: tuple[tuple[bytes, bytes, bytes], ...] = ()
    seals: tuple[_Seal, ...] = ()
    newest: Signature | None = None
    flaw: str = ""

    def __bool__(self) -> bool:
        return bool(self.sets or self.flaw)


_NONE = Chain()


def chain(head: bytes) -> Chain:
    """The chain of a header block, as it came. Falsy when there is none."""
    if b"arc-" not in head[:_MAX_HEAD].lower() or len(head) > _MAX_HEAD:
        return _NONE
    fields = split_fields(head)
    places: dict[int, dict[bytes, bytes]] = {}
    for name, raw in fields:
        if name not in _NAMES:
            continue
        number = _instance(name, raw)
        if number is None or len(raw) > _MAX_FIELD:
            return Chain(flaw="a field of the chain cannot be read")
        one = places.setdefault(number, {})
        if name in one:
            return Chain(flaw=f"two fields of instance {number}")
        one[name] = raw
    if not places:
        return _NONE
    if sorted(places) != list(range(1, len(places) + 1)) or len(places) > MAX_SETS:
        return Chain(flaw="instances are missing")
    if any(len(one) != len(_NAMES) for one in places.values()):
        return Chain(flaw="an instance is not complete")
    sets = tuple((one[_NAMES[0]], one[_NAMES[1]], one[_NAMES[2]]) for _, one in sorted(places.items()))
    seals = []
    for number, (_, _, raw) in enumerate(sets, 1):
        seal = _seal(raw)
        if isinstance(seal, str):
            return Chain(sets=sets, flaw=seal)
        # 5.2 step 3: what a host found before it sealed
        if seal.state != ("none" if number == 1 else "pass"):
            return Chain(sets=sets, flaw=f"instance {number} says cv={seal.state[:8]}")
        seals.append(seal)
    newest = _message_signature(sets[-1][1])
    if isinstance(newest, Flaw):
        return Chain(sets=sets, flaw=newest.reason)
    return Chain(tuple(fields), sets, tuple(seals), newest)


def _instance(name: bytes, raw: bytes) -> int | None:
    value = raw.partition(b":")[2]
    if name == _NAMES[0]:
        match = _INSTANCE.match(value)
        return int(match[1]) if match else None
    tags = parse_tags(value.decode("utf-8", "replace"))
    text = (tags or {}).get("i", "")
    return int(text) if _DIGITS.match(text) else None


def _seal(raw: bytes) -> _Seal | str:
    tags = parse_tags(raw.partition(b":")[2].decode("utf-8", "replace")) or {}
    missing = [name for name in ("a", "b", "d", "s", "cv") if not tags.get(name)]
    if missing:
        return f"a seal without {missing[0]}="
    if "h" in tags or "bh" in tags:
        return "a seal with h="  # 4.1.3
    domain, selector, algorithm = dns_name(tags["d"]), tags["s"], tags["a"].lower()
    if domain is None or not _SELECTOR.match(selector) or len(selector) + len(domain) > 240:
        return "a seal of nobody"
    if algorithm not in ("rsa-sha256", "ed25519-sha256"):
        return "unknown algorithm"
    try:
        signature = base64.b64decode(_SPACE.sub("", tags["b"]), validate=True)
    except (binascii.Error, ValueError):
        return "no base64"
    return _Seal(domain, selector.lower(), algorithm, signature, tags["cv"].lower())


def _message_signature(raw: bytes) -> Signature | Flaw:
    tags = parse_tags(raw.partition(b":")[2].decode("utf-8", "replace"))
    if tags is None:
        return Flaw("neutral", "signature syntax")
    tags.pop("i", None)  # here it is the instance (4.1.2)
    one = signature_of(raw, tags)
    if isinstance(one, Signature) and b"arc-seal" in one.names:
        return Flaw("neutral", "a signature over a seal")
    return one


async def verify(one: Chain, hashes: BodyHashes, lookup: Lookup) -> ArcResult:
    """The result of a chain. ``hashes`` were made with ``one.newest`` and have seen the body."""
    if not one:
        return ArcResult("none")
    if one.flaw or one.newest is None:
        return ArcResult("fail", reason=one.flaw)
    if len(one.sets) > _MOST_VERIFIED:
        return ArcResult("fail", reason="the chain is too long")
    sealers = tuple(seal.domain for seal in one.seals)
    reports = tuple(raw.partition(b":")[2] for raw, _, _ in one.sets)
    # All keys are asked for before the first one is waited for.
    newest = one.newest
    asked = [(newest.selector, newest.domain), *((seal.selector, seal.domain) for seal in one.seals)]
    pending = [lookup(f"{selector}._domainkey.{domain}", "TXT") for selector, domain in asked]
    answers = [await each for each in pending]
    body = hashes.of(newest)
    reason = ""
    if body is None or not hmac.compare_digest(body[0], newest.body_hash) or newest.length is not None:
        reason = "the body has changed"
    else:
        data = signed_data(Signed(list(one.fields), []), newest, None)
        reason = _check(answers[0], newest.algorithm, newest.signature, data, "the message signature")
    # 5.2 step 5: from the newest to the oldest
    for number in range(len(one.seals), 0, -1):
        if reason:
            break
        seal = one.seals[number - 1]
        reason = _check(
            answers[number], seal.algorithm, seal.signature, _sealed(one, number), f"seal {number}"
        )
    if not reason:
        return ArcResult("pass", sealers, reports)
    return ArcResult("temperror" if any(map(failed, answers)) else "fail", sealers, reports, reason)


def _sealed(one: Chain, number: int) -> bytes:
    """What a seal is over (5.1.1): the sets up to its own, always relaxed, its own signature left out."""
    parts = [canonical_field(raw, True) for fields in one.sets[:number] for raw in fields]
    parts[-1] = canonical_field(without_b(one.sets[number - 1][2]), True)
    return b"\r\n".join(parts)


def _check(answer: Answer, algorithm: str, signature: bytes, data: bytes, what: str) -> str:
    """Why a signature does not count; "" when it does."""
    if failed(answer):
        return f"no answer for the key of {what}"
    reason = f"no key for {what}"
    for raw in found(answer)[:_MAX_KEYS]:
        key = parse_key(raw)
        flaw = key if isinstance(key, Flaw) else key_flaw(algorithm, key)
        if flaw is not None:
            reason = flaw.reason
        elif not isinstance(key, Flaw) and is_valid(key, signature, data):
            return ""
        else:
            reason = f"{what} does not fit"
    return reason


def says_pass(report: bytes, author: str) -> bool:
    """Did the host that wrote this ARC-Authentication-Results find the author authentic (dmarc=pass)?"""
    before = None
    while before != report:
        before, report = report, _COMMENT.sub(b" ", report)
    for part in report[:_MAX_FIELD].lower().split(b";")[2:]:
        words = part.split()
        if words[:1] == [b"dmarc=pass"]:
            return b"header.from=" + author.encode("ascii", "replace") in words
    return False
