"""What went wrong, in ActiveSync's terms: the error table of this edge.

Promise: every error of `posthouse.errors` has a row here, and every answer for one is right for the protocol
version: a Status element from 14.0 on, an HTTP status at 12.1 and below. Implements MS-ASCMD 2.2.2 (common
status codes) with its version column (R7461-R7567).
"""

from __future__ import annotations

from enum import IntEnum

from posthouse import errors
from posthouse.errors import PosthouseError


class Status(IntEnum):
    """The common status codes that this server gives (MS-ASCMD 2.2.2)."""

    SUCCESS = 1
    INVALID_CONTENT = 101
    INVALID_WBXML = 102
    INVALID_XML = 103
    INVALID_DATE_TIME = 104
    INVALID_COMBINATION_OF_IDS = 105
    INVALID_IDS = 106
    INVALID_MIME = 107
    DEVICE_ID_MISSING_OR_INVALID = 108
    DEVICE_TYPE_MISSING_OR_INVALID = 109
    SERVER_ERROR = 110
    SERVER_ERROR_RETRY_LATER = 111
    MAILBOX_QUOTA_EXCEEDED = 113
    MAILBOX_SERVER_OFFLINE = 114
    SEND_QUOTA_EXCEEDED = 115
    MESSAGE_RECIPIENT_UNRESOLVED = 116
    MESSAGE_PREVIOUSLY_SENT = 118
    MESSAGE_HAS_NO_RECIPIENT = 119
    MAIL_SUBMISSION_FAILED = 120
    ATTACHMENT_IS_TOO_LARGE = 122
    USER_DISABLED_FOR_SYNC = 126
    DEVICE_IS_BLOCKED = 129
    ACCESS_DENIED = 130
    ACCOUNT_DISABLED = 131
    SYNC_STATE_NOT_FOUND = 132
    COMMAND_NOT_SUPPORTED = 137
    VERSION_NOT_SUPPORTED = 138
    DEVICE_NOT_FULLY_PROVISIONABLE = 139
    REMOTE_WIPE_REQUESTED = 140
    LEGACY_DEVICE_ON_STRICT_POLICY = 141
    DEVICE_NOT_PROVISIONED = 142
    POLICY_REFRESH = 143
    INVALID_POLICY_KEY = 144
    EXTERNALLY_MANAGED_NOT_ALLOWED = 145
    UNEXPECTED_ITEM_CLASS = 147
    ITEM_NOT_FOUND = 150
    MOVE_MISSING_MOVE_ALWAYS = 155
    MOVE_INVALID_DESTINATION = 156
    BODY_PART_TYPE_NOT_SUPPORTED = 164
    DEVICE_INFORMATION_REQUIRED = 165
    INVALID_ACCOUNT_ID = 166
    MAXIMUM_DEVICES_REACHED = 177
    INVALID_SMART_FORWARD = 178
    INVALID_FORWARDEES = 179
    DRAFT_HAS_NO_RECIPIENT = 183


class StatusError(PosthouseError):
    """A command that ends with one status, of its own or a common one."""

    def __init__(self, status: int, cause: str = "") -> None:
        super().__init__(f"Status {int(status)}.", cause=cause)
        self.status = int(status)


#: Where at 12.1 and below something else than a bad request is answered (MS-ASCMD 2.2.2).
_HTTP: dict[int, int] = {
    Status.SERVER_ERROR: 500,  # R7550
    Status.SERVER_ERROR_RETRY_LATER: 503,  # R7551
    112: 403,  # R7552
    Status.MAILBOX_QUOTA_EXCEEDED: 507,  # R7553
    Status.MAILBOX_SERVER_OFFLINE: 503,
    Status.MAIL_SUBMISSION_FAILED: 500,
    125: 403,  # R7554
    Status.USER_DISABLED_FOR_SYNC: 403,  # R7555
    127: 403,
    128: 403,
    Status.DEVICE_IS_BLOCKED: 403,
    Status.ACCESS_DENIED: 403,
    Status.ACCOUNT_DISABLED: 403,
    Status.SYNC_STATE_NOT_FOUND: 403,  # R7556
    Status.COMMAND_NOT_SUPPORTED: 501,  # R7558
    Status.VERSION_NOT_SUPPORTED: 400,  # R7559
    Status.DEVICE_NOT_FULLY_PROVISIONABLE: 403,
    Status.REMOTE_WIPE_REQUESTED: 449,  # R7562; 403 without a policy key (R7561)
    Status.LEGACY_DEVICE_ON_STRICT_POLICY: 449,  # R7563
    Status.DEVICE_NOT_PROVISIONED: 449,  # R7564
    Status.POLICY_REFRESH: 449,  # R7565
    Status.INVALID_POLICY_KEY: 449,  # R7566
    Status.EXTERNALLY_MANAGED_NOT_ALLOWED: 403,
    Status.UNEXPECTED_ITEM_CLASS: 501,  # R7567
    Status.ITEM_NOT_FOUND: 404,
    Status.MAXIMUM_DEVICES_REACHED: 403,
}

