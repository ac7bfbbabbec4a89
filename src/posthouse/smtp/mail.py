"""One mail transaction: MAIL, RCPT, then DATA or BDAT (RFC 5321 3.3, RFC 3030).

The promises: ``250`` at the end of data is said after the intake took responsibility, and names the queue id.
A message goes through one ``ISpool`` and is never in memory as a whole because of this room; what is too long
is read to its end and thrown away. Until the intake has the message, a lost connection leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from posthouse.errors import Malformed, NoSuchThing, RelayDenied
from posthouse.faults import reach
from posthouse.model import Envelope, Recipient
from posthouse.smtp import grammar
from posthouse.smtp.data import Chunk, DataIn
from posthouse.smtp.hello import SAY_HELLO, HelloSession
from posthouse.smtp.limits import RateDeadline
from posthouse.smtp.replies import Refused, Reply, reply
from posthouse.smtp.session import BDAT, COMMAND, DATA, TOO_MANY_ERRORS, names_flaw
from posthouse.smtp.transaction import TOO_BIG, Transaction, Wanted, read_mail, read_rcpt

if TYPE_CHECKING:
    from posthouse.smtp.server import SMTPFactory

__all__ = ["MailSession"]

DRAIN_FACTOR = 4  # how many times the size limit is read and thrown away before the connection is closed

SENDER_OK = reply(250, "2.1.0", "Ok")
RECIPIENT_OK = reply(250, "2.1.5", "Ok")
GO_AHEAD = reply(354, "", "End data with <CR><LF>.<CR><LF>")
NESTED_MAIL = reply(503, "5.5.1", "A transaction is open already")
NEED_MAIL = reply(503, "5.5.1", "Send MAIL first")
NO_VALID_RCPT = reply(554, "5.5.1", "No valid recipients")
BDAT_BEGUN = reply(503, "5.5.1", "BDAT was begun; only BDAT may follow")
NEED_TLS = reply(530, "5.7.0", "Must issue a STARTTLS command first")
NEED_AUTH = reply(530, "5.7.0", "Authentication required")
TOO_MANY_RECIPIENTS = reply(452, "4.5.3", "Too many recipients")
MESSAGES_TOO_FAST = reply(450, "4.7.1", "Too many messages from your network; come again later")
RECIPIENTS_TOO_FAST = reply(450, "4.7.1", "Too many recipients from your network; come again later")
GUESSED_TOO_OFTEN = reply(421, "4.7.0", "Too many unknown recipients from your network; come again later")


class MailSession(HelloSession):
    """One connection with its transaction, if one is open."""

    def __init__(self, factory: SMTPFactory, peer: str) -> None:
        HelloSession.__init__(self, factory, peer)
        self.transaction: Transaction | None = None
        self.messages = 0  # accepted
        self._delivering = False  # the intake has a message, and has not answered
        self.unknown = 0  # recipients that do not exist, since the last message
        self.verbs[b"MAIL"] = self.do_MAIL
        self.verbs[b"RCPT"] = self.do_RCPT
        self.verbs[b"DATA"] = self.do_DATA
        self.verbs[b"BDAT"] = self.do_BDAT

    @property
    def in_transaction(self) -> bool:
        return self.transaction is not None

    @property
    def data_under_way(self) -> bool:
        transaction = self.transaction
        return self._delivering or (
            transaction is not None and (transaction.reader is not None or transaction.chunking)
        )

    @property
    def _stranger(self) -> bool:
        return not self.exempt and self.account is None

    def abandon(self) -> None:
        transaction, self.transaction = self.transaction, None
        if transaction is not None and transaction.spool is not None:
            transaction.spool.discard()

    # -- MAIL and RCPT ---------------------------------------------------------------------------------

    def do_MAIL(self, rest: bytes) -> None:
        if not self.helo:
            raise Refused(SAY_HELLO)
        if self.settings.submission and not self.secure:
            raise Refused(NEED_TLS)
        if self.settings.submission and self.account is None:
            raise Refused(NEED_AUTH)
        if self.transaction is not None:
            raise Refused(NESTED_MAIL)
        transaction = read_mail(rest, self.settings, self.extended, self.secure, self.clock.seconds())
        if self._stranger:
            if self.factory.rates.guesses(self.peer):
                raise Refused(GUESSED_TOO_OFTEN)
            if not self.factory.rates.message(self.peer):
                raise Refused(MESSAGES_TOO_FAST)
        check = maybeDeferred(self.factory.intake.check_sender, transaction.sender, self.account)
        self.wait_for(check, lambda ignored: self._mail_ok(transaction))

    def _mail_ok(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.answer(SENDER_OK)

    def do_RCPT(self, rest: bytes) -> None:
        transaction = self.transaction
        if transaction is None:
            raise Refused(NEED_MAIL)
        if transaction.chunking:
            raise Refused(BDAT_BEGUN)
        if len(transaction.recipients) >= self.settings.max_recipients:
            raise Refused(TOO_MANY_RECIPIENTS)
        wanted = read_rcpt(rest, self.settings, transaction.utf8)
        if self._stranger and not self.factory.rates.recipient(self.peer):
            raise Refused(RECIPIENTS_TOO_FAST)
        check = maybeDeferred(
            self.factory.intake.check_recipient, wanted.address, self.account, transaction.sender
        )
        self.wait_for(
            check,
            lambda recipient: self._recipient_ok(transaction, wanted, recipient),
            lambda failure: self._recipient_refused(transaction, failure),
        )

    def _recipient_ok(self, transaction: Transaction, wanted: Wanted, recipient: Recipient) -> None:
        if wanted.notify or wanted.orcpt:
            recipient = evolve(recipient, notify=wanted.notify, orcpt=wanted.orcpt)
        transaction.recipients.setdefault(recipient.address, recipient)
        self.answer(RECIPIENT_OK)

    def _recipient_refused(self, transaction: Transaction, failure: Failure) -> None:
        answer = self.reply_to_failure(failure)
        if not self._stranger or not failure.check(NoSuchThing, RelayDenied):
            self.answer(answer)
            return
        # Whoever guesses names gets few answers, and slowly.
        self.unknown += 1
        self.factory.rates.unknown(self.peer)
        if self.unknown >= self.settings.unknown_limit:
            self._out.append(answer.wire)
            self.close(TOO_MANY_ERRORS, linger=True)
        else:
            self.answer(answer, 0.0 if transaction.recipients else self.settings.unknown_delay)

    # -- DATA ------------------------------------------------------------------------------------------

    def do_DATA(self, rest: bytes) -> None:
        transaction = self.transaction
        if transaction is None:
            raise Refused(NEED_MAIL)
        if rest:
            raise Refused(reply(501, "5.5.4", "DATA takes no argument"))
        if transaction.chunking:
            raise Refused(BDAT_BEGUN)  # RFC 3030 2
        if not transaction.recipients:
            raise Refused(NO_VALID_RCPT)
        if not self.out_of_step():
            reach("intake.before-spool")
            transaction.spool = self.factory.intake.spool()
            transaction.reader = DataIn()
            self._begin_bulk(DATA)
            self.answer(GO_AHEAD)

    def _end_of_data(self) -> None:
        self.mode = COMMAND
        self.deadline = None
        self.setTimeout(self.settings.idle_timeout)

    def _begin_bulk(self, mode: str) -> None:
        self.mode = mode
        if self.deadline is None:
            self.deadline = RateDeadline(
                self.clock.seconds(), self.settings.idle_timeout, self.settings.min_rate
            )

    def data_block(self, block: bytes) -> None:
        transaction = self.transaction
        assert transaction is not None and transaction.reader is not None
        reader = transaction.reader
        clean = reader.feed(block)
        if reader.flaw:
            self.close(names_flaw(reader.flaw), linger=True)
            return
        if reader.rest is not None:
            self.give_back(reader.rest)
            self._end_of_data()
            self._owed = True
            self._take(clean, self._message_complete)
        else:
            self._take(clean, None)

    def _take(self, clean: bytes, then: Callable[[], None] | None) -> None:
        """Put message bytes into the spool, then go on; a failure is kept for the end of the message."""
        transaction = self.transaction
        assert transaction is not None
        transaction.received += len(clean)
        if transaction.received > self.settings.size_limit:
            self._refuse_rest(TOO_BIG)
            if transaction.received > self.settings.size_limit * DRAIN_FACTOR:
                self.close(TOO_BIG, linger=True)
                return
        if clean and transaction.refusal is None:
            assert transaction.spool is not None
            try:
                wait = transaction.spool.write(clean)
                if then is None:
                    reach("intake.mid-spool")
            except Exception:
                self._refuse_rest(self.reply_to_failure(Failure()))
            else:
                if wait is not None:
                    self._blocked = True
                    self._waiting = wait
                    wait.addBoth(self._spool_ready, transaction, then)
                    wait.addErrback(self._broken)
                    return
        if then is not None:
            then()

    def _spool_ready(self, result: Any, transaction: Transaction, then: Callable[[], None] | None) -> None:
        if self._dead:
            return
        self._waiting = None
        self._blocked = False
        if isinstance(result, Failure):
            self._refuse_rest(self.reply_to_failure(result))
        if then is not None:
            then()
        self._pump()

    def _refuse_rest(self, refusal: Reply) -> None:
        transaction = self.transaction
        assert transaction is not None
        if transaction.refusal is None:
            transaction.refusal = refusal
            if transaction.spool is not None:
                transaction.spool.discard()

    def _message_complete(self) -> None:
        transaction = self.transaction
        assert transaction is not None
        if transaction.refusal is not None:
            self.reset()
            self.answer(transaction.refusal)
            return
        spool = transaction.spool
        assert spool is not None
        self.wait_for(maybeDeferred(spool.finish), self._deliver, self._delivery_failed)

    def _deliver(self, spooled: Any) -> None:
        transaction = self.transaction
        assert transaction is not None
        self.transaction = None  # the intake has it now; a lost connection changes nothing any more
        self._delivering = True
        done = maybeDeferred(self.factory.intake.accept, self._envelope(transaction), spooled)
        done.addBoth(self._delivered, transaction, spooled)
        done.addErrback(self._broken)

    def _delivered(self, result: Any, transaction: Transaction, spooled: Any) -> None:
        spooled.close()
        self._delivering = False
        if not isinstance(result, Failure):
            reach("intake.after-commit")
            # The intake has told the log what it took; a second line would cost as much as the rest here.
            self.messages += 1
            self.errors = self.junk = self.unknown = 0
            self.answer(reply(250, "2.0.0", f"Ok: queued as {result}"))
            reach("intake.after-answer")
            return
        answer = self.reply_to_failure(result)
        self.log.info(
            "{cid} message of {size} bytes from <{sender}> to {recipients} recipients refused: {code} {text}",
            event="smtp.message_refused",
            cid=self.cid,
            peer=self.peer,
            role=self.settings.role,
            sender=transaction.sender,
            recipients=len(transaction.recipients),
            size=spooled.size,
            code=answer.code,
            text=answer.text,
        )
        self.answer(answer)

    def _delivery_failed(self, failure: Failure) -> None:
        self.reset()
        self.answer(self.reply_to_failure(failure))

    def _envelope(self, transaction: Transaction) -> Envelope:
        # RFC 3848 and RFC 6531 4.3 name the protocol for the Received header.
        if transaction.utf8:
            protocol = "UTF8SMTP"
        else:
            protocol = "ESMTP" if self.extended else "SMTP"
        if self.extended:
            protocol += ("S" if self.secure else "") + ("A" if self.account is not None else "")
        return Envelope(
            sender=transaction.sender,
            recipients=tuple(transaction.recipients.values()),
            peer=self.peer,
            helo=self.helo,
            protocol=protocol,
            account_id=self.account.id if self.account is not None else None,
            cid=self.cid,
            smtputf8=transaction.utf8,
            body=transaction.body,
            envid=transaction.envid,
            ret=transaction.ret,
            hold_until=transaction.hold_until,
            tls=self._tls_description(),
            require_tls=transaction.require_tls,
        )

    # -- BDAT ------------------------------------------------------------------------------------------

    def do_BDAT(self, rest: bytes) -> None:
        try:
            size, last = grammar.parse_bdat(rest)
        except Malformed as error:
            # Nobody knows where the chunk ends, so nothing that follows can be read.
            self.close(reply(501, "5.5.4", error.public), linger=True)
            return
        transaction = self.transaction
        if transaction is None:
            transaction = self.transaction = Transaction("", refusal=NEED_MAIL)
        elif not transaction.recipients and transaction.refusal is None:
            transaction.refusal = NO_VALID_RCPT
        if size > self.settings.size_limit * DRAIN_FACTOR:
            self.close(transaction.refusal or TOO_BIG, linger=True)
            return
        if transaction.refusal is None and transaction.received + size > self.settings.size_limit:
            self._refuse_rest(TOO_BIG)
        transaction.chunking = True
        if transaction.spool is None and transaction.refusal is None:
            reach("intake.before-spool")
            transaction.spool = self.factory.intake.spool()
        held = transaction.chunk.held if transaction.chunk is not None else b""
        transaction.chunk = Chunk(size, last, held)
        self._owed = False  # the reply is due after the chunk
        self._begin_bulk(BDAT)
        if not size:
            self.chunk_block(b"")

    def chunk_block(self, block: bytes) -> None:
        transaction = self.transaction
        assert transaction is not None and transaction.chunk is not None
        chunk = transaction.chunk
        clean, rest = chunk.feed(block)
        if block:  # an empty chunk takes nothing from the loop
            self.give_back(rest)
        if chunk.flaw:
            self._refuse_rest(reply(554, "5.6.0", f"The message contains a {chunk.flaw}"))
        if chunk.left:
            self._take(clean, None)
        else:
            self._end_of_data()
            self._owed = True
            self._take(clean, self._chunk_complete)

    def _chunk_complete(self) -> None:
        transaction = self.transaction
        assert transaction is not None and transaction.chunk is not None
        chunk = transaction.chunk
        refusal = transaction.refusal
        if refusal is not None:
            if chunk.last or refusal is NEED_MAIL:
                self.reset()
            self.answer(refusal)
        elif chunk.last:
            self._message_complete()
        else:
            self.answer(reply(250, "2.0.0", f"{chunk.size} octets received"))
