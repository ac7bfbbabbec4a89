"""The query string of an ActiveSync request, in both of its forms.

Promise: any bytes give a `Query` or `Malformed`; nothing here decides what is missing for a command, because
the answer to that depends on the protocol version. Implements MS-ASHTTP 2.2.1.1.1: the plain form in any
letter case, and the base64 form that Nine and Windows Phone use.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any
from urllib.parse import unquote_to_bytes

from attrs import evolve, frozen

from posthouse.errors import Malformed, TooLarge

#: MS-ASHTTP 2.2.1.1.1.1.2. Codes 6 to 8 were commands of version 1.0 and 2.5; so was 5, which that table has no
#: longer, but which 12.1 still knows (MS-ASCMD R6048) and which is listed between its neighbours (MS-ASHTTP R245).
CODES: dict[int, str] = {
    0: "Sync",
    1: "SendMail",
    2: "SmartForward",
    3: "SmartReply",
    4: "GetAttachment",
    5: "GetHierarchy",
    9: "FolderSync",
    10: "FolderCreate",
    11: "FolderDelete",
    12: "FolderUpdate",
    13: "MoveItems",
    14: "GetItemEstimate",
    15: "MeetingResponse",
    16: "Search",
    17: "Settings",
    18: "Ping",
    19: "ItemOperations",
    20: "Provision",
    21: "ResolveRecipients",
    22: "ValidateCert",
    23: "Find",
}

_NAMES = {name.lower(): name for name in CODES.values()}

#: Bytes of a query string, and characters of one value. Real ones stay below 500.
MOST_BYTES = 8192
MOST_VALUE = 1024

_PLAIN = re.compile(rb"(?i)(?:^|&)(?:cmd|user|deviceid|devicetype)=")
#: MS-ASHTTP 2.2.1.1.1.2.3: at most 32 characters, no commas or special characters. Longer ones are refused
#: for both (MS-ASCMD R4828, R4830).
_DEVICE_ID = re.compile(r"[A-Za-z0-9._:{}\-]{1,32}")
_DEVICE_TYPE = re.compile(r"[A-Za-z0-9._:+ ()/\-]{1,32}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


@frozen
class Query:
    """What the query string says; "" or None for what it does not.

    :ivar command: in Microsoft's spelling when it is a command of the protocol, else as it was sent.
    :ivar version: (14, 0); only the base64 form has one, the plain one uses a header.
    :ivar policy_key: likewise; 0 and None both mean that the client has none.
    :ivar encoded: whether it was the base64 form.
    """

    command: str = ""
    user: str = ""
    device_id: str = ""
    device_type: str = ""
    version: tuple[int, int] | None = None
    policy_key: int | None = None
    locale: int = 0
    collection_id: str = ""
    item_id: str = ""
    long_id: str = ""
    occurrence: str = ""
    attachment_name: str = ""
    save_in_sent: bool = False
    accept_multipart: bool = False
    encoded: bool = False

    @property
    def device_id_valid(self) -> bool:
        """Whether the DeviceId is there and of a form that may be stored and shown."""
        return _DEVICE_ID.fullmatch(self.device_id) is not None

    @property
    def device_type_valid(self) -> bool:
        """Likewise for the DeviceType."""
        return _DEVICE_TYPE.fullmatch(self.device_type) is not None


def parse_query(raw: bytes) -> Query:
    """Read a query string, without its question mark.

    :raises Malformed: neither form. :raises TooLarge: longer than anything a client sends.
    """
    if len(raw) > MOST_BYTES:
        raise TooLarge(cause=f"query string of {len(raw)} bytes")
    return _plain(raw) if _PLAIN.search(raw) else _encoded(raw)


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    if len(text) > MOST_VALUE:
        raise TooLarge(cause=f"query value of {len(text)} characters")
    # Control characters have no place in any of the values and would break log lines.
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text):
        raise Malformed(cause="control character in the query string")
    return text


# MS-ASHTTP 2.2.1.1.1.2
_FIELDS = {
    "cmd": "command",
    "user": "user",
    "deviceid": "device_id",
    "devicetype": "device_type",
    "collectionid": "collection_id",
    "itemid": "item_id",
    "longid": "long_id",
    "occurrence": "occurrence",
    "attachmentname": "attachment_name",
}


def _plain(raw: bytes) -> Query:
    found: dict[str, Any] = {}
    saves = False
    for pair in raw.split(b"&")[:64]:
        name, _, value = pair.partition(b"=")
        key = name.decode("ascii", "replace").lower()
        # "+" is a space in what browsers send; ActiveSync clients percent-encode spaces and leave plus signs
        # of addresses as they are.
        text = _text(unquote_to_bytes(value))
        if key in _FIELDS:
            # The first one counts, so that nothing appended to a URL changes what it means.
            found.setdefault(_FIELDS[key], text)
        elif key == "saveinsent":
            saves = text.lower() in ("t", "true", "1")
    command = found.pop("command", "")
    return Query(command=_NAMES.get(command.lower(), command), save_in_sent=saves, **found)


# MS-ASHTTP 2.2.1.1.1.1.3
_TAGS = {
    0: "attachment_name",
    1: "collection_id",
    3: "item_id",
    4: "long_id",
    6: "occurrence",
    8: "user",
}
_OPTIONS = 7
_SAVE_IN_SENT = 0x01
_ACCEPT_MULTIPART = 0x02


class _Bytes:
    """Reads fields from the front of a byte string."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def take(self, size: int) -> bytes:
        piece = self.data[self.pos : self.pos + size]
        if len(piece) != size:
            raise Malformed(cause="base64 query cut off")
        self.pos += size
        return piece

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.take(size), "little")

    @property
    def rest(self) -> int:
        return len(self.data) - self.pos


def _device(data: bytes) -> str:
    """A string or a GUID (MS-ASHTTP R34): what is not printable is shown as hexadecimal digits."""
    if data.isascii() and all(0x20 < byte < 0x7F for byte in data):
        return data.decode("ascii")
    return data.hex()


def _encoded(raw: bytes) -> Query:
    text = unquote_to_bytes(raw).strip().translate(bytes.maketrans(b"-_", b"+/"))
    if not text or not _BASE64.fullmatch(text):
        raise Malformed(cause="the query string is neither plain nor base64")
    try:
        fields = _Bytes(b64decode(text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4)))
    except (binascii.Error, ValueError) as error:
        raise Malformed(cause="the query string is not base64") from error
    version = divmod(fields.number(), 10)
    code = fields.number()
    locale = fields.number(2)
    device_id = _device(fields.take(fields.number()))
    key_size = fields.number()
    if key_size not in (0, 4):
        raise Malformed(cause=f"policy key of {key_size} bytes")
    policy_key = fields.number(4) if key_size else None
    device_type = _text(fields.take(fields.number()))
    query = Query(
        command=CODES.get(code, f"code {code}"),
        device_id=device_id,
        device_type=device_type,
        version=version,
        policy_key=policy_key,
        locale=locale,
        encoded=True,
    )
    while fields.rest:
        tag = fields.number()
        value = fields.take(fields.number())
        if tag in _TAGS:
            named: dict[str, Any] = {_TAGS[tag]: _text(value)}
            query = evolve(query, **named)
        elif tag == _OPTIONS and value:
            # A mask of one byte (R486); longer ones are read at their first.
            query = evolve(
                query,
                save_in_sent=bool(value[0] & _SAVE_IN_SENT),
                accept_multipart=bool(value[0] & _ACCEPT_MULTIPART),
            )
    return query
