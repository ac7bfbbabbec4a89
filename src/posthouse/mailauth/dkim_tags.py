"""DKIM-Signature fields and key records, from bytes to checked values.

Promise: whatever stands there becomes a value, or a ``Flaw`` with the result that the signature then has;
keys are loaded once for as long as the same record is met.

Specifications: RFC 6376 3.2, 3.5, 3.6; RFC 8301 (no SHA-1, RSA from 1024 bits); RFC 8463 (Ed25519).
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from posthouse.mailauth.lookup import dns_name, is_within

__all__ = [
    "MAX_BITS",
    "MIN_BITS",
    "Flaw",
    "Key",
    "Signature",
    "parse_key",
    "parse_signature",
    "parse_tags",
    "signature_of",
    "without_b",
]

MIN_BITS = 1024  # RFC 8301 3.2
MAX_BITS = 4096
_MAX_FIELD = 32_768
_MAX_TAGS = 64
_MAX_NAMES = 200

_SPACE = re.compile(r"[ \t\r\n]+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,100}\Z")
_DIGITS = re.compile(r"\d{1,12}\Z")
_SELECTOR = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\Z")
# The value of b= goes, with the white space around it (3.7); bh= is another tag.
_B = re.compile(rb"((?:^|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")


@frozen
class Flaw:
    """Why a signature cannot count. ``result`` as RFC 8601 2.7.1 names it."""

    result: str
    reason: str


@frozen
class Signature:
    """One DKIM-Signature. ``unsigned`` is the field with an empty ``b=``; times in seconds."""

    algorithm: str
    domain: str
    selector: str
    identity: str
    signature: bytes
    body_hash: bytes
    names: tuple[bytes, ...]
    relaxed_header: bool
    relaxed_body: bool
    length: int | None
    signed: int | None
    expires: int | None
    unsigned: bytes
    mark: str  # the first characters of b=, to tell signatures apart (RFC 6008)


@frozen
class Key:
    """A usable key record. ``strict``: no subdomains in i= (t=s). ``testing``: t=y."""

    public: RSAPublicKey | Ed25519PublicKey
    kind: str
    bits: int
    strict: bool
    testing: bool


def parse_tags(text: str) -> dict[str, str] | None:
    """A tag list (3.2): names to values without the white space around them; None when it is none."""
    tags: dict[str, str] = {}
    parts = text.split(";", _MAX_TAGS + 1)
    if len(parts) > _MAX_TAGS:
        return None
    for place, part in enumerate(parts):
        name, equals, value = part.partition("=")
        name = name.strip(" \t\r\n")
        if not equals:
            if name or place < len(parts) - 1:
                return None
            continue
        if not _NAME.match(name) or name in tags:
            return None
        tags[name] = value.strip(" \t\r\n")
    return tags


def parse_signature(raw: bytes) -> Signature | Flaw:
    """A whole field, name and colon included."""
    if len(raw) > _MAX_FIELD:
        return Flaw("neutral", "signature field too long")
    try:
        tags = parse_tags(raw.partition(b":")[2].decode("utf-8"))
    except UnicodeDecodeError:
        tags = None
    if tags is None:
        return Flaw("neutral", "signature syntax")
    if not tags.get("v"):
        return Flaw("neutral", "signature without v=")
    if tags["v"] != "1":
        return Flaw("neutral", "unknown version")
    return signature_of(raw, tags)


def signature_of(raw: bytes, tags: dict[str, str]) -> Signature | Flaw:
    """A field whose tags are those of a signature, whatever its version."""
    missing = [name for name in ("a", "b", "bh", "d", "h", "s") if not tags.get(name)]
    if missing:
        return Flaw("neutral", f"signature without {missing[0]}=")
    algorithm = tags["a"].lower()
    if algorithm == "rsa-sha1":
        return Flaw("policy", "rsa-sha1 is not accepted")  # RFC 8301 3.1
    if algorithm not in ("rsa-sha256", "ed25519-sha256"):
        return Flaw("neutral", "unknown algorithm")
    try:
        return _signature(raw, tags, algorithm)
    except _Wrong as wrong:
        return Flaw("neutral", str(wrong))


class _Wrong(Exception):
    """A syntax error; the sentence is its argument."""


def _signature(raw: bytes, tags: dict[str, str], algorithm: str) -> Signature:
    header, slash, body = tags.get("c", "simple/simple").lower().partition("/")
    body = body if slash else "simple"
    if header not in ("simple", "relaxed") or body not in ("simple", "relaxed"):
        raise _Wrong("unknown canonicalization")
    domain = dns_name(tags["d"])
    if domain is None:
        raise _Wrong("d= is no domain")
    selector = tags["s"]
    if not _SELECTOR.match(selector) or len(selector) + len(domain) > 240:
        raise _Wrong("s= is no selector")
    identity = _SPACE.sub("", tags.get("i", "@" + domain))
    whose = dns_name(identity.rpartition("@")[2]) if "@" in identity else None
    if whose is None or not is_within(whose, domain):
        raise _Wrong("i= is not of d=")
    names = _field_names(tags["h"])
    if not names:
        raise _Wrong("h= is no list of fields")
    if b"from" not in names:
        raise _Wrong("From is not signed")  # 6.1.1
    methods = _SPACE.sub("", tags.get("q", "dns/txt")).lower().split(":")
    if "dns/txt" not in methods and "dns" not in methods:
        raise _Wrong("unknown query method")
    signed, expires = _number(tags, "t"), _number(tags, "x")
    if signed is not None and expires is not None and expires <= signed:
        raise _Wrong("expires before it was signed")
    return Signature(
        algorithm=algorithm,
        domain=domain,
        selector=selector.lower(),
        identity=identity,
        signature=_base64(tags["b"]),
        body_hash=_base64(tags["bh"]),
        names=names,
        relaxed_header=header == "relaxed",
        relaxed_body=body == "relaxed",
        length=_number(tags, "l"),
        signed=signed,
        expires=expires,
        unsigned=without_b(raw),
        mark=re.sub(r"[^A-Za-z0-9+/]", "", tags["b"][:24])[:8],
    )


def without_b(raw: bytes) -> bytes:
    """A signature's field as it was when it was signed: with an empty ``b=`` (3.7)."""
    colon = raw.index(b":") + 1
    return raw[:colon] + _B.sub(rb"\1", raw[colon:], count=1)


