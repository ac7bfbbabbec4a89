"""The edge table of HTTP: which status an error of the house becomes, and its JSON.

A body names the kind of the error and its public sentence; the private cause stays in the log.
"""

from __future__ import annotations

import json

from posthouse import errors
from posthouse.http.reply import Reply

__all__ = ["CHALLENGE", "STATUS", "reply_for", "status_of"]

#: No charset parameter (RFC 7617 2.1): clients that know it send UTF-8 anyway, old ones stumble over it.
CHALLENGE = (b"www-authenticate", b'Basic realm="Posthouse"')

STATUS: dict[type[errors.PosthouseError], int] = {
    errors.PosthouseError: 500,
    errors.Malformed: 400,
    errors.TooLarge: 413,
    errors.AuthFailed: 401,
    errors.NotPermitted: 403,
    errors.RelayDenied: 403,
    errors.NotAuthentic: 403,
    errors.LoopDetected: 403,
    errors.NotProvisioned: 449,  # MS-ASHTTP 2.2.2.1.1
    errors.NoSuchThing: 404,
    errors.NoSuchItem: 404,
    errors.NoSuchFolder: 404,
    errors.NoSuchAccount: 404,
    errors.NoSuchDomain: 404,
    errors.AcceptsNoMail: 404,
    errors.Exists: 409,
    errors.Conflict: 409,
    errors.BadSyncKey: 409,
    errors.OverQuota: 507,
    errors.MailboxFull: 507,
    errors.TryLater: 503,
    errors.StorageFull: 503,
    errors.SentTooMuch: 503,
    errors.ComeAgain: 503,
    errors.TooManyAttempts: 503,
    errors.ConfigError: 500,
}


def status_of(error: errors.PosthouseError) -> int:
    """The status of an error; that of its nearest ancestor when it has none of its own."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def reply_for(error: errors.PosthouseError) -> Reply:
    """The whole answer: 401 brings its challenge, 503 says when to come again (RFC 9110 10.2.3)."""
    code = status_of(error)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if code == 401:
        headers = (CHALLENGE,)
    elif isinstance(error, errors.TryLater):
        headers = ((b"retry-after", b"%d" % max(1, round(error.after + 0.5))),)
    body = json.dumps({"error": type(error).__name__, "message": error.public}).encode()
    return Reply(body, code, b"application/json", headers)
