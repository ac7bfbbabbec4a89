"""Attachments made of numbers: pictures, a PDF, a table, a calendar, an archive. Nobody else's work is in
them."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from datetime import UTC, datetime, timedelta

__all__ = ["calendar", "pdf", "picture", "table", "zipped"]


def picture(width: int, height: int, tone: int) -> bytes:
    """A PNG: a round dial with soft rings in one of several tones."""
    base = ((214, 126, 60), (70, 130, 170), (110, 150, 80), (160, 90, 140))[tone % 4]
    # 65 shades are worked out once; every pixel only looks one up.
    shades = [
        bytes(min(255, int(part * (0.55 + 0.4 * math.cos(step * 9 / 64)))) for part in base)
        for step in range(64)
    ] + [bytes(min(255, int(part * 1.15)) for part in base)]
    half = min(width, height) / 2
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        down = (y - height / 2) ** 2
        for x in range(width):
            rows += shades[min(64, int(math.sqrt((x - width / 2) ** 2 + down) / half * 64))]
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 6))
        + _chunk(b"IEND", b"")
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pdf(lines: list[str]) -> bytes:
    """A PDF of one page with these lines (ASCII)."""
    text = b"BT /F1 14 Tf 60 760 Td 20 TL\n"
    for line in lines:
        safe = (
            line.encode("ascii", "replace")
            .replace(b"\\", b"\\\\")
            .replace(b"(", b"\\(")
            .replace(b")", b"\\)")
        )
        text += b"(" + safe + b") Tj T*\n"
    text += b"ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def table(rows: int, seed: int) -> str:
    """A CSV of made-up measurements."""
    lines = ["day,clock,drift_seconds,temperature"]
    lines += [
        f"{number + 1},tower,{((number * 37 + seed * 11) % 120 - 60) / 10},{12 + (number * 7 + seed) % 9}"
        for number in range(rows)
    ]
    return "\r\n".join(lines) + "\r\n"


def zipped(files: dict[str, bytes]) -> bytes:
    """A ZIP archive, the same bytes every time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 9, 8, 0, 0)), content)
    return out.getvalue()


def calendar(
    method: str, uid: str, start: datetime, summary: str, place: str, people: list[str], turn: int
) -> str:
    """An iCalendar object with one event (RFC 5545; iTIP, RFC 5546). ``people``: organiser, then
    attendees.
    """
    form = "%Y%m%dT%H%M%SZ"
    lines = [
        "BEGIN:VCALENDAR",
        "PRODID:-//Posthouse//Demo//EN",
        "VERSION:2.0",
        f"METHOD:{method}",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"SEQUENCE:{turn}",
        f"DTSTAMP:{(start - timedelta(days=14 - turn)).astimezone(UTC).strftime(form)}",
        f"DTSTART:{start.astimezone(UTC).strftime(form)}",
        f"DTEND:{(start + timedelta(minutes=90)).astimezone(UTC).strftime(form)}",
        f"SUMMARY:{summary}",
        f"LOCATION:{place}",
        f"ORGANIZER:mailto:{people[0]}",
    ]
    lines += [
        f"ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{one}" for one in people[1:]
    ]
    if method == "CANCEL":
        lines.append("STATUS:CANCELLED")
    lines += ["END:VEVENT", "END:VCALENDAR"]
    return "\r\n".join(lines) + "\r\n"
