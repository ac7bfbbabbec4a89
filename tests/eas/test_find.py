"""Find, as iOS sends it. Numbers are those of MS-ASCMD's requirements."""

from __future__ import annotations

from base64 import b64decode

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import FolderType
from posthouse.wbxml.decode import decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import GAL, AirSync, Email, Email2
from posthouse.wbxml.tags import Find as F
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.finding import JPEG, FindingRoom
from tests.eas.room import VERSIONS, Response
from tests.support.store import NOW

#: iOS 18.4.1, looking for "Test" in a folder (from a Z-Push report).
IOS = b64decode(
    "AwFqAAAZRUYDNDJERDczMzYtNDE5Ri00RjY4LUJFQkMtOTU5ODJCRjY5ODk5AAFHSEkAAFADRW1haWwAAVIDZWY2YzEzYjAAAQAZSwN0bzoi"
    "VGVzdCIgT1IgY2M6IlRlc3QiIE9SIGZyb206IlRlc3QiIE9SIHN1YmplY3Q6IlRlc3QiIE9SICJUZXN0IiBPUiAiVGVzdCIAAQFMTQMwLTk5"
    "AAEOAQEBAQ=="
)


def mail(text: str, *more: Element, options: tuple[Element, ...] = (), name: str = "S1") -> Element:
    query = E(F.Query, E(AirSync.Class, "Email"), *more, E(F.FreeText, text))
    criterion = E(F.MailBoxSearchCriterion, query, E(F.Options, options) if options else None)
    return E(F.Find, E(F.SearchId, name), E(F.ExecuteSearch, criterion))


def people(text: str, *options: Element) -> Element:
    criterion = E(F.GALSearchCriterion, E(F.Query, text), E(F.Options, options) if options else None)
    return E(F.Find, E(F.SearchId, "S1"), E(F.ExecuteSearch, criterion))


def span(text: str) -> tuple[Element]:
    return (E(F.Range, text),)


class FindCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = FindingRoom()

    def post(self, request: Element, version: str = "16.1") -> Response:
        return self.room.post("Find", request, version)

    def ask(self, request: Element, version: str = "16.1") -> Element:
        """The Response, which names its store and has a status (R45251801, R45251807, R72171802)."""
        answer = self.post(request, version)
        self.assertEqual((answer.code, answer.text(F.Status)), (200, "1"))
        assert answer.root is not None
        found = answer.root.find(F.Response)
        assert found is not None
        self.assertEqual(found.text(IO.Store), "Mailbox")
        return found


