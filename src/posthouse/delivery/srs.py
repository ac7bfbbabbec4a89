"""Senders of forwarded mail, rewritten so that it may come from here, and back again for what bounces.

Promise: only what was written with our key leads back, for three weeks; whatever a peer does to the case of letters
changes nothing. An address that another forwarder has rewritten grows once more and never again.

Specifications: the Sender Rewriting Scheme (Meng Weng Wong, Shevek 2004): ``SRS0=hash=day=domain=local`` and
``SRS1=hash=forwarder==rest``; RFC 7208 appendix D.3 (why).
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode

from attrs import field, frozen

from posthouse.errors import Malformed

__all__ = ["LIFE_DAYS", "Srs", "is_rewritten"]

#: days for which an address leads back
LIFE_DAYS = 21
_DAY = 24 * 3600 * 1000
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_HASH = 8  # characters of base32: 40 bits
_PLAIN = re.compile('[^\x00-\x20"(),:;<>@\\[\\]\\\\\x7f]+')
_SRS0 = re.compile(r"(?is)srs0=([a-z2-7]{8})=([a-z2-7]{2})=([^=@]+)=(.+)")
_SRS1 = re.compile(r"(?is)srs1[=+-]([^=@]+)=([^=@]+)=(.+)")
_MAX = 480


def is_rewritten(local: str) -> bool:
    """Does a local part look as if a forwarder had made it?"""
    return local[:5].upper() in ("SRS0=", "SRS1=")


@frozen
class Srs:
    """:param key: the secret of this house."""

    key: bytes = field(repr=False)

    def forward(self, sender: str, domain: str, now: int) -> str:
        """The sender under which mail goes on.

        :param domain: of ours, which forwards. :param now: ms since the epoch.
        :returns: ``sender`` itself where it cannot be rewritten.
        """
        local, at, host = sender.rpartition("@")
        if not at or not domain or not _PLAIN.fullmatch(local) or "=" in host or host.startswith("["):
            return sender
        known = _SRS1.fullmatch(local)
        if known is not None:
            # Twice forwarded: whoever wrote SRS0 knows the way back, those between need not hear of it.
            text = f"{known[2]}={known[3]}"
            new = f"SRS1={self._hash(text)}={text}@{domain}"
        elif local[:4].upper() == "SRS0" and local[4:5] in ("=", "+", "-"):
            text = f"{host}={local[4:]}"
            new = f"SRS1={self._hash(text)}={text}@{domain}"
        else:
            text = f"{_stamp(now // _DAY)}={host}={local}"
            new = f"SRS0={self._hash(text)}={text}@{domain}"
        return new if len(new) <= _MAX else sender

    def reverse(self, local: str, now: int) -> str:
        """Where mail to a rewritten address goes.

        :param now: ms since the epoch; 0: however old it is.
        :raises Malformed: not one of ours, or too old.
        """
        first = _SRS0.fullmatch(local)
        if first is not None:
            digest, stamp, host, name = first.groups()
            self._check(digest, f"{stamp}={host}={name}")
            if now and (now // _DAY - _days(stamp)) % 1024 > LIFE_DAYS:
                raise Malformed("The address has expired.")
            return f"{name}@{host}"
        again = _SRS1.fullmatch(local)
        if again is None:
            raise Malformed("The address is no rewritten one.")
        digest, host, rest = again.groups()
        self._check(digest, f"{host}={rest}")
        return f"SRS0{rest}@{host}"

    def _check(self, digest: str, text: str) -> None:
        if not hmac.compare_digest(digest.upper().encode("utf-8"), self._hash(text).encode()):
            raise Malformed("The address was not made here.")

    def _hash(self, text: str) -> str:
        digest = hmac.digest(self.key, text.lower().encode("utf-8", "surrogatepass"), "sha256")
        return b32encode(digest).decode("ascii")[:_HASH]


def _stamp(day: int) -> str:
    return _DIGITS[day // 32 % 32] + _DIGITS[day % 32]


def _days(stamp: str) -> int:
    return _DIGITS.index(stamp[0].upper()) * 32 + _DIGITS.index(stamp[1].upper())
