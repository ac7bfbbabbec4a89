"""The PROXY protocol's header, versions 1 and 2: bytes in, the client's address out.

The promise: pure and linear; whoever does not begin with a whole and exact header is ``Malformed`` as soon as that
can be known, and no header is longer than ``MAX_HEADER``. How long to wait for it is the caller's business.

Specification: "The PROXY protocol, versions 1 & 2", haproxy.org, doc/proxy-protocol.txt (sections 2.1 and 2.2).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

from posthouse.errors import Malformed

__all__ = ["MAX_HEADER", "SIGNATURE", "Header", "read_header"]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MAX_LINE = 107  # octets of version 1 with CRLF: the longest that two IPv6 addresses make
MAX_HEADER = 4096  # octets of version 2 altogether: addresses, and more details than any balancer sends

_FIRST = b"PROXY "
_PORT = re.compile("0|[1-9][0-9]{0,4}")


@frozen
class Header:
    """``source`` is the client's (address, port); None: the balancer speaks for itself, as in a health check.

    ``length``: how many bytes the header took.
    """

    source: tuple[str, int] | None
    length: int


def read_header(data: bytes) -> Header | None:
    """The header at the beginning of ``data``; None while more is needed to know.

    :raises Malformed: what is there is not, and cannot become, a header.
    """
    if data[:12] == SIGNATURE[: len(data)]:
        return _version_2(data)
    if data[:6] == _FIRST[: len(data)]:
        return _version_1(data)
    raise Malformed("Not a PROXY header.")


def _version_1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(data) >= MAX_LINE or b"\n" in data:
            raise Malformed("An endless PROXY line.")
        return None
    try:
        words = data[len(_FIRST) : end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise Malformed("A PROXY line that is not ASCII.") from None
    if words[0] == "UNKNOWN":
        return Header(None, end + 2)  # 2.1: what else the line says is ignored
    if len(words) != 5 or words[0] not in ("TCP4", "TCP6"):
        raise Malformed("A PROXY line of another form.")
    source = _address(words[0], words[1]), _port(words[3])
    _address(words[0], words[2]), _port(words[4])
    return Header(source, end + 2)


def _address(family: str, text: str) -> str:
    try:
        if family == "TCP4":
            return str(IPv4Address(text))
        if "%" in text:
            raise ValueError
        return _plain(IPv6Address(text))
    except ValueError:
        raise Malformed("A PROXY line with an address that is none.") from None


def _port(text: str) -> int:
    if _PORT.fullmatch(text) is None or int(text) > 65535:
        raise Malformed("A PROXY line with a port that is none.")
    return int(text)


def _plain(address: IPv6Address) -> str:
    """An IPv4 client that came through an IPv6 socket is an IPv4 client."""
    return str(address.ipv4_mapped or address)


def _version_2(data: bytes) -> Header | None:
    if len(data) < 16:
        if len(data) >= 13 and data[12] >> 4 != 2:
            raise Malformed("A PROXY header of another version.")
        return None
    command, kind, size = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (0x20, 0x21):  # 2.2: LOCAL and PROXY; "receivers must drop" all others
        raise Malformed("A PROXY header with another version or command.")
    if 16 + size > MAX_HEADER:
        raise Malformed("A PROXY header that is too long.")
    # 2.2: over a stream come streams; UNSPEC and unix sockets say nothing that we could use.
    if kind not in (0x00, 0x11, 0x21, 0x31) and command == 0x21:
        raise Malformed("A PROXY header of another family.")
    needed = {0x11: 12, 0x21: 36, 0x31: 216}.get(kind, 0) if command == 0x21 else 0
    if size < needed:
        raise Malformed("A PROXY header without room for its addresses.")
    if len(data) < 16 + size:
        return None
    source = None
    if needed == 12:
        source = str(IPv4Address(data[16:20])), int.from_bytes(data[24:26], "big")
    elif needed == 36:
        source = _plain(IPv6Address(data[16:32])), int.from_bytes(data[48:50], "big")
    return Header(source, 16 + size)  # what follows the addresses (TLVs) is skipped
