"""Bounds in bytes and time, before any resource sees a request."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import NOT_DONE_YET

from posthouse.http.limits import HttpLimits
from posthouse.http.site import Leaf
from tests.http.wire import Wire

LIMITS = HttpLimits(
    body=1000,
    bodies={"big": 5000},
    protected=frozenset({"big"}),
    unauthenticated=100,
    in_memory=500,
    line=200,
    headers=600,
    header_count=10,
)


class _Echo(Leaf):
    """Answers with what it got; parks where asked to."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def render(self, request: Any) -> Any:
        self.requests.append(request)
        if request.path == b"/park":
            return NOT_DONE_YET
        body = request.content.read()
        request.setHeader(b"content-length", b"%d" % len(body))
        return body


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.echo = _Echo()
        self.wire = Wire(self.echo, LIMITS)

    def assertRefused(self, code: int) -> None:
        self.assertEqual(self.wire.status, code)
        self.assertEqual(self.wire.headers["connection"], "close")
        self.assertEqual(self.echo.requests, [])
        before = len(self.wire.out)
        self.wire.send(b"GET / HTTP/1.1\r\n\r\n" * 50)
        self.assertEqual(len(self.wire.out), before)
        self.wire.clock.advance(5)
        self.assertTrue(self.wire.transport.disconnecting)
        self.wire.clock.advance(60)
        self.assertTrue(self.wire.transport.aborted)
        self.wire.lose()
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])


class SizeTests(_Case):
    def test_a_body_within_its_limit_arrives(self) -> None:
        self.wire.get("/x", method="POST", body=b"y" * 1000)
        self.assertEqual((self.wire.status, self.wire.body), (200, b"y" * 1000))

    def test_a_body_beyond_memory_lies_in_a_file_and_arrives(self) -> None:
        self.wire.get("/x", method="POST", body=bytes(range(250)) * 4)
        self.assertEqual(self.wire.body, bytes(range(250)) * 4)
        self.assertTrue(self.echo.requests)

    def test_a_declared_gigabyte_is_refused_at_once(self) -> None:
        self.wire.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        self.assertRefused(413)

    def test_an_expectation_is_not_met_before_the_length_is_checked(self) -> None:
        self.wire.get("/x", "Expect: 100-continue", "Content-Length: 1001", method="POST")
        self.assertRefused(413)

    def test_an_expectation_is_met(self) -> None:
        self.wire.get("/x", "Expect: 100-continue", "Content-Length: 2", method="POST")
        self.assertEqual(self.wire.out, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wire.transport.clear()
        self.wire.send(b"ok")
        self.assertEqual((self.wire.status, self.wire.body), (200, b"ok"))

    def test_chunks_arrive(self) -> None:
        self.wire.get("/x", "Transfer-Encoding: chunked", method="POST")
        self.wire.send(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
        self.assertEqual((self.wire.status, self.wire.body), (200, b"abcde"))

    def test_chunks_are_refused_by_their_sum(self) -> None:
        self.wire.get("/x", "Transfer-Encoding: chunked", method="POST")
        self.wire.send((b"64\r\n" + b"z" * 100 + b"\r\n") * 10)
        self.assertEqual(self.wire.out, b"")
        self.wire.send(b"1\r\nz\r\n0\r\n\r\n")
        self.assertRefused(413)

    def test_many_chunks_in_one_block_are_refused_by_their_sum(self) -> None:
        self.wire.get("/x", "Transfer-Encoding: chunked", method="POST")
        self.wire.send((b"64\r\n" + b"z" * 100 + b"\r\n") * 100 + b"0\r\n\r\n")
        self.assertRefused(413)

    def test_a_path_may_have_a_limit_of_its_own(self) -> None:
        self.wire.get("/BIG/a?b", "Authorization: Basic x", method="POST", body=b"y" * 5000)
        self.assertEqual(self.wire.status, 200)

    def test_a_large_body_without_credentials_is_challenged_at_once(self) -> None:
        self.wire.get("/big", "Content-Length: 101", method="POST")
        self.assertIn("Basic", self.wire.headers["www-authenticate"])
        self.assertRefused(401)

    def test_chunks_without_credentials_are_challenged_at_once(self) -> None:
        self.wire.get("/big", "Transfer-Encoding: chunked", method="POST")
        self.assertRefused(401)

    def test_a_small_body_without_credentials_is_the_resources_affair(self) -> None:
        self.wire.get("/big", method="POST", body=b"y" * 100)
        self.assertEqual(self.wire.status, 200)

    def test_a_long_request_line_is_refused(self) -> None:
        self.wire.send(b"GET /" + b"x" * 300)
        self.assertRefused(431)

    def test_many_headers_are_refused(self) -> None:
        self.wire.send(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 12 + b"\r\n")
        self.assertRefused(400)

    def test_large_headers_are_refused(self) -> None:
        self.wire.send(b"GET / HTTP/1.1\r\n" + (b"A: " + b"b" * 150 + b"\r\n") * 5)
        self.assertRefused(400)

    def test_contradicting_lengths_are_refused(self) -> None:
        for pair in (
            b"Content-Length: 1\r\nContent-Length: 2\r\n",
            b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: +1\r\n",
            b"Transfer-Encoding: gzip\r\n",
        ):
            self.wire = Wire(self.echo, LIMITS)
            self.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + pair + b"\r\nxx")
            self.assertRefused(400)

    def test_what_is_no_http_is_refused(self) -> None:
        for line in (b"EHLO there\r\n\r\n", b"\x16\x03\x01\x02\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n"):
            self.wire = Wire(self.echo, LIMITS)
            self.wire.send(line)
            self.assertRefused(400)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.binary(max_size=120), max_size=6), st.booleans())
    def test_any_bytes_are_answered_or_waited_for(self, blocks: list[bytes], started: bool) -> None:
        wire = Wire(_Echo(), LIMITS)
        if started:
            wire.send(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for block in blocks:
            wire.send(block)
        self.assertTrue(wire.out == b"" or wire.out.startswith(b"HTTP/1.1 "))
        self.assertEqual(self.flushLoggedErrors(), [])


class TimeTests(_Case):
    def test_headers_that_trickle_are_cut_off(self) -> None:
        for letter in b"GET / HTTP/1.1 and so on and so on and on":
            self.wire.send(bytes([letter]))
            self.wire.clock.advance(0.95)
        self.assertRefused(408)

    def test_a_body_that_trickles_is_cut_off(self) -> None:
        self.wire.get("/x", "Content-Length: 900", method="POST")
        for _ in range(40):
            self.wire.send(b"z")
            self.wire.clock.advance(1)
        self.assertRefused(408)

    def test_chunks_that_trickle_are_cut_off(self) -> None:
        self.wire.get("/x", "Transfer-Encoding: chunked", method="POST")
        for _ in range(16):
            self.wire.send(b"1\r\nz\r\n")
            self.wire.clock.advance(20)
        self.assertRefused(408)

    def test_a_parked_request_is_never_cut_off(self) -> None:
        self.wire.get("/park")
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])
        self.wire.clock.advance(3600)
        self.assertFalse(self.wire.transport.disconnecting)
        self.echo.requests[0].finish()
        self.assertEqual(self.wire.status, 200)

    def test_an_idle_connection_is_closed(self) -> None:
        self.wire.clock.advance(121)
        self.assertTrue(self.wire.transport.disconnecting)

    def test_an_idle_connection_after_an_answer_is_closed(self) -> None:
        self.wire.get("/x")
        self.wire.clock.advance(100)
        self.wire.get("/x")
        self.wire.clock.advance(100)
        self.assertFalse(self.wire.transport.disconnecting)
        self.wire.clock.advance(21)
        self.assertTrue(self.wire.transport.disconnecting)
        self.wire.clock.advance(15)
        self.assertTrue(self.wire.transport.aborted)


