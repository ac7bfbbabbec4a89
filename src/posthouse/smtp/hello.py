"""Who is there: HELO, EHLO, STARTTLS (RFC 3207) and AUTH (RFC 4954), and the commands that do nothing.

The promises: logins exist only inside TLS, and only on the ports for users. STARTTLS forgets everything that
was said in clear, and bytes sent behind it end the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure

from posthouse.errors import AuthFailed, Malformed, TooManyAttempts
from posthouse.model import Account
from posthouse.smtp import grammar
from posthouse.smtp.auth import MECHANISMS, Challenge, Exchange
from posthouse.smtp.future import announcement
from posthouse.smtp.replies import AUTH_ERRORS, Refused, Reply, lines, reply
from posthouse.smtp.session import AUTH, COMMAND, EXTENDED_LINE, OUT_OF_STEP, Session

if TYPE_CHECKING:
    from posthouse.smtp.server import SMTPFactory

__all__ = ["OK", "SAY_HELLO", "HelloSession"]

OK = reply(250, "2.0.0", "Ok")
BYE = reply(221, "2.0.0", "Bye")
NO_SUCH_COMMAND = reply(500, "5.5.2", "Command not recognized")
NOT_IMPLEMENTED = reply(502, "5.5.1", "Command not implemented")
CANNOT_VERIFY = reply(252, "2.1.5", "Cannot verify; send some mail, I will try my best")
HELP = reply(214, "2.0.0", "See RFC 5321")
SAY_HELLO = reply(503, "5.5.1", "Send HELO or EHLO first")
NO_AUTH_IN_CLEAR = reply(538, "5.7.11", "Encryption required for authentication")
NO_AUTH_HERE = reply(503, "5.5.1", "Authentication is not available on this port")
AUTH_ONCE = reply(503, "5.5.1", "Already authenticated")
AUTH_NOT_NOW = reply(503, "5.5.1", "AUTH is not permitted during a mail transaction")
NO_MECHANISM = reply(504, "5.5.4", "Unrecognized authentication type")
AUTH_CANCELLED = reply(501, "5.7.0", "Authentication cancelled")
AUTH_OK = reply(235, "2.7.0", "Authentication successful")
AUTH_TOO_OFTEN = reply(421, "4.7.0", "Too many failed logins; closing the connection.")
TLS_GO = reply(220, "2.0.0", "Ready to start TLS")
TLS_ALREADY = reply(503, "5.5.1", "TLS is active already")
TLS_NONE = reply(502, "5.5.1", "STARTTLS is not available")
TLS_NO_ARGUMENT = reply(501, "5.5.4", "STARTTLS takes no argument")
TLS_INJECTED = reply(554, "5.5.0", "Data behind STARTTLS; closing the connection.")


class HelloSession(Session):
    """One connection, up to the first MAIL. ``account`` and ``helo`` say who is there."""

    def __init__(self, factory: SMTPFactory, peer: str) -> None:
        Session.__init__(self, factory, peer)
        self.account: Account | None = None
        self.helo = ""
        self.extended = False  # said EHLO
        self.secure = False  # the line is encrypted; the transport says so, the role would only be a promise
        self._exchange: Exchange | None = None
        self._auth_failures = 0
        self.verbs: dict[bytes, Callable[[bytes], None]] = {
            b"HELO": self.do_HELO,
            b"EHLO": self.do_EHLO,
            b"RSET": self.do_RSET,
            b"NOOP": self.do_NOOP,
            b"VRFY": self.do_VRFY,
            b"EXPN": self.do_EXPN,
            b"HELP": self.do_HELP,
            b"QUIT": self.do_QUIT,
            b"STARTTLS": self.ext_STARTTLS,
            b"AUTH": self.ext_AUTH,
        }

    def connectionMade(self) -> None:
        self.secure = ISSLTransport.providedBy(self.transport)
        Session.connectionMade(self)

    @property
    def may_authenticate(self) -> bool:
        """Whether AUTH is offered: inside TLS, on the ports for users (RFC 4954 4, RFC 8314 3.3)."""
        return self.settings.submission and self.secure and self.extended

    def lookupMethod(self, command: bytes) -> Callable[[bytes], None] | None:
        return self.verbs.get(command)

    def command(self, line: bytes) -> None:
        verb, rest = grammar.split_command(line)
        method = self.verbs.get(verb)
        if method is None:
            raise Refused(NO_SUCH_COMMAND)
        method(rest)

    def reset(self) -> None:
        """Forget the transaction (RFC 5321 4.1.1.5)."""
        self.abandon()
        self.mode = COMMAND
        self.deadline = None

    # -- hello ---------------------------------------------------------------------------------------

    def _hello(self, rest: bytes) -> bool:
        self.count_junk()
        try:
            self.helo = grammar.parse_helo(rest)
        except Malformed as error:
            # Computers of users have names with blanks and umlauts, which are nothing to refuse mail for.
            if not self.settings.submission or not rest:
                self.answer(reply(501, "5.5.4", error.public))
                return False
            self.helo = "unknown"
        if self.out_of_step():
            return False
        self._helo = (self.helo.encode(), self.peer.encode())
        self.reset()
        return True

    def out_of_step(self) -> bool:
        """Did a stranger send more than may be in flight (RFC 2920 3.1)? Then it does not read replies."""
        strict = self.settings.strict_pipelining and not self.settings.submission and not self.exempt
        if strict and self.buffered:
            self.close(OUT_OF_STEP, linger=True)
            return True
        return False

    def do_HELO(self, rest: bytes) -> None:
        if self._hello(rest):
            self.extended = False
            self.answer(reply(250, "", self.settings.hostname))

    def do_EHLO(self, rest: bytes) -> None:
        if self._hello(rest):
            self.extended = True
            self.line_limit = EXTENDED_LINE
            words = [self.settings.hostname]
            for name, arguments in self.extensions().items():
                words.append((name + b" " + b" ".join(arguments) if arguments else name).decode("ascii"))
            self.answer(lines(250, words))

    def extensions(self) -> dict[bytes, list[bytes] | None]:
        """What EHLO announces, in order."""
        found: dict[bytes, list[bytes] | None] = {
            b"PIPELINING": None,  # RFC 2920
            b"SIZE": [b"%d" % (self.settings.size_limit,)],  # RFC 1870
            b"8BITMIME": None,  # RFC 6152
            b"SMTPUTF8": None,  # RFC 6531
            b"CHUNKING": None,  # RFC 3030
            b"ENHANCEDSTATUSCODES": None,  # RFC 2034
            b"LIMITS": [b"RCPTMAX=%d" % (self.settings.max_recipients,)],  # RFC 9422
        }
        if self.settings.submission:
            found[b"DSN"] = None  # RFC 3461
            if self.settings.hold_seconds:  # RFC 4865
                limits = announcement(self.settings.hold_seconds, self.clock.seconds())
                found[b"FUTURERELEASE"] = list(limits)
        if self.canStartTLS and not self.secure:
            found[b"STARTTLS"] = None  # RFC 3207
        if self.secure:
            found[b"REQUIRETLS"] = None  # RFC 8689 4.2
        if self.may_authenticate:
            found[b"AUTH"] = list(MECHANISMS)
        return found

    # -- small commands ------------------------------------------------------------------------------

    def do_NOOP(self, rest: bytes) -> None:
        self.count_junk()
        self.answer(OK)

    def do_RSET(self, rest: bytes) -> None:
        self.count_junk()
        self.reset()
        self.answer(OK)

    def do_VRFY(self, rest: bytes) -> None:
        self.count_junk()
        self.answer(CANNOT_VERIFY if rest else reply(501, "5.5.4", "Syntax: VRFY address"))

    def do_EXPN(self, rest: bytes) -> None:
        self.count_junk()
        self.answer(NOT_IMPLEMENTED)

    def do_HELP(self, rest: bytes) -> None:
        self.count_junk()
        self.answer(HELP)

    def do_QUIT(self, rest: bytes) -> None:
        self.answer(BYE)
        self.close()

    # -- STARTTLS --------------------------------------------------------------------------------------

    def ext_STARTTLS(self, rest: bytes) -> None:
        self.count_junk()
        if self.secure:
            self.answer(TLS_ALREADY)
        elif not self.canStartTLS:
            self.answer(TLS_NONE)
        elif rest:
            self.answer(TLS_NO_ARGUMENT)
        elif self.buffered:
            # RFC 3207 6 as amended by CVE-2011-0411: what was sent in clear must not be read as if it were
            # encrypted, and whoever sends it is not a client that we need.
            self.close(TLS_INJECTED, linger=True)
        else:
            self.reset()
            self.helo, self.extended, self.account = "", False, None
            self._exchange = None
            self.answer(TLS_GO)
            if not self._dead:
                self._flush()
                self.transport.startTLS(self.ctx)
                self._direct = False
                self.startedTLS = self.secure = True

    def _tls_description(self) -> str:
        if not self.secure:
            return ""
        try:
            handle: Any = self.transport.getHandle()
            return f"{handle.get_protocol_version_name()} with cipher {handle.get_cipher_name()}"
        except AttributeError:  # a transport without an OpenSSL connection
            return "TLS"

    # -- AUTH ------------------------------------------------------------------------------------------

    def ext_AUTH(self, rest: bytes) -> None:
        name, initial = grammar.split_command(rest)
        if not self.settings.submission:
            raise Refused(NO_AUTH_HERE)
        if not self.secure:
            raise Refused(NO_AUTH_IN_CLEAR)
        if not self.extended:
            raise Refused(SAY_HELLO)
        if self.account is not None:
            raise Refused(AUTH_ONCE)
        if self.in_transaction:
            raise Refused(AUTH_NOT_NOW)
        if name not in MECHANISMS:
            raise Refused(NO_MECHANISM)
        self._exchange = MECHANISMS[name]()
        self._auth_step(initial or None)

    def continue_auth(self, line: bytes) -> None:
        if line == b"*":  # RFC 4954 section 4
            self._exchange = None
            self.mode = COMMAND
            self.answer(AUTH_CANCELLED)
        else:
            self._auth_step(line)

    def _auth_step(self, line: bytes | None) -> None:
        assert self._exchange is not None
        try:
            step = self._exchange.step(line)
        except Malformed as error:
            self._exchange = None
            self.mode = COMMAND
            self.answer(reply(501, "5.5.2", error.public))
            return
        except AuthFailed:
            self._exchange = None
            self.mode = COMMAND
            self._auth_refused(Failure())
            return
        if isinstance(step, Challenge):
            self.mode = AUTH
            self.answer(Reply(334, "", "", b"334 " + step.text + b"\r\n"))
            return
        self._exchange = None
        self.mode = COMMAND
        check = maybeDeferred(self.factory.authenticator.check_password, step.login, step.password, self.peer)
        self.wait_for(check, self._authenticated, self._auth_refused)

    def _authenticated(self, account: Account) -> None:
        self.account = account
        self.authenticated = True
        self.log.info(
            "{cid} {account} logged in",
            event="smtp.login",
            cid=self.cid,
            peer=self.peer,
            account=account.address,
        )
        self.answer(AUTH_OK)

    def _auth_refused(self, failure: Failure) -> None:
        answer = self.reply_to_failure(failure, AUTH_ERRORS, "smtp.login_failed")
        if failure.check(AuthFailed, TooManyAttempts):
            self._auth_failures += 1
            if self._auth_failures >= self.settings.auth_failures:
                answer = AUTH_TOO_OFTEN
            # The same time for a wrong password as for an unknown user, and little to gain by trying.
            self.answer(answer, self.settings.auth_delay)
        else:
            self.answer(answer)
