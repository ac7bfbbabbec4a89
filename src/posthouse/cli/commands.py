"""The words of the ``posthouse`` command: which arguments belong to which operation.

Every operation of ``posthouse.admin`` has its command here (a test compares the two tables).
"""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import Any

from posthouse.cli.addresses import ADDRESS_COMMANDS, ADDRESS_GROUPS
from posthouse.cli.arrival import ARRIVAL_COMMANDS, ARRIVAL_GROUPS
from posthouse.cli.word import Argument, Command, yes_no

__all__ = ["COMMANDS", "GROUPS", "Argument", "Command", "fill"]


_ADDRESS = Argument("address", "the user, such as ann@example.org")
_DOMAIN = Argument("domain", "the domain, such as example.org")
_OF = Argument("--user", "only this user's", {"dest": "address", "metavar": "ADDRESS"})
_ID = Argument("id", "the number that the list shows", {"type": int})

_ONE = Argument("id", "the number that the list shows", {"type": int, "nargs": "?"})
_WHOSE = (
    Argument("--domain", "all to this domain"),
    Argument("--sender", "all from this sender"),
)

_DEVICE = Argument("device", "the device id, or the number that the list shows")
_POLICY = Argument("name", "the name of the policy")

_ENTRY = Argument("address", "whose entry, such as ann@example.org")


def _file(name: str) -> str:
    """The content of a file as base64; what is too long is refused where its limit is known."""
    try:
        with Path(name).open("rb") as file:
            return base64.b64encode(file.read(400_000)).decode("ascii")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: {error.strerror}") from None


