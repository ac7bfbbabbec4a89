"""A message taken apart into what is shown and what is attached, and put together again.

Promise: every piece that is kept goes over byte by byte, in the transfer encoding and with the header that it
came with; only the multiparts around the pieces are made anew. Nothing raises on content, and no copy of a
message is made but the one that is returned.

RFC 2045 5, RFC 2046 5.1 (mixed, alternative, digest), RFC 2387 (related), RFC 8551 3 and RFC 1847 (what is
signed or encrypted is not to be taken apart).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from attrs import frozen

from posthouse.mime import compose
from posthouse.mime.bodies import Choice, sort_parts
from posthouse.mime.part import Part

__all__ = [
    "SEALED",
    "Boundary",
    "Piece",
    "Pieces",
    "assemble",
    "entity",
    "is_sealed",
    "outer_header",
    "take_apart",
]

Read = Callable[[int, int], bytes]
Boundary = Callable[[], str]

#: A message of these types is signed or encrypted as it stands: nobody may take it apart.
SEALED = frozenset(
    (
        "multipart/signed",
        "multipart/encrypted",
        "application/pkcs7-mime",
        "application/x-pkcs7-mime",
        "application/pgp-encrypted",
    )
)
_MIME_FIELD = re.compile(rb"(?i)content-[!-9;-~]+[ \t]*:|mime-version[ \t]*:")
_TYPE_FIELD = re.compile(rb"(?im)^content-type[ \t]*:")


@frozen
class Piece:
    """One part: its name in the message it came from, and its bytes with their MIME header."""

    path: str
    entity: bytes
    content_id: str = ""


@frozen
class Pieces:
    """What a message is made of. ``inline`` belongs to the looks of ``html``."""

    plain: Piece | None = None
    html: Piece | None = None
    calendar: Piece | None = None
    inline: tuple[Piece, ...] = ()
    attached: tuple[Piece, ...] = ()


def is_sealed(root: Part) -> bool:
    """Whether the message as a whole is signed or encrypted: then no byte of its body may change."""
    return root.content_type in SEALED


def entity(part: Part, read: Read) -> bytes:
    """A part with its MIME header, ready to stand in another multipart."""
    head = read(part.header_start, part.body_start)
    if part.path in ("", "1") and part.header_start == 0:
        # The message itself: of its header, only what is said of its content.
        head = b"".join(line for line in _fields(head) if _MIME_FIELD.match(line)) + b"\r\n"
        if part.is_multipart and not part.children:
            # A multipart whose boundary never came: it is read as text, and stays readable as text.
            head = b"Content-Type: text/plain\r\n\r\n"
    elif not head.endswith((b"\n\n", b"\n\r\n")) and head not in (b"\n", b"\r\n"):
        # A part may end before its blank line comes.
        head = head.rstrip(b"\r\n") + b"\r\n\r\n" if head.strip() else b"\r\n"
    if part.content_type != "text/plain" and not _TYPE_FIELD.search(head):
        # What it is was said by its place: in a digest (RFC 2046 5.1.5).
        head = f"Content-Type: {part.content_type}\r\n".encode("ascii", "replace") + head.lstrip(b"\r\n")
        head = head if head.endswith((b"\n\n", b"\n\r\n")) else head + b"\r\n"
    return head + read(part.body_start, part.body_end)


def _fields(head: bytes) -> list[bytes]:
    """The fields of a header block, each with its continuation lines."""
    found: list[bytes] = []
    for line in head.split(b"\n"):
        if not line.strip(b"\r"):
            continue
        if line[:1] in (b" ", b"\t") and found:
            found[-1] += line.rstrip(b"\r") + b"\r\n"
        else:
            found.append(line.rstrip(b"\r") + b"\r\n")
    return found


def outer_header(head: bytes) -> bytes:
    """The fields of a message's header that say nothing of its content, as they are; no blank line."""
    return b"".join(line for line in _fields(head) if b":" in line and not _MIME_FIELD.match(line))


def take_apart(
    root: Part, read: Read, choice: Choice | None = None, without: frozenset[str] = frozenset()
) -> Pieces:
    """The pieces of a message.

    :param read: gives the bytes of the message from an offset up to another.
    :param without: paths of parts that are left out.
    """
    choice = choice or sort_parts(root)

    def piece(part: Part | None) -> Piece | None:
        if part is None or part.path in without:
            return None
        return Piece(part.path, entity(part, read), part.content_id)

    calendar = choice.calendar if choice.calendar not in choice.attached else None
    kept = [(part, piece(part)) for part in choice.attached]
    return Pieces(
        piece(choice.plain),
        piece(choice.html),
        piece(calendar),
        tuple(one for part, one in kept if one is not None and part.path in choice.inline),
        tuple(one for part, one in kept if one is not None and part.path not in choice.inline),
    )


def assemble(header: bytes, pieces: Pieces, boundary: Boundary) -> bytes:
    """A message: the fields of ``header``, then the pieces in as few multiparts as they need.

    :param header: whole lines, neither MIME fields nor the blank line among them.
    """
    shown: list[bytes] = []
    if pieces.plain is not None:
        shown.append(pieces.plain.entity)
    attached: Sequence[Piece] = pieces.attached
    if pieces.html is not None:
        rich = pieces.html.entity
        if pieces.inline:
            parts = [rich, *[one.entity for one in pieces.inline]]
            rich = compose.multipart("related", parts, boundary, (("type", "text/html"),))
        shown.append(rich)
    else:
        attached = (*pieces.inline, *attached)
    if pieces.calendar is not None:
        shown.append(pieces.calendar.entity)
    if not shown:
        shown.append(compose.text_part("plain", ""))
    body = shown[0] if len(shown) == 1 else compose.multipart("alternative", shown, boundary)
    if attached:
        body = compose.multipart("mixed", [body, *[one.entity for one in attached]], boundary)
    return header + b"MIME-Version: 1.0\r\n" + body
