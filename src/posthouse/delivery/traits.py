"""What is to be asked about a mailbox when mail comes for it: rules, known senders, learned words.

Promise: mailboxes with nothing of the kind, which most are, cost one look at memory for each message, and one at the
store every few seconds. ``forget`` after a change by an administrator or a user makes it count at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from posthouse.interfaces import IDatabase
from posthouse.store import rules
from posthouse.store.rules import Traits

__all__ = ["KnownTraits"]

_LIMIT = 50_000


@define
class KnownTraits:
    """:param seconds: the clock's. :param lifetime: seconds for which an answer holds."""

    database: IDatabase
    seconds: Callable[[], float]
    lifetime: float = 5.0
    _kept: dict[int, tuple[float, Traits]] = field(factory=dict, init=False)
    _generation: int = field(default=0, init=False)

    def forget(self) -> None:
        """Ask again from now on."""
        self._generation += 1
        self._kept.clear()

    async def of(self, mailbox_ids: Iterable[int]) -> list[Traits]:
        """The traits of mailboxes."""
        now = self.seconds()
        found, missing = [], []
        for mailbox_id in mailbox_ids:
            kept = self._kept.get(mailbox_id)
            if kept is not None and now < kept[0]:
                found.append(kept[1])
            else:
                missing.append(mailbox_id)
        if missing:
            generation = self._generation

            def ask(tx: Any) -> list[Traits]:
                return rules.traits(tx, missing)

            fresh: list[Traits] = await self.database.read(ask)
            if generation == self._generation:
                if len(self._kept) + len(fresh) > _LIMIT:
                    self._kept.clear()
                self._kept.update((one.mailbox_id, (now + self.lifetime, one)) for one in fresh)
            found += fresh
        return found
