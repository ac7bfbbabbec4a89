"""Files out of a winmail.dat, as if they had been attached one by one.

Promise: a file inside has a name of its own below that of its part ("2.1" is the first file of part 2, which as a
leaf has no other parts); whatever cannot be unpacked stays the attachment that it was. No more than `MOST_PACKED`
bytes are looked into, so that a delivery is not held up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve

from posthouse.errors import Malformed, NoSuchItem
from posthouse.mime.part import Part
from posthouse.mime.tnef import TNEF_TYPES, Tnef, TnefFile, read_tnef
from posthouse.mime.transfer import decode_iter
from posthouse.model import AttachmentInfo

__all__ = ["MOST_PACKED", "file_inside", "has_rtf", "packed_part", "unpacked"]

Read = Callable[[int, int], bytes]

#: The largest winmail.dat that is unpacked, as transferred.
MOST_PACKED = 12 << 20

#: Written among a part's parameters, so that nobody has to look into it for that.
_RTF = "posthouse-rtf"


def _opened(part: Part, read: Read) -> tuple[bytes, Tnef]:
    """:raises Malformed: it is too large or no TNEF."""
    if part.size > MOST_PACKED:
        raise Malformed(cause=f"a winmail.dat of {part.size} bytes")
    data = b"".join(decode_iter(part, read, 1 << 20))
    return data, read_tnef(data)


def unpacked(
    root: Part, attachments: Sequence[AttachmentInfo], read: Read, *, has_body: bool
) -> tuple[Part, tuple[AttachmentInfo, ...]]:
    """The structure and the list with every winmail.dat replaced by what is in it.

    :param has_body: False keeps the winmail.dat in the list, since the text may be in there only.
    """
    found: list[AttachmentInfo] = []
    for info in attachments:
        part = root.find(info.path) if info.content_type in TNEF_TYPES else None
        if part is None:
            found.append(info)
            continue
        try:
            _, tnef = _opened(part, read)
        except Malformed:
            found.append(info)
            continue
        if not has_body:
            found.append(info)
        found += [_info(part.path, number, file) for number, file in enumerate(tnef.files, 1)]
        if tnef.rtf is not None:
            root = _marked(root, part.path)
    return root, tuple(found)


def _info(path: str, number: int, file: TnefFile) -> AttachmentInfo:
    return AttachmentInfo(
        path=f"{path}.{number}",
        name=file.name,
        content_type=file.content_type,
        size=file.size,
        content_id=file.content_id,
    )


def _marked(part: Part, path: str) -> Part:
    if part.path == path:
        return evolve(part, params={**part.params, _RTF: "1"})
    if not part.children:
        return part
    return evolve(part, children=tuple(_marked(child, path) for child in part.children))


def has_rtf(part: Part) -> bool:
    """Whether a part is a winmail.dat with the body as RTF in it."""
    return part.content_type in TNEF_TYPES and part.params.get(_RTF) == "1" and part.size <= MOST_PACKED


def packed_part(root: Part, path: str) -> tuple[Part, int] | None:
    """The winmail.dat in which ``path`` is a file, and the number of that file; None when it is none."""
    above, _, number = path.rpartition(".")
    part = root.find(above) if above and number.isdigit() else None
    return (part, int(number)) if part is not None and part.content_type in TNEF_TYPES else None


def file_inside(part: Part, number: int, read: Read) -> bytes:
    """The content of a file. :raises NoSuchItem: there is none of that number."""
    try:
        data, tnef = _opened(part, read)
    except Malformed as error:
        raise NoSuchItem(cause=error.cause) from error
    if not 0 < number <= len(tnef.files):
        raise NoSuchItem(cause=f"{len(tnef.files)} files in part {part.path}")
    file = tnef.files[number - 1]
    return data[file.start : file.stop]
