"""Who a submitted message says it is from, and the fields that it has to have.

Promise: a message leaves here only under an address of the account that sends it; what is missing is added
in front, nothing that is there is touched.

Specifications: RFC 5322 3.6 (Date and From once each), RFC 6409 5 and 6 and 8 (what a submission server may
check and add), RFC 5322 3.6.2 (Sender).
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.delivery.directory import owns
from posthouse.errors import Malformed, NotPermitted
from posthouse.mime import compose
from posthouse.mime.addresses import parse_mailboxes
from posthouse.mime.dates import format_date

__all__ = ["check_authors", "missing_fields"]

Fields = Sequence[tuple[str, bytes]]


def check_authors(fields: Fields, owned: frozenset[str], *, may_lack_from: bool = False) -> None:
    """Check From and Sender against the addresses of the account.

    :raises Malformed: no From (unless ``may_lack_from``), more than one From or Sender, an empty one.
    :raises NotPermitted: an address that the account does not own.
    """
    for name in ("from", "sender"):
        values = [value for key, value in fields if key == name]
        if len(values) > 1:
            raise Malformed(f"The message has more than one {name.capitalize()} field.")
        if not values:
            if name == "from" and not may_lack_from:
                raise Malformed("The message has no From field.")
            continue
        addresses = [box.address for box in parse_mailboxes(values[0])]
        if not addresses or not all(addresses):
            raise Malformed(f"The {name.capitalize()} field names no address.")
        for address in addresses:
            if not owns(owned, address):
                raise NotPermitted(
                    f"The address in {name.capitalize()} is not one of yours.", cause=f"From {address[:200]}"
                )


def missing_fields(fields: Fields, now: int, message_id: str, author: str = "") -> bytes:
    """The header lines to put in front: Date, Message-ID and, with ``author``, From, where they are missing.

    :param now: ms since the epoch. :param message_id: in angle brackets.
    """
    present = {name for name, value in fields if value}
    lines = b""
    if author and "from" not in present:
        lines += compose.field("From", author)
    if "date" not in present:
        lines += compose.field("Date", format_date(now))
    if "message-id" not in present:
        lines += compose.field("Message-ID", message_id)
    return lines
