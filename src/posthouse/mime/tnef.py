"""winmail.dat: what Outlook packs into one attachment when it believes to write to another Outlook.

Promise: pure; whatever the bytes, the outcome is what can be read of them or `Malformed`; nothing is copied,
all that is found are offsets. MS-OXTNEF 2.1 (attributes, properties), MS-OXCMSG 2.2.2 (attachments). A broken
checksum is no reason to refuse: the transfer was checked by others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attrs import evolve, frozen

from posthouse.errors import Malformed
from posthouse.mime import charset
from posthouse.mime.fields import safe_name

__all__ = ["OLE_TYPE", "TNEF_TYPES", "Tnef", "TnefFile", "read_tnef"]

TNEF_TYPES = frozenset(("application/ms-tnef", "application/vnd.ms-tnef"))

#: What an embedded object of Outlook (attachment method 6) is called here.
OLE_TYPE = "application/x-ole-storage"

_SIGNATURE = b"\x78\x9f\x3e\x22"
_MOST_ATTRIBUTES = 5000
_MOST_FILES = 250
_MOST_PROPERTIES = 2000
_MOST_TEXT = 4096

# Attributes (MS-OXTNEF 2.1.3.2): type in the upper half, name in the lower.
_MESSAGE_PROPERTIES = 0x00069003
_CODE_PAGE = 0x00069007
_NEW_FILE = 0x00069002
_FILE_TITLE = 0x00018010
_FILE_DATA = 0x0006800F
_FILE_PROPERTIES = 0x00069005

# Properties (MS-OXPROPS)
_RTF = 0x1009
_DATA = 0x3701
_FILE_NAME = 0x3704
_METHOD = 0x3705
_LONG_NAME = 0x3707
_MIME_TAG = 0x370E
_CONTENT_ID = 0x3712

#: Bytes of each property type of a fixed size, filled up to four.
_FIXED = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 20: 8, 64: 8, 72: 16}
_TEXT8, _TEXT16, _BINARY, _OBJECT = 0x1E, 0x1F, 0x102, 0x0D
_EMBEDDED_MESSAGE = 5
_OLE = 6


@frozen
class TnefFile:
    """One file inside; its content is the bytes from ``start`` to ``stop`` of the winmail.dat."""

    name: str = ""
    content_type: str = "application/octet-stream"
    content_id: str = ""
    start: int = 0
    stop: int = 0

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.stop - self.start


@frozen
class Tnef:
    """:ivar rtf: where the compressed RTF (MS-OXRTFCP) of the body lies, None when there is none."""

    files: tuple[TnefFile, ...] = ()
    rtf: tuple[int, int] | None = None


def read_tnef(data: bytes) -> Tnef:
    """Find what a winmail.dat holds. Of one that breaks off, what is complete.

    :raises Malformed: it is none, or it says impossible things.
    """
    if data[:4] != _SIGNATURE:
        raise Malformed("That is no TNEF.", cause="no signature")
    page = ""
    rtf: tuple[int, int] | None = None
    files: list[TnefFile] = []
    for name, start, stop in _attributes(data):
        if name == _CODE_PAGE and stop - start >= 4:
            page = f"cp{struct.unpack_from('<I', data, start)[0]}"
        elif name == _MESSAGE_PROPERTIES:
            for tag, _, first, last in _properties(data, start, stop):
                if tag == _RTF and last > first:
                    rtf = first, last
        elif name == _NEW_FILE:
            if len(files) >= _MOST_FILES:
                raise Malformed("Too many files in it.", cause=f"more than {_MOST_FILES} files")
            files.append(TnefFile())
        elif files and name == _FILE_TITLE:
            if not files[-1].name:
                files[-1] = evolve(files[-1], name=_text8(data[start : min(stop, start + _MOST_TEXT)], page))
        elif files and name == _FILE_DATA:
            files[-1] = evolve(files[-1], start=start, stop=stop)
        elif files and name == _FILE_PROPERTIES:
            files[-1] = _described(data, files[-1], start, stop, page)
    return Tnef(tuple(_named(file, number) for number, file in enumerate(files, 1)), rtf)


def _named(file: TnefFile, number: int) -> TnefFile:
    return evolve(file, name=safe_name(file.name) or f"attachment{number:03d}.bin")


def _attributes(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(name with type, start, stop) of each attribute that is there in full."""
    position = 6
    for _ in range(_MOST_ATTRIBUTES):
        if position + 9 > len(data):
            return
        level, name, length = struct.unpack_from("<BII", data, position)
        if level not in (1, 2):
            raise Malformed("That is no TNEF.", cause=f"level {level} at {position}")
        start = position + 9
        if start + length > len(data):
            return
        yield name, start, start + length
        position = start + length + 2
    raise Malformed("Too much in it.", cause=f"more than {_MOST_ATTRIBUTES} attributes")


