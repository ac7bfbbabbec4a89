"""Deviations of real clients: the one table.

Promise: nothing else in this room looks at a User-Agent. Each row says what a client needs that the text of
the protocol does not, and which report of the field taught it.
"""

from __future__ import annotations

import re

from attrs import frozen

from posthouse.eas.versions import Version


@frozen
class Deviation:
    """What is different for a client.

    :ivar ceiling: the highest version to offer and accept, None for no limit.
    :ivar provision_449: at 14.0 and above, too, put HTTP 449 in front of the Status that asks for Provision.
    """

    ceiling: Version | None = None
    provision_449: bool = False


NONE = Deviation()

_TABLE: tuple[tuple[re.Pattern[str], Deviation], ...] = (
    # iOS 5 and 6 (builds 9xx and 10xx) do not provision on the bare Status: Syncroton d8f84ea.
    (re.compile(r"Apple-i\w+/(?:9|10)\d{2}\."), Deviation(provision_449=True)),
)


def deviation(user_agent: str) -> Deviation:
    """What to do differently for this client."""
    for pattern, found in _TABLE:
        if pattern.search(user_agent):
            return found
    return NONE
