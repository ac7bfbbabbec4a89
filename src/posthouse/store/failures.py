"""What a database failure means to the house.

Full, busy or failing storage passes: it is ``TryLater`` (``StorageFull`` for a full disk, and for writes that fail),
never a permanent refusal. A programming fault (a constraint, bad SQL) is let through unchanged, so that it is seen.
"""

from __future__ import annotations

import sqlite3

from posthouse.errors import StorageFull, TryLater

__all__ = ["is_storage_failure", "translate"]

# https://www.sqlite.org/rescode.html, the primary codes
_FULL = sqlite3.SQLITE_FULL
_PASSING = {
    sqlite3.SQLITE_BUSY: "the database is busy",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_IOERR: "reading or writing the database failed",
    sqlite3.SQLITE_NOMEM: "the database ran out of memory",
    sqlite3.SQLITE_INTERRUPT: "a query took too long",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "the database's locks are contended",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not a database",
}


def _primary(error: BaseException) -> int:
    # The low byte of an extended result code is the primary one. The module's own complaints have no code.
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def is_storage_failure(error: BaseException) -> bool:
    """True for what the environment did, false for what the statement did."""
    code = _primary(error)
    return isinstance(error, sqlite3.Error) and (code == _FULL or code in _PASSING)


def translate(error: Exception) -> Exception:
    """The error that a caller sees: itself, or ``StorageFull`` or ``TryLater`` with it as the cause."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = _primary(error)
    name = getattr(error, "sqlite_errorname", "")
    # SQLite says FULL for ENOSPC alone: a quota (EDQUOT) or a limit on the size of files (EFBIG) is IOERR_WRITE.
    if code == _FULL or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_WRITE:
        found: TryLater = StorageFull(cause=f"the database or its disk is full: {error} ({name})")
    elif code in _PASSING:
        found = TryLater(cause=f"{_PASSING[code]}: {error} ({name})")
    else:
        return error
    found.__cause__ = error
    return found
