"""The commands of the room, found by name.

Promise: a command is one class in `posthouse.eas.commands`, registered by its decorator; what OPTIONS
lists, what is answered "not supported", and what the completeness test demands all derive from here.
MS-ASHTTP 2.2.4.1.2.1, MS-ASCMD 2.2.2.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar

from posthouse.eas.query import CODES
from posthouse.wbxml import tags
from posthouse.wbxml.tree import E, Element

if TYPE_CHECKING:
    from posthouse.eas.call import Call, Result
    from posthouse.eas.grammar import Rule
    from posthouse.eas.versions import Version

#: Document element and its Status, for every command that answers in WBXML: also for those that nobody
#: implements, which have to be told so in their own terms (status 137).
SHAPES: dict[str, tuple[str, str]] = {
    "Sync": (tags.AirSync.Sync, tags.AirSync.Status),
    "SendMail": (tags.ComposeMail.SendMail, tags.ComposeMail.Status),
    "SmartForward": (tags.ComposeMail.SmartForward, tags.ComposeMail.Status),
    "SmartReply": (tags.ComposeMail.SmartReply, tags.ComposeMail.Status),
    "FolderSync": (tags.FolderHierarchy.FolderSync, tags.FolderHierarchy.Status),
    "FolderCreate": (tags.FolderHierarchy.FolderCreate, tags.FolderHierarchy.Status),
    "FolderDelete": (tags.FolderHierarchy.FolderDelete, tags.FolderHierarchy.Status),
    "FolderUpdate": (tags.FolderHierarchy.FolderUpdate, tags.FolderHierarchy.Status),
    "MoveItems": (tags.Move.MoveItems, tags.Move.Status),
    "GetItemEstimate": (tags.GetItemEstimate.GetItemEstimate, tags.GetItemEstimate.Status),
    "MeetingResponse": (tags.MeetingResponse.MeetingResponse, tags.MeetingResponse.Status),
    "Search": (tags.Search.Search, tags.Search.Status),
    "Settings": (tags.Settings.Settings, tags.Settings.Status),
    "Ping": (tags.Ping.Ping, tags.Ping.Status),
    "ItemOperations": (tags.ItemOperations.ItemOperations, tags.ItemOperations.Status),
    "Provision": (tags.Provision.Provision, tags.Provision.Status),
    "ResolveRecipients": (tags.ResolveRecipients.ResolveRecipients, tags.ResolveRecipients.Status),
    "ValidateCert": (tags.ValidateCert.ValidateCert, tags.ValidateCert.Status),
    "Find": (tags.Find.Find, tags.Find.Status),
}


class Command:
    """One command.

    :cvar name: as in the query string.
    :cvar since: first and ``until`` last version that has it.
    :cvar grammar: what its request looks like, None when the command checks that itself.
    :cvar may_be_empty: whether a request without a body means something.
    :cvar raw_until: up to this version the body is no WBXML (MIME, or none at all).
    :cvar before_policy: served to a device that has not accepted its policy.
    """

    name: ClassVar[str]
    since: ClassVar[Version] = (12, 0)
    until: ClassVar[Version] = (16, 1)
    grammar: ClassVar[Rule | None] = None
    may_be_empty: ClassVar[bool] = False
    raw_until: ClassVar[Version | None] = None
    before_policy: ClassVar[bool] = False

    async def run(self, call: Call) -> Result:
        """Do what the request says.

        :raises PosthouseError: answered by `posthouse.eas.statuses`.
        """
        raise AssertionError(f"{self.name} has no run")

    def without_policy(self, call: Call) -> bool:
        """Whether this very request is served before the policy was accepted."""
        return self.before_policy

    def failure(self, status: int) -> Element | None:
        """The document that says nothing but a status; None for commands that have no document."""
        return failure(self.name, status)

    def takes_wbxml(self, version: Version) -> bool:
        """Whether the body is WBXML at that version."""
        return self.raw_until is None or version > self.raw_until


def failure(name: str, status: int) -> Element | None:
    """The document of command ``name`` that says nothing but a status; None when it has no document."""
    shape = SHAPES.get(name)
    if shape is None:
        return None
    said = E(shape[1], int(status))
    # Of MeetingResponse the schema has a status in a Result only; that of the whole stands in the first (R5650).
    return E(shape[0], E(tags.MeetingResponse.Result, said) if name == "MeetingResponse" else said)


_commands: dict[str, Command] = {}

C = TypeVar("C", bound=type[Command])


def command(name: str) -> Callable[[C], C]:
    """Class decorator: register the class as the command ``name``."""

    def register(cls: C) -> C:
        if name not in CODES.values():
            raise ValueError(f"{name} is no command of the protocol")
        cls.name = name
        _commands[name] = cls()
        return cls

    return register


def commands() -> dict[str, Command]:
    """Every command that is implemented, by name, in the order of their codes."""
    from posthouse.eas import commands as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return {name: _commands[name] for name in CODES.values() if name in _commands}


def write_commands() -> str:
    """The value of MS-ASProtocolCommands."""
    return ",".join(commands())
