"""GetHierarchy: the mail folders and nothing more, at 12.1 and below (MS-ASCMD 2.2.1.8, R6048-R6051).

Promise: the names are those of FolderSync (R6031, R6032), so that a device which only wants to know where its Sent
Items are needs no key; nothing is kept of the request. Its table of types ends at 6 (R7388): a folder that somebody
made is 1 here. A failure is an HTTP code, since the document has no place for a status (R6033); from 14.0 on, where
the command does not exist, that is 400 (status 138, R7559).
"""

from __future__ import annotations

from posthouse.eas.call import Call
from posthouse.eas.hierarchy import visible
from posthouse.eas.ids import folder_name
from posthouse.eas.registry import Command, command
from posthouse.model import Folder, FolderType
from posthouse.store import folders
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tree import E, Element

#: 2.2.3.186.4
_DEFAULT = (FolderType.INBOX, FolderType.DRAFTS, FolderType.DELETED, FolderType.SENT, FolderType.OUTBOX)
_MADE = (FolderType.GENERIC, FolderType.USER_MAIL)


@command("GetHierarchy")
class GetHierarchy(Command):
    """The request is its name alone."""

    until = (12, 1)
    raw_until = (12, 1)
    may_be_empty = True

    async def run(self, call: Call) -> Element:
        mailbox = call.account.mailbox_id

        def look(tx: Transaction) -> list[Folder]:
            return [folder for folder in folders.list_folders(tx, mailbox) if visible(folder)]

        found: list[Folder] = await call.read(look)
        mail = [folder for folder in found if folder.type in _DEFAULT or folder.type in _MADE]
        call.notes["folders"] = len(mail)
        return E(F.Folders, [_shown(folder) for folder in mail])


def _shown(folder: Folder) -> Element:
    return E(
        F.Folder,
        E(F.DisplayName, folder.name),
        E(F.ServerId, folder_name(folder)),
        E(F.Type, int(folder.type if folder.type in _DEFAULT else FolderType.GENERIC)),
        E(F.ParentId, folder.parent),
    )
