"""The small parts of the WBXML grammar: header, multi-byte integers, attributes, strings by table.

Promise: a malformed piece raises `Malformed`, one beyond a limit `TooLarge`. IndexError and ValueError,
which a cut-off document causes, are left to the caller, who turns them into `Malformed` at one place.
Implements W3C WBXML 1.3 sections 5.1 (integers), 5.4-5.7 (header), 5.8.3 and 5.8.4 (tokens).
"""

from __future__ import annotations

from attrs import frozen

from posthouse.errors import Malformed, TooLarge

# Global tokens (WBXML 1.3 section 7.1).
SWITCH_PAGE = 0x00
END = 0x01
ENTITY = 0x02
STR_I = 0x03
LITERAL = 0x04
EXT_I_0, EXT_I_2 = 0x40, 0x42
PI = 0x43
EXT_T_0, EXT_T_2 = 0x80, 0x82
STR_T = 0x83
EXT_0, EXT_2 = 0xC0, 0xC2
OPAQUE = 0xC3

_NOT_AMONG_ATTRIBUTES = (PI, LITERAL | 0x40, LITERAL | 0x80, LITERAL | 0xC0)

#: Bits of a tag token (section 5.8.2).
HAS_ATTRIBUTES = 0x80
HAS_CONTENT = 0x40

#: MIBenum numbers to Python codecs. US-ASCII (3) and unknown (0) are read as UTF-8, of which ASCII is a part.
_CHARSETS = {0: "utf-8", 3: "utf-8", 4: "iso-8859-1", 106: "utf-8"}

#: Text fetched from the string table, in bytes: a reference of two bytes may stand for a long string.
_MOST_EXPANSION = 1 << 20


@frozen
class Header:
    """What stands in front of the body.

    :ivar version: (1, 1) to (1, 3).
    :ivar public_id: the number of the document type, 1 (unknown) in ActiveSync; 0 when it is named by text.
    :ivar codec: the Python codec of strings.
    :ivar table: the raw string table.
    :ivar body: offset of the first byte after the header.
    """

    version: tuple[int, int]
    public_id: int
    codec: str
    table: bytes
    body: int


def read_uint(data: bytes, pos: int) -> tuple[int, int]:
    """An mb_u_int32 (section 5.1) at ``pos``: its value and the offset after it."""
    value = 0
    for offset in range(pos, pos + 5):
        byte = data[offset]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                break
            return value, offset + 1
    raise Malformed(cause=f"integer over 32 bits at {pos}")


def read_header(data: bytes, max_string_table: int) -> Header:
    """Parse version, public identifier, charset and string table (section 5.4)."""
    version = data[0]
    # 1.0 (0x00) has no charset field, and nobody ever sent it over ActiveSync.
    if not 1 <= version <= 3:
        raise Malformed(cause=f"WBXML version byte 0x{version:02X}")
    public_id, pos = read_uint(data, 1)
    name = None
    if public_id == 0:
        name, pos = read_uint(data, pos)
    charset, pos = read_uint(data, pos)
    if charset not in _CHARSETS:
        raise Malformed(cause=f"unsupported charset {charset}")
    length, pos = read_uint(data, pos)
    if length > max_string_table:
        raise TooLarge(cause=f"string table of {length} bytes")
    if length > len(data) - pos or (name is not None and name >= length):
        raise Malformed(cause="string table cut off")
    return Header((1, version), public_id, _CHARSETS[charset], data[pos : pos + length], pos + length)


class Extras:
    """What the grammar has and ActiveSync does not use: a string table and attributes.

    Each is bounded for the document as a whole, since few bytes can stand for much text or many attributes.

    :param most_attributes: attribute tokens before they are too many.
    """

    def __init__(self, table: bytes, codec: str, most_attributes: int) -> None:
        self._table = table
        self._codec = codec
        self._known: dict[int, str] = {}
        self._room = _MOST_EXPANSION
        self._attributes = most_attributes

    def string(self, offset: int) -> str:
        """The string at ``offset`` of the string table (section 5.7).

        :raises Malformed: when nothing starts or nothing ends there.
        :raises TooLarge: when references have blown the document up beyond reason.
        """
        found = self._known.get(offset)
        if found is None:
            end = self._table.find(0, offset)
            if end < 0:
                raise Malformed(cause=f"no string at {offset} of the string table")
            found = self._known[offset] = self._table[offset:end].decode(self._codec, "replace")
        self._room -= len(found) + 1
        if self._room < 0:
            raise TooLarge(cause="string table references expand too far")
        return found

    def skip_attributes(self, data: bytes, pos: int) -> int:
        """Pass over attributes, or the inside of a PI, from ``pos`` to behind their END (section 5.8.3).

        Attributes have code pages of their own (section 5.8.1), so SWITCH_PAGE has no effect here.
        """
        while self._attributes > 0:
            self._attributes -= 1
            token = data[pos]
            pos += 1
            if token == END:
                return pos
            if token == SWITCH_PAGE:
                pos += 1
            elif token == STR_I or EXT_I_0 <= token <= EXT_I_2:
                pos = data.index(0, pos) + 1
            elif token in (ENTITY, LITERAL, STR_T) or EXT_T_0 <= token <= EXT_T_2:
                _, pos = read_uint(data, pos)
            elif token == OPAQUE:
                pos = skip_opaque(data, pos)[1]
            elif token in _NOT_AMONG_ATTRIBUTES:
                raise Malformed(cause=f"token 0x{token:02X} among attributes at {pos - 1}")
        raise TooLarge(cause="too many attributes")


def entity(code: int) -> str:
    """The character of an ENTITY token (section 5.8.4.3); U+FFFD for what is none."""
    if code == 0 or 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        return "\ufffd"
    return chr(code)


def skip_opaque(data: bytes, pos: int) -> tuple[int, int]:
    """Start and end of opaque data whose length stands at ``pos`` (section 5.8.4.6).

    A length beyond the end of the document is malformed, whatever it claims; nothing is allocated for it.
    """
    length, start = read_uint(data, pos)
    if length > len(data) - start:
        raise Malformed(cause=f"opaque data of {length} bytes cut off at {pos}")
    return start, start + length
