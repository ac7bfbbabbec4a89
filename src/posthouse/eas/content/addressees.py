"""Lists of people, as the elements of a message show them (MS-ASEMAIL 2.2.2.29 and 2.2.2.66).

Promise: a list of any length costs little more than the part of it that is shown.
"""

from __future__ import annotations

import re

from posthouse.mime.addresses import display_mailbox, parse_mailboxes

#: Email.xsd: the longest From and To.
MOST_ADDRESSES = 32768

#: One of '"Name" <address>', 'Name <address>' and 'address', as nearly all address lists are made of.
_MAILBOX = re.compile(r'\s*(?:"([^"\\]*)"|([^"<>,();:\\]*))\s*(?:<([^<>"]*)>)?\s*(?:,|$)')


def display_names(to: str) -> str:
    """MS-ASEMAIL 2.2.2.29: names (or addresses) separated by semicolons."""
    to = to[:MOST_ADDRESSES]
    names: list[str] = []
    position = 0
    while position < len(to):
        found = _MAILBOX.match(to, position)
        if found is None:
            break
        quoted, plain, address = found.groups()
        names.append(quoted or (plain or "").strip() or address or "")
        position = found.end()
    else:
        return ";".join(name for name in names if name)
    mailboxes = parse_mailboxes(to, 100)
    return ";".join(mailbox.name or mailbox.address for mailbox in mailboxes) or to


def with_semicolons(addresses: str) -> str:
    """R711: of ReplyTo alone it is written that semicolons stand between its addresses."""
    if "," not in addresses:
        return addresses
    return "; ".join(display_mailbox(mailbox) for mailbox in parse_mailboxes(addresses, 100)) or addresses
