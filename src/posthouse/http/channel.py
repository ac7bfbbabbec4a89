"""One HTTP/1 connection, bounded in bytes and in time before any resource sees a request.

The promise, where ``twisted.web`` makes none: a body is refused by its declared length before a byte of it is
kept, and by its sum when it comes in chunks; a client that trickles is cut off, one that is parked on a long
poll is not; a refusal is a proper response that reaches a client which is still sending (RFC 9112 9.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from posthouse.http.limits import HttpLimits

if TYPE_CHECKING:
    from posthouse.http.site import Site

__all__ = ["Channel"]

_log = Logger("posthouse.http")

_REASONS = {
    400: b"Bad Request",
    401: b"Unauthorized",
    408: b"Request Timeout",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
}


class Channel(HTTPChannel):
    """Twisted's parser with our limits. One per connection; ``site`` and ``timeOut`` are set by the site."""

    site: Site
    transport: Any
    cid = ""
    guest = ""  # the address that the doors have counted
    _refused = False
    _deadline: IDelayedCall | None = None
    _requests_seen = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        try:
            # A phone that went out of reach says nothing; the kernel notices in the end.
            self.transport.setTcpKeepAlive(True)
        except AttributeError:
            pass  # a unix socket, or a test

    @property
    def _limits(self) -> HttpLimits:
        return self.site.limits

    def next_cid(self) -> str:
        """A name for the next request on this connection, for the log."""
        self._requests_seen += 1
        return f"{self.cid}.{self._requests_seen}"

    # -- bytes in

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        if self._deadline is None and not self._handlingRequest:
            self._expect(self._limits.header_time)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if not self._refused:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._refused:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(431)

    def allHeadersReceived(self) -> None:
        limits, path, length = self._limits, self._path, self.length
        if length is not None and length > limits.body_limit(path):
            self.refuse(413)
            return
        if (
            (length is None or length > limits.unauthenticated)
            and limits.is_protected(path)
            and not self.requests[-1].requestHeaders.hasHeader(b"authorization")
        ):
            self.refuse(401, b'WWW-Authenticate: Basic realm="Posthouse"\r\n')
            return
        if length is None:
            self._expect(limits.chunked_time)
        else:
            self._expect(limits.body_time + length / limits.slowest)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self._refused:
            return
        self._expect(None)
        super().allContentReceived()

    # -- time

    def _expect(self, seconds: float | None) -> None:
        """What is being received must be complete in so many seconds; None when it is."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.callLater(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        _log.debug("{cid} too slow", cid=self.cid)
        self.refuse(408)

    def timeoutConnection(self) -> None:
        """Idle between requests: nothing to say in the log."""
        self._abort_soon(self.abortTimeout)
        self.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._expect(None)
        super().connectionLost(reason)
        self.site.left(self)

    # -- refusals

    def refuse(self, code: int, headers: bytes = b"") -> None:
        """Answer the request that is being received and take no more from this client."""
        if self._refused:
            return
        self._refused = True
        self._expect(None)
        self.setTimeout(None)
        _log.debug("{cid} refused with {code}", cid=self.cid, code=code)
        self.transport.write(
            b"HTTP/1.1 %d %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n"
            % (code, _REASONS.get(code, b"Error"), headers)
        )
        # Closing now would reset the connection under a client that still sends, and lose the answer.
        self._deadline = self.callLater(self._limits.linger, self._close_refused)

    def _close_refused(self) -> None:
        self._deadline = None
        self._abort_soon(self._limits.linger)
        self.loseConnection()

    def _abort_soon(self, seconds: float) -> None:
        if self._abortingCall is None:
            self._abortingCall = self.callLater(seconds, self.forceAbortClient)

    def forceAbortClient(self) -> None:
        self._abortingCall = None
        self.transport.abortConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(400)
