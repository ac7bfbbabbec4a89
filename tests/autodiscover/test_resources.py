"""Autodiscover over the wire."""

from __future__ import annotations

import base64
import json
import re

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from posthouse.autodiscover.pox import MOBILESYNC
from posthouse.autodiscover.resources import Places, routes
from posthouse.errors import AuthFailed
from posthouse.http.site import Router
from posthouse.interfaces import IAuthenticator
from posthouse.model import Account
from posthouse.work.pool import InlinePool
from tests.autodiscover.test_pox import REQUEST
from tests.http.wire import Wire

ANN = Account(1, 11, "ann@example.org", "Ann & Co", True, False)
GOOD = "Authorization: Basic " + base64.b64encode(b"ann@example.org:good").decode()
BAD = "Authorization: Basic " + base64.b64encode(b"ann@example.org:bad").decode()


@implementer(IAuthenticator)
class _Authenticator:
    def check_basic(self, header: bytes, peer: str) -> Deferred[Account]:
        return succeed(ANN) if base64.b64decode(header[6:]).endswith(b":good") else fail(AuthFailed())


def _wire() -> Wire:
    places = Places("https://mail.example.org")
    return Wire(Router(routes(_Authenticator(), places, InlinePool(), lambda: 1_790_000_000_000, _belongs)))


def _belongs(account: int, address: str) -> Deferred[bool]:
    return succeed(
        address in ("ann@example.org", "sales@example.org") or not address.endswith("@example.org")
    )


class PoxTests(SynchronousTestCase):
    def post(self, body: str, *headers: str, path: str = "/Autodiscover/Autodiscover.xml") -> Wire:
        return _wire().get(path, "Content-Type: text/xml", *headers, method="POST", body=body.encode())

    def code(self, body: str) -> str:
        wire = self.post(body, GOOD)
        self.assertEqual(wire.status, 200)
        found = re.search(rb"<ErrorCode>(\d+)</ErrorCode>", wire.body)
        assert found is not None
        return found[1].decode()

    def test_a_phone_finds_its_server(self) -> None:
        """R703: in the schema that it asked for."""
        for path in ("/autodiscover/autodiscover.xml", "/AutoDiscover/AutoDiscover.xml"):
            wire = self.post(REQUEST, GOOD, path=path)
            self.assertEqual((wire.status, wire.headers["content-type"]), (200, "text/xml; charset=utf-8"))
            self.assertIn(b"<Url>https://mail.example.org/Microsoft-Server-ActiveSync</Url>", wire.body)
            self.assertIn(b"<EMailAddress>ann@example.org</EMailAddress>", wire.body)
            self.assertIn(b'<Response xmlns="%s">' % MOBILESYNC.encode(), wire.body)
            self.assertNotIn(b"<ErrorCode>", wire.body)
            self.assertIn(b"Ann &amp; Co", wire.body)

    def test_nothing_is_said_without_credentials(self) -> None:
        for body in (REQUEST, "", "<broken"):
            for headers in ((), (BAD,)):
                wire = self.post(body, *headers)
                self.assertEqual(wire.status, 401)
                self.assertEqual(wire.headers["www-authenticate"], 'Basic realm="Posthouse"')

    def test_another_address_of_his_or_from_elsewhere_leads_to_his_mailbox(self) -> None:
        own = self.post(REQUEST, GOOD).body
        for other in ("sales@example.org", "ann@else.example"):
            self.assertEqual(self.post(REQUEST.replace("ann@example.org", other), GOOD).body, own)

    def test_an_address_of_somebody_else_or_nobody_gets_the_same_error(self) -> None:
        answers = [self.post(REQUEST.replace("ann@", f"{one}@"), GOOD).body for one in ("bob", "nobody")]
        self.assertEqual(answers[0].replace(b"bob", b"nobody"), answers[1])
        self.assertIn(b"<Action><Error><Status>2</Status>", answers[0])
        self.assertNotIn(b"<Url>", answers[0])

    def test_errors_have_the_commands_own_numbers(self) -> None:
        """R703, R2285 to R2288: the schema that is wanted has to be one that is served."""
        self.assertEqual(self.code("<broken"), "600")
        schema = REQUEST[REQUEST.index("<Acceptable") : REQUEST.index("</Request>")]
        self.assertEqual(self.code(REQUEST.replace(schema, "")), "600")
        self.assertEqual(self.code(REQUEST.replace(schema, schema.replace("mobilesync", "nobody"))), "601")
        self.assertEqual(self.code("x" * 70_000), "600")
        outlook = REQUEST.replace("mobilesync/responseschema/2006", "outlook/responseschema/2006a")
        self.assertEqual(self.code(outlook), "601")

    def test_a_get_is_an_invalid_request(self) -> None:
        self.assertIn(b"<ErrorCode>600<", _wire().get("/autodiscover/autodiscover.xml", GOOD).body)


class V2Tests(SynchronousTestCase):
    def test_it_is_answered_without_credentials(self) -> None:
        for target in (
            "/autodiscover/autodiscover.json?Email=x%40nowhere.example&Protocol=ActiveSync&RedirectCount=1",
            "/Autodiscover/Autodiscover.json?email=ann@example.org&protocol=activesync",
            "/autodiscover/autodiscover.json/v1.0/ann%40example.org?Protocol=ActiveSync",
            "/autodiscover/autodiscover.json/V1.0/ann@example.org?Protocol=ActiveSync",
        ):
            wire = _wire().get(target)
            self.assertEqual((wire.status, wire.headers["content-type"]), (200, "application/json"))
            self.assertEqual(
                json.loads(wire.body),
                {"Protocol": "ActiveSync", "Url": "https://mail.example.org/Microsoft-Server-ActiveSync"},
            )

    def test_v1_names_the_xml_address(self) -> None:
        wire = _wire().get("/autodiscover/autodiscover.json?Email=a@b&Protocol=autodiscoverv1")
        self.assertEqual(
            json.loads(wire.body)["Url"], "https://mail.example.org/autodiscover/autodiscover.xml"
        )

    def test_errors_are_json_too(self) -> None:
        for target, error in (
            ("?Email=a@b&Protocol=Nonsense", "InvalidProtocol"),
            ("?Email=a@b", "MandatoryParameterMissing"),
            ("", "MandatoryParameterMissing"),
        ):
            wire = _wire().get("/autodiscover/autodiscover.json" + target)
            self.assertEqual((wire.status, json.loads(wire.body)["ErrorCode"]), (400, error))
