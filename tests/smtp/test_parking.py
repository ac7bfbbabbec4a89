"""Connections used again, and LMTP."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import NextHop, RecipientResult, RelayJob
from posthouse.smtp.client import Relay
from posthouse.smtp.conversation import Timeouts
from posthouse.smtp.parking import Parking
from tests.smtp.test_client import MESSAGE, Net, Server


class ParkingCase(SynchronousTestCase):
    def house(self, *servers: Server, **options: Any) -> None:
        self.net = Net(m1=list(servers))
        self.parking = Parking(self.net.clock, **options)
        self.relay = Relay(
            self.net.clock,
            self.net.connect,
            "client.example",
            self.net.context,
            Timeouts(),
            parking=self.parking,
        )

    def send(self, *recipients: str, lmtp: bool = False, **job: Any) -> list[RecipientResult]:
        hop = NextHop("m1.example", ("m1",), lmtp=lmtp)
        relay_job = RelayJob(
            (hop,), "a@here.example", recipients or ("x@there.example",),
            lambda start, stop: MESSAGE[start:stop], len(MESSAGE), **job,
        )  # fmt: skip
        sending: Deferred[list[RecipientResult]] = self.relay.send(relay_job)
        return self.successResultOf(sending)

    def outcomes(self, *recipients: str, **job: Any) -> list[str]:
        return [result.outcome for result in self.send(*recipients, **job)]


class ReuseTests(ParkingCase):
    def test_a_connection_carries_fifty_messages(self) -> None:
        for keywords in ((), ("PIPELINING",)):
            first, second = Server(*keywords, RSET=b"250 ok"), Server(*keywords, RSET=b"250 ok")
            self.house(first, second)
            for _ in range(51):
                self.assertEqual(self.outcomes(), ["sent"])
            self.assertEqual(self.net.tried, ["m1", "m1"])
            for server, messages in ((first, 50), (second, 1)):
                self.assertEqual(sum(line.startswith("MAIL") for line in server.heard), messages)
                self.assertEqual(server.heard.count("RSET"), messages - 1)
            self.assertEqual((first.heard[-1], "QUIT" in second.heard), ("QUIT", False))

    def test_an_idle_one_takes_leave(self) -> None:
        server = Server()
        self.house(server, idle=15.0)
        self.send()
        self.net.clock.advance(14)
        self.assertEqual((self.parking.count, "QUIT" in server.heard), (1, False))
        self.net.clock.advance(1)
        self.assertEqual((self.parking.count, server.heard[-1]), (0, "QUIT"))
        self.assertEqual(self.net.clock.getDelayedCalls(), [])

    def test_one_that_was_closed_or_spoke_unasked_is_not_used(self) -> None:
        for spoil in (lambda server: server.die(), lambda server: server.say(b"421 4.4.2 idle")):
            first, second = Server(RSET=b"250 ok"), Server()
            self.house(first, second)
            self.send()
            spoil(first)
            self.assertEqual(self.outcomes(), ["sent"])
            self.assertNotIn("RSET", first.heard)
            self.assertEqual(len(self.net.tried), 2)

    def test_one_that_has_had_enough_costs_nothing_but_a_new_one(self) -> None:
        for replies in (
            {"RSET": b"421 4.7.0 enough"},
            {"RSET": b"250 ok", "MAIL": [b"250 ok", b"452 4.7.0 no"]},
            {"RSET": b"250 ok", "MAIL": [b"250 ok", b"421 4.7.0 no"]},
        ):
            self.house(Server("PIPELINING", **deepcopy(replies)), Server())
            self.assertEqual([self.outcomes(), self.outcomes()], [["sent"], ["sent"]])
            self.assertEqual(len(self.net.tried), 2)
            self.house(Server(**replies), Server())
            self.assertEqual([self.outcomes(), self.outcomes()], [["sent"], ["sent"]])
            self.assertEqual(len(self.net.tried), 2)

    def test_messages_that_demand_more_have_one_of_their_own(self) -> None:
        self.house(Server(), Server("STARTTLS"))
        self.send()
        self.send(tls="required")
        self.assertEqual(len(self.net.tried), 2)

    def test_a_lost_answer_is_no_reason_to_send_it_twice(self) -> None:
        first, second = Server(RSET=b"250 ok", **{".": [b"250 ok", b""]}), Server()
        self.house(first, second)
        self.send()
        self.assertEqual(self.outcomes(), ["retry"])
        self.assertEqual((second.heard, self.parking.count), ([], 0))

    def test_closing_takes_leave_of_all(self) -> None:
        server, late = Server(), Server()
        self.house(server, late)
        self.send()
        self.relay.close()
        self.assertEqual((server.heard[-1], self.parking.count), ("QUIT", 0))
        self.send()
        self.assertEqual((late.heard[-1], self.parking.count), ("QUIT", 0))


class LmtpTests(ParkingCase):
    def test_one_answer_for_each_recipient(self) -> None:
        replies = b"250 2.1.5 kept\r\n452 4.2.2 full\r\n550 5.2.1 closed"
        server = Server("DSN", **{"LHLO": b"250-hi\r\n250 DSN", ".": replies})
        self.house(server)
        results = self.send("a@t", "b@t", "c@t", lmtp=True)
        self.assertEqual(server.heard[0], "LHLO client.example")
        self.assertEqual(
            [(one.outcome, one.enhanced, one.final) for one in results],
            [("sent", "2.1.5", True), ("retry", "4.2.2", False), ("failed", "5.2.1", False)],
        )

    def test_a_recipient_that_was_refused_gets_no_second_answer(self) -> None:
        server = Server(LHLO=b"250 hi", RCPT=[b"250 ok", b"550 5.1.1 no", b"250 ok"])
        server.replies["."] = b"250 2.0.0 kept\r\n250 2.0.0 kept"
        self.house(server)
        self.assertEqual(self.outcomes("a@t", "b@t", "c@t", lmtp=True), ["sent", "failed", "sent"])
        self.assertEqual(self.parking.count, 1)

    def test_a_server_that_dies_between_answers_is_asked_again_for_the_rest(self) -> None:
        server = Server(LHLO=b"250 hi")
        server.replies["."] = b"250 2.0.0 kept"
        self.house(server)
        sending = self.relay.send(
            RelayJob(
                (NextHop("m1.example", ("m1",), lmtp=True),),
                "a@b",
                ("a@t", "b@t"),
                lambda start, stop: MESSAGE[start:stop],
                len(MESSAGE),
            )
        )
        self.assertNoResult(sending)
        server.die()
        self.assertEqual([one.outcome for one in self.successResultOf(sending)], ["sent", "retry"])

    def test_no_hello_for_smtp_servers(self) -> None:
        server = Server(LHLO=b"500 what?")
        self.house(server)
        self.assertEqual(self.outcomes(lmtp=True), ["retry"])
        self.assertEqual([line[:4] for line in server.heard], ["LHLO"])
