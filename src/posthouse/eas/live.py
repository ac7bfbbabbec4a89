"""Who is connected now, for the administrator: one row for each request under way.

Promise: names, numbers and ages; nothing of what a request says.
"""

from __future__ import annotations

from typing import Any

from posthouse.eas.services import Services
from posthouse.eas.versions import write_version

__all__ = ["live_view", "recent_view"]


def recent_view(services: Services, device: int) -> list[tuple[int, str]]:
    """(milliseconds, JSON line) of the last requests of a device since the server's start, the oldest first."""
    return services.yard.recent(device)


def live_view(services: Services) -> list[dict[str, Any]]:
    """The rows, the oldest request first. ``seconds`` it is under way, ``left`` until its heartbeat ends, None for
    one that does not wait."""
    return [
        {
            "id": one.call.device.id,
            "address": one.call.account.address,
            "device": one.call.device.device_id,
            "type": one.call.device.device_type,
            "command": one.call.query.command,
            "protocol": write_version(one.call.version),
            "seconds": round(one.age),
            "left": round(one.left) if one.left is not None else None,
            "folders": one.call.notes.get("folders"),
            "peer": one.call.peer,
        }
        for one in services.yard.live(services.clock.seconds())
    ]
