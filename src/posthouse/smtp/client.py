"""Mail to elsewhere: one message to the hosts of one destination, with a result per recipient.

The promises: ``send`` never fails; each recipient is sent, has failed for good, or has to be tried again. It
has failed when a server says 5xx in the transaction, when every host turns us away with 5xx, or when this
server cannot take such a message. Hosts are tried in order, and all addresses of each. A message is handed
over at most once per call: as soon as a server has begun to take the body, no other is tried. A password is
never said in clear text.

RFC 5321 with RFC 1870, 2034, 2920, 3207, 3461, 4954, 6152, 6531. TLS is opportunistic unless the job says
more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import evolve
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions, optionsForClientTLS
from twisted.logger import Logger
from zope.interface import implementer

from posthouse.errors import PosthouseError
from posthouse.interfaces import IRelay
from posthouse.model import NextHop, RecipientResult, RelayJob
from posthouse.smtp.conversation import Answer, Broken, Clock, Conversation, Timeouts
from posthouse.smtp.parking import Parking

__all__ = ["Relay", "tcp_endpoints", "tls_context"]

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


@implementer(IOpenSSLClientConnectionCreator)
class _Opportunistic:
    """TLS with whoever is there: better than clear text, and nobody claims more (RFC 7435)."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._context = CertificateOptions().getContext()
        self._context.set_verify(SSL.VERIFY_NONE, lambda *ignored: True)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        if any(letter.isalpha() for letter in self._host) and ":" not in self._host:
            connection.set_tlsext_host_name(self._host.rstrip(".").encode("idna"))
        return connection


class _Once(Factory):
    """Gives its one protocol; unlike ``connectProtocol``, without two log lines per connection."""

    noisy = False

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    def buildProtocol(self, addr: Any) -> Conversation:
        return self._talk


def tls_context(host: str, verify: bool) -> Any:
    """What ``startTLS`` needs to talk to that host. ``verify``: with a certificate that proves it."""
    return optionsForClientTLS(host) if verify else _Opportunistic(host)


def _result(recipient: str, answer: Answer, host: str, tls: str, outcome: str = "") -> RecipientResult:
    if not outcome:
        outcome = "sent" if answer.good else "failed" if answer.code >= 500 else "retry"
    enhanced = answer.enhanced or {"sent": "2.0.0", "failed": "5.0.0", "retry": "4.0.0"}[outcome]
    return RecipientResult(recipient, outcome, answer.code, enhanced, answer.text, host, tls)


def _ours(code: int, enhanced: str, text: str) -> Answer:
    return Answer(code, enhanced, text, (text,))


