"""What MAIL and RCPT say, checked against what was offered: arguments in, values or ``Refused`` out."""

from __future__ import annotations

from attrs import define, field, frozen

from posthouse.errors import Malformed
from posthouse.interfaces import ISpool
from posthouse.model import Recipient
from posthouse.smtp import future, grammar
from posthouse.smtp.data import Chunk, DataIn
from posthouse.smtp.replies import Refused, Reply, reply
from posthouse.smtp.settings import SmtpSettings

__all__ = ["TOO_BIG", "Transaction", "Wanted", "read_mail", "read_rcpt"]

TOO_BIG = reply(552, "5.3.4", "Message size exceeds the limit")
NEED_PRIVACY = reply(530, "5.7.10", "REQUIRETLS is for encrypted connections")
UNSUPPORTED = reply(555, "5.5.4", "Unsupported parameter")


@define(eq=False)
class Transaction:
    """From MAIL to the end of data."""

    sender: str = ""
    utf8: bool = False
    body: str = "7BIT"
    envid: str = ""
    ret: str = ""
    hold_until: int = 0  # ms; RFC 4865
    require_tls: bool = False
    recipients: dict[str, Recipient] = field(factory=dict)
    spool: ISpool | None = None
    reader: DataIn | None = None
    chunk: Chunk | None = None
    chunking: bool = False
    received: int = 0
    refusal: Reply | None = None  # decided already; the rest is read and thrown away


@frozen
class Wanted:
    """What one RCPT asks for."""

    address: str
    notify: str = ""
    orcpt: str = ""


def _bad(text: str) -> Refused:
    return Refused(reply(501, "5.5.4", text))


def _address(path: str, enhanced: str, utf8: bool, default_domain: str = "") -> str:
    try:
        return grammar.parse_path(path, utf8=utf8, default_domain=default_domain)
    except grammar.NeedsUtf8:
        raise
    except Malformed as error:
        raise Refused(reply(501, enhanced, error.public)) from error


def read_mail(
    rest: bytes, settings: SmtpSettings, extended: bool, secure: bool = False, now: float = 0.0
) -> Transaction:
    """The argument of MAIL.

    :param extended: the client said EHLO, so parameters may be used. :param secure: inside TLS.
    :param now: seconds since the epoch.
    :raises Refused: or NeedsUtf8, with their replies.
    """
    try:
        path, parameters = grammar.split_path(rest, "FROM:")
    except Malformed as error:
        raise _bad(error.public) from error
    transaction = Transaction()
    if parameters and not extended:
        raise Refused(UNSUPPORTED)
    for key, value in parameters.items():
        if key == "REQUIRETLS":
            _require_tls(transaction, value, secure)
        elif key in future.KEYWORDS and settings.submission and settings.hold_seconds:
            _hold(transaction, key, value, settings, now)
        else:
            _mail_parameter(transaction, key, value, settings)
    if path:
        transaction.sender = _address(path, "5.1.7", transaction.utf8)
    return transaction


def _require_tls(transaction: Transaction, value: str | None, secure: bool) -> None:
    if value is not None:
        raise _bad("REQUIRETLS takes no value")
    if not secure:
        raise Refused(NEED_PRIVACY)  # RFC 8689 4.1: it was not offered in clear
    transaction.require_tls = True


def _hold(transaction: Transaction, key: str, value: str | None, settings: SmtpSettings, now: float) -> None:
    if transaction.hold_until:
        raise _bad("HOLDFOR or HOLDUNTIL, not both")
    try:
        transaction.hold_until = future.release_time(key, value, settings.hold_seconds, now)
    except Malformed as error:
        raise _bad(error.public) from error


def _mail_parameter(transaction: Transaction, key: str, value: str | None, settings: SmtpSettings) -> None:
    if key == "SIZE":
        if value is None or not value.isascii() or not value.isdigit() or len(value) > 20:
            raise _bad("Syntax: SIZE=octets")
        if int(value) > settings.size_limit:
            raise Refused(TOO_BIG)  # RFC 1870 6.1
    elif key == "BODY":
        transaction.body = (value or "").upper()
        if transaction.body not in ("7BIT", "8BITMIME"):
            raise _bad("Unknown BODY type")
    elif key == "SMTPUTF8":
        transaction.utf8 = True
        if value is not None:
            raise _bad("SMTPUTF8 takes no value")
    elif not settings.submission:
        raise Refused(UNSUPPORTED)
    elif key == "AUTH":
        pass  # RFC 4954 5: trusting nobody's word for it, we behave as if AUTH=<> was given
    elif key == "RET":
        transaction.ret = (value or "").upper()
        if transaction.ret not in ("FULL", "HDRS"):
            raise _bad("RET is FULL or HDRS")
    elif key == "ENVID":
        transaction.envid = value or ""
        if not 0 < len(transaction.envid) <= 100:
            raise _bad("ENVID has 1 to 100 characters")
        _xtext(transaction.envid)
    else:
        raise Refused(UNSUPPORTED)


def _xtext(value: str) -> None:
    try:
        grammar.decode_xtext(value)
    except Malformed as error:
        raise _bad(error.public) from error


def read_rcpt(rest: bytes, settings: SmtpSettings, utf8: bool) -> Wanted:
    """The argument of RCPT. :raises Refused: or NeedsUtf8, with their replies."""
    notify = orcpt = ""
    try:
        path, parameters = grammar.split_path(rest, "TO:")
        for key, value in parameters.items():
            if key == "NOTIFY" and settings.submission:
                notify = grammar.parse_notify(value)
            elif key == "ORCPT" and settings.submission:
                orcpt = grammar.parse_orcpt(value)
            else:
                raise Refused(UNSUPPORTED)
    except Malformed as error:
        raise _bad(error.public) from error
    home = settings.default_domain or settings.hostname
    return Wanted(_address(path, "5.1.3", utf8, home), notify, orcpt)