#: Exceptions to the table above.
_HTTP_OF_COMMAND: dict[tuple[str, int], int] = {
    ("SendMail", Status.INVALID_IDS): 500,  # R7549
    ("Provision", Status.SYNC_STATE_NOT_FOUND): 500,  # R7557
    ("GetAttachment", Status.ITEM_NOT_FOUND): 500,  # R166
}

#: The error table: which common status an error of the house becomes when a command did not answer it itself.
ERRORS: dict[type[PosthouseError], Status] = {
    errors.PosthouseError: Status.SERVER_ERROR,
    errors.Malformed: Status.INVALID_XML,
    errors.TooLarge: Status.INVALID_CONTENT,
    errors.AuthFailed: Status.ACCESS_DENIED,
    errors.NotPermitted: Status.ACCESS_DENIED,
    errors.RelayDenied: Status.ACCESS_DENIED,
    errors.NotAuthentic: Status.ACCESS_DENIED,
    errors.LoopDetected: Status.MAIL_SUBMISSION_FAILED,
    errors.NotProvisioned: Status.DEVICE_NOT_PROVISIONED,
    errors.NoSuchThing: Status.ITEM_NOT_FOUND,
    errors.NoSuchItem: Status.ITEM_NOT_FOUND,
    errors.NoSuchFolder: Status.ITEM_NOT_FOUND,
    errors.NoSuchAccount: Status.MESSAGE_RECIPIENT_UNRESOLVED,
    errors.NoSuchDomain: Status.MESSAGE_RECIPIENT_UNRESOLVED,
    errors.AcceptsNoMail: Status.MESSAGE_RECIPIENT_UNRESOLVED,
    errors.Exists: Status.INVALID_COMBINATION_OF_IDS,
    errors.Conflict: Status.SERVER_ERROR_RETRY_LATER,
    errors.BadSyncKey: Status.SYNC_STATE_NOT_FOUND,
    errors.OverQuota: Status.MAILBOX_QUOTA_EXCEEDED,
    errors.MailboxFull: Status.MAILBOX_QUOTA_EXCEEDED,
    errors.TryLater: Status.SERVER_ERROR_RETRY_LATER,
    errors.StorageFull: Status.SERVER_ERROR_RETRY_LATER,
    errors.SentTooMuch: Status.SEND_QUOTA_EXCEEDED,
    errors.ComeAgain: Status.SERVER_ERROR_RETRY_LATER,
    errors.TooManyAttempts: Status.SERVER_ERROR_RETRY_LATER,
    errors.ConfigError: Status.SERVER_ERROR,
}


def status_of(error: BaseException) -> int:
    """The status for an error; 110 for one that nobody expected."""
    if isinstance(error, StatusError):
        return error.status
    for kind in type(error).__mro__:
        if kind in ERRORS:
            return int(ERRORS[kind])
    return int(Status.SERVER_ERROR)


def http_of(status: int, command: str = "", *, keyed: bool = True) -> int:
    """The HTTP status that stands for ``status`` at 12.1 and below.

    :param keyed: whether the request named a policy key, which matters to 140 (R7561, R7562).
    """
    if status == Status.REMOTE_WIPE_REQUESTED and not keyed:
        return 403
    return _HTTP_OF_COMMAND.get((command, status)) or _HTTP.get(status, 400)