GROUPS = (
    ADDRESS_GROUPS
    | ARRIVAL_GROUPS
    | {
        "domain": "domains that this server takes mail for",
        "user": "people with a mailbox and a login",
        "app-password": "passwords for one device or program",
        "alias": "addresses that mean others",
        "people": "the directory that everybody looks people up in",
        "queue": "outgoing mail that waits",
        "queue suppressed": "addresses that nothing is sent to",
        "device": "phones and what they do",
        "policy": "what phones have to accept",
        "oof": "out of office",
    }
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "domain add",
        (
            _DOMAIN,
            Argument("--alias-of", "its addresses are those of this domain", {"metavar": "DOMAIN"}),
        ),
    ),
    Command("domain list"),
    Command(
        "domain dns",
        (_DOMAIN, Argument("--tlsa", "the record of the certificate, too", {"action": "store_true"})),
    ),
    Command(
        "domain dkim",
        (
            _DOMAIN,
            Argument("step", "next, switch or retire; without it: show the keys", {"nargs": "?"}),
            Argument("--unchecked", "whatever the DNS says, and however young", {"action": "store_true"}),
        ),
    ),
    Command(
        "domain sts",
        (
            _DOMAIN,
            Argument("mode", "enforce, testing or none; without it: what is said now", {"nargs": "?"}),
            Argument("--max-age", "seconds for which it holds", {"type": int, "dest": "max_age"}),
            Argument("--mx", "one more mail host of the domain", {"action": "append"}),
        ),
    ),
    Command("domain delete", (_DOMAIN,)),
    Command(
        "user add",
        (
            _ADDRESS,
            Argument("--name", "the name that mail shows", {"default": ""}),
            Argument("--admin", "may administer the server", {"action": "store_true"}),
        ),
        password=True,
    ),
    Command("user list", columns=("address", "name", "enabled", "admin", "created")),
    Command("user passwd", (_ADDRESS,), password=True),
    Command("user disable", (_ADDRESS,)),
    Command("user enable", (_ADDRESS,)),
    Command("user delete", (_ADDRESS,)),
    Command("app-password add", (_ADDRESS, Argument("label", 'what it is for, such as "my phone"'))),
    Command("app-password list", (_ADDRESS,)),
    Command("app-password delete", (_ADDRESS, _ID)),
    Command(
        "alias add",
        (
            Argument("address", "the alias, such as office@example.org"),
            Argument("targets", "the addresses that it means", {"nargs": "+"}),
        ),
    ),
    Command("alias list"),
    Command("alias delete", (Argument("address", "the alias"),)),
    Command(
        "queue list",
        (
            *_WHOSE,
            Argument("--state", "only what is in this state: due, leased, held, paused, sent or failed"),
            Argument("--after", "begin behind this number", {"type": int}),
        ),
        columns=("id", "sender", "recipient", "state", "attempts", "due", "last_reply"),
    ),
    Command("queue show", (_ID,)),
    Command("queue stats"),
    Command(
        "queue retry", (Argument("id", "one message; without it, all", {"type": int, "nargs": "?"}), *_WHOSE)
    ),
    Command("queue hold", (_ONE, *_WHOSE)),
    Command("queue release", (_ONE, *_WHOSE)),
    Command("queue drop", (_ONE, *_WHOSE)),
    Command("queue bounce", (_ONE, *_WHOSE, Argument("--reason", "what the sender is told"))),
    Command("queue pause", (_DOMAIN, Argument("--reason", "a note for other administrators"))),
    Command("queue resume", (_DOMAIN,)),
    Command("queue paused", columns=("domain", "at", "reason")),
    Command("queue suppressed list", columns=("address", "at", "reason", "sender")),
    Command("queue suppressed remove", (Argument("address", "the address to write to again"),)),
    Command(
        "device list",
        (_OF,),
        columns=(
            "id",
            "address",
            "device",
            "type",
            "protocol",
            "access",
            "last_seen",
            "last_command",
            "last_error",
            "trace",
        ),
    ),
    Command(
        "device live",
        columns=("id", "address", "device", "command", "protocol", "seconds", "left", "folders", "peer"),
    ),
    Command("device show", (_DEVICE, _OF)),
    Command(
        "device log",
        (_DEVICE, _OF, Argument("--lines", "at most so many (100)", {"type": int, "default": 100})),
        columns=("at", "line"),
    ),
    Command("device trace", (_DEVICE, Argument("on", "on or off", {"choices": ("on", "off")}), _OF)),
    Command("device password", (_DEVICE, _OF)),
    Command("device allow", (_DEVICE, _OF)),
    Command("device block", (_DEVICE, _OF)),
    Command("device quarantine", (_DEVICE, _OF)),
    Command(
        "device default",
        (
            Argument("access", "of new phones", {"choices": ("allow", "quarantine", "none", "server")}),
            _ADDRESS,
        ),
    ),
    Command("device resync", (_DEVICE, _OF, Argument("--folder", "only this folder (its name or number)"))),
    Command("device reset", (_DEVICE, _OF)),
    Command("device remove", (_DEVICE, _OF)),
    Command("device ceiling", (_DEVICE, Argument("version", "such as 14.1; none takes it back"), _OF)),
    Command(
        "device retry",
        (_DEVICE, _OF, Argument("--item", "only this one (its number)", {"type": int, "dest": "number"})),
    ),
    Command("device wipe", (_DEVICE, _OF)),
    Command("device wipe-account", (_DEVICE, _OF)),
    Command("device wipe-cancel", (_DEVICE, _OF)),
    Command("policy list"),
    Command("policy show", (_POLICY, Argument("--all", "every setting there is", {"action": "store_true"}))),
    Command(
        "policy set",
        (
            _POLICY,
            Argument("settings", "NAME=VALUE, such as AllowCamera=0; NAME= takes it back", {"nargs": "*"}),
            Argument("--like", "begin with what this policy demands", {"metavar": "NAME"}),
        ),
    ),
    Command("policy delete", (_POLICY,)),
    Command("policy assign", (Argument("name", 'the policy, or "server" for the configured one'), _ADDRESS)),
    Command("oof show", (_ADDRESS,)),
    Command(
        "oof set",
        (
            _ADDRESS,
            Argument("--message", "what everybody is answered"),
            Argument("--internal", "what users of this server are answered"),
            Argument("--known", "what people are answered to whom the user writes, and shared contacts"),
            Argument("--unknown", "what everybody else is answered"),
            Argument("--from", "when it begins (2026-12-24 or 2026-12-24T18:00+01:00)", {"dest": "start"}),
            Argument("--until", "when it ends", {"dest": "end"}),
            Argument("--html", "the messages are HTML", {"action": "store_true"}),
        ),
    ),
    Command("oof off", (_ADDRESS,)),
    Command(
        "people list",
        (Argument("--search", "only who is found by the beginnings of these words"),),
        columns=("address", "kind", "name", "title", "company", "phone", "mobile", "hidden"),
    ),
    Command("people show", (_ENTRY,)),
    Command(
        "people set",
        (
            _ENTRY,
            Argument("--name", "the name that is shown, also in mail"),
            Argument("--first-name", "the first name"),
            Argument("--last-name", "the last name"),
            Argument("--alias", "a short name to be found by"),
            Argument("--title", "such as Captain"),
            Argument("--company", "the company"),
            Argument("--office", "the room"),
            Argument("--phone", "the telephone at work"),
            Argument("--mobile", "the mobile telephone"),
            Argument("--home-phone", "the telephone at home"),
            Argument("--hidden", "not to be found: yes or no", {"type": yes_no, "metavar": "yes|no"}),
        ),
    ),
    Command(
        "people picture",
        (
            _ENTRY,
            Argument(
                "picture", "a JPEG or PNG of 100 KB at most", {"type": _file, "nargs": "?", "metavar": "FILE"}
            ),
            Argument("--remove", "show no picture any more", {"action": "store_true"}),
        ),
    ),
    Command(
        "people certificate",
        (
            _ENTRY,
            Argument("certificates", "PEM or DER", {"type": _file, "nargs": "?", "metavar": "FILE"}),
            Argument("--remove", "have none any more", {"action": "store_true"}),
        ),
    ),
    Command("people add", (_ENTRY, Argument("--name", "the name that is shown", {"default": ""}))),
    Command("people delete", (_ENTRY,)),
    *ADDRESS_COMMANDS,
    *ARRIVAL_COMMANDS,
    Command("status"),
)


