"""Sends an answer: packed where the client takes that, in step with how fast it reads, gone when it is gone.

The promise: a large answer never lies in the transport's buffer as a whole, is never packed in the reactor
thread, and a client that stops reading is cut off; nothing is written to a request whose connection is lost.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from posthouse.errors import TryLater
from posthouse.http.body import Pool
from posthouse.http.reply import Reply
from posthouse.http.request import Request

__all__ = ["accepts_gzip", "send"]

BLOCK = 1 << 18
#: Small enough for a first FolderSync, whose answer Microsoft's own test wants packed (MS-ASHTTP R197, R214).
_WORTH_PACKING = 256
_PACK_INLINE = 1 << 15
_LEVEL = 4  # half the time of 6 for some percent of size
_REASONS = {
    413: b"Content Too Large",  # RFC 9110 15.5.14
    449: b"Retry after sending a PROVISION command",  # MS-ASHTTP 2.2.2.1.1
}  # that twisted.web calls by an older name, or does not know
_PACKED_ALREADY = (b"image/", b"video/", b"audio/", b"application/zip", b"application/gzip")


def accepts_gzip(header: bytes | None) -> bool:
    """Does an Accept-Encoding header take gzip (RFC 9110 12.5.3)?"""
    anything = False
    for entry in (header or b"").lower().replace(b" ", b"").split(b","):
        coding, _, parameter = entry.partition(b";")
        try:
            welcome = float(parameter.removeprefix(b"q=") or 1) > 0
        except ValueError:
            welcome = False
        if coding in (b"gzip", b"x-gzip"):
            return welcome
        if coding == b"*":
            anything = welcome
    return anything


@implementer(IPushProducer)
class _Tap:
    """Opens and closes with the client's reading."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._waiting: Deferred[None] | None = None
        self._open = True
        self._stalled: IDelayedCall | None = None
        request.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self._open = False
        if self._stalled is None:
            site = self._request.channel.site
            self._stalled = site.reactor.callLater(site.limits.stalled, self._cut_off)

    def resumeProducing(self) -> None:
        self._open = True
        self._forget_stall()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:
        self._forget_stall()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

    async def write(self, data: bytes) -> None:
        """Write when the client has room.

        :raises CancelledError: it has left.
        """
        if not self._open and not self._request.gone:
            self._waiting = Deferred()
            await self._waiting
        if self._request.gone:
            raise CancelledError()
        self._request.write(data)

    def close(self) -> None:
        self._forget_stall()
        if not self._request.gone:
            self._request.unregisterProducer()

    def _cut_off(self) -> None:
        self._stalled = None
        if not self._request.gone:
            self._request.channel.forceAbortClient()

    def _forget_stall(self) -> None:
        stalled, self._stalled = self._stalled, None
        if stalled is not None:
            stalled.cancel()


async def send(request: Request, reply: Reply, pool: Pool) -> None:
    """Send a reply and finish the request. Returns silently when the client has left meanwhile.

    :raises BaseException: what the body's iterator raises; the connection is closed then, so that the client
        sees that the answer is not whole.
    """
    body = reply.body
    if request.gone:
        await _close(body)
        return
    request.setResponseCode(reply.code, _REASONS.get(reply.code))
    for name, value in reply.headers:
        request.setHeader(name, value)
    if reply.content_type:
        request.setHeader(b"content-type", reply.content_type)
    elif body == b"":
        request.defaultContentType = None  # type: ignore[assignment]
    packs = _may_pack(request, reply)
    if not isinstance(body, bytes):
        if packs:
            request.setHeader(b"content-encoding", b"gzip")
        await _stream(request, body, zlib.compressobj(_LEVEL, zlib.DEFLATED, 31) if packs else None, pool)
        return
    if packs:
        try:
            body = await _packed(body, pool)
        except TryLater:
            pass  # no thread has time for it: it goes out as it is
        else:
            request.setHeader(b"content-encoding", b"gzip")
        if request.gone:
            return
    request.setHeader(b"content-length", b"%d" % len(body))
    if len(body) <= BLOCK:
        request.write(body)
        request.finish()
    else:
        await _stream(request, _blocks(body), None, pool)


async def _stream(
    request: Request, body: AsyncIterator[bytes], packer: zlib._Compress | None, pool: Pool
) -> None:
    tap = _Tap(request)
    try:
        async for block in body:
            if packer is not None:
                block = await _pack(packer, block, pool)
            if block:
                await tap.write(block)
        if packer is not None:
            await tap.write(packer.flush())
    except CancelledError:
        if not request.gone:
            request.loseConnection()
        return
    except BaseException:
        if not request.gone:
            request.loseConnection()
        raise
    finally:
        tap.close()
        await _close(body)
    if not request.gone:
        request.finish()


async def _packed(body: bytes, pool: Pool) -> bytes:
    if len(body) <= _PACK_INLINE:
        return zlib.compress(body, _LEVEL, 31)
    packed: bytes = await pool.run(zlib.compress, body, _LEVEL, 31)
    return packed


async def _pack(packer: zlib._Compress, block: bytes, pool: Pool) -> bytes:
    # Flushed at each block, so that a slow iterator's first items reach the client at once.
    def work() -> bytes:
        return packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)

    if len(block) <= _PACK_INLINE:
        return work()
    try:
        packed: bytes = await pool.run(work)
    except TryLater:
        return work()  # what has begun packed must go on packed
    return packed


def _may_pack(request: Request, reply: Reply) -> bool:
    """Decide on gzip; the answer says that it depends on what the client takes."""
    if isinstance(reply.body, bytes) and len(reply.body) < _WORTH_PACKING:
        return False
    if reply.content_type.startswith(_PACKED_ALREADY) or request.responseHeaders.hasHeader(
        "content-encoding"
    ):
        return False
    request.setHeader(b"vary", b"Accept-Encoding")
    return accepts_gzip(request.getHeader(b"accept-encoding"))


async def _blocks(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), BLOCK):
        yield body[at : at + BLOCK]


async def _close(body: object) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
