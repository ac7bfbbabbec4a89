"""Strangers are asked to come again: programs that only ever send once do not.

Promise: nobody waits who has logged in, whom a recipient has written to (and who is shown to be that one), or whose
network came again before. Everything is decided after the message was seen, so that what is known of its author counts.

Specifications: RFC 6647; RFC 3463 (4.7.1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from posthouse.delivery.authentication import Verdict
from posthouse.errors import ComeAgain
from posthouse.interfaces import IDatabase
from posthouse.mime.addresses import fold_address
from posthouse.model import Envelope
from posthouse.peers import peer_address
from posthouse.store import greetings, junk
from posthouse.store.rules import Traits

__all__ = ["Greylist", "network_of"]

_MOST = 50  # recipients that are looked at


@frozen(eq=False)
class Greylist:
    """:param wait: seconds that a stranger has to let pass."""

    database: IDatabase
    wait: int = 240

    async def check(self, envelope: Envelope, verdict: Verdict, traits: Sequence[Traits], now: int) -> None:
        """:raises ComeAgain: nobody here knows the sender yet. :param now: ms."""
        network = network_of(envelope.peer)
        sender = fold_address(envelope.sender)
        keys = [
            greetings.key_of(network, sender, fold_address(one.address))
            for one in envelope.recipients[:_MOST]
        ]

        def ask(tx: Any) -> int:
            if verdict.authentic and any(
                _knows(junk.reputation(tx, one.mailbox_id, one.account_id, verdict.author)) for one in traits
            ):
                return 0
            return greetings.greet(tx, keys, self.wait * 1000, now)

        left: int = await self.database.write(ask)
        if left:
            raise ComeAgain(
                cause=f"{envelope.peer} is a stranger for {left // 1000} s more", after=left / 1000
            )


def _knows(one: junk.Reputation) -> bool:
    return one.listed == "safe" or one.written or one.good > one.junk


def network_of(peer: str) -> str:
    """The network that hosts of one sender share: /24, or /64."""
    address = peer_address(peer)
    if address is None:
        return peer
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False))
