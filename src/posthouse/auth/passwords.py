"""Hashes of passwords, and the passwords that we make ourselves.

The promise: every byte of a password counts. bcrypt reads 72 bytes and stops at a NUL, so what goes into it
is the base64 of an HMAC-SHA256 of the password (44 characters, no NUL). The stored string says so by its
prefix; a bare bcrypt string, brought along from another server, is recognised and checked in bcrypt's own
way.

App passwords are random (120 bits), so a plain SHA-256 is as good as a slow hash, and 2,000 phones that
return after a restart cost 2,000 look-ups rather than ten minutes of bcrypt.

Everything here is pure and blocking: ``hash_password`` and ``verify`` belong in a thread (bcrypt releases the
GIL).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable

import bcrypt

__all__ = ["app_password_digest", "dummy_hash", "hash_password", "make_app_password", "verify"]

_PREFIX = "ph1:"  # version 1: bcrypt over base64(HMAC-SHA256(_PEPPER, NFC(password)))
_PEPPER = b"posthouse password 1"  # separates our digests from other uses of SHA-256; not a secret
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_BCRYPT_LIMIT = 72
_APP_BYTES = 15  # 120 bits are exactly 24 letters of base32
_APP_GROUP = 6
_APP_SHAPE = re.compile(r"[a-z2-7]{24}")


def hash_password(password: bytes, cost: int = 12) -> str:
    """The string to store for a password.

    :param password: as typed, in UTF-8.
    :param cost: bcrypt's binary logarithm of the rounds, 4 to 31; 12 takes about 0.3 s.
    """
    return _PREFIX + bcrypt.hashpw(_digest(password), bcrypt.gensalt(cost)).decode("ascii")


def verify(password: bytes, stored: str) -> bool:
    """Does the password belong to the stored string? A string of no known kind belongs to none."""
    ours = stored.startswith(_PREFIX)
    text = stored.removeprefix(_PREFIX)
    if not _BCRYPT.fullmatch(text):
        return False
    if ours:
        candidate = _digest(password)
    elif b"\0" in password:
        return False  # other programs stop at the NUL, so it would match a shorter password
    else:
        candidate = password[:_BCRYPT_LIMIT]  # as whoever made the hash did
    try:
        return bcrypt.checkpw(candidate, text.encode("ascii"))
    except ValueError:  # a cost or salt out of bcrypt's range
        return False


def dummy_hash(cost: int = 12) -> str:
    """A well-formed stored string that no password fits: checking it takes as long as a real one."""
    return f"{_PREFIX}$2b${cost:02d}${'.' * 53}"


def make_app_password(random: Callable[[int], bytes]) -> tuple[str, bytes]:
    """A new app password: the text to show once, and the digest to store.

    :param random: ``random(n)`` gives n unpredictable bytes (``os.urandom``).
    """
    letters = base64.b32encode(random(_APP_BYTES)).decode("ascii").lower()
    text = "-".join(letters[at : at + _APP_GROUP] for at in range(0, len(letters), _APP_GROUP))
    return text, hashlib.sha256(letters.encode("ascii")).digest()


def app_password_digest(password: bytes) -> bytes | None:
    """The digest under which such a password is stored, or None when it has not the shape of one.

    Case, blanks and dashes do not matter: people read it from one screen and type it on another.
    """
    if len(password) > 64:
        return None
    letters = password.decode("latin-1").lower().replace("-", "").replace(" ", "").replace("\t", "")
    if not _APP_SHAPE.fullmatch(letters):
        return None
    return hashlib.sha256(letters.encode("ascii")).digest()


def _digest(password: bytes) -> bytes:
    # RFC 8265 4.2: NFC, so that an accent typed on a phone equals the same one typed on a desk.
    try:
        password = unicodedata.normalize("NFC", password.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        pass
    return base64.b64encode(hmac.digest(_PEPPER, password, "sha256"))
