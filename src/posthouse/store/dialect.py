"""What differs between the databases, in one place.

The schema is written in the words that PostgreSQL understands (``BIGINT``, ``BYTES`` for byte strings,
``IDENTITY`` for a row id that is never reused); a dialect turns them into its own. Statements elsewhere keep
to what SQLite 3.40 and PostgreSQL 14 share.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Protocol

__all__ = ["SQLITE", "Dialect", "SQLite", "clean", "fold_name", "fold_words", "has_words"]


class Dialect(Protocol):
    """The differences that the store knows about."""

    name: str
    search_table: str
    search_add: str
    search_remove: str
    search_find: str
    search_match: str
    search_source: str
    has_words: str

    def box(self, mailbox_id: int) -> str:
        """The term that every item of a mailbox carries in the index."""

    def term(self, words: str) -> str:
        """The index's expression for words in a row, the last one as the beginning of a longer one."""

    def both(self, terms: Sequence[str], any_of: bool) -> str:
        """The index's expression for all of some, or any of some."""

    def boxed(self, mailbox_id: int, expression: str) -> str:
        """The whole expression for one mailbox."""

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

    # An item whose words match; what a search starts from; words in a column (``connect`` makes the function).
    search_match = "i.id IN (SELECT rowid FROM search WHERE search MATCH ?)"
    search_source = "search JOIN item i ON i.id = search.rowid"
    has_words = "posthouse_has_words({column}, ?)"

    def box(self, mailbox_id: int) -> str:
        """The term that every item of a mailbox carries in the index."""
        return f"m{mailbox_id}"

    def term(self, words: str) -> str:
        """A phrase of FTS5: nothing in it is syntax."""
        return '"' + words.replace('"', " ") + '"*'

    def both(self, terms: Sequence[str], any_of: bool) -> str:
        """FTS5's own operators, in parentheses."""
        return f"({(' OR ' if any_of else ' AND ').join(terms)})"

    def boxed(self, mailbox_id: int, expression: str) -> str:
        """The mailbox is a term inside MATCH, so that nobody else's rows are ever looked at."""
        return f'box : "{self.box(mailbox_id)}" AND words : ({expression})'

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


def fold_words(text: str) -> str:
    """Text without case and accents, its words apart by single blanks: "Müller-Lüdenscheidt" is two."""
    folded = text.casefold()
    if not folded.isascii():
        folded = "".join(
            one for one in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(one)
        )
    return " ".join(_WORD.findall(folded))


# Letters and digits, as the index takes them; an underscore parts words there.
_WORD = re.compile(r"[^\W_]+")


def has_words(text: str, words: str) -> bool:
    """Whether folded words stand in a row in a text, the last one perhaps as the beginning of a longer one."""
    return f" {words}" in f" {fold_words(text)}"
