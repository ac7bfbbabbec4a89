"""Is it junk? Asked for each reader, of everything that is known: DNS, lists, words, an outside filter, the senders.

Promise: what is not switched on, or not learned yet, costs nothing; what fails counts for nothing. Junk goes to the
Junk folder of those who would call it so, with the reason in its header; nothing is refused here but what the outside
filter rejects where the administrator wants that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from posthouse.delivery.authentication import Verdict, author_of
from posthouse.delivery.blocklists import BlockLists
from posthouse.delivery.message import Message
from posthouse.delivery.scanner import Finding, Scanner
from posthouse.errors import NotPermitted
from posthouse.interfaces import IDatabase
from posthouse.junk import bayes
from posthouse.junk.score import THRESHOLD, Evidence, Opinion, Reputation, judge, points_of
from posthouse.junk.tokens import MAX_TEXT, tokens
from posthouse.mailauth.results import reason_field
from posthouse.mime.addresses import fold_address
from posthouse.mime.excerpt import excerpt
from posthouse.model import Envelope, ItemDraft
from posthouse.store import junk
from posthouse.store.delivery import Copy
from posthouse.store.rules import Traits

__all__ = ["Judge", "Pending", "judged", "marks_of"]

_log = Logger()


def _broke(failure: Failure) -> None:
    """A question that broke, or that nobody wants to know any more, counts for nothing."""
    if not failure.check(CancelledError):
        _log.failure("a question about a message broke", failure, event="junk.broken")


class Pending:
    """Questions about a message that are on their way while it is verified and stored."""

    def __init__(self, listed: Deferred[Any] | None, finding: Deferred[Any] | None) -> None:
        self.listed = listed
        self.finding = finding
        for one in (listed, finding):
            if one is not None:
                # Somebody may raise before they are waited for.
                one.addErrback(_broke)

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        for one in (self.listed, self.finding):
            if one is not None:
                one.cancel()


@define(eq=False)
class Judge:
    """:param lists: block lists, :param scanner: an outside filter; None: not asked.

    :param words: ask what each reader's mailbox has learned. :param enough: messages of each kind before it is asked.
    :param threshold: points from which a message is junk. :param reject: refuse what the outside filter rejects.
    """

    database: IDatabase
    pool: Any
    lists: BlockLists | None = None
    scanner: Scanner | None = None
    words: bool = True
    enough: int = bayes.ENOUGH
    threshold: float = THRESHOLD
    reject: bool = False

    def begin(self, envelope: Envelope, message: Message, name: str, stranger: bool) -> Pending | None:
        """Ask what others know. None when nobody is asked.

        :param stranger: the host is none of ours. :param name: the queue id.
        """
        if self.scanner is None and (self.lists is None or not stranger):
            return None
        return Pending(
            Deferred.fromCoroutine(self.lists.on(envelope.peer))
            if self.lists is not None and stranger
            else None,
            Deferred.fromCoroutine(self.scanner.look(envelope, message, name))
            if self.scanner is not None
            else None,
        )

    async def opinions(
        self,
        pending: Pending | None,
        message: Message,
        draft: ItemDraft,
        verdict: Verdict,
        traits: Sequence[Traits],
    ) -> dict[int, Opinion]:
        """What each mailbox thinks; those that are not named think what the verdict says. 0 is everybody elsewhere.

        :raises NotPermitted: the outside filter rejects it, and is obeyed.
        """
        listed: tuple[tuple[str, float], ...] = ()
        finding: Finding | None = None
        if pending is not None:
            listed = (await pending.listed if pending.listed is not None else ()) or ()
            finding = await pending.finding if pending.finding is not None else None
        if finding is not None and finding.reject and self.reject:
            raise NotPermitted("The message was recognised as junk.", cause=f"filter: {finding.points}")
        evidence = Evidence(
            policy=verdict.reason,
            authentic=verdict.authentic,
            spf=verdict.spf,
            signed=verdict.signed,
            listed=listed,
            scanner=(finding.points, finding.limit) if finding is not None else None,
        )
        common = sum(points for points, _ in points_of(evidence))
        asked = [one for one in traits if self._is_trained(one) or one.senders or common >= self.threshold]
        answer: dict[int, Opinion] = {}
        if common >= self.threshold:
            answer[0] = judge(evidence, Reputation(), self.threshold)
        if not asked:
            return answer
        author = verdict.author or author_of(message.head)
        found = await self._tokens(message, draft, asked)

        def ask(tx: Any) -> dict[int, Opinion]:
            return {one.mailbox_id: self._of(tx, one, evidence, author, found) for one in asked}

        answer.update(await self.database.read(ask))
        return answer

    def _is_trained(self, one: Traits) -> bool:
        return self.words and min(one.learned_junk, one.learned_good) >= self.enough

    async def _tokens(self, message: Message, draft: ItemDraft, asked: Iterable[Traits]) -> tuple[int, ...]:
        if not any(map(self._is_trained, asked)):
            return ()
        if message.data is None:
            text = await self.pool.run(excerpt, message.root, message.read, MAX_TEXT)
        else:
            text = excerpt(message.root, message.read, MAX_TEXT)
        return tokens(
            draft.subject, fold_address(draft.sender_address), text, marks_of(draft.has_attachments)
        )

    def _of(self, tx: Any, one: Traits, evidence: Evidence, author: str, found: tuple[int, ...]) -> Opinion:
        sender = Reputation()
        if author:
            sender = junk.reputation(tx, one.mailbox_id, one.account_id, author)
        likely = None
        if found and self._is_trained(one):
            known = junk.words(tx, one.mailbox_id, found)
            likely = bayes.probability(found, known, bayes.Learned(one.learned_junk, one.learned_good))
        return judge(evolve(evidence, likely=likely), sender, self.threshold)


def marks_of(has_attachments: bool) -> tuple[str, ...]:
    """What the filter learns beside words; the same when a message comes and when it is learned."""
    return ("attachment",) if has_attachments else ()


def judged(copies: Sequence[Copy], verdict: Verdict, opinions: Mapping[int, Opinion]) -> list[Copy]:
    """The copies, with what is junk on its way to the Junk folder and the reason in front."""
    found = []
    for copy in copies:
        opinion = opinions.get(copy.mailbox_id)
        reason = opinion.reason if opinion is not None else verdict.reason
        if opinion.junk if opinion is not None else verdict.junk:
            trace = reason_field(reason) + copy.trace
            copy = evolve(copy, role="junk", folder_id=0, trace=trace)
        found.append(copy)
    return found
