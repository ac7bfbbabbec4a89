"""One request as every room sees it: twisted.web's, with bounded content, a name for the log and our
headers."""

from __future__ import annotations

from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource

if TYPE_CHECKING:
    from posthouse.http.channel import Channel
    from posthouse.http.site import Site

__all__ = ["KEPT", "Request"]

#: What an answer depends on.
KEPT = (b"accept-encoding", b"user-agent")


class _Empty(BytesIO):
    """A content that many share, so it stays open."""

    def close(self) -> None:
        pass


_NOTHING = _Empty()


class Request(server.Request):
    """``cid`` names the request in the log, ``gone`` is true once the client has left, ``peer`` is its
    address.

    ``clock`` is the site's reactor; ``began`` its time when the request was complete.
    """

    defaultContentType = b"application/octet-stream"
    channel: Channel
    site: Site
    gone = False
    account_id = 0
    began = 0.0
    _size = 0
    _limit = 0

    def __init__(self, channel: Channel, *args: Any, **kwargs: Any) -> None:
        super().__init__(channel, *args, **kwargs)
        self.cid = channel.next_cid()
        self.clock: IReactorTime = channel.site.reactor

    @property
    def peer(self) -> str:
        """The IP address of the client; "" where there is none (a unix socket)."""
        return getattr(self.getClientAddress(), "host", None) or ""

    # -- coming in

    def gotLength(self, length: int | None) -> None:
        limits = self.channel.site.limits
        self._limit = limits.body_limit(self.channel._path)
        if length is not None and length <= limits.in_memory:
            self.content = BytesIO()
        else:
            # Rolls over to a file without a name, so nothing is left behind by a crash.
            self.content = cast(BinaryIO, SpooledTemporaryFile(max_size=limits.in_memory))  # noqa: SIM115

    def handleContentChunk(self, data: bytes) -> None:
        if self.channel._refused:
            return
        self._size += len(data)
        if self._size > self._limit:
            self.channel.refuse(413)
            return
        super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        lowered = path[:8].lower()
        if lowered.startswith((b"http://", b"https://")):
            # RFC 9112 3.2.2: a server accepts the absolute form.
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        self.began = self.clock.seconds()
        super().requestReceived(command, path, version)

    def render(self, resrc: IResource) -> None:
        self.setHeader(b"server", b"Posthouse")
        self.setHeader(b"cache-control", b"private")
        self.setHeader(b"x-content-type-options", b"nosniff")
        hsts = self.channel.site.hsts
        if hsts and self.isSecure():
            self.setHeader(b"strict-transport-security", b"max-age=%d" % hsts)
        super().render(resrc)

    def shed(self) -> None:
        """Let go of the body and of all headers but ``KEPT``: the answer will take its time, and needs no others."""
        headers = Headers()
        for name in KEPT:
            values = self.requestHeaders.getRawHeaders(name)
            if values:
                headers.setRawHeaders(name, values)
        self.requestHeaders = headers
        if self.content is not None:
            self.content.close()
        self.content = _NOTHING

    # -- going out

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        self.channel.site.leave(self)
        super().connectionLost(reason)

    def finish(self) -> None:
        super().finish()
        self.site.leave(self)
