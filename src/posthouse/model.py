"""Frozen values that several rooms share.

Times are integer milliseconds since the epoch (UTC), sizes are bytes, numbers come from the mailbox's
48-bit counter. Nothing here behaves: behaviour is functions of these values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import IntEnum

from attrs import evolve, field, frozen

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
class Account:
    """Somebody who can log in; owns exactly one mailbox.

    ``address`` is the primary address, folded (lower-case local part, A-label domain).
    """

    id: int
    mailbox_id: int
    address: str
    name: str
    enabled: bool
    admin: bool
    created: int = 0


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
class MailGroup:
    """A distribution list: an address of ours that means its members. All addresses are folded.

    ``posting``: "anyone", "members", or "listed" (then ``posters`` has addresses, or "@example.org" for a domain).
    After routing, of a group for its members, ``members`` has their mailboxes and ``posters`` those elsewhere.
    """

    address: str
    name: str = ""
    posting: str = "anyone"
    owner: str = ""  # gets its bounces; "" is the postmaster
    posters: frozenset[str] = frozenset()
    members: frozenset[int] = frozenset()


@frozen
class Recipient:
    """One envelope recipient after routing.

    ``mailbox_ids`` lists the local mailboxes that it means (an alias may mean several);
    ``remote`` lists the addresses elsewhere. Both empty never happens: that is NoSuchAccount.
    """

    address: str  # as the peer gave it
    mailbox_ids: tuple[int, ...] = ()
    remote: tuple[str, ...] = ()
    notify: str = ""
    orcpt: str = ""
    folder_id: int = 0  # where a plus-address leads; 0 is the Inbox
    groups: tuple[MailGroup, ...] = ()  # the groups on the way, but for those within another group
    group: MailGroup | None = None  # the one that all of it goes through
    staying: tuple[int, ...] = ()  # mailboxes whose mail is sent on; what is junk stays there
    full: tuple[int, ...] = ()  # mailboxes left out, because they have been full for too long


@frozen
class Envelope:
    """One SMTP transaction, or a submission from ActiveSync or the web."""

    sender: str  # "" is the null reverse path
    recipients: tuple[Recipient, ...]
    peer: str = ""  # IP address of the client, "" when made here
    helo: str = ""
    protocol: str = ""  # RFC 3848: ESMTP, ESMTPS, ESMTPSA, or HTTP
    account_id: int | None = None  # the authenticated submitter
    cid: str = ""  # connection id in the log
    smtputf8: bool = False
    body: str = "8BITMIME"
    envid: str = ""
    ret: str = ""
    tls: str = ""  # "TLSv1.3 with cipher ..." for the trace header
    hold_until: int = 0  # ms; the submitter wants it sent then, not before (RFC 4865)
    require_tls: bool = False  # REQUIRETLS of RFC 8689


@frozen
class News:
    """Something visible changed in a mailbox and is committed. ``folder_id`` 0: the hierarchy.

    ``mailbox_id`` 0: something was queued for elsewhere (``store.outbox.QUEUE``).
    """

    mailbox_id: int
    folder_id: int
    number: int = 0


class DeviceAccess(IntEnum):
    """What the administrator decided about a device."""

    ALLOWED = 0
    QUARANTINED = 1
    BLOCKED = 2


@frozen
class Device:
    """One phone of one account: keyed by (account, DeviceId, DeviceType)."""

    id: int
    account_id: int
    device_id: str
    device_type: str
    user_agent: str = ""
    first_seen: int = 0
    last_seen: int = 0
    protocol: str = ""
    policy_key: int = 0
    pending_policy_key: int = 0
    policy_hash: str = ""
    provisioned: bool = False
    access: DeviceAccess = DeviceAccess.ALLOWED
    trace: bool = False
    information: dict[str, str] = field(factory=dict)
    last_command: str = ""
    last_error: str = ""
    version_ceiling: str = ""
    wipe: str = ""  # "device" or "account" once an administrator ordered it
    wipe_state: str = ""  # "ordered", "sent", "failed", "acknowledged", "cancelled"
    wipe_ordered: int = 0
    wipe_at: int = 0  # when the state came to be

    @property
    def wipe_pending(self) -> bool:
        """Whether the device still has to be told to erase itself, or has to confirm it."""
        return self.wipe_state in ("ordered", "sent", "failed")


@frozen
class OutboxRow:
    """One recipient's copy of an outgoing message and what became of it so far."""

    id: int
    account_id: int | None
    body_id: int
    size: int
    sender: str
    recipient: str
    created: int
    due: int
    expires: int
    attempts: int
    state: str  # "due", "leased", "held", "paused", "sent", "failed"
    last_reply: str = ""
    last_attempt: int | None = None
    smtputf8: bool = False
    eight_bit: bool = False
    envid: str = ""
    ret: str = ""
    notify: str = ""
    orcpt: str = ""
    trace: bytes = b""
    delay_told: bool = False
    own: bool = False  # written here: its encoding may be changed for a peer that takes 7-bit mail only
    verdict: str = ""  # the administrator's last word: it is not sent, but reported with these words
    priority: int = 0  # 0 small mail between people, 1 the rest
    require_tls: bool = False  # REQUIRETLS of RFC 8689


