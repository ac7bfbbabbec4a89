"""The seams between rooms, as zope interfaces.

A room asks for what it needs by these names and is given it by ``tap``; tests give a verified fake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from posthouse.model import Account, Envelope, News, Recipient


class IDatabase(Interface):
    """The only door to stored data. See ``posthouse.store.db``."""

    def write(function: Callable[..., Any]) -> Deferred[Any]:
        """Run ``function(tx)`` in the writer's next group commit.

        The Deferred fires with its result after the commit is durable, and after its news were published.
        The function may run twice, so it has no effect but SQL.

        :raises TryLater: (in the Deferred) full disk, busy or failing I/O.
        """

    def read(function: Callable[..., Any]) -> Deferred[Any]:
        """Run ``function(tx)`` on a reader's snapshot; the Deferred fires with its result."""


class IBus(Interface):
    """Wakes who waits for a mailbox to change; see ``posthouse.bus``."""

    def publish(news: News) -> None:
        """Tell every subscription of that mailbox and folder. Called in the reactor, after commit only."""

    def subscribe(mailbox_id: int, folders: frozenset[int] | None = None) -> ISubscription:
        """Listen from now on. ``folders`` None means everything; 0 is the folder hierarchy."""


class ISubscription(Interface):
    """One listener. It remembers news from its creation on, so nothing falls between look and wait."""

    def wait() -> Deferred[frozenset[int]]:
        """Fires with the folder ids that had news since the last firing; at once if there are some.

        Cancelling the Deferred ends the wait, not the subscription.
        """

    def close() -> None:
        """Forget the listener; a pending wait is cancelled."""


class IAuthenticator(Interface):
    """Who is it? One answer for SMTP and every HTTP room; see ``posthouse.auth``."""

    def check_password(login: str, password: bytes, peer: str) -> Deferred[Account]:
        """Check a login.

        :param login: ``user@domain``, a bare local part, or ``DOMAIN\\user``.
        :param peer: the client's IP address, for the throttle; "" for none.
        :raises AuthFailed: unknown, wrong or disabled.
        :raises TooManyAttempts: throttled. :raises TryLater: too many checks are waiting.
        """

    def check_basic(header: bytes, peer: str) -> Deferred[Account]:
        """Check the value of an ``Authorization: Basic`` header; microseconds when it was checked before.

        :raises AuthFailed: also for a malformed header.
        """

    def forget(account_id: int) -> None:
        """Drop every remembered success of that account, at once (password change, disabling)."""


class ISpool(Interface):
    """The bytes of one message on their way in: memory first, then a file. See ``posthouse.work.spool``."""

    size = Attribute("int: bytes written so far")

    def write(block: bytes) -> Deferred[None] | None:
        """Append. A Deferred means: pause the producer until it fires.

        :raises StorageFull: (or in the Deferred) no room on disk.
        """

    def finish() -> Deferred[Any]:
        """No more bytes. Fires with a ``posthouse.work.spool.Spooled``."""

    def discard() -> None:
        """Forget the bytes, at any time, any number of times."""


class IMailIntake(Interface):
    """Where the SMTP server hands its mail; see ``posthouse.delivery.intake``."""

    def check_sender(sender: str, account: Account | None) -> Deferred[None]:
        """May this reverse path be used?

        :raises NotPermitted: an authenticated account that does not own the address.
        """

    def check_recipient(
        address: str, account: Account | None, sender: str | None = None
    ) -> Deferred[Recipient]:
        """Route one recipient.

        :param sender: the reverse path, which a group may want to know; None: it is not known yet.
        :raises NoSuchAccount: a local domain without such a user. :raises RelayDenied: elsewhere, without login.
        :raises OverQuota: the mailbox is full (``MailboxFull``: for days). :raises TryLater: cannot tell now.
        :raises NotPermitted: a group that does not take mail from this sender.
        """

    def spool() -> ISpool:
        """A new spool for one transaction."""

    def accept(envelope: Envelope, spooled: Any) -> Deferred[str]:
        """Take responsibility. Fires, after the durable commit, with the queue id shown in the reply.

        :raises PosthouseError: nothing was kept.
        """


class IParcel(Interface):
    """A message that is ready to be sent, see ``IOutbox.prepare``."""

    def hand_over(tx: Any) -> None:
        """Send it in the caller's transaction; may run again when the transaction is repeated.

        Local copies, the Sent item and the rows of the queue are there when the transaction commits, or none is.
        """

    def departed() -> None:
        """The transaction is durable: note it in the log. The queue has heard of it already."""


class IOutbox(Interface):
    """Where the compose commands hand their mail; see ``posthouse.delivery.submission``."""

    def submit(
        account: Account,
        message: bytes,
        save_in_sent: bool,
        in_transaction: Callable[..., Any] | None = None,
        hold_until: int | None = None,
    ) -> Deferred[Any]:
        """Send a MIME message for an account: recipients are taken from To, Cc and Bcc; Bcc is removed from
        what others see; local copies, the Sent item and outbox rows are made in one transaction.

        :param in_transaction: ``f(tx) -> result`` runs in the same transaction first (replied marks, the record
            of the ClientId); raising a PosthouseError there cancels everything. The Deferred fires with its result.
        :param hold_until: ms; not before then, and until then it can be taken back (``store.held``). None: as the
            account wants it, 0: at once.
        :raises NotPermitted: From is not an address of the account. :raises Malformed: no recipient, not MIME.
        """

    def prepare(
        account: Account, message: bytes, save_in_sent: bool, hold_until: int | None = None
    ) -> Deferred[Any]:
        """Everything of ``submit`` that can be done ahead of the transaction: fires with an ``IParcel``.

        For who sends within a transaction of his own, perhaps more than one message, or none after all: nothing is
        sent before ``IParcel.hand_over``. :raises: as ``submit``.
        """


class IResolver(Interface):
    """DNS with failures told apart from answers; see ``posthouse.dns``."""

    def mail_hosts(domain: str) -> Deferred[list[tuple[int, str]]]:
        """(preference, host) in order of preference, random among equals; the implicit MX when there is none.

        :raises NoSuchDomain: NXDOMAIN or null MX (RFC 7505). :raises TryLater: SERVFAIL, time-out.
        """

    def addresses(host: str) -> Deferred[list[str]]:
        """IPv4 and IPv6 addresses. :raises NoSuchDomain: none, for certain. :raises TryLater: cannot tell."""


class IRelay(Interface):
    """Speaks SMTP to the next hop; see ``posthouse.smtp.client``."""

    def send(job: Any) -> Deferred[Any]:
        """Deliver one message to several recipients of one destination.

        Fires with a result per recipient; a connection-level failure is a result, too, never an exception.
        """
