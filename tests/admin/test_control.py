"""The control protocol: answers in order, bounded lines, no traceback and no secret for anything."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from posthouse.admin.control import MAX_LINE, ControlFactory
from posthouse.admin.registry import Ports
from posthouse.store.inline import InlineDatabase
from tests.admin.test_operations import NOW, OperationsCase


class ControlTests(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.connect(self.ports)

    def connect(self, ports: Ports) -> None:
        self.protocol = ControlFactory(ports).buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)

    def answers(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.transport.value().splitlines()]
        self.transport.clear()
        return found

    def ask(self, **request: Any) -> dict[str, Any]:
        self.protocol.dataReceived(json.dumps(request).encode() + b"\n")
        (found,) = self.answers()
        return found

    def test_runs_an_operation(self) -> None:
        self.assertEqual(
            self.ask(op="domain list", args={}),
            {
                "ok": True,
                "result": [{"domain": "example.org", "alias_of": None, "catch_all": None}],
            },
        )
        self.assertEqual(self.ask(op="domain list")["ok"], True)

    def test_a_refusal_is_one_sentence_and_its_kind(self) -> None:
        answer = self.ask(op="user disable", args={"address": "nobody@example.org"})
        self.assertEqual((answer["ok"], answer["kind"]), (False, "NoSuchAccount"))
        self.assertIn("nobody@example.org", answer["error"])

    def test_answers_come_in_order_though_one_waits(self) -> None:
        waiting: list[Deferred[str]] = []

        def slowly(password: bytes) -> Deferred[str]:
            waiting.append(Deferred())
            return waiting[-1]

        self.connect(Ports(self.db, lambda: NOW, bytes, slowly))
        add = {"op": "user add", "args": {"address": "a@example.org", "password": "12345678"}}
        self.protocol.dataReceived(json.dumps(add).encode() + b'\n{"op": "user list"}\n')
        self.assertEqual(self.answers(), [])
        waiting[0].callback("hash")
        first, second = self.answers()
        self.assertEqual(first["result"]["address"], "a@example.org")
        self.assertEqual(len(second["result"]), 1)

    def test_nonsense_is_malformed(self) -> None:
        for line in (
            b"",
            b"x",
            b"[]",
            b"{}",
            b'{"op": 1}',
            b'{"op": "status", "args": []}',
            b"[" * 100_000,
            b"\xff",
        ):
            self.protocol.dataReceived(line + b"\n")
            (answer,) = self.answers()
            self.assertEqual((answer["ok"], answer["kind"]), (False, "Malformed"), line[:20])

    def test_a_line_without_end_is_cut_off(self) -> None:
        self.protocol.dataReceived(b"x" * (MAX_LINE + 2))
        self.assertTrue(self.transport.disconnecting)

    def test_a_broken_operation_tells_nothing_but_a_sentence(self) -> None:
        def broken(password: bytes) -> Deferred[str]:
            raise RuntimeError("with 12345678 inside")

        self.connect(Ports(self.db, lambda: NOW, bytes, broken))
        answer = self.ask(op="user add", args={"address": "a@example.org", "password": "12345678"})
        self.assertEqual(answer["kind"], "Exception")
        self.assertNotIn("12345678", json.dumps(answer))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_client_that_left_gets_nothing(self) -> None:
        waiting: Deferred[str] = Deferred()
        self.connect(Ports(self.db, lambda: NOW, bytes, lambda password: waiting))
        add = {"op": "user add", "args": {"address": "a@example.org", "password": "12345678"}}
        self.protocol.dataReceived(json.dumps(add).encode() + b"\n")
        self.protocol.connectionLost()
        waiting.callback("hash")
        self.assertEqual(self.transport.value(), b"")

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_get_an_answer_for_each_line(self, data: bytes) -> None:
        db = InlineDatabase().open()
        try:
            self.connect(Ports(db, lambda: NOW, bytes, lambda password: Deferred()))
            self.protocol.dataReceived(data + b"\n")
            self.assertEqual(len(self.answers()), data.count(b"\n") + 1)
        finally:
            db.close()
