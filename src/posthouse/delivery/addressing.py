"""Whom a submission goes to: the addresses in its header, where they lead, and what is said of those that lead nowhere.

Specifications: RFC 5322 3.6.3, MS-ASCMD 2.2.1.17 (a recipient who does not exist is no error of the command).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from posthouse.delivery.directory import find_route, roomy
from posthouse.delivery.posting import check_posting
from posthouse.errors import Malformed, NoSuchAccount, NotPermitted, OverQuota, TooLarge, TryLater
from posthouse.mime.addresses import fold_address, normalise_address, parse_mailboxes
from posthouse.mime.report import RecipientStatus
from posthouse.model import Account, Recipient, evolve
from posthouse.store import senders

__all__ = ["MAX_RECIPIENTS", "Refusal", "elsewhere", "recipients_of", "refusal", "routed"]

MAX_RECIPIENTS = 500


def recipients_of(fields: list[tuple[str, bytes]]) -> tuple[str, ...]:
    """The addresses of To, Cc and Bcc, each once.

    :raises Malformed: none, or one that is no address. :raises TooLarge: too many.
    """
    found: dict[str, str] = {}
    for name, value in fields:
        if name not in ("to", "cc", "bcc"):
            continue
        for box in parse_mailboxes(value):
            local, at, domain = box.address.rpartition("@")
            if not (local and at and domain):
                if box.address or box.name:
                    raise Malformed(
                        "A recipient has no valid address.", cause=f"{(box.address or box.name)[:200]!r}"
                    )
                continue
            found.setdefault(fold_address(box.address), normalise_address(box.address))
    if not found:
        raise Malformed("The message has no recipient.")
    if len(found) > MAX_RECIPIENTS:
        raise TooLarge(f"A message may have {MAX_RECIPIENTS} recipients.")
    return tuple(found.values())


def elsewhere(tx: Any, addresses: Iterable[str]) -> list[str]:
    """The folded addresses elsewhere that these lead to."""
    found: list[str] = []
    for address in addresses:
        try:
            found += map(fold_address, find_route(tx, address).recipient.remote)
        except (NoSuchAccount, TryLater):
            continue
    return found


@frozen
class Refusal:
    """A recipient whom a message cannot reach, and what the sender said he wants to hear."""

    status: RecipientStatus
    notify: str


def refusal(wanted: Recipient, status: str, text: str) -> Refusal:
    found = RecipientStatus(wanted.address, "failed", status, original=wanted.orcpt, diagnostic=text)
    return Refusal(found, wanted.notify)


def routed(
    tx: Any, recipients: Sequence[Recipient], account: Account, quota: int, now: int
) -> tuple[list[Recipient], list[Refusal]]:
    """The recipients with their routes, and those whom the message cannot reach."""
    found: list[Recipient] = []
    unknown: list[Refusal] = []
    for wanted in recipients:
        try:
            one = roomy(tx, find_route(tx, wanted.address).recipient, quota, now)
            if one.groups:
                check_posting(one, account, senders.sender_addresses(tx, account.id), "")
        except NoSuchAccount:
            unknown.append(refusal(wanted, "5.1.1", "550 5.1.1 No such user here"))
        except OverQuota:
            unknown.append(refusal(wanted, "5.2.2", "552 5.2.2 The mailbox is full"))
        except NotPermitted as error:
            unknown.append(refusal(wanted, "5.7.1", f"550 5.7.1 {error.public}"))
        except TryLater as error:
            unknown.append(refusal(wanted, "5.2.4", f"554 5.2.4 {error.public}"))
        else:
            found.append(evolve(one, notify=wanted.notify, orcpt=wanted.orcpt))
    return found, unknown
