"""Items between their rows and their values.

Everything that a new item needs is made once from its draft, however many mailboxes it goes to. Flag,
categories and attachments are compact JSON, NULL where there are none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import astuple

from posthouse.model import AttachmentInfo, Flag, Item, ItemDraft
from posthouse.store.dialect import clean

__all__ = [
    "ITEM_COLUMNS",
    "MARK_COLUMNS",
    "categories_json",
    "draft_columns",
    "flag_json",
    "item_of",
    "padded",
]

#: in the order of ``Item``'s fields
ITEM_COLUMNS = (
    "id, mailbox_id, folder_id, number, changed, read_no, flag_no, categories_no, rest_no, body_id, "
    "received, size, message_class, subject, topic, sender, sender_address, recipients, cc, bcc, reply_to, "
    "sent, message_id, importance, preview, read, flag, categories, draft, has_attachments, attachments, "
    "structure, conversation, conversation_index, verb, verb_at, trace, sent_by"
)
_READ, _FLAG, _CATEGORIES, _DRAFT, _HAS, _ATTACHMENTS = 25, 26, 27, 28, 29, 30

#: in the order of ``Mark``'s fields
MARK_COLUMNS = "number, changed, received, read_no, flag_no, categories_no, rest_no"

_WIDTHS = (1, 8, 32, 128, 512)


def item_of(row: Sequence[Any]) -> Item:
    """A row of ``ITEM_COLUMNS`` as a value."""
    values = list(row)
    values[_READ] = values[_READ] != 0
    flag = values[_FLAG]
    if flag is not None:
        values[_FLAG] = Flag(*json.loads(flag))
    categories = values[_CATEGORIES]
    values[_CATEGORIES] = tuple(json.loads(categories)) if categories is not None else ()
    values[_DRAFT] = values[_DRAFT] != 0
    values[_HAS] = values[_HAS] != 0
    attachments = values[_ATTACHMENTS]
    values[_ATTACHMENTS] = (
        tuple([AttachmentInfo(*each) for each in json.loads(attachments)]) if attachments is not None else ()
    )
    return Item(*values)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _clean_all(values: Iterable[Any]) -> list[Any]:
    return [clean(value) if isinstance(value, str) else value for value in values]


def flag_json(flag: Flag | None) -> str | None:
    """The column of a follow-up flag."""
    return None if flag is None else _json(_clean_all(astuple(flag)))


def categories_json(categories: Sequence[str]) -> str | None:
    """The column of categories."""
    return _json(_clean_all(categories)) if categories else None


def draft_columns(draft: ItemDraft) -> tuple[Any, ...]:
    """What ``items.INSERT_ITEM`` takes of a draft, from ``message_class`` to ``structure``."""
    attachments = None
    if draft.attachments:
        attachments = _json([_clean_all(astuple(each)) for each in draft.attachments])
    return (
        clean(draft.message_class),
        clean(draft.subject),
        clean(draft.topic),
        clean(draft.sender),
        clean(draft.sender_address),
        clean(draft.to),
        clean(draft.cc),
        clean(draft.bcc),
        clean(draft.reply_to),
        draft.sent,
        clean(draft.message_id),
        draft.importance,
        clean(draft.preview),
        flag_json(draft.flag),
        categories_json(draft.categories),
        int(draft.draft),
        int(draft.has_attachments),
        attachments,
        draft.structure,
    )


def padded(numbers: Sequence[int]) -> Iterable[tuple[str, Sequence[int]]]:
    """Numbers in portions, each with its list of question marks; few lengths, so statements are reused."""
    for start in range(0, len(numbers), _WIDTHS[-1]):
        portion = list(numbers[start : start + _WIDTHS[-1]])
        width = next(width for width in _WIDTHS if width >= len(portion))
        portion += portion[-1:] * (width - len(portion))
        yield ",".join("?" * width), portion
