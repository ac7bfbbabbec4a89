"""winmail.dat for tests, written after MS-OXTNEF 2.1."""

from __future__ import annotations

import struct


def attribute(name: int, data: bytes, level: int = 2) -> bytes:
    return struct.pack("<BII", level, name, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def several(tag: int, kind: int, *values: bytes) -> bytes:
    """A property of a type without a fixed size."""
    packed = b"".join(struct.pack("<I", len(value)) + padded(value) for value in values)
    return struct.pack("<HHI", kind, tag, len(values)) + packed


def text(tag: int, value: str) -> bytes:
    return several(tag, 0x1F, (value + "\0").encode("utf-16-le"))


def number(tag: int, value: int) -> bytes:
    return struct.pack("<HHI", 3, tag, value)


def named(value: bytes) -> bytes:
    """A named property, whose name is a string."""
    name = "Keywords\0".encode("utf-16-le")
    return (
        struct.pack("<HH", 0x1F, 0x8001)
        + bytes(16)
        + struct.pack("<II", 1, len(name))
        + padded(name)
        + struct.pack("<II", 1, len(value))
        + padded(value)
    )


def properties(*rows: bytes) -> bytes:
    return struct.pack("<I", len(rows)) + b"".join(rows)


def winmail(*attributes: bytes, page: int = 1252) -> bytes:
    head = b"\x78\x9f\x3e\x22\x01\x00"
    version = attribute(0x00089006, b"\0\0\1\0", 1)
    return head + version + attribute(0x00069007, struct.pack("<II", page, 0), 1) + b"".join(attributes)


RTF = b"LZFu" * 8


def sample(rtf: bytes = RTF) -> bytes:
    """Two files and a body in RTF, as Outlook writes them."""
    message = properties(
        struct.pack("<HHIII", 0x1002, 0x6001, 3, 0x00020001, 3),
        several(0x1E1E, 0x101E, b"one\0", b"three\0"),
        named("x\0".encode("utf-16-le")),
        struct.pack("<HHQ", 0x40, 0x0039, 1),
        *([several(0x1009, 0x102, rtf)] if rtf else []),
    )
    return winmail(
        attribute(0x00069003, message, 1),
        attribute(0x00069002, bytes(14)),
        attribute(0x00018010, b"B\xfcro~1.pdf\0"),
        attribute(0x0006800F, b"%PDF-1.4 content"),
        attribute(
            0x00069005,
            properties(number(0x3705, 1), text(0x3707, "B\xfcroplan.pdf"), text(0x370E, "application/pdf")),
        ),
        attribute(0x00069002, bytes(14)),
        attribute(
            0x00069005,
            properties(
                several(0x3701, 0x102, b"\x89PNG picture"),
                text(0x3704, "pic.png"),
                several(0x370E, 0x1E, b"image/png\0"),
                text(0x3712, "<pic@x>"),
            ),
        ),
    )
