"""What lies in a mailbox: folders, items with their marks, and the news of them."""

from __future__ import annotations

from enum import IntEnum

from attrs import frozen

__all__ = [
    "Arrival",
    "AttachmentInfo",
    "BodyRef",
    "ChangeGroup",
    "Flag",
    "Folder",
    "FolderType",
    "Gone",
    "Item",
    "ItemDraft",
    "Mark",
    "News",
]


class FolderType(IntEnum):
    """MS-ASCMD 2.2.3.186.3, Type (FolderSync)."""

    GENERIC = 1
    INBOX = 2
    DRAFTS = 3
    DELETED = 4
    SENT = 5
    OUTBOX = 6
    TASKS = 7
    CALENDAR = 8
    CONTACTS = 9
    NOTES = 10
    JOURNAL = 11
    USER_MAIL = 12
    USER_CALENDAR = 13
    USER_CONTACTS = 14
    USER_TASKS = 15
    USER_JOURNAL = 16
    USER_NOTES = 17
    UNKNOWN = 18
    RECIPIENT_CACHE = 19

    @property
    def item_class(self) -> str:
        """The ActiveSync class of what lies in such a folder: "Email", "Calendar", ..."""
        return _CLASSES.get(self, "Email")


_CLASSES = {
    FolderType.TASKS: "Tasks",
    FolderType.USER_TASKS: "Tasks",
    FolderType.CALENDAR: "Calendar",
    FolderType.USER_CALENDAR: "Calendar",
    FolderType.CONTACTS: "Contacts",
    FolderType.USER_CONTACTS: "Contacts",
    FolderType.RECIPIENT_CACHE: "Contacts",
    FolderType.NOTES: "Notes",
    FolderType.USER_NOTES: "Notes",
}


class ChangeGroup(IntEnum):
    """The property groups of an item whose changes are numbered apart (MS-ASEMAIL R74-106)."""

    READ = 0
    FLAG = 1
    CATEGORIES = 2
    REST = 3


@frozen
class Folder:
    """One folder. ``number`` is its permanent name for clients (ActiveSync CollectionId)."""

    id: int
    mailbox_id: int
    number: int
    parent: int  # number of the parent folder, 0 for the root
    name: str
    type: FolderType
    changed: int
    total: int = 0
    unread: int = 0
    hidden: bool = False


@frozen(order=True)
class Arrival:
    """The immutable arrival key of an item inside its folder; the order of the first fill."""

    received: int
    number: int


@frozen
class Mark:
    """What the synchronisation decision reads of one item: numbers only."""

    number: int
    changed: int
    received: int
    read_no: int
    flag_no: int
    categories_no: int
    rest_no: int

    @property
    def arrival(self) -> Arrival:
        return Arrival(self.received, self.number)


@frozen
class Gone:
    """A tombstone: the item ``number`` left its folder with change number ``at``."""

    number: int
    at: int
    received: int

    @property
    def arrival(self) -> Arrival:
        return Arrival(self.received, self.number)


@frozen
class Flag:
    """A follow-up flag (MS-ASEMAIL 2.2.2.34). ``status`` 0 cleared, 1 complete, 2 active."""

    status: int = 0
    type: str = ""
    subject: str = ""
    start: int | None = None
    due: int | None = None
    utc_start: int | None = None
    utc_due: int | None = None
    completed: int | None = None
    date_completed: int | None = None
    reminder_set: bool = False
    reminder_time: int | None = None
    ordinal: int | None = None
    sub_ordinal: str = ""


@frozen
class AttachmentInfo:
    """One attachment as lists show it; ``path`` names the MIME part ("2.1")."""

    path: str
    name: str
    content_type: str
    size: int
    content_id: str = ""
    inline: bool = False
    content_location: str = ""


@frozen
class ItemDraft:
    """Everything of a new item but its place: what lists, syncs and threads need."""

    received: int
    size: int
    message_class: str = "IPM.Note"
    subject: str = ""
    topic: str = ""
    sender: str = ""
    sender_address: str = ""
    to: str = ""
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    sent: int | None = None
    message_id: str = ""
    importance: int = 1
    preview: str = ""
    read: bool = False
    flag: Flag | None = None
    categories: tuple[str, ...] = ()
    draft: bool = False
    has_attachments: bool = False
    attachments: tuple[AttachmentInfo, ...] = ()
    structure: bytes = b""
    thread_keys: tuple[bytes, ...] = ()
    hidden: bool = False
    trace: bytes = b""
    sent_by: str = ""  # who sent it for somebody else (Sender, when it is not From)
    passed_on: bool = False  # it came by a list or was sent on: whom it names does not tell whom it was for


@frozen
class Item:
    """One item in one folder, as stored. ``trace`` + body is the message as the reader sees it.

    Offsets in ``structure`` count from the start of the body, without ``trace``.
    """

    id: int
    mailbox_id: int
    folder_id: int
    number: int
    changed: int
    read_no: int
    flag_no: int
    categories_no: int
    rest_no: int
    body_id: int
    received: int
    size: int
    message_class: str
    subject: str
    topic: str
    sender: str
    sender_address: str
    to: str
    cc: str
    bcc: str
    reply_to: str
    sent: int | None
    message_id: str
    importance: int
    preview: str
    read: bool
    flag: Flag | None
    categories: tuple[str, ...]
    draft: bool
    has_attachments: bool
    attachments: tuple[AttachmentInfo, ...]
    structure: bytes
    conversation: bytes  # 16 bytes
    conversation_index: bytes
    verb: int  # MS-ASEMAIL 2.2.2.44 LastVerbExecuted; 0 none
    verb_at: int | None
    trace: bytes
    sent_by: str = ""


@frozen
class BodyRef:
    """A stored body: content-addressed, shared by every item that carries the same bytes."""

    id: int
    sha256: bytes
    size: int


@frozen
class News:
    """Something visible changed in a mailbox and is committed. ``folder_id`` 0: the hierarchy.

    ``mailbox_id`` 0: something was queued for elsewhere (``store.outbox.QUEUE``).
    """

    mailbox_id: int
    folder_id: int
    number: int = 0
