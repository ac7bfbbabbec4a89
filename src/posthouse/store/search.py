"""Full text: words of items, in batches behind the delivery that brought them.

A delivery leaves a durable mark (``to_index``). Somebody outside takes a batch of marks, gets the text (which
is mime's business), and hands it to ``index``. Removal needs the text again on SQLite 3.40, so it is kept
beside the index, compressed. Results go by the item's row: what is deleted is not found, even before its words
are taken out.

What a user types is words, never query syntax: all must occur, the last one also as the beginning of a longer
word; a phrase stands in double quotes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

from attrs import frozen

from posthouse.store.dialect import SQLITE, clean
from posthouse.store.transaction import Transaction

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["TEXT_LIMIT", "ToIndex", "find", "forget_words", "index", "match_expression", "to_index"]

#: characters of one item that are indexed
TEXT_LIMIT = 1_000_000
_TERMS = 32
_TERM_LENGTH = 200
_TERM = re.compile(r'"([^"]*)"|([^\s"]+)')
_FOLDERS = 500
_TEXT_BYTES = 4 * TEXT_LIMIT
# to_index.absent
_IN, _OUT, _ANEW = 0, 1, 2


@frozen
class ToIndex:
    """An item whose words wait for the index."""

    item_id: int
    mailbox_id: int
    body_id: int
    structure: bytes
    subject: str
    sender: str
    to: str
    cc: str
    bcc: str


def to_index(tx: Transaction, limit: int) -> list[ToIndex]:
    """Items that wait, oldest first."""
    rows = tx.execute(
        "SELECT i.id, i.mailbox_id, i.body_id, i.structure, i.subject, i.sender, i.recipients, i.cc, i.bcc "
        "FROM to_index t JOIN item i ON i.id = t.item_id WHERE t.absent <> 1 ORDER BY t.item_id LIMIT ?",
        (limit,),
    )
    return [ToIndex(*row) for row in rows]


def index(tx: Transaction, rows: Iterable[tuple[ToIndex, str]]) -> int:
    """Put text in for items that still wait, and clear their marks. Pass no more than 2 MB at once.

    An item that got another body meanwhile keeps its mark and comes again.

    :returns: how many went in.
    """
    count = 0
    for row, text in rows:
        absent = tx.value(
            "SELECT t.absent FROM to_index t JOIN item i ON i.id = t.item_id "
            "WHERE t.item_id = ? AND i.body_id = ?",
            (row.item_id, row.body_id),
        )
        if absent is None or absent == _OUT:
            continue
        if absent == _ANEW:
            _take_out(tx, row.item_id)
        words = clean(text)[:TEXT_LIMIT]
        tx.execute(SQLITE.search_add, (row.item_id, SQLITE.box(row.mailbox_id), words))
        tx.execute(
            "INSERT INTO search_text (item_id, mailbox_id, text) VALUES (?, ?, ?)",
            (row.item_id, row.mailbox_id, zstd.compress(words.encode(), 1)),
        )
        tx.execute("DELETE FROM to_index WHERE item_id = ?", (row.item_id,))
        count += 1
    return count


def forget_words(tx: Transaction, limit: int) -> int:
    """Take the words of deleted items out. :returns: how many; call it again until 0."""
    rows = tx.execute("SELECT item_id FROM to_index WHERE absent = 1 ORDER BY item_id LIMIT ?", (limit,))
    for (item_id,) in rows:
        _take_out(tx, item_id)
        tx.execute("DELETE FROM to_index WHERE item_id = ?", (item_id,))
    return len(rows)


def _take_out(tx: Transaction, item_id: int) -> None:
    row = tx.one("DELETE FROM search_text WHERE item_id = ? RETURNING mailbox_id, text", (item_id,))
    if row is not None:
        words = zstd.ZstdDecompressor().decompress(row[1], _TEXT_BYTES).decode()
        tx.execute(SQLITE.search_remove, (item_id, SQLITE.box(row[0]), words))


def match_expression(mailbox_id: int, query: str) -> str:
    """The index's expression for what a user typed; "" when there is no word in it."""
    terms: list[str] = []
    last_is_word = False
    for found in _TERM.finditer(clean(query)[: _TERMS * _TERM_LENGTH]):
        term = (found[1] if found[1] is not None else found[2])[:_TERM_LENGTH]
        # What holds no letter or digit has no token; the index would refuse or ignore it.
        if any(character.isalnum() for character in term):
            terms.append('"' + term + '"')
            last_is_word = found[1] is None
        if len(terms) >= _TERMS:
            break
    if not terms:
        return ""
    if last_is_word:
        terms[-1] += "*"
    return SQLITE.boxed(mailbox_id, " AND ".join(terms))


def find(
    tx: Transaction,
    mailbox_id: int,
    query: str,
    folder_ids: Sequence[int] | None = None,
    *,
    limit: int = 100,
    offset: int = 0,
) -> list[int]:
    """The numbers of items in which all words occur, newest arrival first.

    :param folder_ids: look only in these (500 at most); None for the whole mailbox.
    """
    expression = match_expression(mailbox_id, query)
    if not expression or (folder_ids is not None and not folder_ids):
        return []
    if folder_ids is None:
        where, params = "i.folder_id NOT IN (SELECT id FROM folder WHERE deleted = 1)", []
    else:
        params = list(folder_ids[:_FOLDERS])
        where = f"i.folder_id IN ({','.join('?' * len(params))})"
    rows = tx.execute(
        SQLITE.search_find.format(where=where), (expression, mailbox_id, *params, limit, max(offset, 0))
    )
    return [row[0] for row in rows]
