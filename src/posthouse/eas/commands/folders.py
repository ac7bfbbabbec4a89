"""FolderCreate, FolderUpdate and FolderDelete (MS-ASCMD 2.2.1.2 to 2.2.1.6, statuses 2.2.3.177.3, .4, .6).

Promise: the change and the device's next hierarchy state are one transaction, so that a lost answer is
harmless: the older key rolls back, and the device is told of its own change as if it were somebody else's.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.eas import hierarchy
from posthouse.eas.call import Call
from posthouse.eas.grammar import Child, Rule
from posthouse.eas.registry import SHAPES, Command, command
from posthouse.eas.statuses import StatusError
from posthouse.errors import BadSyncKey, Exists, NoSuchFolder, NotPermitted
from posthouse.model import Folder, FolderType
from posthouse.store import folders
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import FolderHierarchy
from posthouse.wbxml.tree import E, Element

EXISTS = 2
SYSTEM_FOLDER = 3
NO_SUCH_FOLDER = 4
NO_SUCH_PARENT = 5
BAD_KEY = 9
MALFORMED = 10

_MOST_NAME = 256

#: What FolderCreate may make (MS-ASCMD 2.2.3.186.1: Type 1 and 12 to 18 without the unknown).
_CREATABLE = frozenset(
    (
        FolderType.GENERIC,
        FolderType.USER_MAIL,
        FolderType.USER_CALENDAR,
        FolderType.USER_CONTACTS,
        FolderType.USER_TASKS,
        FolderType.USER_JOURNAL,
        FolderType.USER_NOTES,
    )
)
#: What FolderUpdate and FolderDelete may touch: everything that a user made.
_OWN = _CREATABLE | {FolderType.UNKNOWN}

#: An empty or overlong key is a wrong one (9); only a missing one is malformed (R4568, R4573).
_KEY = Child(least=1)
_ID = Child(least=1, least_length=1, length=64)
_NAME = Child(least=1, least_length=1, length=_MOST_NAME)


@frozen
class _Made:
    """The answer of one of the three."""

    key: str
    number: int = 0


def _answer(name: str, made: _Made) -> Element:
    root, status = SHAPES[name]
    return E(
        root,
        E(status, 1),
        E(FolderHierarchy.SyncKey, made.key),
        E(FolderHierarchy.ServerId, made.number) if made.number else None,
    )


def _field(call: Call, tag: str) -> str:
    assert call.request is not None
    return call.request.text(tag) or ""


def _state(tx: Transaction, call: Call, key: str) -> hierarchy.HierarchyState:
    try:
        return hierarchy.proved(hierarchy.load(tx, call.device.id), key)
    except BadSyncKey as error:
        raise StatusError(BAD_KEY, error.cause) from error


def _number(text: str) -> int:
    """A folder number; -1 for what is none, which no folder has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else -1


def _folder(tx: Transaction, call: Call, text: str, status: int) -> Folder:
    folder = folders.folder_by_number(tx, call.account.mailbox_id, _number(text))
    if folder is None or not hierarchy.visible(folder):
        raise StatusError(status, f"folder {text[:20]!r}")
    return folder


def _parent(tx: Transaction, call: Call, text: str) -> int:
    if text.upper() == "RI":
        raise StatusError(SYSTEM_FOLDER, "below the recipient information cache")
    return 0 if text == "0" else _folder(tx, call, text, NO_SUCH_PARENT).number


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not name:
        raise StatusError(MALFORMED, "a folder name of blanks")
    return name


