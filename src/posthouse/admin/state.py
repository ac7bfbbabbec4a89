"""What the server says about itself."""

from __future__ import annotations

from typing import Any

from posthouse.admin.registry import Ports, operation
from posthouse.store import accounts, outbox


@operation("status")
async def status(ports: Ports) -> dict[str, Any]:
    """Say whether the daemon runs, and what it has to do."""

    def read(tx: Any) -> dict[str, Any]:
        return {
            "domains": len(accounts.domains(tx)),
            "users": len(accounts.accounts(tx)),
            "queued": len(outbox.listing(tx, 10_000)),
        }

    return {"running": False} | ports.status() | await ports.db.read(read)
