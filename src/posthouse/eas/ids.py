"""The names that devices use for folders, items and attachments.

Promise: a ServerId is the number that an item has in its folder and nowhere else; a text that is no such
number names nothing, so it never raises. MS-ASCMD 2.2.3.166 (at most 64 characters).
"""

from __future__ import annotations

from posthouse.model import Folder, FolderType

#: What no folder and no item has.
NOBODY = -1

#: The CollectionId of the recipient information cache, the one folder that is named by a word (R2037).
RECIPIENT_CACHE = "RI"


def folder_name(folder: Folder) -> str:
    """The CollectionId, ServerId or ParentId of a folder."""
    return RECIPIENT_CACHE if folder.type == FolderType.RECIPIENT_CACHE else str(folder.number)


def parse_number(text: str | None) -> int:
    """The number in a ServerId or CollectionId, `NOBODY` when it holds none."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 15:
        return NOBODY
    return int(text)


def parse_file_reference(text: str) -> tuple[int, str] | None:
    """Item number and MIME part of a FileReference (`posthouse.eas.content.email.file_reference`)."""
    number, colon, path = text.partition(":")
    item = parse_number(number)
    if not colon or item == NOBODY or len(path) > 400 or not path.replace(".", "").isdigit():
        return None
    return item, path
