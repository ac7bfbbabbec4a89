"""Answers: packed, in step, and gone when the client is gone."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import TryLater
from posthouse.http.reply import Reply, json_reply
from posthouse.http.request import Request
from posthouse.http.resource import AsyncResource
from posthouse.http.respond import accepts_gzip
from posthouse.work.pool import HeldPool, InlinePool
from tests.http.wire import Wire

GZIP = "Accept-Encoding: gzip, deflate, br"


class _Gives(AsyncResource):
    def __init__(self, reply: Reply, pool: Any = None) -> None:
        super().__init__(pool or InlinePool())
        self.reply = reply

    async def answer(self, request: Request) -> Reply:
        return self.reply


class _Source:
    """An iterator of blocks that tells whether it was closed and how far it was read."""

    def __init__(self, blocks: int = 10, error: Exception | None = None) -> None:
        self.blocks, self.error = blocks, error
        self.given, self.closed = 0, False

    async def iterate(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(self.blocks):
                self.given += 1
                yield b"%d" % (self.given % 10) * 1000
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


class SendTests(SynchronousTestCase):
    def test_a_small_answer_has_its_length(self) -> None:
        wire = Wire(_Gives(Reply("hällo".encode(), content_type=b"text/plain; charset=utf-8"))).get("/", GZIP)
        self.assertEqual(wire.headers["content-length"], "6")
        self.assertEqual(wire.headers["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(wire.body, "hällo".encode())

    def test_an_empty_answer_has_no_type(self) -> None:
        wire = Wire(_Gives(Reply(code=200))).get("/")
        self.assertEqual(wire.headers["content-length"], "0")
        self.assertNotIn("content-type", wire.headers)

    def test_codes_that_http_does_not_know_are_named_too(self) -> None:
        wire = Wire(_Gives(Reply(code=449))).get("/")
        self.assertTrue(wire.out.startswith(b"HTTP/1.1 449 Retry after sending a PROVISION command\r\n"))
        self.assertTrue(Wire(_Gives(Reply(code=503))).get("/").out.startswith(b"HTTP/1.1 503 Service "))

    def test_json_is_utf_8(self) -> None:
        wire = Wire(_Gives(json_reply({"a": "ä"}, 201, ((b"x-a", b"b"),)))).get("/")
        self.assertEqual((wire.status, wire.body), (201, '{"a": "ä"}'.encode()))
        self.assertEqual((wire.headers["x-a"], wire.headers["content-type"]), ("b", "application/json"))

    def test_text_is_packed_where_the_client_takes_it(self) -> None:
        for size in (400, 2000, 100_000, 3_000_000):
            text = os.urandom(size // 2).hex().encode()
            packed = Wire(_Gives(Reply(text, content_type=b"text/x"))).get("/", GZIP)
            self.assertEqual(packed.headers["content-encoding"], "gzip")
            self.assertEqual(packed.headers["content-length"], str(len(packed.body)))
            self.assertEqual(gzip.decompress(packed.body), text)
            plain = Wire(_Gives(Reply(text, content_type=b"text/x"))).get("/")
            self.assertNotIn("content-encoding", plain.headers)
            self.assertEqual(plain.body, text)
            for wire in (packed, plain):
                self.assertEqual(wire.headers["vary"], "Accept-Encoding")

    def test_what_does_not_gain_is_not_packed(self) -> None:
        for reply in (
            Reply(b"x" * 200, content_type=b"text/x"),
            Reply(b"x" * 5000, content_type=b"image/png"),
            Reply(b"x" * 5000, headers=((b"content-encoding", b"br"),)),
        ):
            self.assertNotEqual(Wire(_Gives(reply)).get("/", GZIP).headers.get("content-encoding"), "gzip")

    def test_a_busy_pool_means_an_unpacked_answer(self) -> None:
        class Busy(InlinePool):
            def run(self, *args: Any) -> Any:
                return fail(TryLater())

        wire = Wire(_Gives(Reply(b"x" * 100_000, content_type=b"text/x"), Busy())).get("/", GZIP)
        self.assertNotIn("content-encoding", wire.headers)
        self.assertEqual(len(wire.body), 100_000)
        source = _Source()
        streamed = Wire(_Gives(Reply(source.iterate(), content_type=b"text/x"), Busy())).get("/", GZIP)
        self.assertEqual(len(gzip.decompress(streamed.body)), 10_000)

    def test_an_iterator_is_sent_in_chunks(self) -> None:
        source = _Source()
        wire = Wire(_Gives(Reply(source.iterate()))).get("/")
        self.assertEqual(wire.headers["transfer-encoding"], "chunked")
        self.assertEqual(len(wire.body), 10_000)
        self.assertTrue(source.closed)
        self.assertFalse(wire.transport.disconnecting)

    def test_the_first_block_of_a_packed_iterator_arrives_before_the_second_is_made(self) -> None:
        more: Deferred[None] = Deferred()

        async def slow() -> AsyncIterator[bytes]:
            yield b"first"
            await more
            yield b"second"

        wire = Wire(_Gives(Reply(slow(), content_type=b"text/x"))).get("/", GZIP)
        unpacker = zlib.decompressobj(31)
        _, _, rest = wire.out.partition(b"\r\n\r\n")
        chunks = rest.split(b"\r\n")[1::2]
        self.assertEqual(b"".join(map(unpacker.decompress, chunks)), b"first")
        more.callback(None)
        self.assertEqual(gzip.decompress(wire.body), b"firstsecond")

    def test_head_has_the_headers_only(self) -> None:
        wire = Wire(_Gives(Reply(b"hello"))).get("/", method="HEAD")
        self.assertEqual((wire.headers["content-length"], wire.body), ("5", b""))

    def test_http_1_0_gets_no_chunks(self) -> None:
        wire = Wire(_Gives(Reply(_Source().iterate()))).send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertNotIn("transfer-encoding", wire.headers)
        self.assertEqual(len(wire.body), 10_000)
        self.assertTrue(wire.transport.disconnecting)


class PressureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = _Source(100)
        self.go: Deferred[None] = Deferred()

        async def gated() -> AsyncIterator[bytes]:
            await self.go
            async for block in self.source.iterate():
                yield block

        self.wire = Wire(_Gives(Reply(gated()))).get("/")

    def test_a_client_that_does_not_read_is_waited_for(self) -> None:
        self.wire.transport.producer.pauseProducing()
        self.go.callback(None)
        self.assertEqual(self.source.given, 1)
        self.wire.transport.producer.resumeProducing()
        self.assertEqual(self.source.given, 100)
        self.assertEqual(len(self.wire.body), 100_000)

    def test_a_client_that_never_reads_is_cut_off(self) -> None:
        self.wire.transport.producer.pauseProducing()
        self.go.callback(None)
        self.wire.clock.advance(121)
        self.assertTrue(self.wire.transport.aborted)
        self.wire.lose()
        self.assertTrue(self.source.closed)
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_a_client_that_leaves_ends_the_iterator(self) -> None:
        self.wire.transport.producer.pauseProducing()
        self.go.callback(None)
        self.wire.lose()
        self.assertTrue(self.source.closed)
        self.assertEqual(self.source.given, 1)
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_a_client_that_leaves_while_the_answer_is_made_ends_the_making(self) -> None:
        cancelled: list[Deferred[None]] = []
        self.go._canceller = cancelled.append
        self.wire.lose()
        self.assertEqual(cancelled, [self.go])

    def test_a_client_that_leaves_while_it_is_packed(self) -> None:
        pool = HeldPool()
        wire = Wire(_Gives(Reply(b"x" * 100_000, content_type=b"text/x"), pool)).get("/", GZIP)
        wire.lose()
        pool.step()
        self.assertEqual(wire.out, b"")

    def test_an_iterator_that_breaks_closes_the_connection_unfinished(self) -> None:
        source = _Source(3, ValueError("broken"))
        wire = Wire(_Gives(Reply(source.iterate()))).get("/")
        self.assertTrue(wire.transport.disconnecting)
        self.assertFalse(wire.out.endswith(b"0\r\n\r\n"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class AcceptTests(SynchronousTestCase):
    def test_what_clients_accept(self) -> None:
        for header, answer in (
            (None, False),
            (b"", False),
            (b"gzip", True),
            (b"GZIP;q=0.5, br", True),
            (b"br, x-gzip", True),
            (b"gzip;q=0", False),
            (b"gzip; q=0.000, *", False),
            (b"*", True),
            (b"*;q=0", False),
            (b"gzip;q=x", False),
            (b"identity", False),
        ):
            self.assertEqual(accepts_gzip(header), answer, header)
