"""Mail from strangers is looked at before it is kept: SPF, DKIM and DMARC together, within a time limit.

Promise: a failure of DNS, of time or of this code never stops a message: what cannot be told is ``temperror``. A
sender who makes his own DNS slow cannot escape the policy of somebody else's domain, since every question ends
by itself and the policy waits for nobody. A message is refused only where a domain in From asks for that and
nothing aligned with it passed.

Specifications: RFC 7208, RFC 6376, RFC 9989 5.3, RFC 8601, RFC 8617.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from posthouse.delivery.message import Message
from posthouse.delivery.questions import Ask, Known, Window, nothing_known
from posthouse.errors import NotAuthentic
from posthouse.mailauth import arc, dkim, dmarc, results, spf
from posthouse.mailauth.lookup import dns_name
from posthouse.mime.addresses import fold_address, parse_mailboxes
from posthouse.mime.headers import values_of
from posthouse.model import Envelope
from posthouse.peers import peer_address

__all__ = ["Verdict", "Verifier", "author_of", "authors_of", "feed_body"]

_SLICE = 65_536
_INLINE = 262_144
_MAX_AUTHORS = 8
_MAX_HOSTS = 4096
_HOST_LIFE = 60.0  # seconds
_ORDER = ("none", "quarantine", "reject")

_log = Logger()


class Sink(Protocol):
    """What reads a body block by block."""

    def feed(self, block: bytes, /) -> None: ...


@frozen
class Verdict:
    """``trace`` holds the header lines to put in front; ``junk`` asks for the Junk folder, ``reason`` says why.

    :ivar author: the folded address in From, where there is one alone. :ivar authentic: it was shown to be his.
    :ivar spf: the result for MAIL FROM. :ivar signed: some signature is valid.
    """

    trace: bytes = b""
    junk: bool = False
    reason: str = ""
    author: str = ""
    authentic: bool = False
    spf: str = "none"
    signed: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Would an answer go to somebody who perhaps never wrote? The reverse path may be forged."""
        return self.junk or (self.spf in ("fail", "softfail") and not self.authentic)


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


def author_of(head: bytes) -> str:
    """The folded address in From; "" when there are none or several."""
    values = values_of(head, b"from")
    return _author(values[0]) if len(values) == 1 else ""


@lru_cache(maxsize=2048)
def _author(value: bytes) -> str:
    boxes = parse_mailboxes(value)
    return fold_address(boxes[0].address) if len(boxes) == 1 and "@" in boxes[0].address else ""


@lru_cache(maxsize=2048)
def _domains(value: bytes) -> tuple[str, ...]:
    found = []
    for box in parse_mailboxes(value):
        domain = box.address.rpartition("@")[2]
        if domain and "@" in box.address:
            found.append(dns_name(domain) or domain.lower())
    return tuple(found)


@define(eq=False)
class Verifier:
    """:param ask: ``lookup`` of the resolver. :param clock: IReactorTime. :param hostname: ours, the authserv-id.

    :param known: what the resolver can say without asking.
    :param enforce: False: DMARC is reported, nothing is refused or put aside.
    :param trusted: networks whose mail is not looked at; loopback never is.
    :param sealers: domains whose chains (ARC) may soften what a policy asks for.
    :param patience: seconds for what the sender's DNS says; a quarter of it more for the last questions.
    """

    ask: Ask
    clock: Any
    pool: Any
    hostname: str
    enforce: bool = True
    trusted: Sequence[str] = ()
    sealers: frozenset[str] = frozenset()
    patience: float = 8.0
    known: Known = nothing_known
    _networks: list[Any] = field(init=False)
    _hosts: dict[tuple[str, str], tuple[float, spf.SpfResult]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._networks = [ipaddress.ip_network(text, strict=False) for text in self.trusted]

    def concerns(self, envelope: Envelope) -> bool:
        """Is the message from a stranger on the network?"""
        if envelope.account_id is not None or not envelope.peer:
            return False
        address = peer_address(envelope.peer)
        if address is None or address.is_loopback:
            return False
        return not any(address in network for network in self._networks)

    async def check(self, envelope: Envelope, message: Message) -> Verdict:
        """What to do with a message, and the header that says why.

        :raises NotAuthentic: a domain in From wants it refused.
        """
        window = Window(self.ask, self.known, self.clock, self.patience)
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

    async def _check(self, envelope: Envelope, message: Message, window: Window) -> Verdict:
        now = int(self.clock.seconds())
        authors = authors_of(message.head)
        signed = dkim.signatures(message.head)
        chain = arc.chain(message.head)
        hashes = dkim.BodyHashes(signed, *([chain.newest] if chain.newest is not None else []))
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
            earlier = await arc.verify(chain, hashes, window) if chain else arc.ArcResult("none")
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
        if earlier.result == "pass":
            verdicts = [self._softened(one, earlier) for one in verdicts]
        found = self._verdict(envelope, authors, senders, signers, verdicts, earlier)
        mailbox = author_of(message.head) if len(authors) == 1 else ""
        return evolve(
            found,
            author=mailbox,
            authentic=bool(mailbox) and all(one.result == "pass" for one in verdicts),
            spf=senders[-1].result,
            signed=any(one.result == "pass" for one in signers),
        )

    def _softened(self, verdict: dmarc.DmarcResult, earlier: arc.ArcResult) -> dmarc.DmarcResult:
        """One step milder where hosts that we trust vouch for what the first of them saw (RFC 8617 7.2.1)."""
        if verdict.disposition == "none" or not self.sealers or not set(earlier.sealers) <= self.sealers:
            return verdict
        if not arc.says_pass(earlier.reports[0], verdict.author):
            return verdict
        milder = _ORDER[_ORDER.index(verdict.disposition) - 1]
        why = f"{earlier.sealers[-1]} vouches for the message" if milder == "none" else ""
        return evolve(verdict, disposition=milder, reason=why or verdict.reason)

    async def _host(self, peer: str, helo: str, window: Window, options: dict[str, Any]) -> spf.SpfResult:
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
        window = Window(self.ask, self.known, self.clock, self.patience / 4)
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
        earlier: arc.ArcResult,
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
            self.hostname, senders, signers, verdicts, earlier, utf8=envelope.smtputf8, sender=envelope.sender
        )
        if not self.enforce or worst.disposition != "quarantine":
            return Verdict(trace)
        why = worst.reason or f"{worst.author} asks to put mail aside that fails DMARC"
        return Verdict(trace, junk=True, reason=why)
