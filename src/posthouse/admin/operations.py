"""Importing this fills the table of operations."""

from posthouse.admin import (
    absence,
    addresses,
    device_orders,
    devices,
    directory,
    domains,
    grants,
    groups,
    held,
    junk,
    mailboxes,
    people,
    policies,
    queue,
    rules,
    state,
)
from posthouse.admin.registry import OPERATIONS, Ports, run

__all__ = [
    "OPERATIONS",
    "Ports",
    "absence",
    "addresses",
    "device_orders",
    "devices",
    "directory",
    "domains",
    "grants",
    "groups",
    "held",
    "junk",
    "mailboxes",
    "people",
    "policies",
    "queue",
    "rules",
    "run",
    "state",
]
