"""Outgoing mail: what waits, why, and what the administrator may do about it."""

from __future__ import annotations

from typing import Any

from posthouse.admin.registry import Ports, operation
from posthouse.errors import NoSuchThing
from posthouse.model import OutboxRow
from posthouse.store import outbox

LISTED = 1000


@operation("queue list")
async def queue_list(ports: Ports) -> list[dict[str, Any]]:
    """List outgoing mail that waits, with the last answer of the other side."""
    return [_row(row) for row in await ports.db.read(lambda tx: outbox.listing(tx, LISTED))]


@operation("queue show")
async def queue_show(ports: Ports, id: int) -> dict[str, Any]:
    """Show one waiting message."""
    return _row(await ports.db.read(lambda tx: _find(tx, id)))


@operation("queue retry")
async def queue_retry(ports: Ports, id: int | None = None) -> dict[str, Any]:
    """Try one waiting message, or all of them, now."""

    def retry(tx: Any) -> list[int]:
        rows = [_find(tx, id)] if id is not None else outbox.listing(tx, LISTED)
        waiting = [row for row in rows if row.state == "due"]
        for row in waiting:
            outbox.retry(tx, row.id, ports.now(), row.last_reply, ports.now())
        return [row.id for row in waiting]

    ids = await ports.db.write(retry)
    ports.run_queue()
    return {"retried": ids}


@operation("queue drop")
async def queue_drop(ports: Ports, id: int) -> dict[str, Any]:
    """Forget one waiting message; its sender is told nothing."""

    def drop(tx: Any) -> None:
        _find(tx, id)
        outbox.drop(tx, id)

    await ports.db.write(drop)
    return {"id": id}


def _find(tx: Any, row_id: int) -> OutboxRow:
    for row in outbox.listing(tx, LISTED):
        if row.id == row_id:
            return row
    raise NoSuchThing(f"The queue has no message {row_id}.")


def _row(row: OutboxRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "sender": row.sender,
        "recipient": row.recipient,
        "size": row.size,
        "state": row.state,
        "created": row.created,
        "due": row.due,
        "expires": row.expires,
        "attempts": row.attempts,
        "last_attempt": row.last_attempt,
        "last_reply": row.last_reply,
    }
