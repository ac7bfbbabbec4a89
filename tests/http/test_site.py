"""From a path to a room."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from posthouse.daemon.listeners import over_tls
from posthouse.http.site import Leaf, Router, Site
from tests.http.wire import Wire


class _Name(Leaf):
    """Answers with its name and what follows in the path."""

    def __init__(self, name: str) -> None:
        self.name = name

    def render(self, request: Any) -> bytes:
        return b"/".join([self.name.encode(), *request.postpath])


def _router() -> Router:
    tree = Resource()
    tree.putChild(b"leaf", _Name("child"))
    return Router(
        {
            "Microsoft-Server-ActiveSync": _Name("eas"),
            "autodiscover/autodiscover.xml": _Name("pox"),
            "autodiscover/autodiscover.json": _Name("json"),
            "tree": tree,
            "": _Name("home"),
        }
    )


class RouterTests(SynchronousTestCase):
    def get(self, target: str) -> Wire:
        return Wire(_router()).get(target)

    def test_paths_are_found_in_any_case(self) -> None:
        for target, body in (
            ("/Microsoft-Server-ActiveSync?Cmd=Ping", b"eas"),
            ("/MICROSOFT-SERVER-ACTIVESYNC/", b"eas"),
            ("/Autodiscover/AutoDiscover.XML", b"pox"),
            ("//autodiscover//autodiscover.xml", b"pox"),
            ("/autodiscover/autodiscover%2Exml", b"pox"),
            ("/autodiscover/autodiscover.json/V1.0/Ann@a.example", b"json/V1.0/Ann@a.example"),
            ("/tree/leaf", b"child"),
            ("/", b"home"),
            ("https://a.example/microsoft-server-activesync", b"eas"),
        ):
            wire = self.get(target)
            self.assertEqual((wire.status, wire.body), (200, body), target)

    def test_what_is_not_there_is_a_small_404(self) -> None:
        for target in (
            "/x",
            "/autodiscover",
            "/microsoft-server-activesyncx",
            "/%00",
            "/a" * 5000,
            "/../etc",
        ):
            wire = self.get(target[:15_000])
            self.assertEqual((wire.status, wire.body), (404, b"Not found\n"))

    @settings(max_examples=60, deadline=None)
    @given(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60))
    def test_any_target_is_answered(self, target: str) -> None:
        wire = Wire(_router()).get("/" + target)
        self.assertIn(wire.status, (200, 400, 404))


class _Doors:
    """Lets so many in."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.gone: list[str] = []

    def admit(self, host: str) -> str:
        self.room -= 1
        return "" if self.room >= 0 else "Full."

    def release(self, host: str) -> None:
        self.gone.append(host)


class DoorTests(SynchronousTestCase):
    def test_who_is_not_admitted_gets_no_connection_and_who_leaves_is_counted_out(self) -> None:
        doors = _Doors(1)
        site = Site(_router(), Clock(), doors=doors)
        address = IPv4Address("TCP", "192.0.2.7", 1)
        channel = site.buildProtocol(address)
        assert channel is not None
        channel.makeConnection(StringTransport(peerAddress=address))
        self.assertIsNone(site.buildProtocol(address))
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(doors.gone, ["192.0.2.7"])

    def test_behind_tls_a_refusal_is_a_refusal(self) -> None:
        """A wrapper around nothing would fail in the middle of the loop."""
        site = Site(_router(), Clock(), doors=_Doors(0))
        factory = over_tls(CertificateOptions(), site, Clock())
        self.assertIsNone(factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 1)))


class PolicyTests(SynchronousTestCase):
    def test_headers_of_every_answer(self) -> None:
        found = Wire(_router()).get("/x").headers
        self.assertEqual(found["server"], "Posthouse")
        self.assertEqual(found["x-content-type-options"], "nosniff")
        self.assertEqual(found["cache-control"], "private")
        self.assertNotIn("strict-transport-security", found)

    def test_hsts_is_sent_over_tls_only(self) -> None:
        wire = Wire(_router(), hsts=300)
        self.assertNotIn("strict-transport-security", wire.get("/").headers)
        wire.transport.clear()
        self.patch(type(wire.channel), "isSecure", lambda channel: True)
        self.assertEqual(wire.get("/").headers["strict-transport-security"], "max-age=300")

    def test_the_site_speaks_http_1_1_and_keeps_no_ticking_clock(self) -> None:
        wire = Wire(_router())
        wire.site.doStart()
        self.assertEqual(wire.site.acceptableProtocols(), [b"http/1.1"])
        self.assertEqual(len(wire.clock.getDelayedCalls()), 1)  # the idle time-out of the connection
        wire.site.doStop()

    def test_the_log_names_no_query(self) -> None:
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        Wire(_router()).get("/?token=secret", "Authorization: Basic c2VjcmV0")
        self.assertEqual([event["code"] for event in events], [200])
        self.assertNotIn("secret", repr(events))
        self.assertNotIn("c2VjcmV0", repr(events))

    def test_a_peer_without_an_address(self) -> None:
        wire = Wire(_router())
        wire.channel.transport = StringTransport(peerAddress=object())
        seen: list[str] = []
        wire.site.log = lambda request: seen.append(request.peer)  # type: ignore[method-assign,union-attr,attr-defined]
        wire.get("/")
        self.assertEqual(seen, [""])
