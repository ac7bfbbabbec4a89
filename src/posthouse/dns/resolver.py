"""The resolver of the house: mail routes and addresses, with failures told apart from answers.

Promise: ``NoSuchDomain`` is raised only when DNS said so for certain (NXDOMAIN, no address at all, null MX);
whatever cannot be told now (SERVFAIL, time-out, every server down, a broken answer) is ``TryLater``. Equal
questions that wait together are asked once.

Specifications: RFC 5321 5.1 (locating the target host), RFC 7505 (null MX), RFC 6761 6.3 (localhost).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults
from zope.interface import implementer

from posthouse.dns.cache import Cache
from posthouse.dns.codec import Answer, Question, Status
from posthouse.dns.files import ResolvConf, WatchedFile, parse_hosts, parse_resolv_conf, split_server
from posthouse.dns.names import address_literal, ascii_name, is_address
from posthouse.dns.transport import ask_tcp, ask_udp
from posthouse.errors import AcceptsNoMail, NoSuchDomain, TryLater
from posthouse.interfaces import IResolver

__all__ = ["Resolver", "system_resolver"]

_MAX_HOSTS = 20  # mail hosts tried of one domain; more serve nobody
_MAX_ADDRESSES = 16
_MAX_CHASES = 8

Ask = Callable[..., "Deferred[Answer]"]


@implementer(IResolver)
class Resolver:
    """Asks the servers of resolv.conf in turn.

    :param reactor: IReactorUDP, IReactorTCP and IReactorTime.
    :param settings: returns the current :class:`ResolvConf`; asked before each question.
    :param random: a source that cannot be guessed (``random.SystemRandom``) outside of tests.
    :param hosts: returns hosts(5) as a mapping; those names are never asked for.
    :param spell: write names in random letter case; None: to servers across a network only, since nobody can
        forge what goes over loopback.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Callable[[], ResolvConf],
        random: Random,
        hosts: Callable[[], dict[str, tuple[str, ...]]] = dict,
        udp: Ask = ask_udp,
        tcp: Ask = ask_tcp,
        spell: bool | None = None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._random = random
        self._hosts = hosts
        self._udp = udp
        self._tcp = tcp
        self._spell = spell
        self._asked: dict[Question, list[Deferred[Answer]]] = {}
        self.cache = Cache(reactor.seconds)

    # -- what mail asks ------------------------------------------------------------------------------------

    def mail_hosts(self, domain: str) -> Deferred[list[tuple[int, str]]]:
        """See :meth:`IResolver.mail_hosts`. An address literal is its own host, without brackets."""
        return Deferred.fromCoroutine(self._mail_hosts(domain))

    def addresses(self, host: str) -> Deferred[list[str]]:
        """See :meth:`IResolver.addresses`. IPv4 first, in random order within each family."""
        return Deferred.fromCoroutine(self._addresses(host))

    def texts(self, name: str) -> Deferred[list[bytes]]:
        """The TXT records of a name; empty when there are none. :raises TryLater: cannot tell."""
        return Deferred.fromCoroutine(self._texts(name))

    async def _mail_hosts(self, domain: str) -> list[tuple[int, str]]:
        literal = address_literal(domain)
        if literal is not None:
            return [(0, literal)]
        name = ascii_name(domain)
        answer = await self.lookup(name, "MX")
        if answer.status is Status.FAILED:
            raise TryLater(cause=f"MX of {name}: {answer.detail}", after=300)
        if answer.status is Status.NO_DOMAIN:
            raise NoSuchDomain(cause=f"{name}: NXDOMAIN")
        if answer.status is Status.NO_DATA:
            return [(0, name)]  # RFC 5321 5.1: the implicit MX
        best: dict[str, int] = {}
        for preference, host in answer.records:
            if host:
                best[host] = min(preference, best.get(host, preference))
        if not best:
            # RFC 7505 3; a lone "." whatever its preference says the same
            raise AcceptsNoMail(cause=f"{name}: null MX")
        # RFC 5321 5.1: equal preferences are spread by chance
        shuffled = sorted((preference, self._random.random(), host) for host, preference in best.items())
        return [(preference, host) for preference, _, host in shuffled[:_MAX_HOSTS]]

    async def _addresses(self, host: str) -> list[str]:
        literal = address_literal(host)
        if literal is not None or is_address(host):
            return [literal or host]
        name = ascii_name(host)
        if name == "localhost" or name.endswith(".localhost"):
            return ["127.0.0.1", "::1"]
        listed = self._hosts().get(name)
        if listed:
            return list(listed)
        four, six = await gatherResults([self.lookup(name, "A"), self.lookup(name, "AAAA")])
        found: list[str] = []
        for answer in (four, six):
            family = [str(record) for record in answer.records]
            self._random.shuffle(family)
            found += family[:_MAX_ADDRESSES]
        if found:
            return found
        if Status.FAILED in (four.status, six.status):
            raise TryLater(cause=f"address of {name}: {four.detail or six.detail}", after=300)
        raise NoSuchDomain(cause=f"{name}: no address")

    async def _texts(self, name: str) -> list[bytes]:
        answer = await self.lookup(ascii_name(name), "TXT")
        if answer.status is Status.FAILED:
            raise TryLater(cause=f"TXT of {name}: {answer.detail}", after=300)
        return list(answer.records)

    # -- asking --------------------------------------------------------------------------------------------

    def known(self, name: str, kind: str) -> Answer | None:
        """What the cache says, at once and without a Deferred; None: ask."""
        return self.cache.get(Question(name, kind))

    def lookup(self, name: str, kind: str) -> Deferred[Answer]:
        """Ask for any type. ``name`` is folded already. Fires with an answer, maybe FAILED; never fails."""
        question = Question(name, kind)
        waiting: Deferred[Answer] = Deferred(lambda d: self._forget(question, d))
        kept = self.cache.get(question)
        if kept is not None:
            waiting.callback(kept)
            return waiting
        if question in self._asked:
            self._asked[question].append(waiting)
            return waiting
        self._asked[question] = [waiting]
        asking = Deferred.fromCoroutine(self._chase(question))
        asking.addErrback(lambda failure: Answer(Status.FAILED, detail=f"{failure.value}"[:200]))
        asking.addCallback(lambda answer: self._tell(question, answer))
        return waiting

    def _forget(self, question: Question, waiting: Deferred[Answer]) -> None:
        # One waiter gave up; the question goes on for the others and for the cache.
        waiters = self._asked.get(question, [])
        if waiting in waiters:
            waiters.remove(waiting)

    def _tell(self, question: Question, answer: Answer) -> None:
        self.cache.put(question, answer)
        for waiting in self._asked.pop(question, []):
            waiting.callback(answer)

    async def _chase(self, question: Question) -> Answer:
        seen = {question.name}
        ttl: int | None = None
        for _ in range(_MAX_CHASES):
            answer = await self._ask(question)
            if not answer.alias:
                if ttl is None or answer.ttl is None:
                    return answer
                return Answer(
                    answer.status,
                    answer.records,
                    min(ttl, answer.ttl),
                    False,
                    detail=answer.detail,
                    owner=answer.owner,
                )
            if answer.alias in seen:
                break
            seen.add(answer.alias)
            if answer.ttl is not None:
                ttl = answer.ttl if ttl is None else min(ttl, answer.ttl)
            question = Question(answer.alias, question.type)
        return Answer(Status.FAILED, detail="CNAME loop")

    async def _ask(self, question: Question) -> Answer:
        settings = self._settings()
        last = Answer(Status.FAILED, detail="no server")
        for _ in range(settings.attempts):
            for server in settings.servers:
                try:
                    answer = await self._ask_one(server, question, settings)
                except TryLater as error:
                    last = Answer(Status.FAILED, detail=f"{server}: {error.cause}")
                    continue
                if answer.status is not Status.FAILED:
                    return answer if settings.trust_ad or _is_loopback(server) else _untrusted(answer)
                last = Answer(Status.FAILED, detail=f"{server}: {answer.detail}")
        return last

    async def _ask_one(self, server: str, question: Question, settings: ResolvConf) -> Answer:
        spelling = ""
        if self._spell or (self._spell is None and not _is_loopback(server)):
            spelling = self._spelled(question.name)

        def ask(edns: bool) -> Deferred[Answer]:
            query_id = self._random.randrange(65536)
            return self._udp(
                self._reactor, server, question, query_id, settings.timeout, edns=edns, spelling=spelling
            )

        answer = await ask(True)
        if answer.detail in ("FORMERR", "NOTIMP"):
            # RFC 6891 7: a server from before EDNS
            answer = await ask(False)
        if answer.truncated:
            answer = await self._tcp(
                self._reactor, server, question, self._random.randrange(65536), settings.timeout
            )
        return answer

    def _spelled(self, name: str) -> str:
        bits = self._random.getrandbits(len(name) or 1)
        return "".join(letter.upper() if bits >> place & 1 else letter for place, letter in enumerate(name))


def _is_loopback(server: str) -> bool:
    address, _ = split_server(server)
    return address.startswith("127.") or address == "::1"


def _untrusted(answer: Answer) -> Answer:
    # The AD bit of a resolver across the network may be forged on the way (RFC 6840 5.7, glibc's trust-ad).
    if not answer.authentic:
        return answer
    return evolve(answer, authentic=False)


def system_resolver(
    reactor: Any,
    random: Random,
    resolv_conf: str = "/etc/resolv.conf",
    hosts: str = "/etc/hosts",
    servers: tuple[str, ...] = (),
    trust_ad: bool = False,
) -> Resolver:
    """The resolver of this machine, following its two files when they change.

    :param servers: asked in place of those in resolv.conf. :param trust_ad: believe them what they validated.
    """
    watched = WatchedFile(resolv_conf, parse_resolv_conf, reactor.seconds)

    def settings() -> ResolvConf:
        found = watched()
        if servers:
            # What resolv.conf trusts are its own servers.
            return evolve(found, servers=servers, trust_ad=trust_ad)
        return evolve(found, trust_ad=True) if trust_ad else found

    return Resolver(reactor, settings, random, WatchedFile(hosts, parse_hosts, reactor.seconds))
