"""The words about addresses: groups, catch-all, grants, quotas, forwarding, and mail that waits."""

from __future__ import annotations

from posthouse.cli.word import Argument, Command, yes_no

__all__ = ["ADDRESS_COMMANDS", "ADDRESS_GROUPS"]

_ADDRESS = Argument("address", "the user, such as ann@example.org")
_USER = Argument("user", "the user, such as ann@example.org")
_GROUP = Argument("address", "the group, such as team@example.org")
_MEMBERS = Argument("members", "addresses, here or elsewhere", {"nargs": "+"})
_DOMAIN = Argument("domain", "the domain, such as example.org")
_RULES = (
    Argument("--name", "the name that people see"),
    Argument("--posting", "who may write: anyone, members, or listed (--allow)"),
    Argument("--owner", "who gets its bounces; without one, the postmaster"),
    Argument(
        "--allow", "who may write, once for each; @example.org is a domain", {"action": "append", "metavar": "ADDRESS"}
    ),
)  # fmt: skip

ADDRESS_GROUPS = {
    "group": "distribution lists",
    "catchall": "mail for nobody",
    "address": "single addresses that are refused",
    "grant": "who may write as whom",
    "quota": "how full mailboxes are",
}

ADDRESS_COMMANDS: tuple[Command, ...] = (
    Command("group add", (_GROUP, _MEMBERS, *_RULES)),
    Command("group list"),
    Command("group show", (_GROUP,)),
    Command("group set", (_GROUP, *_RULES)),
    Command("group join", (_GROUP, _MEMBERS)),
    Command("group leave", (_GROUP, _MEMBERS)),
    Command("group delete", (_GROUP,)),
    Command("catchall set", (_DOMAIN, Argument("address", "who gets it, such as ann@example.org"))),
    Command("catchall list"),
    Command("catchall remove", (_DOMAIN,)),
    Command(
        "address disable",
        (
            Argument("address", "the address to refuse, such as old@example.org"),
            Argument("--note", "a note for other administrators"),
        ),
    ),
    Command("address enable", (Argument("address", "the address to take mail for again"),)),
    Command("address list"),
    Command("grant add", (_USER, Argument("address", "the address, or @example.org for a domain"))),
    Command("grant list", (Argument("--user", "only this user's", {"metavar": "ADDRESS"}),)),
    Command("grant remove", (_USER, Argument("address", "the address, or @example.org"))),
    Command("user show", (_ADDRESS,)),
    Command(
        "user quota",
        (
            _ADDRESS,
            Argument("size", "such as 500M or 5G, none, or default; without it: show", {"nargs": "?"}),
        ),
    ),
    Command(
        "quota list",
        (Argument("--over", "only what is so full, in per cent", {"type": int}),),
        columns=("address", "size", "quota", "percent", "full_since"),
    ),
    Command(
        "user forward",
        (
            _ADDRESS,
            Argument("targets", "where all mail goes", {"nargs": "*"}),
            Argument("--no-copy", "keep none in the mailbox", {"action": "store_true"}),
            Argument("--off", "send nothing on any more", {"action": "store_true"}),
        ),
    ),
    Command(
        "user plus",
        (_ADDRESS, Argument("folders", "yes or no", {"type": yes_no, "metavar": "yes|no"})),
    ),
    Command("user hold", (_ADDRESS, Argument("seconds", "0 to 600", {"type": int}))),
    Command(
        "queue waiting",
        (Argument("--user", "only this user's", {"metavar": "ADDRESS"}),),
        columns=("name", "user", "recipients", "created", "due"),
    ),
    Command(
        "queue undo",
        (
            Argument("name", "the name that queue waiting shows"),
            Argument("--user", "only if it is this user's", {"metavar": "ADDRESS"}),
        ),
    ),
)
