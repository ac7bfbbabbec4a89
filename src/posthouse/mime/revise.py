"""A stored draft saved again: some fields, the text, attachments that come and go; everything else stays.

Promises: pure; what is not mentioned goes over byte by byte; which part an attachment has become is told, because
clients name attachments by their parts. The phones' drafts and the webmail's share this code.

RFC 5322 3.6, RFC 2045 5, RFC 2046 5.1, RFC 2387.
"""

from __future__ import annotations

from attrs import evolve, frozen

from posthouse.errors import Malformed
from posthouse.mime import compose
from posthouse.mime.bodies import sort_parts
from posthouse.mime.html import text_from_html
from posthouse.mime.part import Part
from posthouse.mime.pieces import Boundary, Piece, Pieces, assemble, is_sealed, outer_header, take_apart
from posthouse.mime.reply import MAX_CONVERTED
from posthouse.mime.scan import scan

__all__ = ["Addition", "Revised", "Revision", "revise"]


@frozen
class Addition:
    """A file to attach. ``inline``: the HTML shows it by its Content-ID."""

    file: compose.File
    inline: bool = False


@frozen
class Revision:
    """What changes.

    :ivar fields: header fields, decoded; an empty value takes the field away.
    :ivar text: the new text; ``html``: the new HTML, with its text made from it. None and None: as it is.
    :ivar drop: MIME parts that go.
    """

    fields: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    html: str | None = None
    add: tuple[Addition, ...] = ()
    drop: frozenset[str] = frozenset()

    @property
    def has_body(self) -> bool:
        """Whether there is a new text."""
        return self.text is not None or self.html is not None


@frozen(eq=False)
class Revised:
    """The new message.

    :ivar added: the MIME parts that the additions have become, in their order.
    :ivar renamed: whether an attachment that stays has become another part.
    """

    message: bytes
    root: Part
    added: tuple[str, ...] = ()
    renamed: bool = False


def revise(message: bytes, revision: Revision, boundary: Boundary) -> Revised:
    """Save a message again.

    :param message: with its header; b"" for a new one.
    :raises Malformed: the message is signed or encrypted, and only a part of its content is to change.
    """
    names = tuple(name for name, _ in revision.fields)
    given = tuple((name, value) for name, value in revision.fields if value)
    if not (revision.has_body or revision.add or revision.drop):
        edited = compose.edit_headers(message, remove=names, add=given) if names else message
        return Revised(edited, scan(edited))
    root = scan(message)
    if is_sealed(root) and not revision.has_body:
        raise Malformed(cause="a signed or encrypted draft cannot be changed in part")
    header = compose.edit_headers(message[: root.body_start], remove=names, add=given)
    pieces = _changed(_taken(root, message, revision), revision)
    made = assemble(outer_header(header), pieces, boundary)
    return _named(made, pieces, len(revision.add))


def _taken(root: Part, message: bytes, revision: Revision) -> Pieces:
    if not message or is_sealed(root):
        return Pieces()
    return take_apart(root, lambda start, stop: message[start:stop], without=revision.drop)


def _changed(pieces: Pieces, revision: Revision) -> Pieces:
    if revision.has_body:
        text = revision.text if revision.html is None else text_from_html(revision.html[:MAX_CONVERTED])
        pieces = evolve(
            pieces,
            plain=Piece("", compose.text_part("plain", text or "")),
            html=Piece("", compose.text_part("html", revision.html)) if revision.html is not None else None,
            calendar=None,
        )
    inline: list[Piece] = []
    attached: list[Piece] = []
    for addition in revision.add:
        looks = addition.inline and bool(addition.file.content_id)
        entity = compose.attachment_part(addition.file, "inline" if looks else "attachment")
        (inline if looks else attached).append(Piece("", entity, addition.file.content_id))
    return evolve(pieces, inline=(*pieces.inline, *inline), attached=(*pieces.attached, *attached))


def _named(message: bytes, pieces: Pieces, additions: int) -> Revised:
    """Which part each piece has become: they stand in the message in the order in which they were put."""
    root = scan(message)
    paths = [part.path for part in sort_parts(root).attached]
    order = [*pieces.inline, *pieces.attached]
    if len(paths) != len(order):
        # A piece that is read as something else in its new place: nothing is certain about names then.
        return Revised(message, root, (), True)
    added = [path for piece, path in zip(order, paths, strict=True) if not piece.path]
    renamed = any(piece.path and piece.path != path for piece, path in zip(order, paths, strict=True))
    return Revised(message, root, tuple(added), renamed)
