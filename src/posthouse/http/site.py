"""The web site of the daemon: limits, log, and the way from a path to a room.

Paths are found in any letter case: clients write ``/Microsoft-Server-ActiveSync``,
``/AutoDiscover/AutoDiscover.xml`` and ``/autodiscover/autodiscover.xml`` as they like.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Protocol, cast
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.web import server
from twisted.web.http import Request as TwistedRequest
from twisted.web.resource import IResource, getChildForRequest
from zope.interface import implementer

from posthouse.http.channel import Channel
from posthouse.http.limits import HttpLimits
from posthouse.http.request import Request

__all__ = ["Doors", "Gone", "Leaf", "Router", "Site"]

_log = Logger("posthouse.http")


@implementer(IResource)
class Leaf:
    """The members of IResource that a resource without children needs."""

    isLeaf = True
    server = None

    def getChildWithDefault(self, name: bytes, request: Any) -> IResource:
        raise RuntimeError("a leaf has no children")

    def putChild(self, path: bytes, child: IResource) -> None:
        raise RuntimeError("a leaf has no children")

    def render(self, request: Any) -> Any:
        raise RuntimeError("a leaf says how it is rendered")


class Gone(Leaf):
    """There is nothing here."""

    def render(self, request: Any) -> bytes:
        request.setResponseCode(404)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Not found\n"


class Router(Leaf):
    """Maps path prefixes to resources; the longest prefix of whole segments wins.

    ``Router({"microsoft-server-activesync": endpoint, "": home})``: "" is "/" itself and nothing below.
    """

    def __init__(self, routes: dict[str, IResource] | None = None) -> None:
        self._routes: dict[tuple[bytes, ...], IResource] = {}
        self._gone = Gone()
        for prefix, resource in (routes or {}).items():
            self.add(prefix, resource)

    def add(self, prefix: str, resource: IResource) -> None:
        """Let a resource answer for a prefix, with what follows in ``request.postpath``."""
        self._routes[_fold([part.encode() for part in prefix.split("/") if part])] = resource

    def render(self, request: Any) -> Any:
        parts = [unquote_to_bytes(part) for part in request.path.split(b"/") if part]
        folded = _fold(parts)
        for length in range(min(len(parts), 8), -1, -1):
            found = self._routes.get(folded[:length])
            if found is not None and (length or not parts):
                request.prepath, request.postpath = parts[:length], parts[length:]
                return getChildForRequest(found, request).render(request)
        return self._gone.render(request)


def _fold(parts: list[bytes]) -> tuple[bytes, ...]:
    return tuple(part.lower() for part in parts)


class Doors(Protocol):
    """Who may have one more connection; the same for all listeners of a kind."""

    def admit(self, host: str) -> str:
        """Count a new connection. Returns "" or, when it must be refused and was not counted, the reason."""

    def release(self, host: str) -> None:
        """One that was admitted has ended."""


class Site(server.Site):
    """The factory for a listener.

    :param root: usually a ``Router``.
    :param reactor: gives time-outs and times.
    :param hsts: seconds for Strict-Transport-Security (RFC 6797); 0 for none, as with a self-signed
        certificate.
    :param doors: asked about each connection; None: all are welcome.
    """

    protocol = Channel  # type: ignore[assignment]  # HTTP/1 only, so without Twisted's chooser
    requestFactory = Request
    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        root: IResource,
        reactor: IReactorTime,
        limits: HttpLimits | None = None,
        hsts: int = 0,
        doors: Doors | None = None,
    ) -> None:
        self.doors = doors
        self.limits = limits or HttpLimits()
        self.hsts = hsts
        self._connections = count(1)
        self._present: dict[int, set[Request]] = {}
        self.protocol = self._bounded()
        super().__init__(root, parsePOSTFormSubmission=False, timeout=self.limits.idle, reactor=reactor)

    def _bounded(self) -> type[Channel]:
        """The channel with our limits on its class: on each instance they would cost a kilobyte and a half."""
        limits = self.limits
        bounds = {
            "MAX_LENGTH": limits.line,
            "totalHeadersSize": limits.headers,
            "maxHeaders": limits.header_count,
        }
        return type("Channel", (Channel,), bounds)

    def buildProtocol(self, addr: IAddress | None) -> Channel | None:  # type: ignore[override]
        host = str(getattr(addr, "host", ""))
        refused = self.doors.admit(host) if self.doors is not None else ""
        if refused:
            _log.warn("{peer} refused: {text}", event="http.limit", peer=host, text=refused)
            return None
        channel = cast(Channel, super().buildProtocol(addr))
        channel.cid = f"h{next(self._connections):x}"
        channel.guest = host
        return channel

    def left(self, channel: Channel) -> None:
        """A connection has ended; called once by each."""
        if self.doors is not None:
            self.doors.release(channel.guest)

    def enter(self, account_id: int, request: Request) -> None:
        """A request turned out to be that account's; it leaves by itself when it ends."""
        if request.gone:
            return  # it has left already, and would stay in the list for ever
        request.account_id = account_id
        self._present.setdefault(account_id, set()).add(request)

    def leave(self, request: Request) -> None:
        """The request has ended; any number of times."""
        present = self._present.get(request.account_id)
        if present is not None:
            present.discard(request)
            if not present:
                del self._present[request.account_id]

    def turn_out(self, account_id: int) -> None:
        """End every request of an account, parked ones too: its credentials are good no longer."""
        for request in list(self._present.get(account_id, ())):
            request.channel.transport.abortConnection()

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Twisted's would start a clock that ticks every second for its own log."""

    def stopFactory(self) -> None:
        pass

    def log(self, request: TwistedRequest) -> None:
        """One line per answered request. Neither the query nor any header: there are secrets in both."""
        assert isinstance(request, Request)
        _log.info(
            "{cid} {peer} {method} {path} {code} {size} bytes {seconds:.3f} s",
            cid=request.cid,
            peer=request.peer,
            method=request.method.decode("latin-1"),
            path=request.path.decode("latin-1"),
            code=request.code,
            size=request.sentLength,
            seconds=request.clock.seconds() - request.began,
        )