@lru_cache(maxsize=1024)
def _field_names(text: str) -> tuple[bytes, ...]:
    """The names of ``h=``, lower case; none when it is no such list. Senders have theirs, and keep it."""
    names = [name.strip(" \t\r\n").lower() for name in text.split(":", _MAX_NAMES)]
    if len(names) > _MAX_NAMES or not all(map(_FIELD_NAME.match, names)):
        return ()
    return tuple([name.encode() for name in names])


def _number(tags: dict[str, str], name: str) -> int | None:
    text = tags.get(name)
    if text is None:
        return None
    if not _DIGITS.match(text):
        raise _Wrong(f"{name}= is no number")
    return int(text)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(_SPACE.sub("", text), validate=True)
    except (binascii.Error, ValueError):
        raise _Wrong("no base64") from None


@lru_cache(maxsize=2048)
def parse_key(raw: bytes) -> Key | Flaw:
    """A key record (3.6.1)."""
    if len(raw) > _MAX_FIELD:
        return Flaw("permerror", "key record too long")
    tags = parse_tags(raw.decode("utf-8", "replace"))
    if tags is None:
        return Flaw("permerror", "key record syntax")
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        return Flaw("permerror", "unknown key version")
    if "p" not in tags:
        return Flaw("permerror", "key record without p=")
    if not tags["p"]:
        return Flaw("permerror", "key revoked")
    if "h" in tags and "sha256" not in _words(tags["h"]):
        return Flaw("permerror", "the key is not for SHA-256")
    if not {"*", "email"} & set(_words(tags.get("s", "*"))):
        return Flaw("permerror", "the key is not for mail")
    flags = _words(tags.get("t", ""))
    kind = tags.get("k", "rsa").lower()
    try:
        data = _base64(tags["p"])
        if kind == "rsa":
            loaded = load_der_public_key(data)
            if not isinstance(loaded, RSAPublicKey):
                return Flaw("permerror", "the key is not RSA")
            bits = loaded.key_size
            return Key(loaded, kind, bits, "s" in flags, "y" in flags)
        if kind == "ed25519":
            public = Ed25519PublicKey.from_public_bytes(data)
            return Key(public, kind, 256, "s" in flags, "y" in flags)
    except (_Wrong, ValueError, TypeError, UnsupportedAlgorithm):
        return Flaw("permerror", "the key cannot be read")
    return Flaw("permerror", "unknown kind of key")


def _words(text: str) -> list[str]:
    return _SPACE.sub("", text).lower().split(":")
