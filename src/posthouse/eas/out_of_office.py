"""The Oof property of Settings: who is away, from when to when, and what is answered to whom.

Promise: Get tells what was set, in the format that is asked for; Set changes what it names and leaves the rest
(R3509). MS-ASCMD 2.2.3.12 to .14, .17, .59, .61.2, .122 to .124, .149, .176.2; statuses 2.2.3.177.15.
"""

from __future__ import annotations

from attrs import evolve

from posthouse.eas.call import Call
from posthouse.eas.content.moments import read_moment, write_moment
from posthouse.eas.statuses import StatusError
from posthouse.mime.html import html_from_text, text_from_html
from posthouse.store import absence
from posthouse.store.absence import Absence, Audience, Message, State
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import Settings as S
from posthouse.wbxml.tree import E, Element

OK = 1
PROTOCOL_ERROR = 2
INVALID = 5
CONFLICTING = 6

_AUDIENCES = {
    S.AppliesToInternal: Audience.INTERNAL,
    S.AppliesToExternalKnown: Audience.KNOWN,
    S.AppliesToExternalUnknown: Audience.UNKNOWN,
}
_FORMATS = {"text": False, "html": True}


async def answer(call: Call, asked: Element) -> Element:
    """The Oof element of the response."""
    try:
        wish, change = asked.find(S.Get), asked.find(S.Set)
        if (wish is None) == (change is None):
            raise StatusError(PROTOCOL_ERROR, "neither Get nor Set, or both")
        if change is not None:
            await _set(call, change)
            return E(S.Oof, E(S.Status, OK))
        assert wish is not None
        return E(S.Oof, E(S.Status, OK), await _get(call, wish))
    except StatusError as error:
        call.notes["oof"] = error.cause
        return E(S.Oof, E(S.Status, error.status))


async def _get(call: Call, wish: Element) -> Element:
    kind = wish.find(S.BodyType)
    html = _format(kind) if kind is not None else None
    said = kind.value.strip() if kind is not None else None
    mailbox = call.account.mailbox_id
    kept: Absence = await call.read(lambda tx: absence.absence_of(tx, mailbox))
    timed = kept.state == State.TIMED and kept.start is not None and kept.end is not None
    return E(
        S.Get,
        E(S.OofState, int(kept.state)),
        E(S.StartTime, write_moment(kept.start)) if timed and kept.start is not None else None,
        E(S.EndTime, write_moment(kept.end)) if timed and kept.end is not None else None,
        # One for each audience, also where nothing is set (R3504, R3505, R3522).
        [_message(tag, kept.message(audience), html, said) for tag, audience in _AUDIENCES.items()],
    )


def _message(tag: str, message: Message, html: bool | None, said: str | None) -> Element:
    """:param html: the format that was asked for, None for that of the message. :param said: its name as the client
    spells it, which some compare letter by letter.
    """
    as_html = message.html if html is None else html
    text = message.text
    if text and as_html != message.html:
        text = html_from_text(text) if as_html else text_from_html(text)
    return E(
        S.OofMessage,
        E(tag),
        E(S.Enabled, int(message.enabled)),
        E(S.ReplyMessage, text) if text else None,
        # R826, R1106
        E(S.BodyType, said or ("HTML" if as_html else "Text")) if text else None,
    )


async def _set(call: Call, change: Element) -> None:
    messages: dict[Audience, Message] = {}
    for found in change.findall(S.OofMessage):
        audience, message = _read_message(found)
        if audience in messages:
            raise StatusError(CONFLICTING, f"two messages for {audience.value}")  # R3526
        messages[audience] = message
    known, unknown = messages.get(Audience.KNOWN), messages.get(Audience.UNKNOWN)
    outside = {(one.text, one.html) for one in (known, unknown) if one is not None and one.text}
    if len(outside) > 1:
        # R5194, R5385: said at once to both kinds of people outside, it is the same.
        raise StatusError(CONFLICTING, "two messages for people outside")
    state, start, end = _read_times(change)
    mailbox, now = call.account.mailbox_id, call.now()

    def keep(tx: Transaction) -> None:
        kept = absence.absence_of(tx, mailbox)
        # State 2 without times leaves those that are set.
        same = state == kept.state == State.TIMED and start is None
        if state is not None and not same:
            kept = evolve(kept, state=state, start=start, end=end)
        for audience, message in messages.items():
            kept = kept.with_message(audience, message)
        absence.set_absence(tx, mailbox, kept, now)

    await call.write(keep)


def _read_times(change: Element) -> tuple[State | None, int | None, int | None]:
    first, last = change.find(S.StartTime), change.find(S.EndTime)
    if (first is None) != (last is None):
        raise StatusError(PROTOCOL_ERROR, "one of StartTime and EndTime alone")  # R2272, R3992, R5681, R5827
    wanted = change.find(S.OofState)
    if wanted is None:
        return None, None, None
    text = wanted.value.strip()
    if text not in ("0", "1", "2"):
        raise StatusError(INVALID, f"OofState {text[:10]!r}")
    state = State(int(text))
    if state != State.TIMED:
        # R3535: they may be there, and mean nothing.
        return state, None, None
    if first is None or last is None:
        # R4396, R2251: no error. The times that are set stay; without any it holds until further notice.
        return state, None, None
    start, end = read_moment(first.value, INVALID), read_moment(last.value, INVALID)
    if end <= start:
        raise StatusError(CONFLICTING, "EndTime is not after StartTime")
    return state, start, end


def _read_message(found: Element) -> tuple[Audience, Message]:
    audiences = [_AUDIENCES[child.tag] for child in found.children if child.tag in _AUDIENCES]
    if len(audiences) != 1:
        # R3517: they exclude each other.
        raise StatusError(PROTOCOL_ERROR, f"a message for {len(audiences)} audiences")
    enabled = (found.text(S.Enabled) or "0").strip()
    if enabled not in ("0", "1"):
        raise StatusError(INVALID, f"Enabled {enabled[:10]!r}")
    text = found.text(S.ReplyMessage) or ""
    kind = found.find(S.BodyType)
    if text and (kind is None or not kind.value.strip()):
        raise StatusError(PROTOCOL_ERROR, "ReplyMessage without BodyType")  # R825, R3785
    if len(text) > absence.MAX_MESSAGE:
        raise StatusError(INVALID, f"a message of {len(text)} characters")
    html = _format(kind) if kind is not None and kind.value.strip() else False
    return audiences[0], Message(enabled == "1", text, html)


def _format(kind: Element) -> bool:
    """Whether HTML is meant (R821); clients write it in any case."""
    text = kind.value.strip().lower()
    if text not in _FORMATS:
        raise StatusError(INVALID if text else PROTOCOL_ERROR, f"BodyType {text[:20]!r}")
    return _FORMATS[text]
