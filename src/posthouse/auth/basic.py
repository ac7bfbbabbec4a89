"""The value of an ``Authorization: Basic`` header (RFC 7617), as clients really send it.

The standard leaves the character set open: most send UTF-8, Outlook sends ISO-8859-1. Bytes that are no UTF-8
are read as ISO-8859-1; bytes that are both are tried as UTF-8 first.
"""

from __future__ import annotations

import base64
import binascii

from attrs import frozen

from posthouse.errors import AuthFailed

__all__ = ["Credentials", "parse_basic"]

MAX_HEADER = 8192


@frozen(repr=False)
class Credentials:
    """A login and the passwords that it may mean, the likelier first; always UTF-8."""

    login: str
    passwords: tuple[bytes, ...]


def parse_basic(header: bytes) -> Credentials:
    """Take the header's value apart.

    :raises AuthFailed: another scheme, bad base64, no colon, too long.
    """
    scheme, _, token = header.strip().partition(b" ")
    if scheme.lower() != b"basic" or len(header) > MAX_HEADER:
        raise AuthFailed(cause="not a Basic header")
    token = token.strip()
    try:
        raw = base64.b64decode(token + b"=" * (-len(token) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise AuthFailed(cause="bad base64 in a Basic header") from None
    user, colon, password = raw.partition(b":")
    if not colon:
        raise AuthFailed(cause="no colon in a Basic header")
    as_latin = password.decode("latin-1").encode("utf-8")
    try:
        login = user.decode("utf-8")
        password.decode("utf-8")
    except UnicodeDecodeError:
        # One of the two is ISO-8859-1, and a client does not mix.
        return Credentials(user.decode("latin-1"), (as_latin,))
    if password.isascii():
        return Credentials(login, (password,))
    return Credentials(login, (password, as_latin))