def _properties(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """(id, type, start, stop) of the first value of each property; names of named ones are left out.

    :raises Malformed: a value of a size that nobody knows, so that what follows cannot be found.
    """
    count, position = _number(data, start, stop), start + 4
    if count > _MOST_PROPERTIES:
        raise Malformed("Too much in it.", cause=f"{count} properties")
    for _ in range(count):
        kind = _number(data, position, stop)
        kind, tag = kind & 0xFFFF, kind >> 16
        position += 4
        if tag >= 0x8000:
            position += 16
            named = _number(data, position, stop)
            length = _number(data, position + 4, stop)
            position += 8 + (_padded(length) if named else 0)
        values = 1
        many = bool(kind & 0x1000)
        kind &= 0xEFFF
        if many or kind in (_TEXT8, _TEXT16, _BINARY, _OBJECT):
            values = _number(data, position, stop)
            position += 4
        if kind in _FIXED:
            first, last = position, position + _FIXED[kind]
            # Shorts of a list stand side by side.
            position += _padded(values * 2) if many and kind == 2 else values * _FIXED[kind]
        elif kind in (_TEXT8, _TEXT16, _BINARY, _OBJECT):
            if values > _MOST_PROPERTIES:
                raise Malformed("Too much in it.", cause=f"{values} values")
            first = last = position
            for value in range(values):
                length = _number(data, position, stop)
                if not value:
                    first, last = position + 4, position + 4 + length
                position += 4 + _padded(length)
        else:
            raise Malformed("A property of an unknown type.", cause=f"type {kind:#x} of {tag:#x}")
        if last > stop or position > stop + 3:
            raise Malformed("It breaks off.", cause=f"property {tag:#x} ends behind its list")
        yield tag, kind, first, last


def _number(data: bytes, position: int, stop: int) -> int:
    if position + 4 > stop:
        raise Malformed("It breaks off.", cause=f"no number at {position}")
    return int.from_bytes(data[position : position + 4], "little")


def _padded(length: int) -> int:
    return length + -length % 4


def _described(data: bytes, file: TnefFile, start: int, stop: int, page: str) -> TnefFile:
    """The file with what its own properties say of it."""
    method = 1
    short = ""
    for tag, kind, first, last in _properties(data, start, stop):
        if kind in (_TEXT8, _TEXT16):
            raw = data[first : min(last, first + _MOST_TEXT)]
            if kind == _TEXT8:
                text = _text8(raw, page)
            else:
                text = raw[: len(raw) & ~1].decode("utf-16-le", "replace").partition("\0")[0]
            if tag == _LONG_NAME:
                file = evolve(file, name=text)
            elif tag == _FILE_NAME:
                short = text
            elif tag == _MIME_TAG and _is_type(text):
                file = evolve(file, content_type=text.lower())
            elif tag == _CONTENT_ID and text.isprintable():
                file = evolve(file, content_id=text.strip("<> ")[:200])
        elif tag == _METHOD:
            method = _number(data, first, last)
        elif tag == _DATA and kind in (_BINARY, _OBJECT) and last > first:
            # An object begins with the id of its interface.
            file = evolve(file, start=min(first + 16, last) if kind == _OBJECT else first, stop=last)
    if method == _EMBEDDED_MESSAGE:
        # A message in the same form again.
        file = evolve(file, content_type="application/ms-tnef", name=f"{file.name or short or 'message'}.dat")
    elif method == _OLE:
        # Whatever it says of itself: its bytes are the storage of an object.
        file = evolve(file, content_type=OLE_TYPE)
    return file if file.name else evolve(file, name=short)


def _is_type(text: str) -> bool:
    main, slash, sub = text.partition("/")
    return (
        bool(slash)
        and len(text) <= 100
        and text.isascii()
        and all(part and all(one.isalnum() or one in "-+._" for one in part) for part in (main, sub))
    )


def _text8(raw: bytes, page: str) -> str:
    return charset.decode(raw.partition(b"\0")[0], page)
