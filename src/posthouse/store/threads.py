"""Conversations: which messages belong together, and where in their conversation each of them stands.

A message names its own key first and the keys of those it answers after it, from the root of the thread on
(``ItemDraft.thread_keys``). The first key that is known to the mailbox decides; all of them then lead to the same
conversation. The index of a message is its parent's and the time since (MS-OXOMSG 2.2.1.3, MS-ASCON 2.2.2.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from posthouse.mime.threads import child_index, conversation_index
from posthouse.store.transaction import Transaction

__all__ = ["MAX_KEYS", "join_thread"]

#: keys that one message may bring: its own, the root's, and the newest references
MAX_KEYS = 20

# An index is 1, five bytes of time, the conversation's 16, and five bytes for each answer; its place is the
# same without what the conversation says already.
_HEAD = 6
_LEVELS = 22


def _index(place: bytes, conversation: bytes) -> bytes:
    return b"\x01" + place[: _HEAD - 1] + conversation + place[_HEAD - 1 :]


def _place(index: bytes) -> bytes:
    return index[1:_HEAD] + index[_LEVELS:]


def join_thread(
    tx: Transaction, mailbox_id: int, keys: Sequence[bytes], number: int, sent: int
) -> tuple[bytes, bytes]:
    """The 16 bytes of the conversation of a new item, which is made where none is known, and the item's index.

    :param number: the item's own, for a message without any key. :param sent: ms since the epoch.
    """
    if not keys:
        alone = hashlib.sha256(b"alone %d %d" % (mailbox_id, number)).digest()[:16]
        return alone, conversation_index(sent, alone)
    if len(keys) == 1:
        # One statement for the most frequent kind of mail.
        key = keys[0]
        fresh = hashlib.sha256(b"%d " % mailbox_id + key).digest()[:16]
        known = tx.execute(
            "INSERT INTO thread_key (mailbox_id, key, conversation, place) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (mailbox_id, key) DO UPDATE SET place = coalesce(thread_key.place, excluded.place) "
            "RETURNING conversation, place",
            (mailbox_id, key, fresh, _place(conversation_index(sent, fresh))),
        )[0]
        return bytes(known[0]), _index(known[1], known[0])
    keys = list(dict.fromkeys(keys))
    if len(keys) > MAX_KEYS:
        keys = [*keys[:2], *keys[2 - MAX_KEYS :]]
    marks = ",".join("?" * len(keys))
    rows = tx.execute(
        f"SELECT key, conversation, place FROM thread_key WHERE mailbox_id = ? AND key IN ({marks})",
        (mailbox_id, *keys),
    )
    known_keys = {row[0]: row[1] for row in rows}
    places = {row[0]: row[2] for row in rows if row[2] is not None}
    conversation = next((known_keys[key] for key in keys if key in known_keys), None)
    if conversation is None:
        # From one of the references: two answers that arrive before the question find each other by it.
        conversation = hashlib.sha256(b"%d " % mailbox_id + keys[-1]).digest()[:16]
    place = places.get(keys[0])
    if place is None:
        parent = next((places[key] for key in reversed(keys) if key in places), None)
        place = _place(
            conversation_index(sent, conversation)
            if parent is None
            else child_index(_index(parent, conversation), sent)
        )
        if keys[0] in known_keys:
            tx.execute(
                "UPDATE thread_key SET place = ? WHERE mailbox_id = ? AND key = ?",
                (place, mailbox_id, keys[0]),
            )
    missing = [key for key in keys if key not in known_keys]
    if missing:
        tx.execute(
            "INSERT INTO thread_key (mailbox_id, key, conversation, place) VALUES "
            + ",".join(["(?, ?, ?, ?)"] * len(missing)),
            [
                value
                for key in missing
                for value in (mailbox_id, key, conversation, place if key == keys[0] else None)
            ],
        )
    return bytes(conversation), _index(place, conversation)
