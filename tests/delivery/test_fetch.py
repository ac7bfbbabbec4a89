"""HTTPS to servers that strangers name."""

from __future__ import annotations

import gzip
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from posthouse.delivery.fetch import FetchFailed, Web
from posthouse.delivery.routes import Routes
from posthouse.errors import TryLater
from posthouse.tlspolicy.mtasts import LARGEST
from tests.support.resolver import FakeResolver


class Page(Resource):
    """Answers everything the same, and remembers what was asked."""

    isLeaf = True

    def __init__(
        self, body: bytes = b"version: STSv1\n", code: int = 200, kind: bytes = b"text/plain", **more: str
    ) -> None:
        super().__init__()
        self.body, self.code, self.kind, self.more = body, code, kind, more
        self.asked: list[tuple[bytes, bytes, bytes, bytes]] = []
        self.packing: list[bytes | None] = []

    def render(self, request: Any) -> bytes:
        self.asked.append((request.method, request.getHeader(b"host"), request.uri, request.content.read()))
        self.packing.append(request.getHeader(b"accept-encoding"))
        request.setResponseCode(self.code)
        request.setHeader(b"content-type", self.kind)
        for name, value in self.more.items():
            request.setHeader(name.replace("_", "-"), value)
        return self.body


class WebTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def web(self, page: Resource, port: int = 443) -> Web:
        self.agent = RequestTraversalAgent(page)
        return Web(
            self.clock, FakeResolver(), lambda address: True, optionsForClientTLS, port, agent=self.agent
        )

    def policy(self, page: Resource, port: int = 443) -> Deferred[bytes]:
        done = self.web(page, port).policy("there.example")
        self.agent.flush()
        return done

    def refused(self, page: Resource, words: str) -> None:
        failed = self.failureResultOf(self.policy(page), FetchFailed).value
        self.assertIn(words, str(failed))
        self.assertFalse(failed.certificate)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_policy(self) -> None:
        page = Page(kind=b"Text/Plain; charset=utf-8")
        self.assertEqual(self.successResultOf(self.policy(page)), b"version: STSv1\n")
        self.assertEqual(page.asked, [(b"GET", b"mta-sts.there.example", b"/.well-known/mta-sts.txt", b"")])
        self.assertEqual(page.packing, [None])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        page = Page()
        self.successResultOf(self.policy(page, 8443))
        self.assertEqual(page.asked[0][1], b"mta-sts.there.example:8443")

    def test_no_redirects(self) -> None:
        for code in (301, 302, 307, 308):
            page = Page(code=code, location="https://mta-sts.there.example/elsewhere")
            self.refused(page, f"answered {code}")
            self.assertEqual(len(page.asked), 1)

    def test_only_success_counts(self) -> None:
        for code in (204, 404, 500):
            self.refused(Page(code=code), str(code))

    def test_only_plain_text(self) -> None:
        for kind in (b"text/html", b"application/octet-stream", b""):
            self.refused(Page(kind=kind), "text/plain")

    def test_no_more_than_64_kb(self) -> None:
        self.assertEqual(len(self.successResultOf(self.policy(Page(b"x" * LARGEST)))), LARGEST)
        self.refused(Page(b"x" * (LARGEST + 1)), "too long")

    def test_nothing_packed(self) -> None:
        self.refused(Page(gzip.compress(b"x" * 100_000), content_encoding="gzip"), "packed")

    def test_no_longer_than_a_minute(self) -> None:
        class Silent:
            def request(self, *ignored: Any, **more: Any) -> Deferred[Any]:
                return Deferred()

        web = Web(self.clock, FakeResolver(), lambda address: True, optionsForClientTLS, agent=Silent())
        done = web.policy("there.example")
        self.clock.advance(59)
        self.assertNoResult(done)
        self.clock.advance(1)
        self.assertIn("in time", str(self.failureResultOf(done, FetchFailed).value))

    def test_a_report_is_posted(self) -> None:
        for code in (200, 201, 204):
            page = Page(b"", code)
            done = self.web(page).post("https://r.example/v1", b"report", "application/tlsrpt+gzip")
            self.agent.flush()
            self.successResultOf(done)
            self.assertEqual(page.asked, [(b"POST", b"r.example", b"/v1", b"report")])
        for code in (302, 400, 503):
            done = self.web(Page(code=code, location="https://r.example/v2")).post(
                "https://r.example/v1", b"r", "a/b"
            )
            self.agent.flush()
            self.failureResultOf(done, FetchFailed)


class ReachTests(SynchronousTestCase):
    """Which addresses are connected to."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.resolver = FakeResolver()

    def fetch(self, *addresses: str, inside: tuple[str, ...] = ()) -> Deferred[bytes]:
        self.resolver.known["mta-sts.there.example"] = list(addresses)
        routes = Routes(self.resolver, inside=inside)
        return Web(self.reactor, self.resolver, routes.may_reach, optionsForClientTLS).policy("there.example")

    def test_never_a_private_one(self) -> None:
        for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:192.168.1.1"):
            failed = self.failureResultOf(self.fetch(address), FetchFailed)
            self.assertIn("no public address", str(failed.value), address)
        self.assertEqual(self.reactor.tcpClients, [])

    def test_unless_it_is_named(self) -> None:
        self.fetch("10.0.0.1", "10.0.1.1", inside=("10.0.1.0/24",))
        self.assertEqual([client[:2] for client in self.reactor.tcpClients], [("10.0.1.1", 443)])

    def test_public_ones_in_turn(self) -> None:
        done = self.fetch("192.0.2.1", "192.0.2.2")
        for _ in range(2):
            self.assertNoResult(done)
            factory = self.reactor.tcpClients[-1][2]
            factory.clientConnectionFailed(None, _refused())
        self.assertEqual([client[0] for client in self.reactor.tcpClients], ["192.0.2.1", "192.0.2.2"])
        self.assertIn("refused", str(self.failureResultOf(done, FetchFailed).value).lower())

    def test_a_name_that_cannot_be_looked_up_fails(self) -> None:
        self.resolver.known["mta-sts.there.example"] = TryLater(cause="SERVFAIL")
        web = Web(self.reactor, self.resolver, lambda address: True, optionsForClientTLS)
        self.assertIn("SERVFAIL", str(self.failureResultOf(web.policy("there.example"), FetchFailed).value))

    def test_only_https(self) -> None:
        web = Web(self.reactor, self.resolver, lambda address: True, optionsForClientTLS)
        self.failureResultOf(web.post("http://r.example/", b"", "a/b"), FetchFailed)
        self.assertEqual(self.reactor.tcpClients, [])


def _refused() -> Any:
    failing: Deferred[Any] = fail(ConnectionRefusedError("refused"))
    found: list[Any] = []
    failing.addErrback(found.append)
    return found[0]
