"""Importing this fills the table of operations."""

from posthouse.admin import absence, device_orders, devices, people, policies, queue, state
from posthouse.admin.registry import OPERATIONS, Ports, run

__all__ = [
    "OPERATIONS",
    "Ports",
    "absence",
    "device_orders",
    "devices",
    "people",
    "policies",
    "queue",
    "run",
    "state",
]
