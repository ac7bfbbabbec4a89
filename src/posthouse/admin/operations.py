"""Importing this fills the table of operations."""

from posthouse.admin import devices, people, queue, state
from posthouse.admin.registry import OPERATIONS, Ports, run

__all__ = ["OPERATIONS", "Ports", "devices", "people", "queue", "run", "state"]
