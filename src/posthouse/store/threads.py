"""Conversations: which messages belong together.

A message names its own key first and the keys of those it answers after it (``ItemDraft.thread_keys``). The
first key that is known to the mailbox decides; all of them then lead to the same conversation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from posthouse.store.transaction import Transaction

__all__ = ["MAX_KEYS", "join_thread"]

#: keys that one message may bring; the newest references come first
MAX_KEYS = 20


def join_thread(tx: Transaction, mailbox_id: int, keys: Sequence[bytes], number: int) -> bytes:
    """The 16 bytes of the conversation of a new item, which is made where none is known.

    :param number: the item's own, for a message without any key.
    """
    if not keys:
        return hashlib.sha256(b"alone %d %d" % (mailbox_id, number)).digest()[:16]
    if len(keys) == 1:
        # INSERT tells whether it was there: one statement for the most frequent kind of mail.
        key = keys[0]
        fresh = hashlib.sha256(b"%d " % mailbox_id + key).digest()[:16]
        tx.execute(
            "INSERT INTO thread_key (mailbox_id, key, conversation) VALUES (?, ?, ?) "
            "ON CONFLICT (mailbox_id, key) DO NOTHING",
            (mailbox_id, key, fresh),
        )
        if tx.rowcount > 0:
            return fresh
        return bytes(
            tx.value(
                "SELECT conversation FROM thread_key WHERE mailbox_id = ? AND key = ?", (mailbox_id, key)
            )
        )
    keys = list(dict.fromkeys(keys))[:MAX_KEYS]
    marks = ",".join("?" * len(keys))
    known_keys = dict(
        tx.execute(
            f"SELECT key, conversation FROM thread_key WHERE mailbox_id = ? AND key IN ({marks})",
            (mailbox_id, *keys),
        )
    )
    conversation = next((known_keys[key] for key in keys if key in known_keys), None)
    if conversation is None:
        # From the oldest reference: two answers that arrive before the question find each other by it.
        conversation = hashlib.sha256(b"%d " % mailbox_id + keys[-1]).digest()[:16]
    missing = [key for key in keys if key not in known_keys]
    if missing:
        tx.execute(
            "INSERT INTO thread_key (mailbox_id, key, conversation) VALUES "
            + ",".join(["(?, ?, ?)"] * len(missing)),
            [value for key in missing for value in (mailbox_id, key, conversation)],
        )
    return bytes(conversation)
