"""Out of office, set for a user by an administrator: the same as the phone and the web set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import evolve

from posthouse.admin.people import account_of
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Malformed
from posthouse.store import absence
from posthouse.store.absence import Absence, Audience, Message, State


@operation("oof show")
async def oof_show(ports: Ports, address: str) -> dict[str, Any]:
    """Show whether a user is out of office, until when, and what is answered to whom."""
    account = await account_of(ports, address)
    kept: Absence = await ports.db.read(lambda tx: absence.absence_of(tx, account.mailbox_id))
    return _shown(account.address, kept, ports.now())


@operation("oof set")
async def oof_set(
    ports: Ports,
    address: str,
    message: str | None = None,
    internal: str | None = None,
    known: str | None = None,
    unknown: str | None = None,
    start: str | None = None,
    end: str | None = None,
    html: bool = False,
) -> dict[str, Any]:
    """Set a user out of office: one message for all, or one for each audience; an empty one answers nobody."""
    account = await account_of(ports, address)
    if (start is None) != (end is None):
        raise Malformed("Name both ends of the time, or none.")
    first, last = _moment(start), _moment(end)
    if first is not None and last is not None and last <= first:
        raise Malformed("The end must be after the start.")
    texts = {
        audience: text
        for audience, own in (
            (Audience.INTERNAL, internal),
            (Audience.KNOWN, known),
            (Audience.UNKNOWN, unknown),
        )
        if (text := own if own is not None else message) is not None
    }

    def change(tx: Any) -> Absence:
        kept = absence.absence_of(tx, account.mailbox_id)
        for audience, text in texts.items():
            kept = kept.with_message(audience, Message(bool(text.strip()), text, html))
        if not any(kept.message(audience).enabled for audience in Audience):
            raise Malformed("Nobody would be answered; write a message.")
        kept = evolve(kept, state=State.ON if first is None else State.TIMED, start=first, end=last)
        absence.set_absence(tx, account.mailbox_id, kept, ports.now())
        return kept

    return _shown(account.address, await ports.db.write(change), ports.now())


@operation("oof off")
async def oof_off(ports: Ports, address: str) -> dict[str, Any]:
    """Say that a user is back; the messages are kept for the next time."""
    account = await account_of(ports, address)

    def change(tx: Any) -> Absence:
        kept = evolve(absence.absence_of(tx, account.mailbox_id), state=State.OFF, start=None, end=None)
        absence.set_absence(tx, account.mailbox_id, kept, ports.now())
        return kept

    return _shown(account.address, await ports.db.write(change), ports.now())


def _moment(text: str | None) -> int | None:
    """ "2026-12-24" or "2026-12-24T18:00+01:00" in ms; without a zone it is UTC."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Malformed(
            f'"{text[:40]}" is no time; write it like 2026-12-24 or 2026-12-24T18:00+01:00.'
        ) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return int(when.timestamp() * 1000)


def _shown(address: str, kept: Absence, now: int) -> dict[str, Any]:
    words = {State.OFF: "off", State.ON: "on", State.TIMED: "timed"}
    return {
        "address": address,
        "out_of_office": words[kept.state],
        "answers_now": kept.is_on(now),
        "start": kept.start,
        "end": kept.end,
        **{
            audience.value: kept.message(audience).text if kept.message(audience).enabled else None
            for audience in Audience
        },
    }
