"""The client against servers that are honest, old, slow, lying or dying."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from posthouse.errors import Malformed, TryLater
from posthouse.model import NextHop, RecipientResult, RelayJob
from posthouse.smtp.client import Relay
from posthouse.smtp.conversation import BLOCK, MAX_LINES, Timeouts
from tests.smtp.test_data import stuffed
from tests.support.smtp import FakeIntake, Peer

MESSAGE = b"Subject: x\r\n\r\n.dot\r\nlast line without an end"


class Server(StringTransport):
    """Scripted: ``replies`` by verb; a list is used up, None is silence, b"" closes. Records what it heard.

    ``keywords`` are announced; ``inject`` is sent in one piece with the reply to STARTTLS.
    """

    def __init__(self, *keywords: str, greeting: bytes | None = b"220 hello", **replies: Any) -> None:
        StringTransport.__init__(self)
        self.keywords = list(keywords)
        self.replies: dict[str, Any] = {
            "HELO": b"250 hi",
            "MAIL": b"250 2.1.0 ok",
            "RCPT": b"250 2.1.5 ok",
            "DATA": b"354 go on",
            ".": b"250 2.0.0 queued as X1",
            "QUIT": b"221 bye",
            "STARTTLS": b"220 go",
            "AUTH": b"235 welcome",
            **replies,
        }
        self.greeting = greeting
        self.inject = b""
        self.heard: list[str] = []
        self.message = b""
        self.tls: Any = None
        self.fail_tls = False
        self.protocol: Any = None
        self.gone = False
        self.chunk = 0
        self._buffer = b""
        self._data = False

    def begin(self, protocol: Any) -> None:
        self.protocol = protocol
        protocol.makeConnection(self)
        if self.greeting is not None:
            self.say(self.greeting)

    def say(self, line: bytes) -> None:
        if not self.gone:
            self.protocol.dataReceived(line + b"\r\n")

    def write(self, data: bytes) -> None:
        if self.gone:
            return
        self._buffer += data
        while not self.gone:
            if self._data:
                whole = b"\r\n" + self._buffer
                end = whole.find(b"\r\n.\r\n")
                if end < 0:
                    return
                self.message, self._buffer = self._buffer[: end + 3], self._buffer[end + 3 :]
                self._data = False
                self.answer(".")
                continue
            line, separator, rest = self._buffer.partition(b"\r\n")
            if not separator:
                return
            self._buffer = rest
            text = line.decode()
            self.heard.append(text)
            self.answer(text.split(" ")[0].upper())

    def answer(self, verb: str) -> None:
        reply = self.replies.get(verb)
        if verb == "EHLO" and verb not in self.replies:
            words = [b"mx.fake", *[word.encode() for word in self.keywords]]
            reply = b"\r\n".join(b"250%s%s" % (b" " if word is words[-1] else b"-", word) for word in words)
        if isinstance(reply, list):
            reply = reply.pop(0)
        if reply == b"":
            self.die()
        elif reply is not None:
            if verb == "DATA" and reply.startswith(b"354"):
                self._data = True
            if verb == "STARTTLS":
                reply += self.inject
            self.say(reply)

    def die(self) -> None:
        if not self.gone:
            self.gone = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def startTLS(self, context: Any) -> None:
        self.tls = context
        self.keywords = [word for word in self.keywords if word.upper() != "STARTTLS"]
        if self.fail_tls:
            self.die()

    def loseConnection(self) -> None:
        self.die()

    def abortConnection(self) -> None:
        self.die()


@implementer(IStreamClientEndpoint)
class Endpoint:
    def __init__(self, server: Any) -> None:
        self.server = server

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.server is None:
            return fail(ConnectionRefusedError("refused"))
        if self.server == "silence":
            return Deferred()
        protocol = factory.buildProtocol(None)
        # A real connection is there before the first byte is.
        done: Deferred[Any] = succeed(protocol)
        self.server.begin(protocol)
        return done


class Net:
    """Servers by address, and the relay that talks to them."""

    def __init__(self, **servers: Any) -> None:
        self.clock = Clock()
        self.servers: dict[str, list[Any]] = {
            name: list(server) if isinstance(server, list) else [server] for name, server in servers.items()
        }
        self.tried: list[str] = []
        self.contexts: list[tuple[str, bool]] = []
        self.judged: list[tuple[str, str]] = []
        self.verdict: dict[str, tuple[str, str]] = {}

    def connect(self, address: str, port: int) -> Endpoint:
        self.tried.append(address)
        waiting = self.servers[address]
        return Endpoint(waiting.pop(0) if len(waiting) > 1 else waiting[0])

    def context(self, host: str, verify: bool) -> tuple[str, bool]:
        self.contexts.append((host, verify))
        return host, verify

    def judge(self, talk: Any, mode: str, hop: NextHop, now: Any) -> tuple[str, str]:
        self.judged.append((hop.host, mode))
        return self.verdict.get(mode, ("", ""))

    def send(
        self, message: bytes = MESSAGE, read: Callable[..., Any] | None = None, **job: Any
    ) -> Deferred[Any]:
        relay = Relay(self.clock, self.connect, "client.example", self.context, Timeouts(), judged=self.judge)
        values: dict[str, Any] = {
            "hosts": tuple(NextHop(f"{name}.example", (name,)) for name in self.servers),
            "sender": "a@here.example",
            "recipients": ("x@there.example",),
            "read": read or (lambda start, stop: message[start:stop]),
            "size": len(message),
            **job,
        }
        return relay.send(RelayJob(**values))


class Base(SynchronousTestCase):
    def results(self, net: Net, **job: Any) -> list[RecipientResult]:
        return self.successResultOf(net.send(**job))

    def one(self, net: Net, **job: Any) -> tuple[str, int, str]:
        result = self.results(net, **job)[0]
        return result.outcome, result.code, result.enhanced


class DeliveryTests(Base):
    def test_a_message_to_a_modern_server(self) -> None:
        server = Server("PIPELINING", "SIZE 1000", "8BITMIME", "DSN")
        net = Net(m1=server)
        results = self.results(
            net,
            recipients=("x@there.example", "y@there.example"),
            eight_bit=True,
            envid="e1",
            ret="HDRS",
            notify=("NEVER", ""),
            orcpt=("rfc822;x@y.example", ""),
        )
        self.assertEqual(
            server.heard,
            [
                "EHLO client.example",
                f"MAIL FROM:<a@here.example> SIZE={len(MESSAGE)} BODY=8BITMIME RET=HDRS ENVID=e1",
                "RCPT TO:<x@there.example> NOTIFY=NEVER ORCPT=rfc822;x@y.example",
                "RCPT TO:<y@there.example>",
                "DATA",
                "QUIT",
            ],
        )
        self.assertEqual(server.message, stuffed(MESSAGE))
        for result in results:
            self.assertEqual((result.outcome, result.code, result.remote_mta), ("sent", 250, "m1.example"))
        self.assertEqual(results[0].text, "queued as X1")
        self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_a_server_from_another_century(self) -> None:
        server = Server(EHLO=b"502 what?")
        self.assertEqual(self.one(Net(m1=server)), ("sent", 250, "2.0.0"))
        self.assertEqual(server.heard[1:3], ["HELO client.example", "MAIL FROM:<a@here.example>"])

    def test_keywords_in_any_case(self) -> None:
        server = Server("pipelining", "starttls", "Size 100")
        net = Net(m1=server)
        self.assertEqual(self.one(net)[0], "sent")
        self.assertEqual(server.tls, ("m1.example", False))

    def test_results_per_recipient(self) -> None:
        for keywords in ((), ("PIPELINING",)):
            server = Server(
                *keywords, RCPT=[b"250 ok", b"550 5.1.1 no such user", b"450 4.2.1 later", b"250 ok"]
            )
            results = self.results(
                Net(m1=server), recipients=("a@t.example", "b@t.example", "c@t.example", "d@t.example")
            )
            self.assertEqual([r.outcome for r in results], ["sent", "failed", "retry", "sent"])
            self.assertEqual(
                (results[1].code, results[1].enhanced, results[1].text), (550, "5.1.1", "no such user")
            )

    def test_nobody_taken_means_no_data(self) -> None:
        # DATA went out with RCPT; whoever waits for a message without recipients all the same gets none.
        for keywords, answer in (
            ((), b"503 no"),
            (("PIPELINING",), b"503 no"),
            (("PIPELINING",), b"354 go on"),
        ):
            for verb in ("MAIL", "RCPT"):
                server = Server(*keywords, **{verb: b"550 no", "DATA": answer})
                self.assertEqual(self.one(Net(m1=server)), ("failed", 550, "5.0.0"))
                self.assertEqual(("DATA" in server.heard, server.message), (bool(keywords), b""))
                self.assertEqual("QUIT" in server.heard, answer.startswith(b"503"))

    def test_one_round_trip_before_the_message_and_one_for_it(self) -> None:
        server = Server("PIPELINING")
        writes: list[bytes] = []
        server.write = lambda data: (writes.append(data), Server.write(server, data))[1]  # type: ignore[method-assign]
        self.assertEqual(self.one(Net(m1=server))[0], "sent")
        self.assertEqual([data.count(b"\r\n") for data in writes[:2]], [1, 3])
        self.assertTrue(writes[2].endswith(b"\r\n.\r\n"))
        self.assertEqual(len(writes), 4)

    def test_more_recipients_than_one_group(self) -> None:
        server = Server("PIPELINING")
        results = self.results(Net(m1=server), recipients=tuple(f"u{i}@t.example" for i in range(250)))
        self.assertEqual({r.outcome for r in results}, {"sent"})
        self.assertEqual(len([line for line in server.heard if line.startswith("RCPT")]), 250)

    def test_refusals_of_data(self) -> None:
        for verb in ("DATA", "."):
            for reply, outcome in (
                (b"552 5.3.4 too big", "failed"),
                (b"451 4.3.0 later", "retry"),
                (b"554", "failed"),
            ):
                self.assertEqual(self.one(Net(m1=Server(**{verb: reply})))[0], outcome)

    def test_a_yes_that_nobody_asked_for_is_none(self) -> None:
        # One reply too many: each of those that follow would be taken for the one before.
        for keywords in ((), ("PIPELINING",)):
            for verb, reply in (
                ("EHLO", b"250 hi\r\n250 ok"),
                ("DATA", b"354 go on\r\n250 2.0.0 queued as X1"),
            ):
                server = Server(*keywords, **{verb: reply, ".": b"554 5.6.0 no"})
                self.assertEqual(self.one(Net(m1=server))[0], "retry", (keywords, verb))
                self.assertEqual(server.message, b"", (keywords, verb))
        server = Server(DATA=b"354 go on\r\n554 5.6.0 no")
        self.assertEqual(self.one(Net(m1=server))[0], "failed")

    def test_mail_refused_for_good(self) -> None:
        for keywords in ((), ("PIPELINING",)):
            net = Net(m1=Server(*keywords, MAIL=b"550 5.7.1 go away", RCPT=b"503 mail first"), m2=Server())
            self.assertEqual(self.one(net), ("failed", 550, "5.7.1"))
            self.assertEqual(net.tried, ["m1"])

    def test_what_the_server_cannot_do(self) -> None:
        self.assertEqual(self.one(Net(m1=Server("SIZE 10"))), ("failed", 552, "5.3.4"))
        self.assertEqual(self.one(Net(m1=Server("SIZE 0")))[0], "sent")
        self.assertEqual(self.one(Net(m1=Server()), eight_bit=True), ("failed", 554, "5.6.3"))
        self.assertEqual(self.one(Net(m1=Server()), smtputf8=True), ("failed", 550, "5.6.7"))
        self.assertEqual(self.one(Net(m1=Server()), recipients=("ü@t.example",)), ("failed", 550, "5.6.7"))

    def test_what_may_be_changed_goes_in_seven_bits(self) -> None:
        server = Server()

        async def seven_bit() -> RelayJob:
            return RelayJob(
                (), "x@here.example", ("x@there.example",), lambda start, stop: b"7"[start:stop], 1
            )

        found = self.one(Net(m1=server), eight_bit=True, seven_bit=seven_bit)
        self.assertEqual((found[0], server.message), ("sent", b"7\r\n.\r\n"))

        async def sealed() -> RelayJob:
            raise Malformed("It is signed.")

        self.assertEqual(
            self.one(Net(m1=Server()), eight_bit=True, seven_bit=sealed), ("failed", 554, "5.6.3")
        )

        async def busy() -> RelayJob:
            raise TryLater()

        self.assertEqual(self.one(Net(m1=Server()), eight_bit=True, seven_bit=busy), ("retry", 451, "4.6.3"))
        server = Server("8BITMIME")
        self.assertEqual(self.one(Net(m1=server), eight_bit=True, seven_bit=sealed)[0], "sent")
        self.assertIn(" BODY=8BITMIME", server.heard[1])

    def test_smtputf8(self) -> None:
        server = Server("SMTPUTF8", "8BITMIME")
        self.assertEqual(self.one(Net(m1=server), recipients=("ü@t.example",))[0], "sent")
        self.assertEqual(server.heard[1:3], ["MAIL FROM:<a@here.example> SMTPUTF8", "RCPT TO:<ü@t.example>"])

    def test_an_envelope_cannot_add_a_command(self) -> None:
        for job in (
            {"recipients": ("a@t.example>\r\nRSET\r\n",)},
            {"sender": "a\nb@c"},
            {"envid": "x\r\nQUIT"},
        ):
            net = Net(m1=Server())
            self.assertEqual(self.one(net, **job)[0], "failed")
            self.assertEqual(net.tried, [])

    def test_our_own_server_takes_it(self) -> None:
        peer = Peer(intake=FakeIntake(users=frozenset({"x"})))
        wire = peer.wire
        message = b"Subject: x\r\n\r\n" + b"..\r\n.\r\nx\r\n" * 20_000

        class Loop(Server):
            def begin(self, protocol: Any) -> None:
                self.protocol = protocol
                protocol.makeConnection(self)
                protocol.dataReceived(peer.greeting)

            def write(self, data: bytes) -> None:
                peer.server.dataReceived(data)
                said, _ = wire.value(), wire.clear()
                if said:
                    self.protocol.dataReceived(said)

        net = Net(m1=Loop())
        result = self.results(net, message=message, recipients=("x@example.org",), tls="none")[0]
        self.assertEqual((result.outcome, result.text), ("sent", "Ok: queued as Q1"))
        self.assertEqual(peer.intake.accepted[0][1], message)


class BodyTests(Base):
    def test_smuggle_out_at_every_border_of_a_block(self) -> None:
        end = b"\r\n.\r\nMAIL FROM:<evil@b.example>\r\n"
        for offset in range(-6, 2):
            message = b"x" * (BLOCK + offset) + end
            server = Server()
            self.assertEqual(self.one(Net(m1=server), message=message)[0], "sent")
            self.assertEqual(server.message, stuffed(message), offset)

    def test_reads_may_take_their_time(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        server = Server()
        net = Net(m1=server)
        done = net.send(read=lambda start, stop: waiting)
        self.assertNoResult(done)
        waiting.callback(MESSAGE)
        self.assertEqual(self.successResultOf(done)[0].outcome, "sent")

    def test_a_failing_read_sends_no_end(self) -> None:
        for read in (
            lambda start, stop: fail(ZeroDivisionError()),
            lambda start, stop: b"short",
            lambda a, b: Deferred(),
        ):
            server = Server()
            net = Net(m1=server, m2=Server())
            done = net.send(read=read)
            net.clock.advance(180)
            self.assertEqual(self.successResultOf(done)[0].outcome, "retry")
            self.assertEqual((server.message, server.gone, net.tried), (b"", True, ["m1"]))

    def test_the_peer_sets_the_pace(self) -> None:
        server = Server()
        net = Net(m1=server)
        reads: list[int] = []

        def read(start: int, stop: int) -> bytes:
            reads.append(start)
            server.protocol.pauseProducing()
            return b"x" * (stop - start)

        done = net.send(message=b"x" * (BLOCK * 3), read=read)
        for expected in (1, 2, 3):
            self.assertEqual(len(reads), expected)
            self.assertNoResult(done)
            server.protocol.resumeProducing()
        self.assertEqual(self.successResultOf(done)[0].outcome, "sent")

    def test_a_peer_that_stops_reading_is_left(self) -> None:
        server = Server()
        net = Net(m1=server)

        def read(start: int, stop: int) -> bytes:
            server.protocol.pauseProducing()
            return b"x" * (stop - start)

        done = net.send(read=read)
        net.clock.advance(180)
        self.assertEqual(self.successResultOf(done)[0].outcome, "retry")

    def test_a_verdict_in_the_middle_counts(self) -> None:
        server = Server()
        net = Net(m1=server)

        def read(start: int, stop: int) -> bytes:
            if start:
                server.say(b"552 5.3.4 too big")
                server.die()
            return b"x" * (stop - start)

        self.assertEqual(self.one(net, message=b"x" * (BLOCK * 3), read=read), ("failed", 552, "5.3.4"))

    def test_once_begun_no_other_host_gets_the_message(self) -> None:
        for reply in (b"", b"421 4.3.2 going down"):
            net = Net(m1=Server(**{".": reply}), m2=Server())
            self.assertEqual(self.one(net)[0], "retry")
            self.assertEqual(net.tried, ["m1"])


class RouteTests(Base):
    def test_the_next_host_is_tried(self) -> None:
        for bad in (
            None,
            Server(greeting=b"421 busy"),
            Server(greeting=b"554 not you"),
            Server(greeting=b"SSH-2.0-OpenSSH"),
            Server(EHLO=b"421 busy"),
            Server(EHLO=b"450 slow down"),
            Server(EHLO=b"550 no", HELO=b"550 no"),
            Server(EHLO=b""),
            Server(MAIL=b"451 4.7.1 greylisted"),
            Server(MAIL=b""),
            Server(RCPT=b"421 bye"),
        ):
            net = Net(m1=bad, m2=Server())
            result = self.results(net)[0]
            self.assertEqual((result.outcome, result.remote_mta), ("sent", "m2.example"), bad)
            self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_all_addresses_of_a_host(self) -> None:
        net = Net(a1=None, a2=Server())
        hosts = (NextHop("mx.example", ("a1", "a2")),)
        self.assertEqual(self.one(net, hosts=hosts)[0], "sent")

    def test_no_host_at_all(self) -> None:
        self.assertEqual(self.one(Net(), hosts=()), ("retry", 0, "4.4.1"))
        self.assertEqual(self.one(Net(m1=None)), ("retry", 0, "4.4.2"))

    def test_all_hosts_say_never(self) -> None:
        net = Net(m1=Server(greeting=b"554 5.7.1 blocked"), m2=Server(greeting=b"521 no mail here"))
        self.assertEqual(self.one(net)[:2], ("failed", 521))
        net = Net(m1=Server(greeting=b"554 5.7.1 blocked"), m2=None)
        self.assertEqual(self.one(net)[0], "retry")

    def test_temporary_answers_keep_their_words(self) -> None:
        result = self.results(Net(m1=Server(MAIL=b"451 4.7.1 greylisted")))[0]
        self.assertEqual(
            (result.outcome, result.code, result.enhanced, result.text), ("retry", 451, "4.7.1", "greylisted")
        )

    def test_cancelling_stops_trying(self) -> None:
        net = Net(m1="silence", m2=Server())
        done = net.send()
        done.cancel()
        self.assertEqual(self.successResultOf(done)[0].outcome, "retry")
        self.assertEqual(net.tried, ["m1"])


class TimeTests(Base):
    def test_each_phase_has_its_time(self) -> None:
        for server, seconds in (
            ("silence", 30),
            (Server(greeting=None), 300),
            (Server(EHLO=None), 300),
            (Server(MAIL=None), 300),
            (Server(RCPT=None), 300),
            (Server(DATA=None), 120),
            (Server(**{".": None}), 600),
        ):
            net = Net(m1=server)
            done = net.send()
            net.clock.advance(seconds - 1)
            self.assertNoResult(done)
            net.clock.advance(1)
            self.assertEqual(self.successResultOf(done)[0].outcome, "retry")
            self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_nobody_waits_for_quit(self) -> None:
        server = Server(QUIT=None)
        net = Net(m1=server)
        self.assertEqual(self.one(net)[0], "sent")
        self.assertFalse(server.gone)
        net.clock.advance(10)
        self.assertTrue(server.gone)
        self.assertEqual(net.clock.getDelayedCalls(), [])


class BoundTests(Base):
    def test_endless_lines_and_replies(self) -> None:
        for greeting in (
            b"220 " + b"x" * 10_000,
            b"220-x\r\n" * (MAX_LINES + 1) + b"220 x",
            b"250 x\r\n" * 500,
            b"\xff\xfe",
        ):
            net = Net(m1=Server(greeting=greeting))
            self.assertEqual(self.one(net)[0], "retry")

    def test_an_unterminated_line_is_bounded(self) -> None:
        server = Server(greeting=None)
        net = Net(m1=server)
        done = net.send()
        for _ in range(5):
            server.protocol.dataReceived(b"220-" + b"x" * 1000)
        self.assertEqual(self.successResultOf(done)[0].outcome, "retry")
        self.assertLess(len(server.protocol._buffer), 5000)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=40),
                st.sampled_from(
                    [
                        b"220 x\r\n",
                        b"250 ok\r\n",
                        b"250-STARTTLS\r\n",
                        b"354 go\r\n",
                        b"550 no\r\n",
                        b"421 x\r\n",
                    ]
                ),
            ),
            max_size=12,
        )
    )
    @example([b"220 x\r\n", b"250-STARTTLS\r\n250 ok\r\n", b"220 x\r\n"])
    def test_any_bytes_end_in_results(self, blocks: list[bytes]) -> None:
        server = Server(
            greeting=None, **dict.fromkeys(("EHLO", "HELO", "MAIL", "RCPT", "DATA", ".", "QUIT", "STARTTLS"))
        )
        net = Net(m1=server)
        done = net.send(recipients=("a@t.example", "b@t.example"))
        for block in blocks:
            if not server.gone:
                server.protocol.dataReceived(block)
        if not server.gone:
            server.die()
        net.clock.advance(300)  # the second try, in clear after a broken handshake, is never greeted
        results = self.successResultOf(done)
        self.assertEqual([r.recipient for r in results], ["a@t.example", "b@t.example"])
        self.assertEqual(self.flushLoggedErrors(), [])
        net.clock.advance(10)
        self.assertEqual(net.clock.getDelayedCalls(), [])


class SecurityTests(Base):
    def test_starttls_inject_client(self) -> None:
        server = Server("STARTTLS")
        server.inject = b"\r\n250-evil\r\n250 AUTH PLAIN\r\n250 ok\r\n250 ok\r\n354 go\r\n250 stolen"
        result = self.results(Net(m1=server))[0]
        self.assertEqual((result.outcome, result.text, result.tls), ("sent", "queued as X1", "TLS"))
        self.assertEqual(server.heard.count("EHLO client.example"), 2)

    def test_what_was_offered_in_clear_is_forgotten(self) -> None:
        server = Server("STARTTLS", "SIZE 1")
        server.replies["EHLO"] = [b"250-x\r\n250-STARTTLS\r\n250 SIZE 1", b"250 x"]
        self.assertEqual(self.one(Net(m1=server))[0], "sent")

    def test_opportunistic_tls_falls_back(self) -> None:
        for first in (Server("STARTTLS", STARTTLS=b"454 no"), Server("STARTTLS")):
            first.fail_tls = True
            second = Server("STARTTLS")
            net = Net(m1=[first, second])
            self.assertEqual(self.one(net)[0], "sent")
            self.assertIsNone(second.tls)

    def test_required_tls_does_not(self) -> None:
        for tls in ("required", "verified"):
            for server in (Server(), Server("STARTTLS", STARTTLS=b"454 no"), Server("STARTTLS")):
                server.fail_tls = True
                net = Net(m1=server)
                self.assertEqual(self.one(net, tls=tls)[0], "retry")
                self.assertNotIn("MAIL", "".join(server.heard))
                self.assertEqual(len(net.tried), 1)

    def test_verified_asks_for_a_certificate(self) -> None:
        net = Net(m1=Server("STARTTLS"))
        self.assertEqual(self.one(net, tls="verified")[0], "sent")
        self.assertEqual(net.contexts, [("m1.example", True)])

    def test_none_means_none(self) -> None:
        server = Server("STARTTLS")
        self.assertEqual(self.one(Net(m1=server), tls="none")[0], "sent")
        self.assertIsNone(server.tls)

    def test_login(self) -> None:
        for offer, expected in (
            ("AUTH LOGIN PLAIN", ["AUTH PLAIN AHVzZXIAc2VjcmV0"]),
            ("AUTH=LOGIN", ["AUTH LOGIN", "dXNlcg==", "c2VjcmV0"]),
        ):
            server = Server("STARTTLS", offer)
            if "=" in offer:
                server.replies.update(
                    {"AUTH": b"334 VXNlcm5hbWU6", "DXNLCG==": b"334 UGFzc3dvcmQ6", "C2VJCMV0": b"235 ok"}
                )
            self.assertEqual(self.one(Net(m1=server), login=("user", "secret"))[0], "sent")
            self.assertEqual(server.heard[3 : 3 + len(expected)], expected)

    def test_a_password_is_never_said_in_clear(self) -> None:
        for server in (Server("AUTH PLAIN"), Server("AUTH PLAIN", "STARTTLS", STARTTLS=b"454 no")):
            net = Net(m1=server)
            self.assertEqual(self.one(net, login=("user", "secret"))[0], "retry")
            self.assertNotIn("AUTH", "".join(server.heard))

    def test_a_refused_login_is_our_trouble_not_the_senders(self) -> None:
        for words in ("AUTH PLAIN", "AUTH GSSAPI"):
            server = Server("STARTTLS", words, AUTH=b"535 5.7.8 wrong")
            self.assertEqual(self.one(Net(m1=server), login=("user", "secret"))[0], "retry")
