"""Folders: the hierarchy of a mailbox and its changes.

A folder's number is its name for clients for ever. Every visible change of the hierarchy takes a number; a
deleted folder leaves a tombstone at once, and its contents are removed in slices afterwards.
"""

from __future__ import annotations

from typing import Any

from posthouse.errors import Exists, Malformed, NoSuchFolder, NotPermitted, OverQuota
from posthouse.model import Folder, FolderType
from posthouse.store import rules
from posthouse.store.dialect import clean, fold_name
from posthouse.store.numbers import next_number
from posthouse.store.transaction import Transaction

__all__ = [
    "MAX_FOLDERS",
    "create_folder",
    "delete_folder",
    "folder_by_id",
    "folder_by_number",
    "folder_changes",
    "folder_horizon",
    "folder_of_role",
    "folder_of_type",
    "insert_folder",
    "is_default",
    "list_folders",
    "rename_folder",
]

#: folders of one mailbox
MAX_FOLDERS = 5000
MAX_DEPTH = 300
#: deleted folders of one mailbox that are remembered; they are few, so age does not count
TOMBSTONES_KEPT = 2000
_NAME_LENGTH = 255
_COLUMNS = "id, mailbox_id, number, parent, name, type, changed, total, unread, hidden"


def _folder(row: tuple[Any, ...]) -> Folder:
    return Folder(
        row[0], row[1], row[2], row[3], row[4], FolderType(row[5]), row[6], row[7], row[8], bool(row[9])
    )


def is_default(type: FolderType) -> bool:
    """True for the types of which a mailbox has one folder, that cannot be renamed or deleted."""
    return FolderType.INBOX <= type <= FolderType.JOURNAL or type == FolderType.RECIPIENT_CACHE


def list_folders(tx: Transaction, mailbox_id: int) -> list[Folder]:
    """Every folder of a mailbox, parents and older ones first by number."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM folder WHERE mailbox_id = ? AND deleted = 0 ORDER BY number", (mailbox_id,)
    )
    return [_folder(row) for row in rows]


def folder_by_number(tx: Transaction, mailbox_id: int, number: int) -> Folder | None:
    """The folder that clients know by this number."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM folder WHERE mailbox_id = ? AND number = ? AND deleted = 0",
        (mailbox_id, number),
    )
    return _folder(row) if row else None


def folder_by_id(tx: Transaction, folder_id: int) -> Folder | None:
    """The folder with this row id."""
    row = tx.one(f"SELECT {_COLUMNS} FROM folder WHERE id = ? AND deleted = 0", (folder_id,))
    return _folder(row) if row else None


def folder_of_type(tx: Transaction, mailbox_id: int, type: FolderType) -> Folder:
    """The default folder of a type. :raises NoSuchFolder: none."""
    column = "slot" if is_default(type) else "type"
    row = tx.one(
        f"SELECT {_COLUMNS} FROM folder WHERE mailbox_id = ? AND {column} = ? AND deleted = 0 "
        "ORDER BY number LIMIT 1",
        (mailbox_id, int(type)),
    )
    if row is None:
        raise NoSuchFolder(cause=f"mailbox {mailbox_id} has no folder of type {int(type)}")
    return _folder(row)


