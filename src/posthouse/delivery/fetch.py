"""HTTPS to servers that strangers name: policies in, reports out.

Promise: a certificate of the public authorities for that very name, no redirects, no more bytes and seconds than
allowed, and no connection to an address inside: whoever can write a DNS record must not reach our neighbours.
Whatever goes wrong is a :class:`FetchFailed`.

Specifications: RFC 8461 3.3 (fetching a policy), RFC 8460 5.4 (reports over HTTPS), RFC 9110.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import treq.client
from attrs import define, field, frozen
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from posthouse.errors import PosthouseError
from posthouse.tlspolicy.mtasts import LARGEST

__all__ = ["FetchFailed", "Web"]

_CONNECT = 15.0  # seconds for one address
_WHOLE = 60.0  # RFC 8461 3.3
_ADDRESSES = 4


class FetchFailed(Exception):
    """There is nothing to be had. ``certificate``: because the server did not prove who it is."""

    def __init__(self, text: str, certificate: bool = False) -> None:
        self.certificate = certificate
        super().__init__(text[:300])


@implementer(IStreamClientEndpoint)
@frozen(eq=False)
class _Guarded:
    """Looks the name up, and connects to what may be connected to."""

    web: Web
    host: str
    port: int

    def connect(self, factory: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: Any) -> Any:
        found = await self.web.resolver.addresses(self.host)
        allowed = [address for address in found if self.web.may_reach(address)]
        if not allowed:
            raise FetchFailed(f"{self.host} has no public address")
        factory.noisy = False
        last: Exception = FetchFailed("no address")
        for address in allowed[:_ADDRESSES]:
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            plain = kind(self.web.reactor, address, self.port, timeout=_CONNECT)
            try:
                return await wrapClientTLS(self.web.context(self.host), plain).connect(factory)
            except CancelledError:
                raise
            except Exception as error:
                last = error
        raise last


@implementer(IAgentEndpointFactory)
@frozen(eq=False)
class _Endpoints:
    web: Web

    def endpointForURI(self, uri: Any) -> _Guarded:
        if uri.scheme != b"https":
            raise FetchFailed("not HTTPS")
        return _Guarded(self.web, uri.host.decode("ascii"), uri.port)


@implementer(IAgent)
@frozen(eq=False)
class _Plain:
    """Asks for bytes as they are: what is packed could be a thousand times as long as what comes."""

    agent: IAgent

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        headers = Headers() if headers is None else headers.copy()
        headers.removeHeader(b"accept-encoding")

        def check(response: Any) -> Any:
            if response.headers.hasHeader(b"content-encoding"):
                raise FetchFailed("the answer is packed")
            return response

        return self.agent.request(method, uri, headers, bodyProducer).addCallback(check)


@implementer(IBodyProducer)
@frozen(eq=False)
class _Whole:
    """A body that is written at once; treq's own would ask the global reactor for turns."""

    data: bytes
    length: int

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self.data)
        return succeed(None)

    def stopProducing(self) -> None:
        """It is out already."""

    pauseProducing = resumeProducing = stopProducing


class _Body(Protocol):
    """Collects at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.data = bytearray()
        self.done: Deferred[bytes] = Deferred(lambda ignored: self._stop())

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > self.limit and not self.done.called:
            self._stop()
            self.done.errback(FetchFailed("the answer is too long"))

    def connectionLost(self, reason: Any = None) -> None:
        if self.done.called:
            return
        # PotentialDataLoss is an HTTP/1.0 server without a length, as good as any.
        if reason.type.__name__ in ("ResponseDone", "PotentialDataLoss"):
            self.done.callback(bytes(self.data))
        else:
            self.done.errback(FetchFailed(f"the answer broke off: {reason.getErrorMessage()}"))

    def _stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


@define(eq=False)
class Web:
    """:param resolver: an IResolver. :param may_reach: is an address one to connect to?

    :param context: ``context(host)`` ends a handshake with anybody else. :param port: of policy hosts.
    """

    reactor: Any
    resolver: Any
    may_reach: Callable[[str], bool]
    context: Callable[[str], Any]
    port: int = 443
    agent: Any = None
    _client: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        if self.agent is None:
            pool = HTTPConnectionPool(self.reactor, persistent=False)
            self.agent = Agent.usingEndpointFactory(self.reactor, _Endpoints(self), pool=pool)
        self._client = treq.client.HTTPClient(_Plain(self.agent))

    def policy(self, domain: str) -> Deferred[bytes]:
        """The MTA-STS policy of a domain (A-labels). :raises FetchFailed: see there."""
        place = f"mta-sts.{domain}" + (f":{self.port}" if self.port != 443 else "")
        return self._within(self._policy(f"https://{place}/.well-known/mta-sts.txt"))

    async def _policy(self, url: str) -> bytes:
        response = await self._client.get(url, allow_redirects=False, unbuffered=True)
        if response.code != 200:
            raise FetchFailed(f"the server answered {response.code}")
        kind = (response.headers.getRawHeaders(b"content-type") or [b""])[0]
        if kind.partition(b";")[0].strip().lower() != b"text/plain":
            # RFC 8461 3.2: a server where strangers upload files would serve one of theirs.
            raise FetchFailed("the policy is not text/plain")
        body = _Body(LARGEST)
        response.deliverBody(body)
        return await body.done

    def post(self, url: str, data: bytes, kind: str) -> Deferred[None]:
        """Hand over a report. :raises FetchFailed: it was not taken."""
        return self._within(self._post(url, data, kind))

    async def _post(self, url: str, data: bytes, kind: str) -> None:
        headers = {"Content-Type": kind}
        response = await self._client.post(
            url, data=_Whole(data, len(data)), headers=headers, allow_redirects=False, unbuffered=True
        )
        body = _Body(LARGEST)
        response.deliverBody(body)
        body.done.addErrback(lambda ignored: None)  # what it says beside the code is its own affair
        await body.done
        if not 200 <= response.code < 300:
            raise FetchFailed(f"the server answered {response.code}")

    def _within(self, work: Any) -> Deferred[Any]:
        working: Deferred[Any] = Deferred.fromCoroutine(work)
        timer = self.reactor.callLater(_WHOLE, working.cancel)

        def end(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            return result

        return working.addBoth(end).addErrback(_translate)


def _translate(failure: Any) -> Any:
    error = failure.value
    if isinstance(error, FetchFailed):
        return failure
    if isinstance(error, PosthouseError):
        raise FetchFailed(error.cause or error.public) from None
    if isinstance(error, CancelledError):
        raise FetchFailed("no answer in time") from None
    causes = [one.value for one in error.reasons] if isinstance(error, ResponseFailed) else [error]
    for cause in causes:
        if isinstance(cause, FetchFailed):
            raise cause from None
        if isinstance(cause, SSL.Error):
            raise FetchFailed(f"the certificate is not good: {type(cause).__name__}", True) from None
    raise FetchFailed(f"{type(error).__name__}: {error}") from None
