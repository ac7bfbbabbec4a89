"""Voice mail that a telephone system leaves in a mailbox: who called, how long, and in which order.

Promise: only messages of these classes cost anything: their header is read along with their body. Implements
MS-ASEMAIL 2.2.2.81 to .83 (UmAttDuration, UmAttOrder, UmCallerID) from the header fields of MS-OXCMAIL 2.1.3.2. There
is no field for UmUserNotes, so it is never sent. Bare numbers are MS-ASEMAIL.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.eas.versions import Version
from posthouse.mime.headers import decode_header, parse_headers
from posthouse.mime.part import Part
from posthouse.model import AttachmentInfo, Item
from posthouse.wbxml.tags import Email2
from posthouse.wbxml.tree import Element

#: R804, R811, R878
_CLASSES = (
    "IPM.Note.Microsoft.Voicemail",
    "IPM.Note.RPMSG.Microsoft.Voicemail",
    "IPM.Note.Microsoft.Missed.Voice",
)
_MOST_HEADER = 32768
_MOST_NUMBER = 256
_MOST_SECONDS = 10**7


@frozen
class Voice:
    """:ivar caller: a number or SIP link, "" when it is withheld (R930-R932). :ivar duration: seconds.
    :ivar order: names of the recordings, the latest last.
    """

    caller: str = ""
    duration: int | None = None
    order: tuple[str, ...] = ()


def voice_range(item: Item, root: Part) -> tuple[int, int] | None:
    """Which bytes of a message tell of a call; None for all other mail."""
    if not item.message_class.startswith(_CLASSES):
        return None
    return root.header_start, min(root.body_start, root.header_start + _MOST_HEADER)


def read_voice(head: bytes) -> Voice:
    """What the header of a voice mail says."""
    fields = {name: decode_header(value, 2000) for name, value in reversed(parse_headers(head))}
    seconds = fields.get("x-voicemessageduration", "").strip()
    order = tuple(name.strip() for name in fields.get("x-attachmentorder", "").split(";") if name.strip())
    return Voice(
        fields.get("x-callingtelephonenumber", "").strip()[:_MOST_NUMBER],
        min(int(seconds), _MOST_SECONDS)
        if seconds.isascii() and seconds.isdecimal() and len(seconds) < 10
        else None,
        order[-100:],
    )


def caller_elements(voice: Voice, version: Version) -> list[Element]:
    """What is said of the message."""
    return [Element(Email2.UmCallerID, voice.caller)] if voice.caller and version >= (14, 0) else []


def recording_elements(voice: Voice, attachment: AttachmentInfo, version: Version) -> list[Element]:
    """What is said of an attachment: the latest recording is number 1 (R809), and has the duration (R799)."""
    if version < (14, 0) or attachment.name not in voice.order:
        return []
    place = voice.order[::-1].index(attachment.name) + 1
    found = []
    if place == 1 and voice.duration is not None:
        found.append(Element(Email2.UmAttDuration, str(voice.duration)))
    return [*found, Element(Email2.UmAttOrder, str(place))]