class OrderTests(_Case):
    def test_pipelined_requests_are_answered_in_order(self) -> None:
        self.wire.send(
            b"".join(b"POST /%d HTTP/1.1\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(3))
        )
        answers = self.wire.out.split(b"HTTP/1.1 200 OK\r\n")[1:]
        self.assertEqual([answer[-1:] for answer in answers], [b"0", b"1", b"2"])

    def test_a_pipelined_request_waits_for_a_parked_one(self) -> None:
        self.wire.send(b"GET /park HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
        self.assertEqual(len(self.echo.requests), 1)
        self.echo.requests[0].finish()
        self.assertEqual(len(self.echo.requests), 2)

    def test_http_1_0_is_answered_and_closed(self) -> None:
        self.wire.send(b"GET /x HTTP/1.0\r\n\r\n")
        self.assertEqual(self.wire.status, 200)
        self.assertTrue(self.wire.transport.disconnecting)

    def test_a_client_that_leaves_is_noticed(self) -> None:
        self.wire.get("/park")
        request = self.echo.requests[0]
        left = request.notifyFinish()
        self.wire.lose()
        self.assertTrue(request.gone)
        self.failureResultOf(left)

    def test_requests_have_names_and_a_peer(self) -> None:
        self.wire.get("/a").get("/b")
        first, second = self.echo.requests
        self.assertEqual((first.cid, second.cid, first.peer), ("h1.1", "h1.2", "192.0.2.9"))
