"""Bodies are unpacked under a cap."""

from __future__ import annotations

import gzip
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed, TooLarge
from posthouse.http.body import inflate, read_body
from posthouse.http.limits import HttpLimits
from posthouse.http.reply import Reply
from posthouse.http.request import Request
from posthouse.http.resource import AsyncResource
from posthouse.work.pool import InlinePool
from tests.http.wire import Wire


class _Echo(AsyncResource):
    methods = (b"POST",)
    limit = 100_000

    async def answer(self, request: Request) -> Reply:
        return Reply(await read_body(request, self.limit, self.pool), content_type=b"image/x")


class BodyTests(SynchronousTestCase):
    def post(self, body: bytes, *headers: str) -> Wire:
        return Wire(_Echo(InlinePool())).get("/", *headers, method="POST", body=body)

    def test_plain_and_packed_bodies_are_the_same(self) -> None:
        text = b"Lorem ipsum " * 500
        raw = zlib.compressobj(6, zlib.DEFLATED, -15)
        for encoding, body in (
            ("identity", text),
            ("gzip", gzip.compress(text)),
            ("X-GZIP", gzip.compress(text)),
            ("deflate", zlib.compress(text)),
            ("deflate", raw.compress(text) + raw.flush()),
        ):
            self.assertEqual(self.post(body, f"Content-Encoding: {encoding}").body, text, encoding)

    def test_a_large_body_is_read_off_the_reactor(self) -> None:
        class Pool(InlinePool):
            ran: list[str] = []

            def run(self, function, *args):  # type: ignore[no-untyped-def]
                self.ran.append(function.__name__)
                return super().run(function, *args)

        class Large(_Echo):
            limit = 4_000_000

        body = bytes(range(256)) * 8192
        self.assertEqual(
            Wire(Large(Pool()), HttpLimits(body=4_000_000)).get("/", method="POST", body=body).body, body
        )
        self.assertEqual(Pool.ran, ["read"])
        Wire(Large(Pool()), HttpLimits(body=4_000_000)).get("/", method="POST", body=body[: 1 << 20])
        self.assertEqual(Pool.ran, ["read"])

    def test_a_bomb_is_refused(self) -> None:
        bomb = gzip.compress(bytes(50_000_000))
        self.assertLess(len(bomb), 60_000)
        self.assertEqual(self.post(bomb, "Content-Encoding: gzip").status, 413)

    def test_a_body_of_exactly_the_limit_is_taken(self) -> None:
        self.assertEqual(self.post(gzip.compress(bytes(100_000)), "Content-Encoding: gzip").status, 200)
        self.assertEqual(self.post(gzip.compress(bytes(100_001)), "Content-Encoding: gzip").status, 413)
        self.assertEqual(self.post(bytes(100_001)).status, 413)

    def test_broken_and_unknown_encodings_are_refused(self) -> None:
        whole = gzip.compress(b"hello")
        for encoding, body in (
            ("gzip", whole[:-1]),
            ("gzip", whole + b"x"),
            ("gzip", b"hello"),
            ("br", b"hello"),
            ("gzip, gzip", gzip.compress(whole)),
        ):
            self.assertEqual(self.post(body, f"Content-Encoding: {encoding}").status, 400, encoding)

    def test_large_bodies_are_unpacked_elsewhere(self) -> None:
        class Pool(InlinePool):
            ran = 0

            def run(self, *args: object) -> Deferred[bytes]:
                self.ran += 1
                return super().run(*args)  # type: ignore[arg-type]

        pool, resource = Pool(), _Echo(InlinePool())
        resource.pool, resource.limit = pool, 10_000_000
        Wire(resource).get("/", "Content-Encoding: gzip", method="POST", body=gzip.compress(bytes(5_000_000)))
        self.assertEqual(pool.ran, 1)

    @settings(max_examples=80)
    @given(st.binary(max_size=400), st.sampled_from(["gzip", "deflate"]), st.integers(0, 500))
    def test_any_bytes_unpack_within_the_limit_or_fail(self, data: bytes, encoding: str, limit: int) -> None:
        for body in (data, gzip.compress(data), zlib.compress(data)):
            try:
                self.assertLessEqual(len(inflate(body, encoding, limit)), limit)
            except (Malformed, TooLarge):
                pass
