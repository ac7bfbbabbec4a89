"""The SASL exchanges of AUTH (RFC 4954): PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login).

The promise: an exchange is fed base64 lines and ends in a login and a password, or in ``Malformed`` or
``AuthFailed``; whatever the peer sends, nothing else is raised. Nothing here knows a socket, and no password
appears in a ``repr``.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable

from attrs import field, frozen

from posthouse.errors import AuthFailed, Malformed

__all__ = ["MAX_AUTH_LINE", "MECHANISMS", "Challenge", "Credentials", "Exchange"]

MAX_AUTH_LINE = 12288  # octets with CRLF, RFC 4954 section 4
MAX_LOGIN = 1024  # characters
MAX_PASSWORD = 4096  # octets


@frozen
class Challenge:
    """The server has to send ``334`` and this text, base64 as it is."""

    text: bytes


@frozen
class Credentials:
    """What the peer claims."""

    login: str
    password: bytes = field(repr=False)


def _decode(line: bytes) -> bytes:
    if line == b"=":  # RFC 4954 section 4: an empty initial response
        return b""
    try:
        return b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("Invalid base64 data.") from None


def _credentials(login: bytes, password: bytes) -> Credentials:
    try:
        name = login.decode("utf-8")
    except UnicodeDecodeError:
        raise AuthFailed(cause="the login is not UTF-8") from None
    if not name or not password or len(name) > MAX_LOGIN or len(password) > MAX_PASSWORD or "\0" in name:
        raise AuthFailed(cause="empty or oversized credentials")
    return Credentials(name, password)


class Exchange:
    """One AUTH command. ``step`` takes what the peer said last: None when it said nothing yet."""

    def step(self, line: bytes | None) -> Challenge | Credentials:
        """:raises Malformed: 501. :raises AuthFailed: 535 without asking anybody."""
        raise AssertionError("a mechanism defines its own step")


class Plain(Exchange):
    """``[authzid] NUL authcid NUL password`` in one response."""

    def step(self, line: bytes | None) -> Challenge | Credentials:
        if line is None:
            return Challenge(b"")
        parts = _decode(line).split(b"\0")
        if len(parts) != 3:
            raise Malformed("The PLAIN response is malformed.")
        authzid, authcid, password = parts
        if authzid and authzid != authcid:
            raise AuthFailed(cause="acting for another user is not offered")
        return _credentials(authcid, password)


class Login(Exchange):
    """Two prompts. Outlook sends the user name with the command, others wait for the prompt."""

    def __init__(self) -> None:
        self._user: bytes | None = None

    def step(self, line: bytes | None) -> Challenge | Credentials:
        if line is None:
            return Challenge(b64encode(b"Username:"))
        if self._user is None:
            self._user = _decode(line)
            return Challenge(b64encode(b"Password:"))
        return _credentials(self._user, _decode(line))


MECHANISMS: dict[bytes, Callable[[], Exchange]] = {b"PLAIN": Plain, b"LOGIN": Login}
