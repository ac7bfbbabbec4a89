"""Mail that waits in its sender's Outbox: what there is, and taking it back."""

from __future__ import annotations

from typing import Any

from posthouse.admin.people import account_of
from posthouse.admin.registry import Ports, operation
from posthouse.store import accounts, held

_LISTED = 1000


@operation("queue waiting")
async def queue_waiting(ports: Ports, user: str | None = None) -> list[dict[str, Any]]:
    """List mail that waits before it is sent: for its time, or so that it can be taken back."""
    account_id = None if user is None else (await account_of(ports, user)).id

    def read(tx: Any) -> list[dict[str, Any]]:
        found = []
        for one in held.held_listing(tx, _LISTED, account_id):
            account = accounts.account_by_id(tx, one.account_id)
            found.append(
                {
                    "name": one.name,
                    "user": account.address if account is not None else None,
                    "recipients": [recipient.address for recipient in one.recipients],
                    "created": one.created,
                    "due": one.due,
                }
            )
        return found

    rows: list[dict[str, Any]] = await ports.db.read(read)
    return rows


@operation("queue undo")
async def queue_undo(ports: Ports, name: str, user: str | None = None) -> dict[str, Any]:
    """Take a message back into its sender's Drafts, as far as it has not left yet."""
    account_id = None if user is None else (await account_of(ports, user)).id
    done = await ports.db.write(lambda tx: held.take_back(tx, name, account_id))
    return {"name": done.name, "withdrawn": list(done.withdrawn), "gone": list(done.gone)}
