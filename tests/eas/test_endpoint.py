"""The web resource: credentials first, OPTIONS, and a POST over HTTP."""

from base64 import b64encode

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.endpoint import PATH, Endpoint
from posthouse.eas.registry import Command, commands
from posthouse.eas.services import EasSettings
from posthouse.errors import AuthFailed, TooManyAttempts
from posthouse.http.site import Router
from posthouse.model import Account
from posthouse.store import devices
from posthouse.wbxml.decode import decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tree import E
from tests.eas.room import Room
from tests.eas.wire import CheckedWire as Wire

GOOD = "Authorization: Basic " + b64encode(b"a@example.org:good").decode()
BAD = "Authorization: Basic " + b64encode(b"a@example.org:bad").decode()
TARGET = "/Microsoft-Server-ActiveSync?Cmd=FolderSync&User=a&DeviceId=PHONE1&DeviceType=iPhone"
FIRST = encode(E(F.FolderSync, E(F.SyncKey, 0)))


class Authenticator:
    def __init__(self, account: Account) -> None:
        self.account = account
        self.error: Exception = AuthFailed()

    def check_basic(self, header: bytes, peer: str) -> Deferred[Account]:
        name = header.decode() if isinstance(header, bytes) else header
        return succeed(self.account) if f"Authorization: {name}" == GOOD else fail(self.error)


class EndpointTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))
        self.authenticator = Authenticator(self.room.account)
        self.room.services.authenticator = self.authenticator  # type: ignore[assignment]
        self.endpoint = Endpoint(self.room.services)

    def wire(self) -> Wire:
        return Wire(Router({PATH: self.endpoint}), clock=self.room.clock)

    def test_options_says_what_is_spoken(self) -> None:
        """MS-ASHTTP R1107; ascending and without blanks, for Android."""
        wire = self.wire().get("/Microsoft-Server-ActiveSync", GOOD, method="OPTIONS")
        self.assertEqual((wire.status, wire.body), (200, b""))
        self.assertEqual(wire.headers["ms-asprotocolversions"], "12.0,12.1,14.0,14.1,16.0,16.1")
        listed = wire.headers["ms-asprotocolcommands"].split(",")
        self.assertEqual(listed, list(commands()))
        self.assertEqual(wire.headers["public"], "OPTIONS,POST")
        self.assertEqual(wire.headers["allow"], "OPTIONS,POST")
        self.assertIn("ms-server-activesync", wire.headers)
        self.assertEqual(wire.headers["content-length"], "0")

    def test_without_credentials_a_wrong_method_is_401_too(self) -> None:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            wire = self.wire().get("/Microsoft-Server-ActiveSync", method=method)
            self.assertEqual(wire.status, 401, method)
            self.assertIn("basic", wire.headers["www-authenticate"].lower())
        wire = self.wire().get("/Microsoft-Server-ActiveSync", GOOD)
        self.assertEqual((wire.status, wire.headers["allow"]), (405, "OPTIONS, POST"))

    def test_options_without_credentials_is_401_with_the_same_headers(self) -> None:
        wire = self.wire().get("/Microsoft-Server-ActiveSync", method="OPTIONS")
        self.assertEqual(wire.status, 401)
        self.assertTrue(wire.headers["www-authenticate"].startswith("Basic realm="))
        self.assertIn("16.1", wire.headers["ms-asprotocolversions"])
        self.assertIn("FolderSync", wire.headers["ms-asprotocolcommands"])

    def test_options_of_a_device_with_a_ceiling(self) -> None:
        self.wire().get(TARGET, GOOD, "MS-ASProtocolVersion: 14.1", method="POST", body=FIRST)
        row = self.room.db.read_now(
            lambda tx: devices.find_device(tx, self.room.account.id, "PHONE1", "iPhone")
        )
        assert row is not None
        self.room.db.write_now(lambda tx: devices.update_device(tx, row.id, version_ceiling="14.0"))
        wire = self.wire().get(TARGET, GOOD, method="OPTIONS")
        self.assertEqual(wire.headers["ms-asprotocolversions"], "12.0,12.1,14.0")

    def test_401_comes_before_everything_else(self) -> None:
        for target in ("/Microsoft-Server-ActiveSync", "/Microsoft-Server-ActiveSync?%%%", TARGET):
            for headers in ((), (BAD,)):
                wire = self.wire().get(target, *headers, method="POST", body=b"rubbish")
                self.assertEqual(wire.status, 401, target)

    def test_a_throttled_client_is_told_when_to_come_again(self) -> None:
        self.authenticator.error = TooManyAttempts(after=60)
        wire = self.wire().get(TARGET, BAD, method="POST", body=FIRST)
        self.assertEqual(wire.status, 503)
        self.assertIn("retry-after", wire.headers)

    def test_a_post(self) -> None:
        for target in (TARGET, TARGET.lower()):
            wire = self.wire().get(
                target, GOOD, "MS-ASProtocolVersion: 14.1", "Content-Type: application/vnd.ms-sync.wbxml",
                method="POST", body=FIRST,
            )  # fmt: skip
            self.assertEqual(wire.status, 200)
            self.assertEqual(wire.headers["content-type"], "application/vnd.ms-sync.wbxml")
            self.assertEqual(decode(wire.body).text(F.Status), "1")

    def test_other_methods_are_405(self) -> None:
        self.assertEqual(self.wire().get(TARGET, GOOD).status, 405)

    def test_a_client_that_leaves_ends_what_it_waits_for(self) -> None:
        waiting: list[Deferred[None]] = []
        cancelled: list[bool] = []

        class Parking(Command):
            name = "FolderSync"

            async def run(self, call):  # type: ignore[no-untyped-def]
                parked: Deferred[None] = Deferred(lambda one: cancelled.append(True))
                waiting.append(call.disconnected())
                await parked

        self.endpoint._pipeline._commands["FolderSync"] = Parking()
        wire = self.wire().get(TARGET, GOOD, "MS-ASProtocolVersion: 14.1", method="POST", body=FIRST)
        self.assertEqual(wire.out, b"")
        left: list[object] = []
        waiting[0].addCallback(left.append)
        wire.lose()
        self.assertEqual((cancelled, left), ([True], [None]))
        self.assertEqual(self.flushLoggedErrors(), [])


class RegistryTests(SynchronousTestCase):
    def test_every_command_has_a_shape_or_no_document(self) -> None:
        for name, one in commands().items():
            self.assertEqual(one.name, name)
            documented = name not in ("GetAttachment", "GetHierarchy")
            self.assertEqual(one.failure(1) is not None, documented, name)

    def test_what_is_listed_runs(self) -> None:
        for one in commands().values():
            self.assertIsNot(type(one).run, Command.run)
