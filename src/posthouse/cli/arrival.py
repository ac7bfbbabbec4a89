"""The words for mail as it arrives: rules and junk."""

from __future__ import annotations

from posthouse.cli.word import Argument, Command, yes_no

__all__ = ["ARRIVAL_COMMANDS", "ARRIVAL_GROUPS"]

_ADDRESS = Argument("address", "the user, such as ann@example.org")
_ID = Argument("id", "the number that the list shows", {"type": int})
_SENDER = Argument("sender", "an address, or @example.org for everybody there and below")
_RULE_WORDS = (
    Argument("--name", "what to call it"),
    Argument(
        "--if",
        'a condition, such as "from is ann@example.org", "subject contains bill | invoice", "attachment" or "only-me"',
        {"action": "append", "dest": "when", "metavar": "CONDITION"},
    ),
    Argument("--unless", "an exception, said like a condition", {"action": "append", "metavar": "CONDITION"}),
    Argument(
        "--do",
        'what is done: "move Work/Bills", copy, delete, read, flag, "category Blue", "importance high", '
        '"forward ann@example.net", "redirect ann@example.net"',
        {"action": "append", "metavar": "ACTION"},
    ),
    Argument("--form", "the whole rule as JSON instead"),
)

ARRIVAL_GROUPS = {
    "rule": "what is done with a user's mail as it arrives",
    "junk": "what a user's mailbox knows of junk",
}

ARRIVAL_COMMANDS: tuple[Command, ...] = (
    Command("rule list", (_ADDRESS,), columns=("id", "position", "name", "enabled", "when", "do", "problem")),
    Command(
        "rule add",
        (
            _ADDRESS,
            *_RULE_WORDS,
            Argument("--any", "one condition is enough", {"action": "store_true", "dest": "any_of"}),
            Argument("--stop", "no further rules", {"action": "store_true"}),
            Argument("--position", "its place in the order; the last one", {"type": int}),
        ),
    ),
    Command(
        "rule edit",
        (
            _ADDRESS,
            _ID,
            *_RULE_WORDS,
            Argument(
                "--any", "one condition is enough", {"type": yes_no, "dest": "any_of", "metavar": "yes|no"}
            ),
            Argument("--stop", "no further rules", {"type": yes_no, "metavar": "yes|no"}),
            Argument("--enabled", "whether it is at work", {"type": yes_no, "metavar": "yes|no"}),
        ),
    ),
    Command(
        "rule move",
        (_ADDRESS, _ID, Argument("position", "1 is the first", {"type": int})),
        columns=("id", "position", "name", "enabled", "when", "do", "problem"),
    ),
    Command("rule remove", (_ADDRESS, _ID)),
    Command(
        "rule test",
        (_ADDRESS, Argument("--item", "the number of a message (its permanent one)", {"type": int})),
    ),
    Command("junk show", (_ADDRESS,)),
    Command("junk senders", (_ADDRESS,)),
    Command("junk safe", (_ADDRESS, _SENDER)),
    Command("junk block", (_ADDRESS, _SENDER)),
    Command("junk unlist", (_ADDRESS, _SENDER)),
    Command("junk learn", (_ADDRESS,)),
    Command("junk forget", (_ADDRESS,)),
)
