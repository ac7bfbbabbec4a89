"""What lists, syncs and threads keep of a message, taken from its bytes once.

Promise: pure; every text in the draft is clean (no control characters, no lone surrogates), as the store
demands. Shared by intake, submission, reports and the demo, so that a message looks the same whichever way
it came.
"""

from __future__ import annotations

from collections.abc import Callable

from posthouse.mime.bodies import choose_bodies
from posthouse.mime.part import Part, dump_structure
from posthouse.mime.summary import counts, summarise
from posthouse.mime.threads import thread_keys
from posthouse.mime.tnef import TNEF_TYPES
from posthouse.mime.unpack import unpacked
from posthouse.model import ItemDraft

__all__ = ["draft_from"]


def draft_from(
    root: Part,
    head: bytes,
    read: Callable[[int, int], bytes],
    size: int,
    received: int,
    added: bytes = b"",
    *,
    unpack: bool = True,
) -> ItemDraft:
    """The draft of an item.

    :param root: the structure; its offsets are kept as they are.
    :param head: the header block. :param read: bytes of the message from an offset up to another.
    :param received: ms since the epoch.
    :param added: header lines that stand in the item's trace instead of the body.
    :param unpack: whether the files of a winmail.dat are listed one by one; a user's own draft is still to be
        changed part by part.
    """
    summary = summarise(root, added + head if added else head, read)
    attachments, has_attachments = summary.attachments, summary.has_attachments
    if unpack and any(info.content_type in TNEF_TYPES for info in attachments):
        bodies = choose_bodies(root)
        has_body = bodies.plain is not None or bodies.html is not None
        root, attachments = unpacked(root, attachments, read, has_body=has_body)
        has_attachments = any(counts(info) for info in attachments)
    return ItemDraft(
        received=received,
        size=size,
        message_class=summary.message_class,
        subject=summary.subject,
        topic=summary.thread_topic,
        sender=summary.sender,
        sender_address=summary.from_address,
        to=summary.to,
        cc=summary.cc,
        bcc=summary.bcc,
        reply_to=summary.reply_to,
        sent=summary.date,
        message_id=summary.message_id,
        importance=summary.importance,
        preview=summary.preview,
        has_attachments=has_attachments,
        attachments=attachments,
        structure=dump_structure(root),
        thread_keys=tuple(thread_keys(summary)),
        sent_by=summary.sent_by,
        passed_on=summary.passed_on,
    )
