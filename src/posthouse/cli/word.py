"""What one command of ``posthouse`` is made of."""

from __future__ import annotations

import argparse
from typing import Any

from attrs import frozen

__all__ = ["Argument", "Command", "yes_no"]


@frozen
class Argument:
    """One argument: ``name`` as argparse wants it, and its options."""

    name: str
    help: str
    options: dict[str, Any] = {}  # noqa: RUF008 (never changed)


@frozen
class Command:
    """One command. ``columns`` are what a table shows of each row; empty: every key."""

    operation: str
    arguments: tuple[Argument, ...] = ()
    columns: tuple[str, ...] = ()
    password: bool = False


def yes_no(text: str) -> bool:
    """An argument that is yes or no."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError("say yes or no")
    return text == "yes"
