"""Our own DKIM signatures, and the keys for them.

Promise: what is signed is what the next server gets: line ends are taken as the SMTP client writes them. The
fields that make a message what it is are signed once more than they occur, so that none can be added.
Signing with RSA costs about a millisecond: call it in a thread.

Specifications: RFC 6376 3.5, 5.4; RFC 8301 3.2; RFC 8463.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from posthouse.mailauth.canonical import BodyHash, canonical_field, split_fields

__all__ = ["OutgoingBody", "SigningKey", "key_record", "load_key", "make_key", "sign"]

#: the fields that are signed where they occur (RFC 6376 5.4.1)
_SIGNED = (
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"sender", b"mime-version",
    b"content-type", b"content-transfer-encoding", b"content-id", b"content-description", b"resent-date",
    b"resent-from", b"resent-to", b"resent-cc", b"in-reply-to", b"references", b"list-id", b"list-help",
    b"list-unsubscribe", b"list-unsubscribe-post", b"list-subscribe", b"list-post", b"list-owner",
    b"list-archive",
)  # fmt: skip
#: and once more, so that nobody adds another
_OVERSIGNED = frozenset((b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"content-type"))
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BITS = 2048
_WIDTH = 72


@frozen(eq=False)
class SigningKey:
    """A private key and the place of its public half in DNS."""

    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey

    @property
    def algorithm(self) -> str:
        return "rsa-sha256" if isinstance(self.private, RSAPrivateKey) else "ed25519-sha256"


def make_key(kind: str) -> bytes:
    """A new private key, "rsa" (a quarter of a second) or "ed25519", as PKCS #8 in DER."""
    private: RSAPrivateKey | Ed25519PrivateKey
    private = Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(65537, _BITS)
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def load_key(domain: str, selector: str, der: bytes) -> SigningKey:
    """:raises ValueError: not a key that DKIM knows."""
    private = load_der_private_key(der, None)
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("neither RSA nor Ed25519")
    return SigningKey(domain, selector, private)


def key_record(key: SigningKey) -> str:
    """The TXT record for ``selector._domainkey.domain`` (RFC 6376 3.6.1, RFC 8463 4)."""
    public = key.private.public_key()
    if isinstance(key.private, RSAPrivateKey):
        data = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={base64.b64encode(data).decode()}"
    data = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; p={base64.b64encode(data).decode()}"


class OutgoingBody:
    """The relaxed hash of a body that may have any line ends, as it will be once it is sent."""

    def __init__(self) -> None:
        self._body = BodyHash(relaxed=True)
        self._held = b""

    def feed(self, block: bytes) -> None:
        """The next bytes of the body."""
        data = self._held + block
        self._held = b"\r" if data.endswith(b"\r") else b""
        if self._held:
            data = data[:-1]
        if data.count(b"\r\n") != data.count(b"\n") or data.count(b"\r\n") != data.count(b"\r"):
            data = _LINE_END.sub(b"\r\n", data)
        self._body.feed(data)

    def digest(self) -> bytes:
        """The hash. Only once."""
        if self._held:
            self._body.feed(b"\r\n")
        return self._body.digest()


def sign(head: bytes, body_hash: bytes, keys: Sequence[SigningKey], now: int) -> bytes:
    """The DKIM-Signature fields to put in front, one for each key.

    :param head: every field that goes out, those that are added included. :param now: seconds.
    """
    fields = split_fields(_LINE_END.sub(b"\r\n", head))
    names: list[bytes] = []
    forms: list[bytes] = []
    for name in _SIGNED:
        having = [raw for other, raw in fields if other == name]
        names += [name] * (len(having) + (name in _OVERSIGNED))
        forms += [canonical_field(raw, True) for raw in reversed(having)]
    data = b"\r\n".join([*forms, b""])
    digest = base64.b64encode(body_hash).decode()
    return b"".join([_one(key, names, data, digest, now) for key in keys])


def _one(key: SigningKey, names: list[bytes], data: bytes, digest: str, now: int) -> bytes:
    listed = _folded(":".join([name.decode() for name in names]), ":")
    field = (
        f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n\td={key.domain}; s={key.selector};"
        f" t={now};\r\n\th={listed};\r\n\tbh={digest};\r\n\tb="
    ).encode()
    full = data + canonical_field(field, True)
    if isinstance(key.private, RSAPrivateKey):
        signature = key.private.sign(full, PKCS1v15(), SHA256())
    else:
        signature = key.private.sign(hashlib.sha256(full).digest())
    text = base64.b64encode(signature).decode()
    lines = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    return field + "\r\n\t ".join(lines).encode() + b"\r\n"


def _folded(text: str, after: str) -> str:
    lines, line = [], ""
    for part in text.split(after):
        piece = part + after
        if len(line) + len(piece) > _WIDTH and line:
            lines.append(line)
            line = ""
        line += piece
    return "\r\n\t ".join([*lines, line[: -len(after)]])
