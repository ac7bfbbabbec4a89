"""One attachment, decoded (MS-ASCMD 2.2.1.8 and 2.2.1.10, MS-ASAIRS 2.2.2.24).

Promise: it is decoded piece by piece on a reader thread; no more is kept than was asked for, nor more than
the limit allows.
"""

from __future__ import annotations

from base64 import b64encode

from attrs import frozen

from posthouse.eas.content.meeting import invitation
from posthouse.errors import NoSuchItem, TooLarge
from posthouse.mime.bodies import choose_bodies, decode_iter
from posthouse.mime.scan import load_structure
from posthouse.mime.unpack import file_inside, packed_part
from posthouse.store import bodies, changes
from posthouse.store.transaction import Transaction


@frozen
class AttachmentData:
    """:ivar data: the bytes from ``start`` on. :ivar total: of the whole attachment."""

    content_type: str
    name: str
    data: bytes
    start: int
    total: int

    def base64(self) -> str:
        """The data in base64, made piece by piece, for the thread that read it."""
        view = memoryview(self.data)
        return "".join(
            b64encode(view[start : start + _PIECE]).decode("ascii") for start in range(0, len(view), _PIECE)
        )


#: Bytes turned into base64 at a time: a multiple of three, so that the pieces fit together.
_PIECE = 3 << 16


def read_attachment(
    tx: Transaction,
    mailbox_id: int,
    number: int,
    path: str,
    limit: int,
    start: int = 0,
    stop: int | None = None,
) -> AttachmentData:
    """Decode the part ``path`` of an item.

    :param limit: most bytes to return. :param stop: exclusive; None for the end.
    :raises NoSuchItem: no such item or part. :raises TooLarge: more than ``limit``.
    """
    item = changes.item_by_number(tx, mailbox_id, number)
    if item is None:
        raise NoSuchItem(cause=f"no item {number}")
    root = load_structure(item.structure)
    part = root.find(path)
    listed = next((one for one in item.attachments if one.path == path), None)
    if listed is None:
        listed = invitation(item, choose_bodies(root).calendar)
    if listed is None or listed.path != path:
        raise NoSuchItem(cause=f"no attachment {number}:{path}")
    body_id = item.body_id
    packed = packed_part(root, path) if part is None else None
    if packed is not None:
        data = file_inside(*packed, lambda first, last: bodies.read_body(tx, body_id, first, last))
        wanted = data[start:stop]
        if len(wanted) > limit:
            raise TooLarge(cause=f"attachment {number}:{path} of more than {limit} bytes")
        return AttachmentData(listed.content_type, listed.name, wanted, start, len(data))
    if part is None:
        raise NoSuchItem(cause=f"no part {path} in item {number}")
    kept: list[bytes] = []
    size = position = 0
    for piece in decode_iter(part, lambda first, last: bodies.read_body(tx, body_id, first, last), 1 << 18):
        wanted = piece[max(0, start - position) : None if stop is None else max(0, stop - position)]
        position += len(piece)
        if wanted:
            size += len(wanted)
            if size > limit:
                raise TooLarge(cause=f"attachment {number}:{path} of more than {limit} bytes")
            kept.append(wanted)
    return AttachmentData(listed.content_type, listed.name, b"".join(kept), start, position)
