"""What MS-ASHTTP and MS-ASWBXML say of an answer as it is on the wire: status line, headers, and the bytes of a body.

The tokens are read by a small decoder of its own with Microsoft's table of code pages, so that the product's decoder
does not judge the product's encoder.
"""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Mapping
from functools import cache
from unittest import SkipTest

from posthouse.wbxml.tree import Element
from tests.support.eas_text import SchemaError
from tests.support.shared import shared_path

WBXML = "application/vnd.ms-sync.wbxml"
MULTIPART = "application/vnd.ms-sync.multipart"

_LINES = (200, 400, 401, 403, 404, 405, 413, 449, 500, 501, 503, 507)
_OFFERED = ["12.0", "12.1", "14.0", "14.1", "16.0", "16.1"]

#: Elements whose content is bytes (MS-ASDTYPE 2.7.1).
BYTES = frozenset(
    (
        "Email2:ConversationId",
        "Email2:ConversationIndex",
        "ItemOperations:ConversationId",
        "Search:ConversationId",
    )
)


def check_headers(
    method: str, code: int, headers: Mapping[str, str], body: bytes, *, wire: bool = True, command: str = ""
) -> None:
    """Status line and headers of an answer (MS-ASHTTP 2.2.2.1, 2.2.4.1).

    :param headers: names in small letters. :param wire: as sent; else Content-Length is not there yet.
    :raises SchemaError: naming the header.
    """

    def refuse(what: str) -> None:
        raise SchemaError(f"{method} {command} answered {code}: {what}")

    if code not in _LINES:
        refuse("no status code of MS-ASHTTP 2.2.2.1.1")
    streamed = headers.get("transfer-encoding") == "chunked" or "content-encoding" in headers
    if wire and not streamed and headers.get("content-length") != str(len(body)):
        refuse(f"Content-Length {headers.get('content-length')} for {len(body)} bytes")
    kind = headers.get("content-type", "")
    if body and code == 200 and not re.fullmatch(r"[\w.+-]+/[\w.+-]+(;.*)?", kind):
        refuse(f"Content-Type {kind!r}")
    if method == "POST" and code == 200 and "ms-server-activesync" not in headers:
        refuse("no MS-Server-ActiveSync")
    documented = method == "POST" and body and code in (200, 449) and command != "GetAttachment"
    if documented and kind not in (WBXML, MULTIPART):
        refuse(f"Content-Type {kind!r}")
    if code == 503 and not headers.get("retry-after", "").isdigit():
        refuse("no Retry-After")
    if code == 401 and not headers.get("www-authenticate", "").startswith("Basic "):
        refuse("no challenge")
    if method == "OPTIONS" and code == 200:
        versions = headers.get("ms-asprotocolversions", "").split(",")
        if versions != _OFFERED[: len(versions)] or body:
            refuse(f"MS-ASProtocolVersions {versions}")
        commands = headers.get("ms-asprotocolcommands", "").split(",")
        if "Sync" not in commands or any(not re.fullmatch(r"[A-Z]\w+", one) for one in commands):
            refuse(f"MS-ASProtocolCommands {commands}")


def check_parts(body: bytes) -> None:
    """A MultiPartResponse: its parts lie one behind the other as its table says (MS-ASCMD 2.2.1.10.1.1).

    :raises SchemaError: they do not.
    """
    (count,) = struct.unpack_from("<I", body)
    at = 4 + 8 * count
    for number in range(count):
        offset, length = struct.unpack_from("<II", body, 4 + 8 * number)
        if offset != at:
            raise SchemaError(f"part {number} lies at {offset}, not at {at}")
        at += length
    if not count or at != len(body):
        raise SchemaError(f"{count} parts end at {at} of {len(body)} bytes")


@cache
def _pages() -> dict[tuple[int, int], str]:
    try:
        path = shared_path("ms-eas", "codepages.tsv")
    except SkipTest:
        return {}
    with path.open(newline="") as file:
        return {
            (int(row["page"]), int(row["token"], 16)): f"{row['namespace']}:{row['name']}"
            for row in csv.DictReader(file, delimiter="\t")
        }


def check_tokens(data: bytes, root: Element) -> None:
    """The bytes of a document say what the tree says, in Microsoft's tokens (MS-ASWBXML 2.1).

    :raises SchemaError: naming the byte.
    """
    if not _pages():
        return
    found = _Tokens(data).document()
    _compare(found, root)


class _Tokens:
    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.page = data, 4, 0
        if data[:4] != b"\x03\x01\x6a\x00":
            raise SchemaError(f"a document begins with {data[:4].hex()}")

    def document(self) -> tuple[str, list[object]]:
        root = self._element(self._token())
        if self.at != len(self.data):
            raise SchemaError(f"{len(self.data) - self.at} bytes behind the document")
        return root

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _token(self) -> int:
        token = self._byte()
        while token == 0x00:  # SWITCH_PAGE
            self.page = self._byte()
            token = self._byte()
        return token

    def _element(self, token: int) -> tuple[str, list[object]]:
        name = _pages().get((self.page, token & 0x3F))
        if name is None or token & 0x80:
            raise SchemaError(f"token {token:#x} of page {self.page} at byte {self.at - 1}")
        content: list[object] = []
        if token & 0x40:
            while (token := self._token()) != 0x01:  # END
                content.append(self._content(token))
        return name, content

    def _content(self, token: int) -> object:
        if token == 0x03:  # STR_I
            end = self.data.index(0, self.at)
            text = self.data[self.at : end].decode("utf-8")
            self.at = end + 1
            return text
        if token == 0xC3:  # OPAQUE
            size = 0
            while True:
                byte = self._byte()
                size = size << 7 | byte & 0x7F
                if not byte & 0x80:
                    break
            self.at += size
            return self.data[self.at - size : self.at]
        if token in (0x02, 0x04, 0x40, 0x41, 0x42, 0x43, 0x44) or token >= 0x80:
            raise SchemaError(f"global token {token:#x}, which is not used here")
        return self._element(token)


def _compare(found: tuple[str, list[object]], root: Element) -> None:
    name, content = found
    if name != root.tag:
        raise SchemaError(f"the bytes say {name}, the tree {root.tag}")
    inner = [one for one in content if isinstance(one, tuple)]
    if len(inner) != len(root.children):
        raise SchemaError(f"{name} has {len(inner)} children in its bytes")
    values = [one for one in content if not isinstance(one, tuple)]
    if values and inner:
        raise SchemaError(f"{name} has text and children")
    if any(isinstance(one, bytes) != (name in BYTES) for one in values):
        raise SchemaError(f"{name} is {'inline' if name in BYTES else 'opaque'}")
    for one, child in zip(inner, root.children, strict=True):
        _compare(one, child)
