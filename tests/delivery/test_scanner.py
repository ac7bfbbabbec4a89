"""The outside filter over HTTP: what it is told, what its answers mean, and what happens when it is no help."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from posthouse.delivery.message import message_of, message_of_spooled
from posthouse.delivery.scanner import Finding, Scanner
from tests.delivery.house import PLAIN, HouseCase


class FakeRspamd(Resource):
    """A worker's /checkv2. ``answer``: bytes, an object, or None for silence."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answer: Any = {"action": "no action", "score": 1.5, "required_score": 15.0}
        self.code = 200
        self.seen: list[tuple[bytes, dict[bytes, list[bytes]], bytes]] = []

    def render_POST(self, request: Any) -> Any:
        headers = {name.lower(): values for name, values in request.requestHeaders.getAllRawHeaders()}
        self.seen.append((request.path, headers, request.content.read()))
        request.setResponseCode(self.code)
        if self.answer is None:
            return NOT_DONE_YET
        return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()


class ScannerTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.rspamd = FakeRspamd()
        self.agent = StubTreq(self.rspamd)
        self.scanner = Scanner(self.agent, "http://filter.example:11333/", self.clock, self.pool)

    def start(self, message: Any = None, **fields: Any) -> Deferred[Finding | None]:
        envelope = evolve(
            self.envelope("far@there.example", "bob@here.example", "team@here.example"), **fields
        )
        return Deferred.fromCoroutine(self.scanner.look(envelope, message or message_of(PLAIN), "Q1"))

    def look(self, message: Any = None, **fields: Any) -> Finding | None:
        asked = self.start(message, **fields)
        self.agent.flush()
        found: Finding | None = self.successResultOf(asked)
        return found

    def test_it_is_told_the_message_and_where_it_came_from(self) -> None:
        self.assertEqual(self.look(), Finding(1.5, 15.0))
        ((path, headers, body),) = self.rspamd.seen
        self.assertEqual((path, body), (b"/checkv2", PLAIN))
        self.assertEqual(headers[b"ip"], [b"192.0.2.7"])
        self.assertEqual(headers[b"helo"], [b"client.example"])
        self.assertEqual(headers[b"from"], [b"far@there.example"])
        self.assertEqual(headers[b"rcpt"], [b"bob@here.example", b"team@here.example"])
        self.assertEqual(headers[b"queue-id"], [b"Q1"])

    def test_a_peer_cannot_write_headers(self) -> None:
        self.look(helo="x\r\nSettings: {}", sender="a b\r\nUser: root@c.example", peer="fe80::1%eth0")
        ((_, headers, _),) = self.rspamd.seen
        self.assertNotIn(b"settings", headers)
        self.assertNotIn(b"user", headers)
        self.assertEqual(headers[b"ip"], [b"fe80::1"])

    def test_what_its_answers_mean(self) -> None:
        for action, score, expected in (
            ("no action", 3.0, Finding(3.0, 15.0)),
            ("no action", -7.5, Finding(-7.5, 15.0)),
            ("add header", 7.0, Finding(7.0, 7.0)),
            ("rewrite subject", 8.0, Finding(8.0, 8.0)),
            ("reject", 20.0, Finding(20.0, 15.0, True)),
            ("soft reject", 4.0, Finding(4.0, 15.0)),
            ("greylist", 14.0, Finding(14.0, 17.5)),
        ):
            self.rspamd.answer = {"action": action, "score": score, "required_score": 15}
            self.assertEqual(self.look(), expected, action)

    def test_a_message_that_it_skips_is_not_judged(self) -> None:
        self.rspamd.answer = {"is_skipped": True, "score": 0, "required_score": 15}
        self.assertIsNone(self.look())
        self.assertEqual(self.look(), None)
        self.assertEqual(len(self.rspamd.seen), 2)

    def test_a_broken_answer_lets_mail_in_and_the_filter_alone(self) -> None:
        for answer in (
            b"",
            b"no json",
            b"[1]",
            {"score": "7", "required_score": 15},
            {"score": True, "required_score": 15},
            {"score": 7},
            b'{"score": NaN, "required_score": 15}',
            b" " * ((1 << 20) + 1),
        ):
            self.rspamd.answer = answer
            before = len(self.rspamd.seen)
            self.assertIsNone(self.look())
            self.assertIsNone(self.look())
            self.assertEqual(len(self.rspamd.seen), before + 1, answer)
            self.clock.advance(31)
        self.rspamd.answer = {"action": "no action", "score": 1.0, "required_score": 15.0}
        self.assertEqual(self.look(), Finding(1.0, 15.0))

    def test_an_error_of_the_filter_is_none_of_the_message(self) -> None:
        self.rspamd.code = 500
        self.assertIsNone(self.look())

    def test_a_filter_that_hangs_is_left_after_seconds(self) -> None:
        self.rspamd.answer = None
        asked = self.start()
        self.agent.flush()
        self.assertNoResult(asked)
        self.clock.advance(6)
        self.assertIsNone(self.successResultOf(asked))

    def test_a_message_in_a_file_is_read_for_it(self) -> None:
        message = message_of_spooled(self.spooled(PLAIN * 200, memory_limit=1024))
        self.assertIsNotNone(self.look(message))
        self.assertEqual(self.rspamd.seen[0][2], PLAIN * 200)

    def test_huge_messages_are_not_shown(self) -> None:
        huge = evolve(message_of(PLAIN), size=9 << 20)
        self.assertIsNone(self.look(huge))
        self.assertEqual(self.rspamd.seen, [])
