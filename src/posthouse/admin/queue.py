"""Outgoing mail: what waits, why, and what the administrator may do about it."""

from __future__ import annotations

from typing import Any

from posthouse.admin.registry import Ports, operation
from posthouse.errors import Conflict, NoSuchThing
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
        return [row.id for row in rows if outbox.retry_now(tx, row.id, ports.now())]

    ids = await ports.db.write(retry)
    ports.run_queue()
    return {"retried": ids}


@operation("queue hold")
async def queue_hold(ports: Ports, id: int) -> dict[str, Any]:
    """Keep one message back until it is retried by hand."""

    def hold(tx: Any) -> None:
        _find(tx, id)
        if not outbox.hold(tx, id):
            raise Conflict(f"Message {id} is on its way just now, or held already.")

    await ports.db.write(hold)
    return {"id": id}


@operation("queue drop")
async def queue_drop(ports: Ports, id: int) -> dict[str, Any]:
    """Forget one waiting message; its sender is told nothing."""

    def drop(tx: Any) -> None:
        if not outbox.drop(tx, id):
            raise NoSuchThing(f"The queue has no message {id}.")

    await ports.db.write(drop)
    return {"id": id}


def _find(tx: Any, row_id: int) -> OutboxRow:
    row = outbox.outbox_row(tx, row_id)
    if row is None:
        raise NoSuchThing(f"The queue has no message {row_id}.")
    return row


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
