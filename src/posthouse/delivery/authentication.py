"""Mail from strangers is looked at before it is kept: SPF, DKIM and DMARC together, within a time limit.

Promise: a failure of DNS, of time or of this code never stops a message: what cannot be told is ``temperror``. A
sender who makes his own DNS slow cannot escape the policy of somebody else's domain, since every question ends
by itself and the policy waits for nobody. A message is refused only where a domain in From asks for that and
nothing aligned with it passed.

Specifications: RFC 7208, RFC 6376, RFC 9989 5.3, RFC 8601.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import lru_cache
from typing import Any, Protocol

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from posthouse.delivery.message import Message
from posthouse.dns.codec import Answer, Status
from posthouse.errors import NotAuthentic
from posthouse.mailauth import dkim, dmarc, results, spf
from posthouse.mailauth.lookup import dns_name
from posthouse.mime.addresses import parse_mailboxes
from posthouse.mime.headers import values_of
from posthouse.model import Envelope

__all__ = ["Verdict", "Verifier", "authors_of", "feed_body"]

_SLICE = 65_536
_INLINE = 262_144
_MAX_AUTHORS = 8
_MAX_HOSTS = 4096
_HOST_LIFE = 60.0  # seconds
_ORDER = ("none", "quarantine", "reject")
_LATE = Answer(Status.FAILED, detail="out of time")

_log = Logger()

Ask = Callable[[str, str], Deferred[Answer]]
Known = Callable[[str, str], "Answer | None"]


def _nothing(name: str, kind: str) -> None:
    """What a resolver without memory knows."""


class Sink(Protocol):
    """What reads a body block by block."""

    def feed(self, block: bytes, /) -> None: ...


@frozen
class Verdict:
    """``trace`` holds the header lines to put in front; ``junk`` asks for the Junk folder."""

    trace: bytes = b""
    junk: bool = False


async def feed_body(message: Message, sink: Sink, pool: Any) -> None:
    """Show a body to a sink in blocks; the reactor has its turn between those of a big one."""
    start, size = message.root.body_start, message.size
    if message.data is not None and size <= _INLINE:
        sink.feed(message.data[start:])
        return
    for place in range(start, size, _SLICE):
        sink.feed(await pool.run(message.read, place, min(place + _SLICE, size)))


def authors_of(head: bytes) -> list[str]:
    """The domains in From, each once; a list, since RFC 5322 3.6.2 allows several and spam sends more."""
    found: dict[str, None] = {}
    for value in values_of(head, b"from"):
        found.update(dict.fromkeys(_domains(value)))
    return list(found)


@lru_cache(maxsize=2048)
def _domains(value: bytes) -> tuple[str, ...]:
    found = []
    for box in parse_mailboxes(value):
        domain = box.address.rpartition("@")[2]
        if domain and "@" in box.address:
            found.append(dns_name(domain) or domain.lower())
    return tuple(found)


class _Known:
    """An answer that is there: to await it is not to wait."""

    __slots__ = ("answer",)

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __await__(self) -> Generator[Any, Any, Answer]:
        return self.answer
        yield


@define(eq=False)
class _Window:
    """Lookups that all end at a moment, answered or not. No timer is made for what is known already."""

    ask: Ask
    known: Known
    clock: Any
    seconds: float
    _pending: dict[Deferred[Answer], Deferred[Answer]] = field(factory=dict, init=False)
    _timer: Any = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    def __call__(self, name: str, kind: str) -> Awaitable[Answer]:
        known = self.known(name, kind)
        if known is not None:
            return _Known(known)
        try:
            asked = self.ask(name, kind)
        except Exception:
            _log.failure("a lookup broke", event="mailauth.broken", name=name)
            return _Known(_LATE)
        answer: Deferred[Answer] = Deferred()
        self._pending[asked] = answer
        asked.addErrback(lambda _: _LATE)
        asked.addCallback(self._answered, asked)
        if asked in self._pending:
            if self._closed:
                self._give_up(asked)
            elif self._timer is None:
                self._timer = self.clock.callLater(self.seconds, self.close)
        return answer

    def _answered(self, answer: Answer, asked: Deferred[Answer]) -> None:
        waiting = self._pending.pop(asked, None)
        if waiting is not None:
            waiting.callback(answer)

    def _give_up(self, asked: Deferred[Answer]) -> None:
        waiting = self._pending.pop(asked)
        asked.cancel()
        waiting.callback(_LATE)

    def close(self) -> None:
        """No answer is waited for any longer."""
        self._closed = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for asked in list(self._pending):
            if asked in self._pending:
                self._give_up(asked)


@define(eq=False)
class Verifier:
    """:param ask: ``lookup`` of the resolver. :param clock: IReactorTime. :param hostname: ours, the authserv-id.

    :param known: what the resolver can say without asking.
    :param enforce: False: DMARC is reported, nothing is refused or put aside.
    :param trusted: networks whose mail is not looked at; loopback never is.
    :param patience: seconds for what the sender's DNS says; a quarter of it more for the last questions.
    """

    ask: Ask
    clock: Any
    pool: Any
    hostname: str
    enforce: bool = True
    trusted: Sequence[str] = ()
    patience: float = 8.0
    known: Known = _nothing
    _networks: list[Any] = field(init=False)
    _hosts: dict[tuple[str, str], tuple[float, spf.SpfResult]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._networks = [ipaddress.ip_network(text, strict=False) for text in self.trusted]

    def concerns(self, envelope: Envelope) -> bool:
        """Is the message from a stranger on the network?"""
        if envelope.account_id is not None or not envelope.peer:
            return False
        try:
            address = ipaddress.ip_address(envelope.peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return not mapped.is_loopback and not any(mapped in network for network in self._networks)

    async def check(self, envelope: Envelope, message: Message) -> Verdict:
        """What to do with a message, and the header that says why.

        :raises NotAuthentic: a domain in From wants it refused.
        """
        window = _Window(self.ask, self.known, self.clock, self.patience)
        try:
            return await self._check(envelope, message, window)
        except NotAuthentic:
            raise
        except Exception:
            # Whatever is wrong here is our fault, and no reason to refuse mail.
            _log.failure("a message could not be verified", event="mailauth.broken", cid=envelope.cid)
            return Verdict()
        finally:
            window.close()

    async def _check(self, envelope: Envelope, message: Message, window: _Window) -> Verdict:
        now = int(self.clock.seconds())
        authors = authors_of(message.head)
        signed = dkim.signatures(message.head)
        hashes = dkim.BodyHashes(signed)
        options: dict[str, Any] = {"receiver": self.hostname, "now": now}
        peer, helo = envelope.peer, envelope.helo
        jobs: list[Any] = [dmarc.discover(author, window) for author in authors[:_MAX_AUTHORS]]
        jobs.append(self._host(peer, helo, window, options))
        if envelope.sender:
            jobs.append(spf.check_mail_from(peer, helo, envelope.sender, window, **options))
        # The questions are on their way while the body is read.
        waiting: list[Deferred[Any]] = [Deferred.fromCoroutine(job) for job in jobs]
        try:
            if hashes:
                await feed_body(message, hashes, self.pool)
            signers = await dkim.verify(signed, hashes, window, now) if signed.found else []
            answers = [await one for one in waiting]
        except BaseException:
            for one in waiting:
                one.addErrback(lambda _: None)
            raise
        count = min(len(authors), _MAX_AUTHORS)
        senders = answers[count:]
        verdicts = await self._judge(answers[:count], senders, signers)
        if len(authors) > 1 and len(values_of(message.head, b"from")) == 1:
            # RFC 9989 5.3.1 leaves a field with authors of several domains, which is allowed, out of DMARC.
            # Left out altogether, it would be everybody's way around it: such mail is put aside, not refused.
            verdicts = [
                evolve(one, disposition="quarantine") if one.disposition == "reject" else one
                for one in verdicts
            ]
        return self._verdict(envelope, authors, senders, signers, verdicts)

    async def _host(self, peer: str, helo: str, window: _Window, options: dict[str, Any]) -> spf.SpfResult:
        """The HELO identity, once a minute for one that sends much."""
        key, now = (peer, helo), self.clock.seconds()
        kept = self._hosts.get(key)
        if kept is not None and now < kept[0]:
            return kept[1]
        found = await spf.check_helo(peer, helo, window, **options)
        if len(self._hosts) >= _MAX_HOSTS:
            self._hosts.clear()
        if found.result != "temperror":
            self._hosts[key] = (now + _HOST_LIFE, found)
        return found

    async def _judge(
        self,
        policies: Sequence[dmarc.Policy],
        senders: Sequence[spf.SpfResult],
        signers: Sequence[dkim.DkimResult],
    ) -> list[dmarc.DmarcResult]:
        """The verdict for each author. What is asked here is about the author's own organization."""
        # RFC 9989 4.5: of SPF the MAIL FROM identity counts, which is that of HELO for the null path.
        mail_from = senders[-1]
        identifiers = [dmarc.Identifier("spf", mail_from.domain, mail_from.result)]
        identifiers += [dmarc.Identifier("dkim", one.domain, one.result) for one in signers if one.domain]
        window = _Window(self.ask, self.known, self.clock, self.patience / 4)
        try:
            return [await dmarc.evaluate(policy, identifiers, window) for policy in policies]
        finally:
            window.close()

    def _verdict(
        self,
        envelope: Envelope,
        authors: Sequence[str],
        senders: Sequence[spf.SpfResult],
        signers: Sequence[dkim.DkimResult],
        verdicts: list[dmarc.DmarcResult],
    ) -> Verdict:
        if not authors:
            verdicts = [dmarc.DmarcResult("permerror", reason="no author")]
        elif len(authors) > _MAX_AUTHORS:
            # Nobody has so many authors; the one who is impersonated would be the last of them.
            verdicts.append(dmarc.DmarcResult("permerror", "", "", "quarantine", "too many authors"))
        worst = max(verdicts, key=lambda one: _ORDER.index(one.disposition))
        if worst.disposition != "none":
            # What is well says the header; a line for each message would cost as much as all of SPF.
            _log.info(
                "{cid} {author} asks to {disposition} mail from {peer}: spf={spf} dkim={dkim}",
                event="mailauth.verdict",
                cid=envelope.cid,
                author=worst.author,
                disposition=worst.disposition,
                peer=envelope.peer,
                sender=envelope.sender,
                spf=senders[-1].result,
                dkim=",".join([one.result for one in signers]) or "none",
                enforced=self.enforce,
            )
        if self.enforce and worst.disposition == "reject":
            raise NotAuthentic(
                f"{worst.author} asks to reject mail that fails DMARC (RFC 9989).",
                cause=f"from {envelope.peer} with MAIL FROM <{envelope.sender[:200]}>",
            )
        trace = results.authentication_results(
            self.hostname, senders, signers, verdicts, utf8=envelope.smtputf8, sender=envelope.sender
        )
        if not self.enforce or worst.disposition != "quarantine":
            return Verdict(trace)
        why = worst.reason or f"{worst.author} asks to put mail aside that fails DMARC"
        return Verdict(trace + results.reason_field(why), junk=True)
