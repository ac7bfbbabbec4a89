"""DNS block lists, asked about the host that brings a message.

Promise: a list that does not answer in time, that answers with an error or that does not serve us counts for nothing;
it is complained about once an hour. Never asked about addresses that are not public.

Specifications: RFC 5782.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field
from twisted.logger import Logger

from posthouse.delivery.questions import Ask, Known, Window, nothing_known
from posthouse.junk.lists import Zone, is_error, question, weighs

__all__ = ["BlockLists"]

_COMPLAIN = 3600.0

_log = Logger()


@define(eq=False)
class BlockLists:
    """:param ask: ``lookup`` of the resolver. :param clock: IReactorTime. :param patience: seconds for all of them."""

    zones: Sequence[Zone]
    ask: Ask
    clock: Any
    known: Known = nothing_known
    patience: float = 4.0
    _complained: dict[str, float] = field(factory=dict, init=False)

    async def on(self, peer: str) -> tuple[tuple[str, float], ...]:
        """(name, points) of the lists that a host is on."""
        window = Window(self.ask, self.known, self.clock, self.patience)
        try:
            asked = [(zone, name) for zone in self.zones if (name := question(peer, zone)) is not None]
            # All are on their way before the first is waited for.
            pending = [(zone, window(name, "A")) for zone, name in asked]
            found = []
            for zone, waiting in pending:
                answer = await waiting
                records = tuple(answer.records) if answer.status.name == "FOUND" else ()
                if is_error(records):
                    self._complain(zone)
                elif weighs(records, zone):
                    found.append((zone.name, zone.points))
            return tuple(found)
        finally:
            window.close()

    def _complain(self, zone: Zone) -> None:
        now = self.clock.seconds()
        if now - self._complained.get(zone.name, -_COMPLAIN) >= _COMPLAIN:
            self._complained[zone.name] = now
            _log.warn(
                "{zone} does not answer this server: use a resolver of your own, or take it off the list",
                event="junk.blocklist",
                zone=zone.name,
            )
