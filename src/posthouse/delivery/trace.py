"""The trace headers that stand before the bytes as received, and the signs of a loop.

Promise: whatever a peer said in HELO, MAIL or RCPT, what is written here is well-formed header lines that it
cannot break out of; a peer cannot see who else was addressed, nor where an authenticated user sat.

Specifications: RFC 5321 4.4 (Received, Return-Path), 6.3 (loops), RFC 3848 (with), RFC 9228 (Delivered-To).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache

from posthouse.errors import LoopDetected
from posthouse.mime.addresses import fold_address
from posthouse.mime.dates import format_date
from posthouse.mime.headers import parse_headers
from posthouse.model import Envelope

__all__ = [
    "MAX_RECEIVED",
    "check_hops",
    "delivered_to_line",
    "delivery_trace",
    "queue_id",
    "received_line",
    "return_path_line",
]

MAX_RECEIVED = 50  # RFC 5321 6.3 asks for at least 100 in a simple count; 50 is what maddy and Postfix use

_RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)
_NOT_HOST = re.compile(r"[^A-Za-z0-9.:_\-\[\]]")
_NOT_ADDRESS = re.compile("[\x00-\x1f\x7f-\x9f<>\u2028\u2029\ud800-\udfff]")
_NOT_COMMENT = re.compile(r"[^A-Za-z0-9 ./_:+-]")
_ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZ"  # no vowels but what digits look like: no words by chance


def queue_id(now: int, salt: int) -> str:
    """A name for one accepted message in replies, traces and the log.

    :param now: ms since the epoch. :param salt: random bits, 24 of which are used.
    """
    number = now << 24 | salt & 0xFFFFFF
    digits = []
    while number:
        number, rest = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


def return_path_line(sender: str) -> bytes:
    """``Return-Path: <sender>``; "" is the null reverse path."""
    return f"Return-Path: <{_address(sender)}>\r\n".encode()


def delivered_to_line(address: str) -> bytes:
    """``Delivered-To: address`` (RFC 9228)."""
    return f"Delivered-To: {_address(address)}\r\n".encode()


def received_line(envelope: Envelope, hostname: str, name: str, now: int) -> bytes:
    """The Received line of this hop (RFC 5321 4.4), folded.

    :param hostname: ours. :param name: the queue id. :param now: ms since the epoch.
    """
    parts = []
    if envelope.account_id is None and envelope.peer:
        # Authenticated users keep to themselves from which network they wrote.
        helo = _NOT_HOST.sub("?", envelope.helo[:255]) or "unknown"
        parts.append(f"from {helo} ({_literal(envelope.peer)})")
    parts.append(f"by {_NOT_HOST.sub('?', hostname)} (Posthouse)")
    protocol = _NOT_HOST.sub("", envelope.protocol[:20]) or "ESMTP"
    if envelope.smtputf8 and not protocol.startswith("UTF8"):
        protocol = "UTF8" + protocol.removeprefix("E")  # RFC 6531 4.3: UTF8SMTP, UTF8SMTPSA
    tls = f" ({_NOT_COMMENT.sub('', envelope.tls[:120])})" if envelope.tls else ""
    parts.append(f"with {protocol}{tls} id {name}")
    if len(envelope.recipients) == 1:  # RFC 5321 4.4 and 7.2: never tell one recipient of another
        address = _address(envelope.recipients[0].address)
        if address and (envelope.smtputf8 or address.isascii()):
            parts.append(f"for <{address}>")
    return ("Received: " + "\r\n\t".join(parts) + f";\r\n\t{format_date(now)}\r\n").encode()


def delivery_trace(sender: str, address: str, received: bytes) -> bytes:
    """What stands before the body of one mailbox's copy, newest first."""
    return return_path_line(sender) + delivered_to_line(address) + received


def check_hops(head: bytes, forwarded: Sequence[str] = ()) -> None:
    """Refuse a message that goes in circles.

    :param head: the header block.
    :param forwarded: the local addresses that send the message on to elsewhere.
    :raises LoopDetected: more than :data:`MAX_RECEIVED` Received lines, or a forwarding address met again.
    """
    received = len(_RECEIVED.findall(head))
    if received > MAX_RECEIVED:
        raise LoopDetected(cause=f"{received} Received lines")
    if not forwarded:
        return
    seen = {
        fold_address(value[:1000].decode("utf-8", "replace"))
        for name, value in parse_headers(head)
        if name == "delivered-to"
    }
    for address in forwarded:
        if fold_address(address) in seen:
            raise LoopDetected(cause=f"was delivered to {address} before")


def _address(text: str) -> str:
    return _NOT_ADDRESS.sub("", text)[:1000]


@lru_cache(maxsize=4096)
def _literal(peer: str) -> str:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return "[unknown]"
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
