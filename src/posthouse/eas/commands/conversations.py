"""ItemOperations Move: a conversation goes to another folder, with all of its mail that is still to come.

Promise: the rule and the first of the moved mail are one transaction; the rest follows in slices, and a request
that is sent again moves what is left and nothing twice. Into Deleted Items this is "ignore", into the Inbox the
end of it. MS-ASCON 2.2.2.7, 2.2.2.10, 3.2.5.3.
"""

from __future__ import annotations

from posthouse.eas.call import Call
from posthouse.eas.hierarchy import visible
from posthouse.eas.ids import RECIPIENT_CACHE, parse_number
from posthouse.eas.statuses import Status, StatusError
from posthouse.errors import NoSuchFolder
from posthouse.model import Folder
from posthouse.store import bulk, conversations, folders
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import ItemOperations as I
from posthouse.wbxml.tree import E, Element

# MS-ASCON 2.2.2.10
_OK = 1
_PROTOCOL_ERROR = 2
_NOT_FOUND = 6


async def move_conversation(call: Call, operation: Element) -> Element:
    """Do one Move. :return: its answer, which names the conversation again (R69, R139)."""
    named = operation.blob(I.ConversationId) or b""
    status = _OK
    try:
        call.notes["conversation_moved"] = await _move(call, operation, named)
    except StatusError as error:
        status = error.status
    except NoSuchFolder:
        status = _NOT_FOUND
    return E(I.Move, E(I.Status, int(status)), E(I.ConversationId, named))


async def _move(call: Call, operation: Element, conversation: bytes) -> int:
    target = (operation.text(I.DstFldId) or "").strip()
    if not conversation or not target:
        raise StatusError(_PROTOCOL_ERROR, "no ConversationId or DstFldId")
    always = operation.find(I.Options, I.MoveAlways)
    if always is None:
        raise StatusError(Status.MOVE_MISSING_MOVE_ALWAYS)  # R3475
    if always.value.strip() or always.children:
        raise StatusError(_PROTOCOL_ERROR, "MoveAlways is an empty tag")  # ASCON R132, R144
    if target == RECIPIENT_CACHE:
        raise StatusError(Status.INVALID_COMBINATION_OF_IDS)  # ASCON R262
    mailbox, device, now = call.account.mailbox_id, call.device.id, call.now()

    def begin(tx: Transaction) -> tuple[Folder, int]:
        folder = folders.folder_by_number(tx, mailbox, parse_number(target))
        if folder is None or not visible(folder):
            raise StatusError(_NOT_FOUND, f"folder {target[:20]!r}")  # ASCON R317
        if folder.type.item_class != "Email":
            raise StatusError(Status.MOVE_INVALID_DESTINATION)  # ASCON R338
        if not conversations.exists(tx, mailbox, conversation):
            raise StatusError(_NOT_FOUND, "no such conversation")  # ASCON R146
        conversations.keep_rule(tx, conversation, folder, now)
        # Side effects are news to this device, too (rule 9).
        return folder, conversations.gather(tx, conversation, folder, origin=device)

    folder, moved = await call.write(begin)
    if moved == conversations.SLICE:
        moved += await bulk.until_done(
            call.services.db, lambda tx: conversations.gather(tx, conversation, folder, origin=device)
        )
    return moved