def folder_of_role(tx: Transaction, mailbox_id: int, role: str) -> Folder:
    """The folder with a role ("junk"). :raises NoSuchFolder: none."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM folder WHERE mailbox_id = ? AND role = ? AND deleted = 0",
        (mailbox_id, role),
    )
    if row is None:
        raise NoSuchFolder(cause=f"mailbox {mailbox_id} has no folder with role {role}")
    return _folder(row)


def insert_folder(
    tx: Transaction,
    mailbox_id: int,
    parent_number: int,
    name: str,
    type: FolderType,
    now: int,
    origin: int = 0,
    role: str = "",
    hidden: bool = False,
) -> Folder:
    """Make a folder whose parent and name were checked."""
    number = next_number(tx, mailbox_id)
    name = clean(name)
    folder_id = tx.insert(
        "INSERT INTO folder (mailbox_id, number, parent, name, name_key, type, slot, role, changed, "
        # RFC 9051 2.3.1.1: UIDVALIDITY is 32 bits, and grows when a name is used again.
        "changed_by, hidden, uid_validity, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            mailbox_id, number, parent_number, name, fold_name(name), int(type),
            int(type) if is_default(type) else None, role or None, number, origin, int(hidden),
            (now // 1000) & 0xFFFFFFFF or 1, now,
        ),
    )  # fmt: skip
    tx.news(mailbox_id, 0, number)
    return Folder(folder_id, mailbox_id, number, parent_number, name, type, number, hidden=hidden)


def create_folder(
    tx: Transaction,
    mailbox_id: int,
    parent_number: int,
    name: str,
    type: FolderType,
    now: int,
    origin: int = 0,
) -> Folder:
    """Make a folder.

    :param parent_number: 0 for the root. :param origin: row id of the device that asked, 0 for none.
    :raises Exists: a folder of that name, or of that default type. :raises NoSuchFolder: no such parent.
    :raises Malformed: no usable name. :raises OverQuota: too many folders.
    """
    name = _checked_name(name)
    if parent_number:
        _depth_below(tx, mailbox_id, parent_number)
    _check_free(tx, mailbox_id, parent_number, name, 0)
    count = tx.value("SELECT count(*) FROM folder WHERE mailbox_id = ? AND deleted = 0", (mailbox_id,))
    if count >= MAX_FOLDERS:
        raise OverQuota("The mailbox has too many folders.")
    if is_default(type):
        taken = "SELECT 1 FROM folder WHERE mailbox_id = ? AND slot = ?"
        if tx.one(taken, (mailbox_id, int(type))) is not None:
            raise Exists(cause=f"a default folder of type {int(type)} exists")
    return insert_folder(tx, mailbox_id, parent_number, name, type, now, origin)


def rename_folder(tx: Transaction, folder: Folder, name: str, parent_number: int, origin: int = 0) -> Folder:
    """Give a folder another name or parent. The same name and parent change nothing and take no number.

    :raises Exists: the name is taken there. :raises NoSuchFolder: the folder or parent is gone.
    :raises NotPermitted: the new parent lies inside the folder, or it is a default folder.
    """
    name = _checked_name(name)
    now = _current(tx, folder)
    if now.name == name and now.parent == parent_number:
        return now
    _check_changeable(now)
    if parent_number and now.number in _depth_below(tx, now.mailbox_id, parent_number):
        raise NotPermitted("A folder cannot be moved into itself.")
    _check_free(tx, now.mailbox_id, parent_number, name, now.id)
    number = next_number(tx, now.mailbox_id)
    tx.execute(
        "UPDATE folder SET name = ?, name_key = ?, parent = ?, changed = ?, changed_by = ? WHERE id = ?",
        (name, fold_name(name), parent_number, number, origin, now.id),
    )
    tx.news(now.mailbox_id, 0, number)
    return _current(tx, folder)


def delete_folder(tx: Transaction, folder: Folder, origin: int = 0) -> int:
    """Remove a folder and those inside it. Their contents go later: ``items.empty_deleted``.

    :returns: the number of the folder's own tombstone.
    :raises NoSuchFolder: it is gone. :raises NotPermitted: a default folder.
    """
    now = _current(tx, folder)
    _check_changeable(now)
    rows = tx.execute(
        "WITH RECURSIVE inside (id, number, name, depth) AS (SELECT id, number, name, 0 FROM folder WHERE id = ? "
        "UNION ALL SELECT f.id, f.number, f.name, i.depth + 1 FROM folder f JOIN inside i ON f.parent = i.number "
        "WHERE f.mailbox_id = ? AND f.deleted = 0) SELECT id, number, name FROM inside ORDER BY depth DESC, number",
        (now.id, now.mailbox_id),
    )
    at = next_number(tx, now.mailbox_id, len(rows))
    for offset, (folder_id, number, _) in enumerate(rows):
        # The folder itself is the last, so a client hears of the inner ones first.
        tx.execute("UPDATE folder SET deleted = 1, slot = NULL, role = NULL WHERE id = ?", (folder_id,))
        tx.execute(
            "INSERT INTO folder_gone (mailbox_id, at, number) VALUES (?, ?, ?)",
            (now.mailbox_id, at + offset, number),
        )
    last = at + len(rows) - 1
    _forget_old_tombstones(tx, now.mailbox_id)
    rules.folders_gone(tx, now.mailbox_id, {number: name for _, number, name in rows})
    tx.news(now.mailbox_id, 0, last)
    # Who waits for a folder's contents must learn that it is gone.
    for folder_id, _, _ in rows:
        tx.news(now.mailbox_id, folder_id, last)
    return last


def _forget_old_tombstones(tx: Transaction, mailbox_id: int) -> None:
    oldest = tx.value(
        "SELECT at FROM folder_gone WHERE mailbox_id = ? ORDER BY at DESC LIMIT 1 OFFSET ?",
        (mailbox_id, TOMBSTONES_KEPT),
    )
    if oldest is not None:
        tx.execute("DELETE FROM folder_gone WHERE mailbox_id = ? AND at <= ?", (mailbox_id, oldest))
        tx.execute("UPDATE mailbox SET folder_horizon = ? WHERE id = ?", (oldest, mailbox_id))


def folder_changes(
    tx: Transaction, mailbox_id: int, since: int, limit: int
) -> tuple[list[Folder], list[tuple[int, int]]]:
    """What happened to the hierarchy after ``since``.

    :returns: folders made or changed, by ``changed``; and (number, at) of deleted ones, by ``at``; each at
        most ``limit``.
    """
    changed = tx.execute(
        f"SELECT {_COLUMNS} FROM folder WHERE mailbox_id = ? AND changed > ? AND deleted = 0 "
        "ORDER BY changed LIMIT ?",
        (mailbox_id, since, limit),
    )
    gone = tx.execute(
        "SELECT number, at FROM folder_gone WHERE mailbox_id = ? AND at > ? ORDER BY at LIMIT ?",
        (mailbox_id, since, limit),
    )
    return [_folder(row) for row in changed], [(row[0], row[1]) for row in gone]


def folder_horizon(tx: Transaction, mailbox_id: int) -> int:
    """The highest number whose folder tombstone may be gone."""
    return int(tx.value("SELECT folder_horizon FROM mailbox WHERE id = ?", (mailbox_id,)) or 0)


def _checked_name(name: str) -> str:
    name = clean(name)
    if not name.strip() or len(name) > _NAME_LENGTH:
        raise Malformed("A folder needs a name of at most 255 characters.")
    return name


def _current(tx: Transaction, folder: Folder) -> Folder:
    found = folder_by_id(tx, folder.id)
    if found is None:
        raise NoSuchFolder
    return found


def _check_changeable(folder: Folder) -> None:
    if is_default(folder.type):
        raise NotPermitted("A default folder cannot be changed.")


def _check_free(tx: Transaction, mailbox_id: int, parent: int, name: str, but: int) -> None:
    taken = (
        "SELECT 1 FROM folder WHERE mailbox_id = ? AND parent = ? AND name_key = ? "
        "AND deleted = 0 AND id <> ?"
    )
    if tx.one(taken, (mailbox_id, parent, fold_name(name), but)) is not None:
        raise Exists(f"A folder named {name} exists already.")


def _depth_below(tx: Transaction, mailbox_id: int, number: int) -> set[int]:
    """The numbers from a folder up to the root. :raises NoSuchFolder: no such.

    :raises OverQuota: too deep.
    """
    path: set[int] = set()
    while number:
        folder = folder_by_number(tx, mailbox_id, number)
        if folder is None:
            raise NoSuchFolder("The parent folder does not exist.")
        path.add(number)
        if len(path) >= MAX_DEPTH:
            raise OverQuota("Folders are nested too deep.")
        number = folder.parent
    return path
