"""One tree of errors for the whole house.

A room raises what happened in the terms of the mail store; each edge (SMTP, ActiveSync, HTTP, the
command line) translates it by one table of its own, so no room below an edge knows a protocol number.

Every error carries a sentence that may be shown to the peer (``public``), and a private cause for the
log. ``temporary`` says whether the same request may succeed later: an error is temporary unless it is
proven permanent.
"""

from __future__ import annotations


class PosthouseError(Exception):
    """The root of all errors that the house raises on purpose.

    :param public: a sentence for the peer; names nothing private. Defaults to the class's own.
    :param cause: what the administrator reads in the log.
    """

    public_default = "The request could not be completed."
    temporary = False

    def __init__(self, public: str | None = None, *, cause: str = "") -> None:
        self.public = public if public is not None else self.public_default
        self.cause = cause
        super().__init__(f"{self.public} ({cause})" if cause else self.public)


class Malformed(PosthouseError):
    """Bytes or a request that break their own protocol's grammar."""

    public_default = "The request is malformed."


class TooLarge(Malformed):
    """A limit on bytes, lines, depth, parts or counts was passed."""

    public_default = "The request exceeds a size limit."


class AuthFailed(PosthouseError):
    """Unknown user, wrong password or a disabled account; the three look the same to the peer."""

    public_default = "Authentication failed."


class NotPermitted(PosthouseError):
    """The peer is known (or needs not be) but may not do this."""

    public_default = "This is not permitted."


class RelayDenied(NotPermitted):
    """Mail for elsewhere from somebody who has not authenticated."""

    public_default = "Relaying is not permitted."


class NotAuthentic(NotPermitted):
    """A message under the name of a domain that says it did not send it, and wants such mail refused."""

    public_default = "The sender's domain asks to reject mail that it cannot be shown to have sent."


class LoopDetected(NotPermitted):
    """A message that has been around too often, or came back to where it was sent on."""

    public_default = "Too many hops: the message is in a loop."


class NotProvisioned(NotPermitted):
    """The device has to accept its policy first."""

    public_default = "The device must be provisioned first."


class NoSuchThing(PosthouseError):
    """The parent of everything that was named but does not exist."""

    public_default = "No such object."


class NoSuchItem(NoSuchThing):
    """No such message, or not in that folder."""

    public_default = "No such item."


class NoSuchFolder(NoSuchThing):
    """No such folder in this mailbox."""

    public_default = "No such folder."


class NoSuchAccount(NoSuchThing):
    """No such account, alias or domain here."""

    public_default = "No such user here."


class NoSuchDomain(NoSuchThing):
    """DNS says for certain that a domain does not exist, or does not take mail."""

    public_default = "The domain does not exist or accepts no mail."


class AcceptsNoMail(NoSuchDomain):
    """The domain exists and says with a null MX that it takes no mail (RFC 7505)."""

    public_default = "The domain accepts no mail."


class Exists(PosthouseError):
    """A thing of that name is there already."""

    public_default = "It exists already."


class Conflict(PosthouseError):
    """Somebody else changed the same thing first."""

    public_default = "The object was changed by somebody else."


class BadSyncKey(PosthouseError):
    """A synchronisation key that is neither the last one nor the one before."""

    public_default = "The synchronization key is invalid."


class OverQuota(PosthouseError):
    """The mailbox is full."""

    public_default = "The mailbox is full."
    temporary = True


class MailboxFull(OverQuota):
    """The mailbox has been full for so long that nobody should wait any more."""

    temporary = False


class TryLater(PosthouseError):
    """Anything that may pass: a busy or full disk, a full queue, a peer that does not answer.

    :param after: seconds after which a new attempt makes sense.
    """

    public_default = "The server is busy. Try again later."
    temporary = True

    def __init__(self, public: str | None = None, *, cause: str = "", after: float = 30.0) -> None:
        super().__init__(public, cause=cause)
        self.after = after


class StorageFull(TryLater):
    """The disk or the database has no room left."""

    public_default = "Insufficient system storage."


class SentTooMuch(TryLater):
    """The account has sent its share of a day."""

    public_default = "You have sent too much today. Try again tomorrow."


class ComeAgain(TryLater):
    """A stranger's first message: whoever means it sends it once more (greylisting)."""

    public_default = "You are not known here yet. Try again in some minutes."


class TooManyAttempts(TryLater):
    """The throttle for failed logins holds this address or account back."""

    public_default = "Too many failed logins. Try again later."


class ConfigError(PosthouseError):
    """The server cannot start; the sentence says what to change. Exit code 2."""

    public_default = "The configuration is invalid."
