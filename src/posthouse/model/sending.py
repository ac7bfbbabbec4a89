"""Mail on its way: envelopes, and the queue with its jobs and results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen

__all__ = [
    "Envelope",
    "HopPolicy",
    "MailGroup",
    "NextHop",
    "OutboxRow",
    "Recipient",
    "RecipientResult",
    "RelayJob",
    "TlsSession",
]


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
