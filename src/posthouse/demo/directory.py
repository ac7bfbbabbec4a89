"""The demo's directory: telephones and pictures of the two users, and some friends as shared contacts.

The telephone numbers are of the range that nobody has (ITU-T E.164: +999 is not assigned)."""

from __future__ import annotations

import base64
from typing import Any

from posthouse.admin.operations import Ports, run
from posthouse.cli.offline import wait
from posthouse.demo.cast import FRIENDS, Person
from posthouse.demo.files import picture

__all__ = ["fill_directory"]


def fill_directory(ports: Ports, owner: Person, other: Person) -> None:
    """Tell the directory about everybody."""
    _tell(ports, owner, "Clockmaker", 1)
    _tell(ports, other, "Harbour master", 2)
    for friend in FRIENDS[:5]:
        wait(run(ports, "people add", {"address": friend.address, "name": friend.name}))


def _tell(ports: Ports, person: Person, title: str, number: int) -> None:
    first, _, last = person.name.partition(" ")
    fields: dict[str, Any] = {
        "first_name": first,
        "last_name": last,
        "title": title,
        "company": "Posthouse Demo",
        "office": f"{number}",
        "phone": f"+999 30 {number}00",
        "mobile": f"+999 170 {number}0000",
    }
    wait(run(ports, "people set", {"address": person.address, **fields}))
    shown = base64.b64encode(picture(96, 96, number)).decode("ascii")
    wait(run(ports, "people picture", {"address": person.address, "picture": shown}))
