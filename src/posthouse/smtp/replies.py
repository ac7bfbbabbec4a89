"""What the server says: replies as values, and the one table from the error tree to SMTP codes.

The promise: a reply is always one or more well-formed lines (RFC 5321 4.2) with an enhanced code (RFC 2034)
where that is allowed; text from elsewhere cannot add a line. An error that is not proven permanent is 4xx.
"""

from __future__ import annotations

import re

from posthouse import errors
from posthouse.smtp.grammar import NeedsUtf8

__all__ = ["AUTH_ERRORS", "ERRORS", "Refused", "Reply", "lines", "reply", "reply_to_error"]

MAX_TEXT = 400  # RFC 5321 4.5.3.1.5: 512 octets for a reply line

_UNSAFE = re.compile("[^ -~]+")


class Reply:
    """One reply, ready for the wire."""

    __slots__ = ("code", "enhanced", "text", "wire")

    def __init__(self, code: int, enhanced: str, text: str, wire: bytes) -> None:
        self.code = code
        self.enhanced = enhanced
        self.text = text
        self.wire = wire

    def __repr__(self) -> str:
        return f"<Reply {self.wire!r}>"


def reply(code: int, enhanced: str, text: str) -> Reply:
    """A reply of one line. ``enhanced`` is "" where RFC 2034 forbids it (220 greeting, HELO, EHLO, 3xx)."""
    safe = _UNSAFE.sub(" ", text)[:MAX_TEXT]
    body = f"{enhanced} {safe}" if enhanced else safe
    return Reply(code, enhanced, safe, f"{code} {body}\r\n".encode("ascii"))


def lines(code: int, texts: list[str]) -> Reply:
    """A reply of several lines without enhanced codes: EHLO and HELP."""
    safe = [_UNSAFE.sub(" ", text)[:MAX_TEXT] for text in texts]
    wire = "".join(f"{code}-{text}\r\n" for text in safe[:-1]) + f"{code} {safe[-1]}\r\n"
    return Reply(code, "", safe[0], wire.encode("ascii"))


class Refused(errors.PosthouseError):
    """A command is refused with exactly this reply; raised and answered within this room."""

    def __init__(self, answer: Reply) -> None:
        self.reply = answer
        super().__init__(answer.text)


# RFC 3463 and RFC 5248 for the enhanced codes. A class without a row of its own fails a test.
ERRORS: dict[type[BaseException], tuple[int, str]] = {
    errors.PosthouseError: (451, "4.3.0"),
    errors.Malformed: (554, "5.6.0"),
    NeedsUtf8: (553, "5.6.7"),  # RFC 6531 3.5
    errors.TooLarge: (552, "5.3.4"),
    errors.AuthFailed: (535, "5.7.8"),
    errors.NotPermitted: (550, "5.7.1"),
    errors.RelayDenied: (550, "5.7.1"),
    errors.NotAuthentic: (550, "5.7.26"),  # RFC 7372 3.2
    errors.NotProvisioned: (550, "5.7.1"),
    errors.NoSuchThing: (550, "5.1.0"),
    errors.NoSuchItem: (550, "5.1.0"),
    errors.NoSuchFolder: (550, "5.2.0"),
    errors.NoSuchAccount: (550, "5.1.1"),
    errors.NoSuchDomain: (550, "5.1.2"),
    errors.AcceptsNoMail: (556, "5.1.10"),  # RFC 7505 4.1
    errors.Exists: (451, "4.3.0"),
    errors.Conflict: (451, "4.3.0"),
    errors.BadSyncKey: (451, "4.3.0"),
    errors.OverQuota: (452, "4.2.2"),
    errors.MailboxFull: (552, "5.2.2"),
    errors.TryLater: (451, "4.3.0"),
    errors.StorageFull: (452, "4.3.1"),
    errors.SentTooMuch: (451, "4.7.1"),
    errors.ComeAgain: (451, "4.7.1"),
    errors.TooManyAttempts: (454, "4.7.0"),
    errors.LoopDetected: (554, "5.4.6"),
    errors.ConfigError: (451, "4.3.5"),
}
# While a login is checked, what is temporary is 454 (RFC 4954 section 6).
AUTH_ERRORS: dict[type[BaseException], tuple[int, str]] = {
    errors.TryLater: (454, "4.7.0"),
    errors.NotPermitted: (535, "5.7.8"),
}


def reply_to_error(
    error: BaseException, first: dict[type[BaseException], tuple[int, str]] | None = None
) -> Reply | None:
    """The reply for an error of the house; None for any other exception, which the caller logs.

    :param first: rows that go before those of ``ERRORS``, for one situation.
    """
    if isinstance(error, Refused):
        return error.reply
    if not isinstance(error, errors.PosthouseError):
        return None
    for kind in type(error).__mro__:
        row = (first or {}).get(kind) or ERRORS.get(kind)
        if row is not None:
            return reply(row[0], row[1], error.public)
    return None
