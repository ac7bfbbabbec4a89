"""Mail to elsewhere: one message to the hosts of one destination, with a result per recipient.

The promises: ``send`` never fails; each recipient is sent, has failed for good, or has to be tried again. It
has failed when a server says 5xx in the transaction, when every host turns us away with 5xx, or when this
server cannot take such a message. Hosts are tried in order, and all addresses of each. A message is handed
over at most once per call: as soon as a server has begun to take the body, no other is tried. A password is
never said in clear text. TLS is opportunistic unless the job or the policy of a host says more; where they do,
nothing is said in clear text, nor to a server that is not who it must be.

RFC 5321 5.1 with RFC 3207 and 4954; RFC 7672 2.2, RFC 8461 5 and RFC 8689 4.2.1 (what a host has to prove).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from zope.interface import implementer

from posthouse.interfaces import IRelay
from posthouse.model import NextHop, RecipientResult, RelayJob
from posthouse.smtp.conversation import Answer, Broken, Clock, Conversation, Timeouts
from posthouse.smtp.handover import hand_over, ours, result_of
from posthouse.smtp.parking import Parking
from posthouse.smtp.tls import Contexts, judge, proof_of

__all__ = ["Relay", "tcp_endpoints"]

_UNSAFE = re.compile("[\x00-\x1f\x7f]")

Connect = Callable[[str, int], IStreamClientEndpoint]


def tcp_endpoints(reactor: Any, timeout: float = 30.0, bind: str = "") -> Connect:
    """How to reach an address: ``connect(ip, port)``. ``bind`` is the source address, "" for any."""
    source = (bind, 0) if bind else None

    def connect(address: str, port: int) -> IStreamClientEndpoint:
        if ":" in address:
            return TCP6ClientEndpoint(reactor, address, port, timeout=timeout, bindAddress=source)
        if address.replace(".", "").isdigit():
            return TCP4ClientEndpoint(reactor, address, port, timeout=timeout, bindAddress=source)
        return HostnameEndpoint(reactor, address, port, timeout=timeout, bindAddress=source)

    return connect


class _Once(Factory):
    """Gives its one protocol; unlike ``connectProtocol``, without two log lines per connection."""

    noisy = False

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    def buildProtocol(self, addr: Any) -> Conversation:
        return self._talk


Judge = Callable[[Conversation, str, NextHop, datetime], tuple[str, str]]


def _judge(talk: Conversation, mode: str, hop: NextHop, now: datetime) -> tuple[str, str]:
    if mode not in ("dane", "verified"):
        return "", ""
    return judge(proof_of(talk.handle), mode, hop.policy, hop.host, now)


@implementer(IRelay)
class Relay:
    """See ``IRelay``.

    :param connect: ``connect(ip, port)`` -> endpoint; see ``tcp_endpoints``.
    :param name: what we call ourselves in EHLO.
    :param context: ``context(host, verify)`` -> what ``startTLS`` takes; see ``tls.Contexts``.
    :param judged: what is wrong with the server after a handshake; see ``tls.judge``.
    :param parking: where open connections wait for the next message; None: each carries one.
    """

    def __init__(
        self,
        clock: Clock,
        connect: Connect,
        name: str,
        context: Callable[[str, bool], Any] | None = None,
        timeouts: Timeouts | None = None,
        log: Logger | None = None,
        parking: Parking | None = None,
        judged: Judge = _judge,
    ) -> None:
        self._clock = clock
        self._connect = connect
        self._name = name
        self._context = context if context is not None else Contexts()
        self._judged = judged
        self._timeouts = timeouts if timeouts is not None else Timeouts()
        self._parking = parking
        self._log = log if log is not None else Logger(namespace="posthouse.smtp.client")

    def close(self) -> None:
        """Give up the connections that wait for more mail."""
        if self._parking is not None:
            self._parking.close()

    def send(self, job: RelayJob) -> Deferred[list[RecipientResult]]:
        return Deferred.fromCoroutine(self._send(job))

    async def _send(self, job: RelayJob) -> list[RecipientResult]:
        if _UNSAFE.search(
            " ".join((job.sender, *job.recipients, job.envid, job.ret, *job.notify, *job.orcpt))
        ):
            # Nothing of it reaches a command line (RFC 5321 4.1.2); no other attempt would be better.
            refusal = ours(501, "5.1.3", "The envelope contains a control character.")
            return [result_of(recipient, refusal, "", "") for recipient in job.recipients]
        last, last_host, verdicts = ours(0, "4.4.1", "No host could be reached."), "", True
        try:
            known = await self._again(job)
            if known is not None:
                return known
            for hop in job.hosts:
                if _strict(job, hop) and not hop.policy.trusted:
                    # RFC 8689 4.2.1: whoever controls DNS could have named this host.
                    last, last_host = (
                        _lacking("It is not certain that this is a host of the domain"),
                        hop.host,
                    )
                    continue
                for address in hop.addresses:
                    last_host = hop.host
                    try:
                        return await self._one(job, hop, address)
                    except Broken as broken:
                        last = broken.answer or ours(0, "4.4.2", broken.text)
                        verdicts = verdicts and broken.verdict
                    self._log.info(
                        "{cid} {host} [{address}]: {code} {text}",
                        event="relay.broken",
                        cid=job.cid,
                        host=hop.host,
                        address=address,
                        code=last.code,
                        text=last.text,
                    )
        except CancelledError:
            last, verdicts = ours(0, "4.3.2", "The delivery was interrupted."), False
        except Exception:
            last, verdicts = ours(0, "4.3.0", "Local error while sending."), False
            self._log.failure("{cid} failed", event="relay.failure", cid=job.cid, host=last_host)
        # One host that says 5xx in its greeting may be broken; when all do, it is meant for us.
        outcome = "failed" if verdicts and last.code >= 500 else "retry"
        if outcome == "retry" and not last.enhanced.startswith("4"):
            last = Answer(last.code, "4.4.2", last.text, last.lines)
        return [result_of(recipient, last, last_host, "", outcome) for recipient in job.recipients]

    async def _again(self, job: RelayJob) -> list[RecipientResult] | None:
        """By a connection that is open already. None: there is none, or it is of no more use."""
        if self._parking is None:
            return None
        for hop in job.hosts:
            if _strict(job, hop) and not hop.policy.trusted:
                continue
            for address in hop.addresses:
                key = _key(job, hop, address)
                parked = self._parking.take(key)
                if parked is None:
                    continue
                talk, used = parked
                try:
                    results = await hand_over(talk, job, hop, anew=True)
                except Broken:
                    # Nothing of the message was taken: a connection of its own decides.
                    talk.hang_up()
                    continue
                except BaseException:
                    talk.hang_up()
                    raise
                self._parking.put(key, talk, used + 1)
                return results
        return None

    async def _one(self, job: RelayJob, hop: NextHop, address: str) -> list[RecipientResult]:
        """One address; once more without TLS when only that was wrong and nobody insists on it."""
        mode = _mode(job, hop)
        try:
            return await self._talk(job, hop, address, mode)
        except Broken as broken:
            if not broken.tls or mode != "opportunistic" or job.login is not None or hop.implicit_tls:
                raise
        return await self._talk(job, hop, address, "none")

    async def _talk(self, job: RelayJob, hop: NextHop, address: str, mode: str) -> list[RecipientResult]:
        talk = Conversation(self._clock, self._timeouts, self._name, hop.lmtp)
        await self._reach(talk, hop, address, mode)
        try:
            await talk.open()
            if hop.implicit_tls:
                talk.encrypted = True
            elif mode != "none" and talk.offers("STARTTLS"):
                await talk.start_tls(self._tls(hop, mode))
            self._check(talk, job, hop, address, mode)
            if job.login is not None:
                await talk.login(*job.login)
            results = await hand_over(talk, job, hop)
            if self._parking is None:
                talk.quit()
            else:
                self._parking.put(_key(job, hop, address), talk, 1)
            return results
        except Broken as broken:
            talk.hang_up()
            if broken.tls and mode != "none":
                _tell(job, hop, address, broken.result or "validation-failure", broken.text)
            raise
        except BaseException:
            talk.hang_up()
            raise

    def _tls(self, hop: NextHop, mode: str) -> Any:
        names = hop.policy.names
        name = names[0] if mode == "dane" and names else hop.host
        return self._context(name, mode == "verified" or hop.policy.watched)

    def _check(self, talk: Conversation, job: RelayJob, hop: NextHop, address: str, mode: str) -> None:
        """Is the connection what it has to be? :raises Broken: no; nothing of the message was said."""
        if not talk.encrypted:
            if mode != "none":
                _tell(job, hop, address, "starttls-not-supported", "")
            if mode in ("required", "verified", "dane") or job.login is not None:
                text = "TLS is required and not offered"
                raise Broken(text, _lacking(text) if _strict(job, hop) else None, verdict=_strict(job, hop))
            return
        now = datetime.fromtimestamp(self._clock.seconds(), UTC)
        result, why = self._judged(talk, mode, hop, now)
        if result:
            _tell(job, hop, address, result, why)
            raise Broken(why, ours(0, "4.7.5", f"TLS with {hop.host}: {why}"))
        if mode == "opportunistic" and hop.policy.watched:
            # RFC 8461 5: a policy in testing is reported, and nothing else.
            result, why = self._judged(talk, "verified", hop, now)
        if mode != "none":
            _tell(job, hop, address, result, why)
        if _strict(job, hop) and not talk.offers("REQUIRETLS"):
            text = "REQUIRETLS is required and not offered"
            raise Broken(text, _lacking(text), verdict=True)

    async def _reach(self, talk: Conversation, hop: NextHop, address: str, mode: str) -> None:
        endpoint = self._connect(address, hop.port)
        if hop.implicit_tls:
            endpoint = wrapClientTLS(self._tls(hop, mode), endpoint)
        connecting: Deferred[Any] = endpoint.connect(_Once(talk))
        timer = self._clock.callLater(self._timeouts.connect, connecting.cancel)
        try:
            await connecting
        except Exception as error:
            if isinstance(error, CancelledError) and timer.active():
                raise  # by our caller
            why = str(error) or f"no connection within {self._timeouts.connect:g} seconds"
            raise Broken(f"cannot connect: {why}"[:300]) from error
        finally:
            if timer.active():
                timer.cancel()


def _key(job: RelayJob, hop: NextHop, address: str) -> tuple[Any, ...]:
    """What messages must agree on to share a connection."""
    policy = (hop.policy.tls, hop.policy.names, hop.policy.tlsa)
    place = (hop.host, address, hop.port, hop.implicit_tls, hop.lmtp)
    return (*place, _mode(job, hop), *policy, job.require_tls, job.login)


def _strict(job: RelayJob, hop: NextHop) -> bool:
    """Must this host keep to TLS, too (RFC 8689)? A mailbox store on this machine is the end of the way."""
    return job.require_tls and not (hop.lmtp and all(map(_is_loopback, hop.addresses)))


def _mode(job: RelayJob, hop: NextHop) -> str:
    mode = job.tls if job.tls == "none" else hop.policy.tls or job.tls
    # RFC 8689 4.2.1: the server's name has to be proved, one way or the other.
    return "verified" if _strict(job, hop) and mode != "dane" else mode


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _lacking(text: str) -> Answer:
    return ours(550, "5.7.30", text)


def _tell(job: RelayJob, hop: NextHop, address: str, result: str, reason: str) -> None:
    if job.note is not None and hop.policy.about is not None:
        job.note(evolve(hop.policy.about, result=result, host=hop.host, address=address, reason=reason))
