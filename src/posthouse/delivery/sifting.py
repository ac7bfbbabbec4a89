"""Everything that is asked about a message between its last byte and the transaction that keeps it.

Promise: one place for the intake and for submissions. Where nothing is switched on and a mailbox has neither rules nor
known senders nor learned words, a message costs one look at memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, frozen

from posthouse.delivery.authentication import Verdict
from posthouse.delivery.greylist import Greylist
from posthouse.delivery.judging import Judge, Pending, judged
from posthouse.delivery.message import Message
from posthouse.delivery.sorting import MAX_TEXT, Letter, Plan, Sorter
from posthouse.delivery.traits import KnownTraits
from posthouse.junk.score import Opinion
from posthouse.mime.excerpt import excerpt
from posthouse.model import Envelope, ItemDraft
from posthouse.store import rules
from posthouse.store.delivery import Copy
from posthouse.store.rules import Traits

__all__ = ["NOTHING", "Sifted", "Sifter"]


@frozen(eq=False)
class Sifted:
    """:ivar text: the beginning of the message's text, where rules look at it and it is in a file."""

    traits: Sequence[Traits] = ()
    opinions: Mapping[int, Opinion] = {}
    text: str | None = None

    @property
    def junk(self) -> bool:
        """Is it junk whoever reads it?"""
        return 0 in self.opinions and self.opinions[0].junk

    def judged(self, copies: Sequence[Copy], verdict: Verdict) -> list[Copy]:
        """The copies, junk on its way to Junk."""
        if not self.opinions and not verdict.junk:
            return list(copies)
        return judged(copies, verdict, self.opinions)


NOTHING = Sifted()


@define(eq=False)
class Sifter:
    """:param judge: None: nothing is junk but what DMARC puts aside. :param greylist: None: strangers are welcome."""

    traits: KnownTraits
    sorter: Sorter
    pool: Any
    judge: Judge | None = None
    greylist: Greylist | None = None

    def begin(self, envelope: Envelope, message: Message, name: str, stranger: bool) -> Pending | None:
        """Ask others while the message is verified. :param stranger: the host is none of ours."""
        if self.judge is None or envelope.account_id is not None:
            return None
        return self.judge.begin(envelope, message, name, stranger)

    async def sift(
        self,
        pending: Pending | None,
        envelope: Envelope,
        message: Message,
        draft: ItemDraft,
        verdict: Verdict,
        stranger: bool,
        now: int,
    ) -> Sifted:
        """What is known before the transaction. :param now: ms.

        :raises ComeAgain: a stranger's first message. :raises NotPermitted: the outside filter rejects it.
        """
        boxes = dict.fromkeys(box for one in envelope.recipients for box in one.mailbox_ids)
        traits = await self.traits.of(boxes) if boxes else []
        opinions: dict[int, Opinion] = {}
        if envelope.account_id is None:
            if self.greylist is not None and stranger:
                await self.greylist.check(envelope, verdict, traits, now)
            if self.judge is not None:
                opinions = await self.judge.opinions(pending, message, draft, verdict, traits)
        text = None
        if message.data is None and any(one.rules > 1 for one in traits):
            text = await self.pool.run(excerpt, message.root, message.read, MAX_TEXT)
        return Sifted(traits, opinions, text)

    def plan(self, tx: Any, sifted: Sifted | None, letter: Letter, copies: Sequence[Copy]) -> Plan:
        """What the rules want, in the transaction. :param sifted: None: nobody asked ahead."""
        if sifted is None:
            traits: Sequence[Traits] = rules.traits(tx, [copy.mailbox_id for copy in copies])
        else:
            traits = sifted.traits
        return self.sorter.plan(tx, letter, copies, traits)