@frozen
class TlsSession:
    """How TLS went with one host, in the words of RFC 8460. ``result`` "" is success."""

    domain: str
    policy: str = "no-policy-found"  # or "sts", "tlsa"
    strings: tuple[str, ...] = ()  # the policy itself, line by line or record by record
    mx: tuple[str, ...] = ()  # what an MTA-STS policy says of hosts
    result: str = ""
    host: str = ""
    address: str = ""
    reason: str = ""


@frozen
class HopPolicy:
    """What a connection to one host has to be like; see ``posthouse.delivery.security``.

    ``tls`` is "verified" (a certificate of the public authorities for one of ``names``), "dane" (one that fits
    ``tlsa``: usage, selector, matching type, data), "required", or "" for what the job says.
    """

    tls: str = ""
    names: tuple[str, ...] = ()
    tlsa: tuple[tuple[int, int, int, bytes], ...] = ()
    watched: bool = False  # MTA-STS in testing: see whether it would be "verified", and do not mind
    trusted: bool = False  # it is certain that this host is one of the domain's (RFC 8689 4.2.1)
    about: TlsSession | None = None  # what to count sessions under


@frozen
class NextHop:
    """One host to try for a relay job, with its addresses already looked up."""

    host: str  # for SNI, certificate checks and reports; an address literal is allowed
    addresses: tuple[str, ...]
    port: int = 25
    implicit_tls: bool = False  # TLS from the first byte (RFC 8314), for a smarthost on 465
    lmtp: bool = False  # RFC 2033: the final delivery, with an answer for each recipient
    policy: HopPolicy = HopPolicy()


@frozen
class RelayJob:
    """One message on its way to several recipients that share a destination; see ``IRelay.send``.

    ``read(start, stop)`` gives that range of the message, at once or later; ``size`` is its length.
    """

    hosts: tuple[NextHop, ...]  # in order of preference
    sender: str  # "" is the null reverse path
    recipients: tuple[str, ...]
    read: Callable[[int, int], bytes | Awaitable[bytes]]
    size: int
    smtputf8: bool = False
    eight_bit: bool = False
    tls: str = "opportunistic"  # or "required" (encrypted), "verified" (and the right certificate), "none"
    login: tuple[str, str] | None = None  # user and password for a smarthost; never sent in clear text
    envid: str = ""
    ret: str = ""
    notify: tuple[str, ...] = ()  # beside recipients, or empty (RFC 3461)
    orcpt: tuple[str, ...] = ()
    cid: str = ""  # connection id for the log
    # Gives the same message without 8-bit bytes, for a peer that has to have it so; None where nobody may
    # change the message. :raises Malformed: it is signed, or cannot be told in 7 bits.
    seven_bit: Callable[[], Awaitable[RelayJob]] | None = None
    require_tls: bool = False  # RFC 8689: the next host has to take it so, and pass it on so
    note: Callable[[TlsSession], None] | None = None  # hears how TLS went with each host


@frozen
class RecipientResult:
    """What became of one recipient of a relay job."""

    recipient: str
    outcome: str  # "sent", "retry" or "failed"
    code: int  # SMTP reply code; 0 when no server answered
    enhanced: str  # "5.1.1"
    text: str  # the server's words, or ours when none answered
    remote_mta: str = ""  # the host that answered
    tls: str = ""  # "TLSv1.3 with cipher ...", "" in clear text
    dsn: bool = False  # sent: that host now answers for the reports that the sender asked for (RFC 3461)
    final: bool = False  # sent: into the mailbox itself (LMTP)
