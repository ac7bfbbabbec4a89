"""What differs between the databases, in one place.

The schema is written in the words that PostgreSQL understands (``BIGINT``, ``BYTES`` for byte strings,
``IDENTITY`` for a row id that is never reused); a dialect turns them into its own. Statements elsewhere keep
to what SQLite 3.40 and PostgreSQL 14 share.
"""

from __future__ import annotations

import re
from typing import Protocol

__all__ = ["SQLITE", "Dialect", "SQLite", "clean", "fold_name"]


class Dialect(Protocol):
    """The differences that the store knows about."""

    name: str
    search_table: str
    search_add: str
    search_remove: str
    search_find: str

    def ddl(self, statement: str) -> str:
        """One schema statement in this database's own words."""


class SQLite:
    """SQLite from 3.40 on."""

    name = "sqlite"

    # Full text is a table of FTS5 without content of its own; it has to be told what it shall forget.
    search_table = (
        "CREATE VIRTUAL TABLE search USING fts5(box, words, content='', "
        "tokenize='unicode61 remove_diacritics 2')"
    )
    search_add = "INSERT INTO search (rowid, box, words) VALUES (?, ?, ?)"
    search_remove = "INSERT INTO search (search, rowid, box, words) VALUES ('delete', ?, ?, ?)"
    search_find = (
        "SELECT i.number FROM search JOIN item i ON i.id = search.rowid WHERE search MATCH ? "
        "AND i.mailbox_id = ? AND {where} ORDER BY search.rowid DESC LIMIT ? OFFSET ?"
    )

    # STRICT tables take INTEGER, TEXT, BLOB, REAL and ANY only. AUTOINCREMENT keeps an id from being used
    # again: a reader may still hold the id of a body or an item that is gone (and a device that of a folder).
    _words = (
        (re.compile(r"\bIDENTITY\b"), "INTEGER PRIMARY KEY AUTOINCREMENT"),
        (re.compile(r"\bBIGINT\b"), "INTEGER"),
        (re.compile(r"\bBYTES\b"), "BLOB"),
    )

    def ddl(self, statement: str) -> str:
        """The statement with SQLite's type names; a table is STRICT, and clustered where it asks for it."""
        for pattern, words in self._words:
            statement = pattern.sub(words, statement)
        statement = statement.strip()
        if statement.startswith("CREATE TABLE"):
            if statement.endswith("CLUSTERED"):
                # Rows inside the key's own tree: one page to touch instead of two.
                return statement.removesuffix("CLUSTERED") + "STRICT, WITHOUT ROWID"
            return statement + " STRICT"
        return statement


SQLITE = SQLite()


def clean(text: str) -> str:
    """Text as every database takes it: without NUL (PostgreSQL) and lone surrogates (no UTF-8 for them)."""
    if text.isascii():
        return text if "\0" not in text else text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "")


def fold_name(name: str) -> str:
    """The key under which a name is unique without regard to case."""
    return clean(name).casefold()
