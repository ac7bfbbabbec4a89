"""The checker of answers refuses what it is there to refuse."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Email2, Provision, Settings
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.support.eas_checker import available, check_autodiscover, check_response
from tests.support.eas_http import check_headers, check_parts, check_tokens
from tests.support.eas_text import SchemaError

WBXML = "application/vnd.ms-sync.wbxml"


def synced(*fields: Element | None) -> Element:
    """A Sync answer with one new message."""
    add = E(AirSync.Add, E(AirSync.ServerId, 7), E(AirSync.ApplicationData, fields))
    names = E(AirSync.SyncKey, "k"), E(AirSync.CollectionId, 5), E(AirSync.Status, 1)
    collection = E(AirSync.Collection, names, E(AirSync.Commands, add))
    return E(AirSync.Sync, E(AirSync.Collections, collection))


class CheckerTests(SynchronousTestCase):
    def setUp(self) -> None:
        if not available():
            raise SkipTest("the schemas are not present beside the checkout")

    def refused(self, root: Element, says: str, version: tuple[int, int] = (16, 1)) -> None:
        error = self.assertRaises(SchemaError, check_response, root, version)
        self.assertIn(says, str(error))

    def test_what_is_right_passes(self) -> None:
        check_response(synced(E(Email.Subject, "x"), E(Email.Read, 0)), (16, 1))

    def test_versions(self) -> None:
        draft = synced(E(Email2.IsDraft, 1))
        check_response(draft, (16, 1))
        self.refused(draft, "version", (14, 1))

    def test_types_and_values(self) -> None:
        self.refused(synced(E(Email.Read, "yes")), "Read")
        self.refused(synced(E(Email.DateReceived, "2026-01-01")), "DateReceived")
        self.refused(synced(E(Email.Importance, 7)), "Importance")
        self.refused(synced(E(Email.Flag, E(Email.Status, 9))), "Status")

    def test_presence_and_order(self) -> None:
        size, kind = E(AirSyncBase.EstimatedDataSize, 1), E(AirSyncBase.Type, 1)
        self.refused(synced(E(AirSyncBase.Body, size)), "Type")
        self.refused(synced(E(AirSyncBase.Body, size, kind)), "order")
        self.refused(E(F.FolderSync, E(F.Status, 1), E(F.SyncKey, "")), "SyncKey")
        policy = E(Provision.Policy, E(Provision.PolicyType, "x"), E(Provision.Status, 1))
        self.refused(E(Provision.Provision, E(Provision.Status, 1), E(Provision.Policies, policy)), "kind")

    def test_places_and_what_hangs_together(self) -> None:
        self.refused(E(Settings.Settings, E(Settings.Status, 1), E(Settings.Oof)), "Status")
        move = E(IO.Move, E(IO.ConversationId, b"c"))
        self.refused(E(IO.ItemOperations, E(IO.Status, 1), E(IO.Response, move)), "Status")
        self.refused(synced(E(Email.MessageClass, "IPM.Note"), E(Email2.UmCallerID, "+1")), "UmCallerID")
        self.refused(E(Email.MeetingRequest, E(Email.TimeZone, "AAAA")), "MeetingRequest")

    def test_what_is_never_sent(self) -> None:
        self.refused(synced(E(AirSyncBase.BodyPreference)), "BodyPreference")

    def test_tokens(self) -> None:
        root = synced(E(Email2.ConversationId, b"c"))
        check_tokens(encode(root), root)
        for data in (
            encode(root)[:-1] + b"\x02",
            encode(root).replace(b"\xc3\x01c", b"\x03c\x00"),
            encode(root) + b"\x00",
            b"\x02" + encode(root)[1:],
        ):
            self.assertRaises(SchemaError, check_tokens, data, root)

    def test_headers_and_parts(self) -> None:
        good = {"content-length": "1", "content-type": WBXML, "ms-server-activesync": "15.1"}
        check_headers("POST", 200, good, b"x")
        for name in good:
            without = {key: value for key, value in good.items() if key != name}
            self.assertRaises(SchemaError, check_headers, "POST", 200, without, b"x")
        self.assertRaises(SchemaError, check_headers, "POST", 503, {"content-length": "0"}, b"")
        self.assertRaises(SchemaError, check_headers, "POST", 299, good, b"x")
        check_parts(b"\x01\0\0\0\x0c\0\0\0\x02\0\0\0hi")
        self.assertRaises(SchemaError, check_parts, b"\x01\0\0\0\x0c\0\0\0\x03\0\0\0hi")

    def test_autodiscover(self) -> None:
        bad = b"<Autodiscover><Response><Action><Settings/></Action></Response></Autodiscover>"
        self.assertRaises(SchemaError, check_autodiscover, bad)