@command("FolderCreate")
class FolderCreate(Command):
    """A new folder under a parent."""

    grammar = Rule(
        {
            FolderHierarchy.SyncKey: _KEY,
            FolderHierarchy.ParentId: _ID,
            FolderHierarchy.DisplayName: _NAME,
            FolderHierarchy.Type: Child(least=1, kind="number", high=255),
        },
        status=MALFORMED,
    )

    async def run(self, call: Call) -> Element:
        key, fresh, now = _field(call, FolderHierarchy.SyncKey), call.services.random_key(), call.now()
        parent, wanted = _field(call, FolderHierarchy.ParentId), int(_field(call, FolderHierarchy.Type))
        name = _name(_field(call, FolderHierarchy.DisplayName))

        def create(tx: Transaction) -> _Made:
            state = _state(tx, call, key)
            if wanted == FolderType.RECIPIENT_CACHE:
                raise StatusError(SYSTEM_FOLDER, "a second recipient information cache")  # R81
            # A special folder cannot be made (R4035): default folders are there already.
            if wanted not in _CREATABLE:
                raise StatusError(MALFORMED, f"folder type {wanted}")
            try:
                folder = folders.create_folder(
                    tx,
                    call.account.mailbox_id,
                    _parent(tx, call, parent),
                    name,
                    FolderType(wanted),
                    now,
                    origin=call.device.id,
                )
            except Exists as error:
                raise StatusError(EXISTS, "the name is taken") from error
            except NoSuchFolder as error:
                raise StatusError(NO_SUCH_PARENT, error.cause) from error
            hierarchy.changed_by_device(tx, call.device.id, key, state, fresh, now, folder=folder)
            return _Made(fresh, folder.number)

        made = await call.write(create)
        call.notes.update(key=key, folder=made.number)
        return _answer(self.name, made)


@command("FolderUpdate")
class FolderUpdate(Command):
    """Renames or moves a folder."""

    grammar = Rule(
        {
            FolderHierarchy.SyncKey: _KEY,
            FolderHierarchy.ServerId: _ID,
            FolderHierarchy.ParentId: _ID,
            FolderHierarchy.DisplayName: _NAME,
            # R3102
            FolderHierarchy.Status: Child(most=0),
        },
        status=MALFORMED,
    )

    async def run(self, call: Call) -> Element:
        key, fresh, now = _field(call, FolderHierarchy.SyncKey), call.services.random_key(), call.now()
        number, parent = _field(call, FolderHierarchy.ServerId), _field(call, FolderHierarchy.ParentId)
        name = _name(_field(call, FolderHierarchy.DisplayName))

        def update(tx: Transaction) -> _Made:
            state = _state(tx, call, key)
            if number.upper() == "RI":
                raise StatusError(SYSTEM_FOLDER, "the recipient information cache")
            folder = _folder(tx, call, number, NO_SUCH_FOLDER)
            if folder.type not in _OWN:
                raise StatusError(EXISTS, f"folder type {int(folder.type)} stays as it is")  # R4102
            try:
                renamed = folders.rename_folder(
                    tx, folder, name, _parent(tx, call, parent), origin=call.device.id
                )
            except Exists as error:
                raise StatusError(EXISTS, "the name is taken") from error
            except (NoSuchFolder, NotPermitted) as error:
                # A folder cannot be moved below itself.
                raise StatusError(NO_SUCH_PARENT, error.cause) from error
            hierarchy.changed_by_device(tx, call.device.id, key, state, fresh, now, folder=renamed)
            return _Made(fresh)

        made = await call.write(update)
        call.notes.update(key=key, folder=number)
        return _answer(self.name, made)


@command("FolderDelete")
class FolderDelete(Command):
    """Deletes a folder with all that is in it."""

    grammar = Rule({FolderHierarchy.SyncKey: _KEY, FolderHierarchy.ServerId: _ID}, status=MALFORMED)

    async def run(self, call: Call) -> Element:
        key, fresh, now = _field(call, FolderHierarchy.SyncKey), call.services.random_key(), call.now()
        number = _field(call, FolderHierarchy.ServerId)

        def delete(tx: Transaction) -> _Made:
            state = _state(tx, call, key)
            if number.upper() == "RI":
                raise StatusError(SYSTEM_FOLDER, "the recipient information cache")
            folder = _folder(tx, call, number, NO_SUCH_FOLDER)
            if folder.type not in _OWN:
                raise StatusError(SYSTEM_FOLDER, f"folder type {int(folder.type)} stays")  # R4047
            try:
                folders.delete_folder(tx, folder, origin=call.device.id)
            except NotPermitted as error:
                raise StatusError(SYSTEM_FOLDER, error.cause) from error
            hierarchy.changed_by_device(tx, call.device.id, key, state, fresh, now, deleted=folder.number)
            return _Made(fresh)

        made = await call.write(delete)
        call.notes.update(key=key, folder=number)
        return _answer(self.name, made)
