"""The Autodiscover command: XML in, XML out (MS-ASCMD 2.2.1.1, MS-OXDSCLI 2.2.3 for the frame). Pure.

Only the mobilesync schema is served. Elements are found whatever their namespace, which some clients leave
out; the answer's namespaces are exact: its root is in the general response schema, the Response within in
that of mobilesync, and a phone that finds it otherwise gives up in silence.
"""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime
from xml.parsers import expat
from xml.sax.saxutils import escape

from attrs import define, field, frozen

from posthouse.errors import Malformed, TooLarge

__all__ = ["MOBILESYNC", "Question", "answer", "nobody", "parse", "refusal"]

_FRAME = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
MOBILESYNC = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"

#: A request of several hundred bytes is normal.
MAX_REQUEST = 1 << 16
_MAX_DEPTH = 8
_MAX_ELEMENTS = 64
_MAX_TEXT = 2048

#: MS-ASCMD R2287, R2288.
INVALID_REQUEST = 600
NO_PROVIDER = 601
#: XML 1.0 2.2: these cannot stand in a document at all, escaped or not.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MESSAGES = {
    INVALID_REQUEST: "Invalid Request",
    NO_PROVIDER: "Provider is not available",
}


@frozen
class Question:
    """What a client wants to know."""

    address: str
    schema: str


@define
class _Reader:
    """Collects the text of the elements below each Request."""

    path: list[str] = field(factory=list)
    text: list[str] = field(factory=list)
    elements: int = 0
    length: int = 0
    requests: list[dict[str, str]] = field(factory=list)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.path.append(name.rpartition(" ")[2])
        self.elements += 1
        if len(self.path) > _MAX_DEPTH or self.elements > _MAX_ELEMENTS:
            raise TooLarge(cause="too many elements")
        if self.path == ["Autodiscover", "Request"]:
            self.requests.append({})
        self.text.clear()
        self.length = 0

    def end(self, name: str) -> None:
        if self.path[:-1] == ["Autodiscover", "Request"]:
            self.requests[-1].setdefault(self.path[-1], "".join(self.text).strip())
        self.path.pop()
        self.text.clear()
        self.length = 0

    def data(self, data: str) -> None:
        self.length += len(data)
        if self.length > _MAX_TEXT:
            raise TooLarge(cause="a long element")
        self.text.append(data)

    def refuse(self, *ignored: object) -> None:
        raise Malformed(cause="a document type")


def parse(body: bytes) -> Question:
    """Read a request.

    :raises Malformed: no XML, a document type (so no entities either), not exactly one Request (MS-ASCMD
        R3799), an address or a schema missing.
    """
    if len(body) > MAX_REQUEST:
        raise TooLarge()
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise Malformed(cause=f"XML: {error}") from None
    if len(reader.requests) != 1:
        raise Malformed(cause=f"{len(reader.requests)} requests")
    found = reader.requests[0]
    question = Question(found.get("EMailAddress", ""), found.get("AcceptableResponseSchema", ""))
    if not question.schema or not (question.address or found.get("LegacyDN")):
        raise Malformed(cause="address or schema missing")
    return question


def answer(address: str, name: str, url: str) -> bytes:
    """Where the mailbox of an address is."""
    return _document(
        f'<Response xmlns="{MOBILESYNC}"><Culture>en:us</Culture>'
        f"<User><DisplayName>{_text(name)}</DisplayName><EMailAddress>{_text(address)}</EMailAddress></User>"
        f"<Action><Settings><Server><Type>MobileSync</Type><Url>{_text(url)}</Url><Name>{_text(url)}</Name>"
        "</Server></Settings></Action></Response>"
    )


def nobody(address: str) -> bytes:
    """There is no mailbox of that address for the one who asks (MS-ASCMD 2.2.3.177.1, 4.2.2)."""
    return _document(
        f'<Response xmlns="{MOBILESYNC}"><Culture>en:us</Culture>'
        f"<User><EMailAddress>{_text(address)}</EMailAddress></User>"
        "<Action><Error><Status>2</Status><Message>There is no such mailbox for you</Message>"
        "<DebugData>MailUser</DebugData></Error></Action></Response>"
    )


def refusal(code: int, host: str, now: int) -> bytes:
    """An error in the frame's own schema: it comes before any schema was agreed on.

    :param now: milliseconds since the epoch, for the administrator who compares it with a log.
    """
    # Seven places, always (MS-ASCMD R5547).
    at = datetime.fromtimestamp(now / 1000, UTC).strftime("%H:%M:%S.%f0")
    return _document(
        f'<Response><Error Time="{at}" Id="{zlib.crc32(host.encode())}"><ErrorCode>{code}</ErrorCode>'
        f"<Message>{_MESSAGES[code]}</Message><DebugData /></Error></Response>"
    )


def _document(inner: str) -> bytes:
    start = '<?xml version="1.0" encoding="utf-8"?>\r\n'
    return f'{start}<Autodiscover xmlns="{_FRAME}">{inner}</Autodiscover>\r\n'.encode()


def _text(text: str) -> str:
    return escape(_IMPOSSIBLE.sub("", text))
