"""One transaction, as the functions of the store see it.

Results are fetched whole: no cursor outlives its statement, so none can pin the write-ahead log. The life of
the transaction (BEGIN, savepoints, the end) belongs to ``posthouse.store.db`` alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from posthouse.model import News

__all__ = ["Parameters", "Transaction"]

Parameters = Sequence[Any] | Mapping[str, Any]


class Transaction:
    """What a function gets: statements, and a place to leave news for after the commit."""

    __slots__ = ("_connection", "_cursor", "told", "weight", "writable")

    def __init__(self, connection: sqlite3.Connection, writable: bool) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        #: whether statements that change something are allowed
        self.writable = writable
        #: news of the function that is running
        self.told: list[News] = []
        #: bytes of body that this group has taken so far
        self.weight = 0

    def execute(self, sql: str, params: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch everything it returns."""
        return self._cursor.execute(sql, params).fetchall()

    def one(self, sql: str, params: Parameters = ()) -> tuple[Any, ...] | None:
        """The only row of a statement that returns at most one, or None."""
        rows = self._cursor.execute(sql, params).fetchall()
        return rows[0] if rows else None

    def value(self, sql: str, params: Parameters = ()) -> Any:
        """The first column of the first row, or None."""
        rows = self._cursor.execute(sql, params).fetchall()
        return rows[0][0] if rows else None

    def insert(self, sql: str, params: Parameters = ()) -> int:
        """Run an INSERT of one row into a table with an IDENTITY. :returns: the new id, 0 for no row.

        On SQLite this is half the price of RETURNING.
        """
        cursor = self._cursor.execute(sql, params)
        return cursor.lastrowid or 0 if cursor.rowcount > 0 else 0

    def many(self, sql: str, seq: Iterable[Parameters]) -> None:
        """Run one statement that returns nothing for each set of parameters."""
        self._cursor.executemany(sql, seq)

    @property
    def rowcount(self) -> int:
        """Rows that the last statement changed."""
        return self._cursor.rowcount

    def news(self, mailbox_id: int, folder_id: int, number: int) -> None:
        """Something visible changed; who waits for it is told once it is committed.

        :param folder_id: 0 for the folder hierarchy.
        """
        self.told.append(News(mailbox_id, folder_id, number))

    def weigh(self, size: int) -> None:
        """Count bytes of body towards the limit of the group commit."""
        self.weight += size
