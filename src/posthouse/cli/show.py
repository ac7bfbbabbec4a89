"""Results of operations as people read them: tables, pairs, lines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

__all__ = ["as_text"]

# characters; a longer text of several stands on a line of its own
_LONG = 60
# Keys whose whole numbers are moments (milliseconds since the epoch).
_MOMENTS = {
    "created",
    "due",
    "expires",
    "last_attempt",
    "last_used",
    "first_seen",
    "last_seen",
    "started",
    "at",
    "start",
    "end",
    "wipe_ordered",
    "wipe_at",
    "oldest",
    "changed",
    "full_since",
    "since",
}


def as_text(result: Any, columns: tuple[str, ...] = ()) -> str:
    """A list of objects becomes a table, an object ``key: value`` lines, anything else its text."""
    if isinstance(result, list):
        if not result:
            return "(none)"
        if columns == ("at", "line"):
            return "\n".join(_entry(one) for one in result)
        if isinstance(result[0], dict):
            return _table(result, columns or tuple(result[0]))
        return "\n".join(_value("", one) for one in result)
    if isinstance(result, dict):
        width = max((len(key) for key in result), default=0)
        return "\n".join(_pair(key, value, width) for key, value in result.items())
    return _value("", result)


def _pair(key: str, value: Any, width: int) -> str:
    """One line; what has several parts, or long ones, stands below it."""
    below: list[str] = []
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        below = _table(value, tuple(value[0])).split("\n")
    elif isinstance(value, list) and any(isinstance(one, str) and len(one) > _LONG for one in value):
        below = [_value(key, one) for one in value]
    if below:
        return "\n".join([f"{key}:", *(f"  {line}" for line in below)])
    return f"{key + ':':<{width + 1}} {_value(key, value)}"


def _entry(row: dict[str, Any]) -> str:
    """An entry of a log; a traced document keeps its lines."""
    first, *more = str(row["line"]).split("\n")
    lines = [f"{_value('at', row['at'])}  {_value('', first)}", *("    " + _value("", line) for line in more)]
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    cells = [[column.replace("_", " ").upper() for column in columns]]
    cells += [[_value(column, row.get(column)) for column in columns] for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _value(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_value(key, one) for one in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(name, one)}" for name, one in value.items()) or "-"
    if key in _MOMENTS and isinstance(value, int):
        return (
            datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") + " UTC" if value else "-"
        )
    # What a peer said must not steer the terminal.
    return "".join(char if char.isprintable() else "?" for char in str(value))
