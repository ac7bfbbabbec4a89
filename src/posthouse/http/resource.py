"""A resource written as ``async def``: what every room's endpoints derive from.

The promise: whatever happens, the client gets an answer from a table and the log gets the cause; a client
that leaves cancels what is being done for it, at the point where it waits.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from posthouse.errors import PosthouseError
from posthouse.http.body import Pool
from posthouse.http.errors import CHALLENGE, reply_for
from posthouse.http.reply import Reply
from posthouse.http.request import Request
from posthouse.http.respond import send
from posthouse.http.site import Leaf

__all__ = ["AsyncResource"]

_log = Logger("posthouse.http")

#: RFC 9110 9.3 and RFC 5789: what is none of these is 501 (RFC 9110 9.1), also by MS-ASHTTP 2.2.2.1.1 (R186, R465).
_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH")


class AsyncResource(Leaf):
    """Subclasses say what they answer.

    ``methods`` is what is allowed; others get 405, and what HTTP does not know 501. With ``challenge_first`` they
    get 401 while there are no credentials: some clients probe with GET what they will POST to, and look for the
    challenge.
    """

    methods: tuple[bytes, ...] = (b"GET", b"HEAD")
    challenge_first = False

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def answer(self, request: Request) -> Reply:
        """The answer to one request.

        :raises PosthouseError: becomes an answer by ``error_reply``.
        """
        raise PosthouseError(cause="a resource that answers nothing")

    def error_reply(self, error: PosthouseError, request: Request) -> Reply:
        """How an error looks here; a room with a language of its own overrides this."""
        return reply_for(error)

    def render(self, request: Any) -> Any:
        if request.method not in self.methods:
            bare = self.challenge_first and not request.getHeader(b"authorization")
            refused = 405 if request.method in _METHODS else 501
            request.setResponseCode(401 if bare else refused)
            name, value = CHALLENGE if bare else (b"allow", b", ".join(self.methods))
            request.setHeader(name, value)
            request.setHeader(b"content-length", b"0")
            return b""
        # A coroutine of ours that is cancelled where it waits; a body that is being sent notices by itself.
        answering = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda left: answering.cancel())
        answering.addErrback(_stray, request)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        try:
            reply = await self.answer(request)
        except CancelledError:
            if request.gone:
                return
            reply = reply_for(PosthouseError(cause="cancelled"))
        except PosthouseError as error:
            if error.cause:
                _log.debug(
                    "{cid} {kind}: {cause}", cid=request.cid, kind=type(error).__name__, cause=error.cause
                )
            reply = self.error_reply(error, request)
        except Exception:
            _log.failure("{cid} failed", cid=request.cid)
            reply = self.error_reply(PosthouseError(), request)
        await send(request, reply, self.pool)


def _stray(failure: Failure, request: Request) -> None:
    """What went wrong while an answer was being sent."""
    if not failure.check(CancelledError):
        _log.failure("{cid} failed while it was answered", failure, cid=request.cid)