def fill(parser: argparse.ArgumentParser, subparsers: Any, summaries: dict[str, str]) -> None:
    """Add every command to the parser; ``summaries`` maps an operation to its one-line help."""
    groups: dict[str, Any] = {}
    for command in COMMANDS:
        group, _, verb = command.operation.partition(" ")
        summary = summaries[command.operation]
        if not verb:
            place = subparsers.add_parser(group, help=summary, description=summary)
        else:
            if group not in groups:
                outer = subparsers.add_parser(group, help=GROUPS[group], description=GROUPS[group])
                groups[group] = outer.add_subparsers(metavar="ACTION", required=True)
            outer, verb = _place(groups, group, verb)
            place = outer.add_parser(verb, help=summary, description=summary)
        for argument in command.arguments:
            place.add_argument(argument.name, help=argument.help, **argument.options)
        if command.password:
            place.add_argument(
                "--password-stdin",
                action="store_true",
                help="read the password from standard input (one line)",
            )
            place.add_argument("--generate", action="store_true", help="make a password and show it once")
        place.set_defaults(command=command)


def _place(groups: dict[str, Any], group: str, verb: str) -> tuple[Any, str]:
    """Where a command of two or three words is entered, and under which word."""
    inner, _, last = verb.rpartition(" ")
    if not inner:
        return groups[group], verb
    name = f"{group} {inner}"
    if name not in groups:
        outer = groups[group].add_parser(inner, help=GROUPS[name], description=GROUPS[name])
        groups[name] = outer.add_subparsers(metavar="ACTION", required=True)
    return groups[name], last
