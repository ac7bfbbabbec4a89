"""Servers that are slow, lie or die: our queue comes to rest in the right state, asks no faster, and loses nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.badpeer import BadPeer, Line
from tests.support.neighbour import OneHouse
from tests.system.house import letter
from tests.system.test_transport import IDA


def slow(line: Line) -> None:
    line.pause = 0.05
    line.say("220 s")
    line.serve()


def resets_after_the_dot(line: Line) -> None:
    line.say("220 s")
    line.serve(dot="")
    line.reset()


def closes_after_mail(line: Line) -> None:
    line.say("220 s")
    line.serve(MAIL="")


def dies_in_the_body(line: Line) -> None:
    line.say("220 s")
    while line.hear() != "DATA":
        line.say("250 ok")
    line.say("354 go on")
    line.reset()


def says_250_to_data(line: Line) -> None:
    line.say("220 s")
    line.serve(DATA="250 ok")


def says_354_to_mail(line: Line) -> None:
    line.say("220 s")
    line.serve(MAIL="354 go on")


def says_354_after_the_dot(line: Line) -> None:
    line.say("220 s")
    line.serve(dot="354 more")


def never_ends_a_reply(line: Line) -> None:
    line.say("220 s")
    line.hear()
    while True:
        line.say("250-and so on")


def never_ends_a_line(line: Line) -> None:
    while True:
        line.say(b"220 and so on " * 100)


def greets_with_noise(line: Line) -> None:
    line.say(os.urandom(64) + b"\r\n")
    line.serve()


def is_busy(line: Line) -> None:
    line.say("421 4.3.2 come back later")


def wants_nobody(line: Line) -> None:
    line.say("554 5.7.1 not from you")


def refuses_the_message(line: Line) -> None:
    line.say("220 s")
    line.serve(dot="554 5.6.0 not such a thing")


def breaks_tls(line: Line) -> None:
    line.say("220 s")
    while line.hear() != "STAR":
        line.say("250-peer\r\n250 STARTTLS")
        if line._peer.connections > 1:
            return line.serve()
    line.say("220 go on")
    line.say(b"\x16\x03\x01" + os.urandom(200))


def says_too_much(line: Line) -> None:
    # Replies to what was not asked, in the hope that they are taken for those to come.
    line.say("220 s")
    line.serve(EHLO="250 ok\r\n250 ok")


def says_yes_too_early(line: Line) -> None:
    line.say("220 s")
    while line.hear() != "DATA":
        line.say("250 ok")
    line.say("354 go on\r\n250 taken")
    line.message()
    line.say("554 not at all")


Script = Callable[[Line], None]

RETRIED: dict[Script, str] = {
    resets_after_the_dot: "connection lost",
    closes_after_mail: "connection lost",
    dies_in_the_body: "connection lost",
    says_250_to_data: "",
    says_354_to_mail: "",
    says_354_after_the_dot: "",
    never_ends_a_reply: "does not speak SMTP",
    never_ends_a_line: "endless lines",
    greets_with_noise: "does not speak SMTP",
    is_busy: "come back later",
    says_too_much: "nobody asked for",
    says_yes_too_early: "before the end",
}
REPORTED: dict[Script, str] = {wants_nobody: "not from you", refuses_the_message: "not such a thing"}
DELIVERED: dict[Script, int] = {slow: 1, breaks_tls: 2}  # by so many connections


def domain(script: Callable[[Line], None]) -> str:
    return script.__name__.replace("_", "-") + ".test"


class BadPeerTests(SynchronousTestCase):
    def start(self, *scripts: Callable[[Line], None]) -> OneHouse:
        self.peers = {script: BadPeer(script) for script in scripts}
        for peer in self.peers.values():
            self.addCleanup(peer.close)
        house = OneHouse()
        self.addCleanup(house.clean)
        house.start(f"routes = {[f'{domain(s)}=smtp://127.0.0.1:{p.port}' for s, p in self.peers.items()]}")
        return house

    def post(self, house: OneHouse, *to: str) -> None:
        with house.session() as client:
            for one in to:
                client.sendmail(IDA, [one], letter(IDA, one, f"To {one}", ".\r\n..\r\nHello."))

    def tried(self, house: OneHouse, to: str) -> Any:
        """The row of a recipient, after an attempt."""
        return house.until(lambda: (row := house.row(to)) and row.last_reply and row)

    def all_tried(self, house: OneHouse, attempts: int) -> None:
        house.until(lambda: all(row.last_reply and row.attempts >= attempts for row in house.rows()))

    def gone(self, house: OneHouse, to: str) -> None:
        house.until(lambda: house.row(to) is None)

    def seconds(self, house: OneHouse) -> float:
        """Of computing time, so far."""
        assert house.server is not None
        words = Path(f"/proc/{house.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def test_each_ends_in_its_state(self) -> None:
        house = self.start(*RETRIED, *REPORTED, *DELIVERED)
        self.post(house, *(f"x@{domain(script)}" for script in self.peers))
        for script, words in RETRIED.items():
            row = self.tried(house, f"x@{domain(script)}")
            self.assertIn(words, row.last_reply, (script, row.last_reply))
            self.assertEqual((row.state, row.attempts), ("due", 1), script)
            wait = (row.due - row.last_attempt) / 60_000
            self.assertTrue(4 < wait < 6, (script, wait))
        for script in (*REPORTED, *DELIVERED):
            self.gone(house, f"x@{domain(script)}")
        reports = [mail.decode() for mail in house.arrived(IDA)]
        self.assertEqual(len(reports), len(REPORTED))
        for script, words in REPORTED.items():
            self.assertTrue(any(words in text and domain(script) in text for text in reports), script)
        for script, connections in DELIVERED.items():
            peer = self.peers[script]
            (message,) = peer.messages
            self.assertTrue(message.endswith(b"\r\n\r\n..\r\n...\r\nHello.\r\n"), message)
            self.assertEqual(peer.connections, connections, script)
        # None was asked twice, and waiting costs nothing.
        asked = {script: peer.connections for script, peer in self.peers.items()}
        before = self.seconds(house)
        time.sleep(2)
        self.assertLess(self.seconds(house) - before, 1.0)
        for one, connections in asked.items():
            self.assertEqual(self.peers[one].connections, connections, one)
            self.assertEqual(connections, DELIVERED.get(one, 1), one)
        for one in (never_ends_a_line, never_ends_a_reply):
            self.assertLess(self.peers[one].sent, 20_000_000)
        for one in (says_250_to_data, says_354_to_mail):
            self.assertEqual(self.peers[one].messages, [], one)

    def test_every_second_recipient_is_put_off_until_all_have_it_once(self) -> None:
        count = 0
        taken: list[str] = []

        def put_off(command: str) -> str:
            nonlocal count
            count += 1
            if count % 2:
                return "451 4.2.0 not now"
            taken.append(command.partition("<")[2].partition(">")[0])
            return "250 ok"

        def every_second(line: Line) -> None:
            line.say("220 s")
            line.serve(RCPT=put_off, extensions=("PIPELINING",))

        house = self.start(every_second)
        everyone = [f"x{number}@{domain(every_second)}" for number in range(10)]
        with house.session() as client:
            client.sendmail(IDA, everyone, letter(IDA, everyone[0], "To all"))
        for attempt in range(1, 8):
            self.all_tried(house, attempt)
            if not house.rows():
                break
            house.run("queue", "retry")
        self.assertEqual(sorted(taken), sorted(everyone))
        self.assertEqual(house.arrived(IDA), [])

    def test_one_that_says_nothing_holds_up_nobody_and_nothing_is_lost(self) -> None:
        def silent(line: Line) -> None:
            time.sleep(60)

        def honest(line: Line) -> None:
            line.say("220 s")
            line.serve()

        house = self.start(silent, honest)
        self.post(house, f"x@{domain(silent)}")
        house.until(lambda: self.peers[silent].connections)
        self.post(house, f"x@{domain(honest)}")
        house.until(lambda: self.peers[honest].messages)
        house.kill()
        row = house.row(f"x@{domain(silent)}")
        self.assertEqual((row and row.state), "leased")
        house.start()
        # It is tried again at once, and not a third time.
        house.until(lambda: self.peers[silent].connections == 2)
        house.kill()