class MailTests(FindCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.room.mail("Test run", sender="ann@example.net", received=NOW - 1000)
        self.new = self.room.mail("Lunch", "a test of bread", cc="carl@example.net", received=NOW)
        self.room.mail("Unrelated")

    def found(self, request: Element, version: str = "16.1") -> list[str | None]:
        response = self.ask(request, version)
        self.assertEqual(response.text(F.Status), "1")
        return [one.text(AirSync.ServerId) for one in response.findall(F.Result)]

    def test_what_ios_sends_at_every_version(self) -> None:
        # Rule 24 of the sync model.
        """Rule: served at any version, because iOS sends it at any (R10032018 to 19)."""
        inbox = str(self.room.folder().number)
        request = decode(IOS)
        collection = request.find(F.ExecuteSearch, F.MailBoxSearchCriterion, F.Query, AirSync.CollectionId)
        assert collection is not None
        collection.content = inbox
        self.assertEqual(decode(encode(request)), request)
        for version in VERSIONS:
            response = self.ask(request, version)
            results = response.findall(F.Result)
            self.assertEqual(
                [one.text(AirSync.ServerId) for one in results], [str(self.new.number), str(self.old.number)]
            )
            self.assertEqual((response.text(F.Range), response.text(F.Total)), ("0-1", "2"))
            # R9010602, R9820602, R38971801, R99911; no LongId (R10032012, R10032013).
            self.assertEqual(
                [child.tag for child in results[0].children],
                [AirSync.Class, AirSync.ServerId, AirSync.CollectionId, F.Properties],
            )
            self.assertEqual(results[0].text(AirSync.CollectionId), inbox)

    def test_what_a_result_shows(self) -> None:
        """R10031962 to R10031972."""
        found = self.ask(mail("bread")).find(F.Result, F.Properties)
        assert found is not None
        shown = {child.tag: child.value for child in found.children}
        self.assertEqual(
            shown,
            {
                Email.Subject: "Lunch",
                Email.DateReceived: "2026-01-01T00:00:00.000Z",
                Email.DisplayTo: "a@example.org",
                F.DisplayCc: "carl@example.net",
                Email.Importance: "1",
                Email.Read: "0",
                Email2.IsDraft: "0",
                F.Preview: "a test of bread",
                F.HasAttachments: "0",
                Email.From: "b@example.net",
            },
        )

    def test_queries(self) -> None:
        new, old = str(self.new.number), str(self.old.number)
        for text, expected in (
            ('from:"ann"', [old]),
            ("from:carl", []),
            ("cc:carl", [new]),
            ("test NOT subject:test", [new]),
            ("received>=2026-01-01 test", [new]),
            ("received:2025-12-31", [old]),
            ("subject:lunch OR from:ann", [new, old]),
        ):
            self.assertEqual(self.found(mail(text)), expected, text)

    def test_nothing_found(self) -> None:
        """R38391805: no Result."""
        response = self.ask(mail("unheard"))
        self.assertEqual([child.tag for child in response.children], [IO.Store, F.Status, F.Total])
        self.assertEqual(response.text(F.Total), "0")

    def test_folders(self) -> None:
        """R982100612: all of them without a CollectionId; R72172515: an unknown one is 3."""
        outer = self.room.make_folder("Kitchen")
        inner = self.room.make_folder("Shelf", outer.number)
        item = self.room.mail("Test kitchen", where=inner)
        where = E(AirSync.CollectionId, outer.number)
        self.assertEqual(len(self.found(mail("test"))), 3)
        self.assertEqual(self.found(mail("test", where)), [])
        self.assertEqual(self.found(mail("test", where, options=(E(F.DeepTraversal),))), [str(item.number)])
        self.assertEqual(
            self.found(mail("test", E(AirSync.CollectionId, self.room.folder(FolderType.NOTES).number))), []
        )
        self.assertEqual(self.post(mail("test", E(AirSync.CollectionId, "ef6c13b0"))).text(F.Status), "3")

    def test_ranges(self) -> None:
        # Rule 24 of the sync model.
        """R37071811, R37071816, R72172518: a search begins at 0 and goes on from there."""
        self.assertEqual(self.ask(mail("test", options=span("1-9"), name="R1")).text(F.Status), "4")
        first = self.ask(mail("test", options=span("0-0"), name="R1"))
        self.assertEqual((first.text(F.Range), first.text(F.Total)), ("0-0", "2"))
        following = self.ask(mail("test", options=span("1-9"), name="R1"))
        self.assertEqual((following.text(F.Status), following.text(F.Range)), ("1", "1-1"))
        self.assertEqual(following.text(F.Total), "2")
        for other in (
            mail("lunch", options=span("1-9"), name="R1"),
            mail("test", options=span("1-9"), name="S2"),
        ):
            self.assertEqual(self.ask(other).text(F.Status), "4")
        self.assertEqual(len(self.found(mail("test", options=span("0-100")))), 2)
        for broken in ("9-1", "x", "", "0-1000"):
            self.assertEqual(self.post(mail("test", options=span(broken))).text(F.Status), "2", broken)

    def test_at_most_a_hundred_in_one_answer(self) -> None:
        for number in range(103):
            self.room.mail(f"cake {number}", received=NOW + number)
        response = self.ask(mail("cake", options=span("0-999")))
        self.assertEqual((response.text(F.Range), response.text(F.Total)), ("0-99", "103"))
        self.assertEqual(self.ask(mail("cake", options=span("100-199"))).text(F.Range), "100-102")

    def test_what_is_invalid(self) -> None:
        """R72172512."""
        execute = E(F.ExecuteSearch, E(F.MailBoxSearchCriterion, E(F.Query, E(F.FreeText, "x"))))
        both = E(
            F.ExecuteSearch,
            E(F.MailBoxSearchCriterion, E(F.Query, E(F.FreeText, "x"))),
            E(F.GALSearchCriterion, E(F.Query, "x")),
        )
        for request in (
            E(F.Find),
            E(F.Find, E(F.SearchId, "s")),
            E(F.Find, execute),
            E(F.Find, E(F.SearchId), execute),
            E(F.Find, E(F.SearchId, "s"), E(F.ExecuteSearch)),
            E(F.Find, E(F.SearchId, "s"), E(F.ExecuteSearch, E(F.MailBoxSearchCriterion))),
            E(F.Find, E(F.SearchId, "s"), both),
            mail(""),
            mail("x" * 5000),
            mail("x", E(AirSync.Class, "Tasks")),
            people(""),
            people("x", E(F.Picture, E(F.MaxSize, "big"))),
        ):
            answer = self.post(request)
            self.assertEqual((answer.code, answer.text(F.Status)), (200, "2"), request)


class PeopleTests(FindCase):
    def test_people_with_pictures(self) -> None:
        """R1002501, R131999, R132000, R132004, R61641061, R32831607 to R32831610, R33001609."""
        self.room.person("ann@example.org", name="Ann Lee", photo=JPEG, phone="+1")
        self.room.person("anne@example.org", name="Anne", photo=JPEG * 2)
        self.room.person("annie@example.org", name="Annie")
        for version in VERSIONS:
            response = self.ask(people("ann", E(F.Picture, E(F.MaxPictures, 1))), version)
            self.assertEqual(
                (response.text(F.Status), response.text(F.Range), response.text(F.Total)), ("1", "0-2", "3")
            )
            found = [one.find(F.Properties) for one in response.findall(F.Result)]
            names = [one.text(GAL.DisplayName) if one is not None else "" for one in found]
            self.assertEqual(names, ["Ann Lee", "Anne", "Annie"])
            assert found[0] is not None
            self.assertEqual((found[0].text(GAL.Alias), found[0].text(GAL.Phone)), ("ann", "+1"))
            pictures = [one.find(GAL.Picture) for one in found if one is not None]
            self.assertEqual([one.text(GAL.Status) if one else "" for one in pictures], ["1", "175", "173"])
            assert pictures[0] is not None
            self.assertEqual(b64decode(pictures[0].text(GAL.Data) or ""), JPEG)
        response = self.ask(people("ann", E(F.Range, "0-0"), E(F.Picture, E(F.MaxSize, 10))))
        self.assertEqual((response.text(F.Range), response.text(F.Total)), ("0-0", "3"))
        picture = response.find(F.Result, F.Properties, GAL.Picture)
        assert picture is not None
        self.assertEqual([(child.tag, child.value) for child in picture.children], [(GAL.Status, "174")])

    def test_nobody(self) -> None:
        response = self.ask(people("nobody"))
        self.assertEqual((response.text(F.Status), response.text(F.Total)), ("1", "0"))
        self.assertIsNone(response.find(F.Result))
