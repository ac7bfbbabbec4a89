"""The loop of the SMTP server: bytes in, one command at a time, one reply per command, in order.

The promises:

- A command is looked at only when the reply to the one before is on its way, so asynchronous checks cannot
  change the order of replies, and pipelining (RFC 2920) is safe.
- CRLF ends a line and nothing else does. A bare CR, bare LF or NUL ends the connection with a reply that
  names it.
- No more than 64 KB and one read are buffered; an endless line ends the connection; what is left of it is
  never taken for a command.
- An exception in a command is a 451 and a line in the log; the peer sees nothing of it.

This replaces the loop of ``twisted.mail.smtp.ESMTP`` (a LineOnlyReceiver), whose class this remains.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from posthouse.errors import PosthouseError
from posthouse.smtp.auth import MAX_AUTH_LINE
from posthouse.smtp.connection import AUTH, BDAT, COMMAND, DATA, Connection
from posthouse.smtp.replies import Reply, reply, reply_to_error

__all__ = ["AUTH", "BDAT", "COMMAND", "DATA", "Session"]

HIGH_WATER = 65536  # bytes buffered while a command runs; beyond, the transport is paused
EXTENDED_LINE = 2048  # after EHLO, whose extensions lengthen MAIL, RCPT and AUTH

INTERNAL = reply(451, "4.3.0", "Local error in processing.")
BROKEN = reply(421, "4.3.0", "Local error; closing the connection.")
TOO_LONG = reply(500, "5.5.2", "Line too long; closing the connection.")
NOT_SMTP = reply(554, "5.5.1", "This is an SMTP port.")
TOO_MANY_ERRORS = reply(421, "4.7.0", "Too many errors; closing the connection.")
OUT_OF_STEP = reply(554, "5.5.0", "Wait for the reply before you send more; closing the connection.")

_FOREIGN = frozenset(
    {b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"PRI"}
)  # HTTP methods: somebody makes a browser talk to us


def names_flaw(name: str) -> Reply:
    """The reply to a bare CR, bare LF or NUL."""
    return reply(521, "5.5.2", f"{name} received; only CRLF may end a line. Closing the connection.")


class Session(Connection):
    """The loop without the commands. A subclass defines ``command``, ``continue_auth``, ``data_block`` and
    ``chunk_block``."""

    # -- bytes in ----------------------------------------------------------------------------------

    @property
    def buffered(self) -> int:
        """Bytes that came in and were not looked at yet."""
        return len(self._rx) - self._pos

    def dataReceived(self, data: bytes) -> None:
        if self._dead:
            return
        # Bytes and an offset: what is left over is shorter than a line or than HIGH_WATER + one read.
        self._rx = self._rx[self._pos :] + data if self._pos < len(self._rx) else data
        self._pos = 0
        if self._first and data[:1] == b"\x16":  # a TLS hello has no line end to wait for
            self.close(NOT_SMTP)
            return
        self._pump()

    def _pump(self) -> None:
        if self._pumping:
            return  # a reply was given inside a command: the loop below goes on by itself
        self._pumping = True
        try:
            while not (self._owed or self._blocked or self._stalled or self._dead):
                mode = self.mode
                if mode in (COMMAND, AUTH):
                    if not self._one_line():
                        break
                elif self._pos < len(self._rx):
                    block = self._rx[self._pos :] if self._pos else self._rx
                    self._rx, self._pos = b"", 0
                    if self.deadline is not None:
                        self.deadline.received(self.clock.seconds(), len(block))
                    if mode == DATA:
                        self.data_block(block)
                    else:
                        self.chunk_block(block)
                else:
                    break
        except Exception:
            self.log.failure("{cid} failed", event="smtp.broken", cid=self.cid, peer=self.peer)
            self.close(BROKEN, linger=True)
        finally:
            self._pumping = False
        if self._out:
            self._flush()
        if self._paused:
            if not self._busy or (not self._blocked and self.buffered < HIGH_WATER):
                self._unpause()
        elif self._blocked or (self.buffered >= HIGH_WATER and self._busy):
            self._paused = True
            self.transport.pauseProducing()

    def give_back(self, rest: bytes) -> None:
        """Put the bytes behind a message back in front of the loop."""
        self._rx, self._pos = rest, 0

    def _one_line(self) -> bool:
        """Run one command, if a complete line is there."""
        rx, pos = self._rx, self._pos
        end = rx.find(b"\n", pos)
        limit = self._limit(rx, pos)
        if end < 0:
            if len(rx) - pos > limit:
                self.close(TOO_LONG, linger=True)
            return False
        if end + 1 - pos > limit:
            self.close(TOO_LONG, linger=True)
            return False
        line = rx[pos:end]
        if line[-1:] != b"\r":
            self.close(names_flaw("bare LF"), linger=True)
            return False
        line = line[:-1]
        if b"\r" in line or b"\0" in line:
            self.close(names_flaw("bare CR" if b"\r" in line else "NUL"), linger=True)
            return False
        self._pos = end + 1
        self.resetTimeout()
        self._owed = True
        try:
            if self.mode == AUTH:
                self.continue_auth(line)
            else:
                if self._first:
                    self._first = False
                    if line.split(b" ", 1)[0].upper() in _FOREIGN:
                        self.close(NOT_SMTP, linger=True)
                        return False
                self.command(line)
        except PosthouseError:
            self.answer_failure(Failure())
        except Exception:
            self.log.failure("{cid} failed in a command", event="smtp.broken", cid=self.cid, peer=self.peer)
            if self._owed:
                self.answer(INTERNAL)
        return True

    def _limit(self, rx: bytes, pos: int) -> int:
        if self.mode == AUTH or (self.may_authenticate and rx[pos : pos + 5].upper() == b"AUTH "):
            return MAX_AUTH_LINE
        return self.line_limit

    # -- replies out -------------------------------------------------------------------------------
    def sendCode(self, code: int, message: bytes = b"") -> None:
        """The stock way to answer; the same rules hold."""
        self.answer(reply(code, "", message.decode("latin-1")))

    def answer(self, what: Reply, delay: float = 0.0) -> None:
        """The one reply to the command that runs. 5xx is counted, and delayed beyond the error budget."""
        if self._dead:
            return
        if not self._owed or self._delayed is not None:
            raise RuntimeError("a reply that no command asked for")
        if what.code >= 500:
            delay += self._count_error(what)
            if self._dead:
                return
        if delay > 0:
            self._delayed = self.clock.callLater(delay, self._answer_now, what)
        else:
            self._answer_now(what)

    def _answer_now(self, what: Reply) -> None:
        self._delayed = None
        self._out.append(what.wire)
        self._owed = False
        if what.code == 421:
            self.close()
        elif self._ends_now:
            self.close(self._farewell)
        else:
            self._pump()

    def _count_error(self, what: Reply) -> float:
        """Returns the delay; closes the connection when the budget is used up."""
        settings = self.settings
        trusted = self.exempt or self.account is not None
        if trusted and what.enhanced.startswith(("5.1.", "5.7.1")):
            # Whoever has logged in, or is listed, may be wrong about recipients more often than a stranger.
            self.refused += 1
            over = self.refused >= settings.refused_limit
        else:
            self.errors += 1
            over = self.errors >= settings.hard_errors
        if over:
            self._out.append(what.wire)
            self.close(TOO_MANY_ERRORS, linger=True)
            return 0.0
        return settings.error_delay if self.errors > settings.soft_errors and not self.exempt else 0.0

    def count_junk(self) -> None:
        """A command that leads to no message. Too many of them are errors."""
        self.junk += 1
        if self.junk > self.settings.junk_limit:
            self.errors += 1
            if self.errors >= self.settings.hard_errors:
                self.close(TOO_MANY_ERRORS, linger=True)

    def wait_for(self, deferred: Deferred[Any], then: Any, otherwise: Any = None) -> None:
        """Go on with ``then(result)`` when the Deferred fires, unless the connection ends before.

        A failure is answered from the error table, or given to ``otherwise(failure)``."""
        self._waiting = deferred

        def fired(result: Any) -> None:
            if self._waiting is not deferred:
                return  # the connection has ended
            self._waiting = None
            if isinstance(result, Failure):
                (otherwise or self.answer_failure)(result)
            else:
                then(result)

        deferred.addBoth(fired)
        deferred.addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        self.log.failure("{cid} failed", failure, event="smtp.broken", cid=self.cid, peer=self.peer)
        if self._owed and self._delayed is None:
            self.answer(INTERNAL)
        else:
            self.close(BROKEN, linger=True)

    def answer_failure(self, failure: Failure) -> None:
        """Answer an error of the house from the table, any other as a local error."""
        self.answer(self.reply_to_failure(failure))

    def reply_to_failure(self, failure: Failure, table: Any = None, event: str = "smtp.refused") -> Reply:
        """The reply from the error table; the private cause goes into the log."""
        known = reply_to_error(cast(BaseException, failure.value), table)
        if known is None:
            self.log.failure("{cid} failed", failure, event="smtp.broken", cid=self.cid, peer=self.peer)
            return INTERNAL
        cause = getattr(failure.value, "cause", "")
        if cause or event != "smtp.refused":
            self.log.warn(
                "{cid} {code}: {cause}",
                event=event,
                cid=self.cid,
                peer=self.peer,
                code=known.code,
                cause=cause,
            )
        return known

    # -- for the commands ----------------------------------------------------------------------------

    @property
    def may_authenticate(self) -> bool:
        """Whether AUTH is offered now."""
        return False

    def command(self, line: bytes) -> None:
        raise AssertionError("defined by the subclass")

    def continue_auth(self, line: bytes) -> None:
        raise AssertionError("defined by the subclass")

    def data_block(self, block: bytes) -> None:
        raise AssertionError("defined by the subclass")

    def chunk_block(self, block: bytes) -> None:
        raise AssertionError("defined by the subclass")
