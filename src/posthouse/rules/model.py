"""A rule as a value: when it applies, when it does not, and what is done then.

Promise: one table of fields and tests and one of actions, from which the JSON form (``form``), the words of the
command line (``phrases``) and the decision (``decide``) are made; what is not in a table is in none of them.

The set follows what Outlook on the web offers for the Inbox (MS-OXORULE 2.2.4 has the same in other words).
"""

from __future__ import annotations

from attrs import field, frozen

__all__ = [
    "ACTIONS",
    "FIELDS",
    "LEVELS",
    "MAX_ACTIONS",
    "MAX_CONDITIONS",
    "MAX_FORWARDS",
    "MAX_NAME",
    "MAX_RULES",
    "MAX_VALUE",
    "MAX_VALUES",
    "Action",
    "Condition",
    "Rule",
]

#: rules of one mailbox
MAX_RULES = 256
#: conditions of a rule, and as many exceptions
MAX_CONDITIONS = 32
#: values of a condition
MAX_VALUES = 64
MAX_ACTIONS = 16
#: addresses that a rule sends a message to
MAX_FORWARDS = 10
#: characters
MAX_NAME = 200
MAX_VALUE = 256

_TEXT = ("contains", "is")
#: field -> (its tests, the first of which is meant when none is named; its values, where they are few)
FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "from": (_TEXT, ()),
    "to": (_TEXT, ()),
    "cc": (_TEXT, ()),
    # To, Cc, or the address under which the message came
    "recipient": (_TEXT, ()),
    "subject": (_TEXT, ()),
    "body": (("contains",), ()),
    "header": (_TEXT, ()),
    "attachment": (("is",), ("yes", "no")),
    "size": (("over", "under"), ()),
    "importance": (("is",), ("low", "normal", "high")),
    "sensitivity": (("is",), ("normal", "personal", "private", "confidential")),
    "sent": (("is",), ("only-me", "to-me", "cc-me", "not-me")),
    "list": (("is",), ("yes", "no")),
    "junk": (("is",), ("yes", "no")),
}
LEVELS = ("low", "normal", "high")

#: what may be done -> what the action needs: "", "folder", "value" or "to"
ACTIONS = {
    "move": "folder",
    "copy": "folder",
    "delete": "",
    "read": "",
    "flag": "",
    "category": "value",
    "importance": "value",
    "forward": "to",
    "redirect": "to",
}


@frozen
class Condition:
    """:ivar values: one of them must fit. Addresses and texts in lower case; ``name``: of the header field."""

    field: str
    test: str
    values: tuple[str, ...]
    name: str = ""


@frozen
class Action:
    """:ivar folder: its number (the permanent one that clients know). :ivar to: addresses."""

    do: str
    folder: int = 0
    value: str = ""
    to: tuple[str, ...] = ()


@frozen
class Rule:
    """:ivar any_of: one of the conditions is enough. No condition at all: every message."""

    name: str
    actions: tuple[Action, ...]
    conditions: tuple[Condition, ...] = ()
    exceptions: tuple[Condition, ...] = ()
    any_of: bool = False
    stop: bool = False
    id: int = field(default=0, eq=False)

    @property
    def reads_body(self) -> bool:
        """Does it look at the text of a message?"""
        return any(one.field == "body" for one in (*self.conditions, *self.exceptions))

    @property
    def judges_junk(self) -> bool:
        """Does it say something about junk? Only then is it asked about junk."""
        return any(one.field == "junk" for one in (*self.conditions, *self.exceptions))

    @property
    def folders(self) -> frozenset[int]:
        """The numbers of the folders that it needs."""
        return frozenset(one.folder for one in self.actions if one.folder)
