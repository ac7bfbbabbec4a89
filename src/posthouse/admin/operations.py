"""Importing this fills the table of operations."""

from posthouse.admin import (
    absence,
    device_orders,
    devices,
    directory,
    domains,
    people,
    policies,
    queue,
    state,
)
from posthouse.admin.registry import OPERATIONS, Ports, run

__all__ = [
    "OPERATIONS",
    "Ports",
    "absence",
    "device_orders",
    "devices",
    "directory",
    "domains",
    "people",
    "policies",
    "queue",
    "run",
    "state",
]
