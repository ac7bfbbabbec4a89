"""sd_notify(3) in a few lines: one datagram to the socket that systemd names, nothing when there is none."""

from __future__ import annotations

import socket
from collections.abc import Mapping

__all__ = ["notify", "watchdog_seconds"]


def notify(environ: Mapping[str, str], *lines: str) -> bool:
    """Send ``READY=1``, ``STATUS=...`` and the like. Returns whether anybody listens; never raises."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address[0] == "@":  # the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), address)
    except OSError:
        return False
    return True


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How often systemd wants a sign of life: half of WATCHDOG_USEC, None when it wants none."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        seconds = int(environ["WATCHDOG_USEC"]) / 1_000_000
    except (KeyError, ValueError):
        return None
    return seconds / 2 if seconds > 0 else None
