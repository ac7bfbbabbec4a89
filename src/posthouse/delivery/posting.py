"""Mail to a group: who may write to it, what its copies look like, and who hears of what could not be delivered.

Promise: a copy says which group it came through, leaves under an address of the group's owner, so that bounces reach
the owner and never the group or the author, and a message that has been through a group does not go through it again.
A member from elsewhere is believed by envelope *and* From, whose domain's DMARC policy was kept; a sender of ours
only when he has logged in.

Specifications: RFC 2919 (List-Id), RFC 2369 (List-Post, List-Owner), RFC 5321 3.9.2 (lists), RFC 3834 5 (Precedence),
RFC 3461 5.2.7.1 (a list is a final delivery).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from posthouse.errors import LoopDetected, NotPermitted
from posthouse.mime import compose
from posthouse.mime.addresses import Mailbox, fold_address, format_mailbox, parse_mailboxes
from posthouse.model import Account, MailGroup, Recipient, evolve

__all__ = [
    "authors_of",
    "bounce_address",
    "check_posting",
    "check_strangers",
    "is_guarded",
    "list_head",
    "list_id",
    "without_junk",
]

_NOT_ATOM = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]")


def is_guarded(recipient: Recipient) -> bool:
    """Is there a group that does not take mail from everybody?"""
    return any(group.posting != "anyone" for group in recipient.groups)


def check_posting(recipient: Recipient, account: Account | None, owned: frozenset[str], sender: str) -> None:
    """May this mail go to the groups that a recipient means?

    :param account: who has logged in, with the addresses ``owned`` by him. :param sender: the reverse path of
        anybody else; "" for nobody who could be believed.
    :raises NotPermitted: one of them does not take it.
    """
    for group in recipient.groups:
        if group.posting == "anyone":
            continue
        if account is not None:
            allowed = _is_one_of_us(group, account, owned)
        else:
            allowed = bool(sender) and _is_listed(group, sender)
        if not allowed:
            raise NotPermitted(
                "You may not write to this group.",
                cause=f"{account.address if account is not None else sender[:200]} to {group.address}",
            )


def check_strangers(recipients: Sequence[Recipient], authors: Sequence[str]) -> None:
    """Is everybody whom From names allowed to write to the guarded groups among the recipients?

    :param authors: without those of domains of ours, whom nobody without a login speaks for.
    :raises NotPermitted: not everybody, or nobody is named.
    """
    for recipient in recipients:
        if is_guarded(recipient):
            if not authors:
                check_posting(recipient, None, frozenset(), "")
            for author in authors:
                check_posting(recipient, None, frozenset(), author)


def authors_of(fields: Sequence[tuple[str, bytes]]) -> list[str]:
    """The folded addresses of From and Sender."""
    return [
        fold_address(box.address)
        for name, value in fields
        if name in ("from", "sender")
        for box in parse_mailboxes(value)
        if box.address
    ]


def _is_one_of_us(group: MailGroup, account: Account, owned: frozenset[str]) -> bool:
    if account.address == group.owner:
        return True
    if group.posting == "members":
        return account.mailbox_id in group.members
    return bool(owned & group.posters) or f"@{account.address.rpartition('@')[2]}" in group.posters


def _is_listed(group: MailGroup, sender: str) -> bool:
    folded = fold_address(sender)
    if folded == group.owner:
        return True
    if group.posting == "members":
        return folded in group.posters
    return folded in group.posters or f"@{folded.rpartition('@')[2]}" in group.posters


def bounce_address(group: MailGroup) -> str:
    """The reverse path of a group's copies; what comes to it is the owner's (``store.routing.OWNER``)."""
    local, _, domain = group.address.rpartition("@")
    return f"{local}-owner@{domain}"


def list_id(group: MailGroup) -> str:
    """The group's name for ever: ``team.example.org`` (RFC 2919 2)."""
    return _NOT_ATOM.sub("-", group.address.replace("@", "."))


def list_head(group: MailGroup, fields: Sequence[tuple[str, bytes]]) -> bytes:
    """The header lines that the copies of a group have in front.

    A message of another list keeps that list's (RFC 2369 4): one List-Id is all that a reader can use.

    :param fields: of the message, lower-case names. :raises LoopDetected: it has been through this group.
    """
    own = list_id(group).encode("ascii")
    present = set()
    for name, value in fields:
        present.add(name)
        if (
            name == "list-id"
            and value.rpartition(b"<")[2].strip().rstrip(b">").strip().lower() == own.lower()
        ):
            raise LoopDetected(cause=f"has been through {group.address} before")
    lines = b""
    if "list-id" not in present:
        if group.name.isascii():
            shown = format_mailbox(Mailbox(group.name, own.decode()))
            # A name of blanks is none.
            lines += compose.raw_field("List-Id", shown if shown.endswith(">") else f"<{shown}>")
        else:
            words = compose.encode_words(group.name, len("List-Id: ")).decode("ascii")
            lines += compose.raw_field("List-Id", f"{words} <{own.decode()}>")
        for name, address in (("List-Post", group.address), ("List-Owner", bounce_address(group))):
            if name.lower() not in present:
                lines += compose.raw_field(name, f"<mailto:{quote(address, safe='@')}>")
    if "precedence" not in present:
        lines += b"Precedence: list\r\n"
    return lines


def without_junk(recipient: Recipient) -> Recipient:
    """Where a message goes that is probably junk: nothing of it is sent on from here where a reader can look for it.

    Whoever passes junk on is soon taken for its source.
    """
    if recipient.staying:
        boxes = dict.fromkeys((*recipient.mailbox_ids, *recipient.staying))
        return evolve(recipient, mailbox_ids=tuple(boxes), remote=())
    if recipient.group is not None and recipient.mailbox_ids:
        return evolve(recipient, remote=())
    return recipient
