"""Frozen values that several rooms share.

Times are integer milliseconds since the epoch (UTC), sizes are bytes, numbers come from the mailbox's
48-bit counter. Nothing here behaves: behaviour is functions of these values.
"""

from attrs import evolve

from posthouse.model.mailbox import (
    Arrival,
    AttachmentInfo,
    BodyRef,
    ChangeGroup,
    Flag,
    Folder,
    FolderType,
    Gone,
    Item,
    ItemDraft,
    Mark,
    News,
)
from posthouse.model.people import (
    Account,
    Device,
    DeviceAccess,
)
from posthouse.model.sending import (
    Envelope,
    HopPolicy,
    MailGroup,
    NextHop,
    OutboxRow,
    Recipient,
    RecipientResult,
    RelayJob,
    TlsSession,
)

__all__ = [
    "Account",
    "Arrival",
    "AttachmentInfo",
    "BodyRef",
    "ChangeGroup",
    "Device",
    "DeviceAccess",
    "Envelope",
    "Flag",
    "Folder",
    "FolderType",
    "Gone",
    "HopPolicy",
    "Item",
    "ItemDraft",
    "MailGroup",
    "Mark",
    "News",
    "NextHop",
    "OutboxRow",
    "Recipient",
    "RecipientResult",
    "RelayJob",
    "TlsSession",
    "evolve",
]
