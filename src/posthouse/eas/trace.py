"""The device log: what an administrator reads when a phone misbehaves.

Promise: without tracing a device's log has a line per failed request and nothing out of the mail; with
tracing it has every request and answer as XML and hexadecimal, but passwords never.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from posthouse.model import Device
from posthouse.store import devices
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tree import SECRET_TAGS, Element, to_xml

if TYPE_CHECKING:
    from posthouse.eas.call import Call
    from posthouse.eas.services import Services

#: Characters of one line of the log, and lines of one entry.
_LINE = 1900
_MOST_LINES = 40
_MOST_HEX = 8 << 10


async def record_request(
    services: Services, device: Device | None, call: Call | None, facts: dict[str, Any]
) -> None:
    """Note a finished request: when it failed, or when the device is traced."""
    if device is None:
        return
    failed = facts["status"] != 1 or facts["http"] != 200
    if not failed and not device.trace:
        return
    lines = _pieces(one_line(facts))
    if device.trace and call is not None:
        lines.extend(_request_lines(call))
    now = int(services.clock.seconds() * 1000)
    error = f"{facts['command']}: HTTP {facts['http']}, status {facts['status']}" if failed else ""
    row = device.id

    def keep(tx: Transaction) -> None:
        for line in lines:
            devices.log_device(tx, row, line, now)
        if error and error != device.last_error:
            devices.update_device(tx, row, last_error=error, last_command=str(facts["command"]))

    await services.db.write(keep)


def one_line(facts: dict[str, Any]) -> str:
    """A request's facts as a line of JSON."""
    return json.dumps(facts, default=str, ensure_ascii=False, separators=(",", ":"))


def _request_lines(call: Call) -> list[str]:
    tree, raw = call.request, call.raw
    lines: list[str] = []
    if tree is not None:
        lines.extend(_pieces(f"request\n{to_xml(tree)}"))
        if any(element.tag in SECRET_TAGS for element in tree.iter()):
            return lines
    if raw:
        more = " ..." if len(raw) > _MOST_HEX else ""
        lines.extend(_pieces(f"request bytes {raw[:_MOST_HEX].hex()}{more}"))
    return lines


def _pieces(text: str) -> list[str]:
    """An entry as lines that the device log keeps whole."""
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], "(the rest is left out)"]


async def record_tree(call: Call, title: str, tree: Element) -> None:
    """Note an answer of a traced device."""
    lines = _pieces(f"{title}\n{to_xml(tree)}")
    row, now = call.device.id, call.now()

    def keep(tx: Transaction) -> None:
        for line in lines:
            devices.log_device(tx, row, line, now)

    await call.write(keep)