@implementer(IRelay)
class Relay:
    """See ``IRelay``.

    :param connect: ``connect(ip, port)`` -> endpoint; see ``tcp_endpoints``.
    :param name: what we call ourselves in EHLO.
    :param context: ``context(host, verify)`` -> what ``startTLS`` takes; see ``tls_context``.
    :param parking: where open connections wait for the next message; None: each carries one.
    """

    def __init__(
        self,
        clock: Clock,
        connect: Connect,
        name: str,
        context: Callable[[str, bool], Any] = tls_context,
        timeouts: Timeouts | None = None,
        log: Logger | None = None,
        parking: Parking | None = None,
    ) -> None:
        self._clock = clock
        self._connect = connect
        self._name = name
        self._context = context
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
            refusal = _ours(501, "5.1.3", "The envelope contains a control character.")
            return [_result(recipient, refusal, "", "") for recipient in job.recipients]
        last, last_host, verdicts = _ours(0, "4.4.1", "No host could be reached."), "", True
        try:
            known = await self._again(job)
            if known is not None:
                return known
            for hop in job.hosts:
                for address in hop.addresses:
                    last_host = hop.host
                    try:
                        return await self._one(job, hop, address)
                    except Broken as broken:
                        last = broken.answer or _ours(0, "4.4.2", broken.text)
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
            last, verdicts = _ours(0, "4.3.2", "The delivery was interrupted."), False
        except Exception:
            last, verdicts = _ours(0, "4.3.0", "Local error while sending."), False
            self._log.failure("{cid} failed", event="relay.failure", cid=job.cid, host=last_host)
        # One host that says 5xx in its greeting may be broken; when all do, it is meant for us.
        outcome = "failed" if verdicts and last.code >= 500 else "retry"
        if outcome == "retry" and not last.enhanced.startswith("4"):
            last = Answer(last.code, "4.4.2", last.text, last.lines)
        return [_result(recipient, last, last_host, "", outcome) for recipient in job.recipients]

    async def _again(self, job: RelayJob) -> list[RecipientResult] | None:
        """By a connection that is open already. None: there is none, or it is of no more use."""
        if self._parking is None:
            return None
        for hop in job.hosts:
            for address in hop.addresses:
                key = _key(job, hop, address)
                parked = self._parking.take(key)
                if parked is None:
                    continue
                talk, used = parked
                try:
                    await talk.reset()
                    results = await self._transaction(talk, job, hop)
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
        try:
            return await self._talk(job, hop, address, job.tls)
        except Broken as broken:
            if not broken.tls or job.tls != "opportunistic" or job.login is not None or hop.implicit_tls:
                raise
        return await self._talk(job, hop, address, "none")

    async def _talk(self, job: RelayJob, hop: NextHop, address: str, tls: str) -> list[RecipientResult]:
        talk = Conversation(self._clock, self._timeouts, self._name, hop.lmtp)
        await self._reach(talk, hop, address, tls)
        try:
            await talk.open()
            if hop.implicit_tls:
                talk.encrypted = True
            elif tls != "none" and talk.offers("STARTTLS"):
                await talk.start_tls(self._context(hop.host, tls == "verified"))
            if not talk.encrypted and (tls in ("required", "verified") or job.login is not None):
                raise Broken("TLS is required and not offered")
            if job.login is not None:
                await talk.login(*job.login)
            results = await self._transaction(talk, job, hop)
            if self._parking is None:
                talk.quit()
            else:
                self._parking.put(_key(job, hop, address), talk, 1)
            return results
        except BaseException:
            talk.hang_up()
            raise

    async def _reach(self, talk: Conversation, hop: NextHop, address: str, tls: str) -> None:
        endpoint = self._connect(address, hop.port)
        if hop.implicit_tls:
            endpoint = wrapClientTLS(self._context(hop.host, tls == "verified"), endpoint)
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

    async def _transaction(self, talk: Conversation, job: RelayJob, hop: NextHop) -> list[RecipientResult]:
        """MAIL to the end of data, on an open connection."""
        results: dict[str, RecipientResult] = {}

        def settle(recipients: list[str], answer: Answer, outcome: str = "") -> list[RecipientResult]:
            for recipient in recipients:
                result = _result(recipient, answer, hop.host, talk.tls, outcome)
                if answer.good:
                    result = evolve(result, dsn=talk.offers("DSN"), final=hop.lmtp)
                results[recipient] = result
            return [results[recipient] for recipient in job.recipients if recipient in results]

        everyone = list(job.recipients)
        if (
            job.eight_bit
            and job.seven_bit is not None
            and not talk.offers("8BITMIME")
            and not _needs_utf8(job)
        ):
            try:
                job = await job.seven_bit()
            except PosthouseError as error:
                if error.temporary:
                    return settle(everyone, _ours(451, "4.6.3", f"Not converted: {error.public}"), "retry")
                return settle(everyone, _ours(554, "5.6.3", f"The server is 7-bit only. {error.public}"))
        refusal = _cannot(talk, job)
        if refusal is not None:
            return settle(everyone, refusal)
        mail, recipients = _commands(talk, job)
        first, answers = await talk.envelope(mail, recipients)
        if 400 <= first.code < 500:
            raise Broken("MAIL was put off", first)  # the next host may take it
        if not first.good:
            return settle(everyone, first)
        taken: list[str] = []
        for recipient, answer in zip(everyone, answers, strict=True):
            if answer.good:
                taken.append(recipient)
            else:
                settle([recipient], answer)
        if not taken:
            return settle([], first)
        try:
            final = await talk.data(job)
        except Exception as error:
            # The body was on its way: nobody knows whether it arrived, so no other host is tried now.
            answer_of = getattr(error, "answer", None)
            return settle(taken, answer_of or _ours(0, "4.4.2", str(error)[:300] or "interrupted"), "retry")
        if not hop.lmtp or not talk.body_sent:
            return settle(taken, final)
        settle(taken[:1], final)
        for position, recipient in enumerate(taken[1:], 1):
            try:
                settle([recipient], await talk.more())
            except Exception as error:
                # These may have it already; LMTP leaves no other way than to ask again.
                return settle(taken[position:], _ours(0, "4.4.2", str(error)[:300] or "interrupted"), "retry")
        return settle([], final)


def _key(job: RelayJob, hop: NextHop, address: str) -> tuple[Any, ...]:
    """What messages must agree on to share a connection."""
    return (hop.host, address, hop.port, hop.implicit_tls, hop.lmtp, job.tls, job.login)


def _needs_utf8(job: RelayJob) -> bool:
    return job.smtputf8 or not all(address.isascii() for address in (job.sender, *job.recipients))


def _cannot(talk: Conversation, job: RelayJob) -> Answer | None:
    """What this server can never do for this message."""
    if _needs_utf8(job) and not talk.offers("SMTPUTF8"):
        return _ours(550, "5.6.7", "The server does not take international addresses.")  # RFC 6531 3.5
    if job.eight_bit and not talk.offers("8BITMIME"):
        return _ours(554, "5.6.3", "The server does not take 8-bit mail.")  # RFC 6152 3
    limit = (talk.keywords.get("SIZE") or ["0"])[0]
    if limit.isascii() and limit.isdigit() and len(limit) < 20 and 0 < int(limit) < job.size:
        return _ours(552, "5.3.4", f"The server takes at most {limit} bytes.")  # RFC 1870 6.1
    return None


def _commands(talk: Conversation, job: RelayJob) -> tuple[str, list[str]]:
    mail = f"MAIL FROM:<{job.sender}>"
    if talk.offers("SIZE"):
        mail += f" SIZE={job.size}"
    if job.eight_bit and talk.offers("8BITMIME"):
        mail += " BODY=8BITMIME"
    if _needs_utf8(job):
        mail += " SMTPUTF8"
    dsn = talk.offers("DSN")
    if dsn and job.ret:
        mail += f" RET={job.ret}"
    if dsn and job.envid:
        mail += f" ENVID={job.envid}"
    recipients = []
    for index, recipient in enumerate(job.recipients):
        command = f"RCPT TO:<{recipient}>"
        if dsn and index < len(job.notify) and job.notify[index]:
            command += f" NOTIFY={job.notify[index]}"
        if dsn and index < len(job.orcpt) and job.orcpt[index]:
            command += f" ORCPT={job.orcpt[index]}"
        recipients.append(command)
    return mail, recipients
