"""Search: mailbox, directory, document library. Numbers are those of MS-ASCMD's requirements."""

from __future__ import annotations

from base64 import b64decode

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.services import EasSettings
from posthouse.model import FolderType
from posthouse.store import items
from posthouse.wbxml.tags import GAL, AirSync, AirSyncBase, DocumentLibrary, Email, Move
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tags import Search as S
from posthouse.wbxml.tree import E, Element
from tests.eas.finding import JPEG, FindingRoom
from tests.eas.room import VERSIONS
from tests.support.store import NOW, folder, make_account


class SearchCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = FindingRoom()

    def ask(
        self, store: str, query: Element | str | None, *options: Element, version: str = "14.1"
    ) -> Element:
        """The Store of the response; the response as a whole has been checked against its schema."""
        named = E(S.Query, query) if query is not None else None
        request = E(S.Search, E(S.Store, E(S.Name, store), named, E(S.Options, options) if options else None))
        response = self.room.post("Search", request, version)
        self.assertEqual((response.code, response.text(S.Status)), (200, "1"))
        assert response.root is not None
        found = response.root.find(S.Response, S.Store)
        assert found is not None
        return found


def words(text: str, *more: Element) -> Element:
    return E(S.And, E(AirSync.Class, "Email"), *more, E(S.FreeText, text))


def span(text: str) -> Element:
    return E(S.Range, text)


def numbers(store: Element) -> list[int]:
    return [int(one.text(S.LongId) or 0) for one in store.findall(S.Result) if one.children]


class MailboxTests(SearchCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.room.mail("Bread", "from the oven", received=NOW - 86_400_000)
        self.new = self.room.mail("Re: Bread", "Müller says BUTTER", received=NOW)
        self.other = self.room.mail("Boat", "an oar", received=NOW - 1000)

    def found(self, query: Element, *options: Element, version: str = "14.1") -> list[int]:
        store = self.ask("Mailbox", query, *options, version=version)
        self.assertEqual(store.text(S.Status), "1")
        return numbers(store)

    def refused(self, query: Element | str | None, *options: Element) -> str | None:
        store = self.ask("Mailbox", query, *options)
        self.assertEqual([child.tag for child in store.children], [S.Status])
        return store.text(S.Status)

    def test_words_at_every_version(self) -> None:
        """R4327, R3846, R3849, R3699; newest first."""
        for version in VERSIONS:
            store = self.ask("Mailbox", words("bread"), version=version)
            self.assertEqual(store.text(S.Status), "1")
            self.assertEqual(numbers(store), [self.new.number, self.old.number])
            self.assertEqual((store.text(S.Range), store.text(S.Total)), ("0-1", "2"))
            first = store.find(S.Result)
            assert first is not None
            self.assertEqual(first.text(AirSync.Class), "Email")
            self.assertEqual(first.text(AirSync.CollectionId), str(self.room.folder().number))
            properties = first.find(S.Properties)
            assert properties is not None
            self.assertEqual(properties.text(Email.Subject), "Re: Bread")
            self.assertIsNotNone(properties.text(Email.DateReceived))
            self.assertIsNotNone(properties.find(AirSyncBase.Body))

    def test_what_words_mean(self) -> None:
        new, old, other = self.new.number, self.old.number, self.other.number
        for text, expected in (
            ("BREAD butter", [new]),
            ("muller", [new]),
            ("brea", [new, old]),
            ('"the oven"', [old]),
            ('"oven the"', []),
            ("subject:boat OR oven", [other, old]),
            ("bread NOT oven", [new]),
            ("from:b@example.net oar", [other]),
            ("...", []),
            ("", []),
        ):
            self.assertEqual(self.found(words(text)), expected, text)

    def test_nothing_found_is_one_empty_result_and_a_total(self) -> None:
        """R3850."""
        store = self.ask("Mailbox", words("unheard"))
        self.assertEqual(
            [(child.tag, child.value) for child in store.children],
            [(S.Status, "1"), (S.Result, ""), (S.Total, "0")],
        )

    def test_ranges(self) -> None:
        """R3725, R3729 (0-0 is one item), R4638 (Total), R3736 (status 12 beyond what may be asked for)."""
        for text, status, expected, said in (
            ("0-0", "1", [self.new.number], "0-0"),
            ("1-5", "1", [self.old.number], "1-1"),
            ("0-99", "1", [self.new.number, self.old.number], "0-1"),
            ("5-9", "1", [], None),
            ("0-100", "12", [self.new.number, self.old.number], "0-1"),
        ):
            store = self.ask("Mailbox", words("bread"), span(text))
            self.assertEqual(
                (store.text(S.Status), numbers(store), store.text(S.Range), store.text(S.Total)),
                (status, expected, said, "2"),
                text,
            )
        for text, status in (("100-199", "12"), ("5-4", "2"), ("x", "2"), ("", "2"), ("0", "2")):
            self.assertEqual(self.refused(words("bread"), span(text)), status, text)

    def test_dates(self) -> None:
        """R3703: after, before, at."""

        def limited(tag: str, moment: str) -> Element:
            return E(tag, E(Email.DateReceived), E(S.Value, moment))

        at = "2026-01-01T00:00:00.000Z"
        new, old = self.new.number, self.old.number
        for query, expected in (
            (words("bread", limited(S.GreaterThan, "2025-12-31T12:00:00.000Z")), [new]),
            (words("bread", limited(S.LessThan, at)), [old]),
            (words("bread", limited(S.GreaterThan, at)), []),
            (words("bread", limited(S.EqualTo, at)), [new]),
            (E(S.And, limited(S.LessThan, "2025-12-31T12:00:00.000Z")), [old]),
        ):
            self.assertEqual(self.found(query), expected, query)
        for broken in (
            limited(S.LessThan, "yesterday"),
            E(S.LessThan, E(Email.DateReceived)),
            E(S.LessThan, E(S.Value, at)),
        ):
            self.assertEqual(self.refused(words("bread", broken)), "2", broken)

    def test_folders(self) -> None:
        """R2031, R5856, R2146; CollectionId 0 is the whole mailbox (Outlook for phones, Android 6)."""
        outer = self.room.make_folder("Kitchen")
        inner = self.room.make_folder("Shelf", outer.number)
        above, below = self.room.mail("Bread 3", where=outer), self.room.mail("Bread 4", where=inner)
        deep = E(S.DeepTraversal)

        def where(*numbers: int) -> Element:
            return words("bread", *[E(AirSync.CollectionId, number) for number in numbers])

        self.assertEqual(self.found(where(outer.number)), [above.number])
        self.assertEqual(set(self.found(where(outer.number), deep)), {above.number, below.number})
        self.assertEqual(len(self.found(where(outer.number, inner.number))), 2)
        self.assertEqual(len(self.found(where(0))), 4)
        self.assertEqual(len(self.found(where(self.room.folder().number))), 2)
        self.assertEqual(self.found(where(self.room.folder(FolderType.CALENDAR).number)), [])
        self.assertEqual(self.refused(where(999_999)), "11")

    def test_classes(self) -> None:
        """R920, R922."""
        self.assertEqual(len(self.found(E(S.And, E(S.FreeText, "bread")))), 2)
        both = E(S.And, E(AirSync.Class, "Calendar"), E(AirSync.Class, "Email"), E(S.FreeText, "bread"))
        self.assertEqual(len(self.found(both)), 2)
        only = E(S.And, E(AirSync.Class, "Contacts"), E(S.FreeText, "bread"))
        self.assertEqual(self.found(only), [])
        self.assertEqual(self.refused(E(S.And, E(AirSync.Class, "Cake"), E(S.FreeText, "bread"))), "2")

    def test_what_is_not_one_and_is_too_complex(self) -> None:
        """R772, R923, R2032, R2086, R3105, R3143, R3220."""
        free, bound = E(S.FreeText, "bread"), (E(Email.DateReceived), E(S.Value, "2026-01-01T00:00:00.000Z"))
        for query in (
            free,
            E(S.Or, free),
            E(S.And, E(S.Or, free)),
            E(S.And, E(S.And, free)),
            E(AirSync.Class, "Email"),
            E(AirSync.CollectionId, "1"),
            E(S.ConversationId, b"1234"),
            E(S.GreaterThan, bound),
            E(S.LessThan, bound),
            words("bread " * 100),
            words("x" * 5000),
        ):
            self.assertEqual(self.refused(query), "8", query)
        request = E(S.Query, words("bread"), words("boat"))
        response = self.room.post("Search", E(S.Search, E(S.Store, E(S.Name, "Mailbox"), request)))
        assert response.root is not None
        store = response.root.find(S.Response, S.Store)
        assert store is not None
        self.assertEqual(store.text(S.Status), "8")

    def test_what_asks_nothing_is_invalid(self) -> None:
        """R4329."""
        for query in (None, "", E(S.And), E(S.And, E(AirSync.Class, "Email"))):
            self.assertEqual(self.refused(query), "2", query)
        self.assertEqual(self.ask("Attic", words("bread")).text(S.Status), "2")
        self.assertEqual(self.ask("", words("bread")).text(S.Status), "2")
        self.assertEqual(self.room.post("Search", E(S.Search)).text(S.Status), "103")
        self.assertEqual(self.room.post("Search", E(S.Search), "12.1").code, 400)

    def test_the_old_plain_form_of_a_query(self) -> None:
        self.assertEqual(numbers(self.ask("Mailbox", "butter")), [self.new.number])

    def test_a_conversation(self) -> None:
        query = E(S.And, E(S.ConversationId, self.other.conversation))
        self.assertEqual(self.found(query), [self.other.number])
        self.assertEqual(self.found(E(S.And, E(S.ConversationId, b"nobody's"))), [])

    def test_bodies_as_asked_for(self) -> None:
        """R3383, R3384, R3387, R3388; a brief one when nobody asked."""

        def body(*options: Element) -> Element:
            found = self.ask("Mailbox", words("oven"), *options).find(
                S.Result, S.Properties, AirSyncBase.Body
            )
            assert found is not None
            return found

        kind = AirSyncBase.Type
        self.assertEqual(body().text(kind), "1")
        html = E(AirSyncBase.BodyPreference, E(kind, 2), E(AirSyncBase.TruncationSize, 5))
        self.assertEqual(body(html).text(kind), "2")
        mime = body(E(AirSync.MIMESupport, 2), E(AirSyncBase.BodyPreference, E(kind, 4)))
        self.assertEqual(mime.text(kind), "4")
        self.assertIn("Subject: Bread", mime.text(AirSyncBase.Data) or "")
        self.assertEqual(body(E(AirSync.MIMESupport, 2)).text(kind), "4")
        self.assertEqual(body(E(AirSync.MIMESupport, 1)).text(kind), "1")
        part = E(AirSyncBase.BodyPartPreference, E(kind, 2))
        self.assertIsNone(
            self.ask("Mailbox", words("oven"), part).find(S.Result, S.Properties, AirSyncBase.BodyPart)
        )

    def test_an_answer_holds_what_fits_and_says_how_much(self) -> None:
        self.room.services.settings = EasSettings(policy=None, max_response=2000)
        for _ in range(5):
            self.room.mail("cake", "x" * 900)
        store = self.ask("Mailbox", words("cake"), E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1)))
        count = len(numbers(store))
        self.assertTrue(1 <= count < 5)
        self.assertEqual((store.text(S.Range), store.text(S.Total)), (f"0-{count - 1}", "5"))

    def test_rebuilding_changes_nothing_and_what_is_deleted_is_gone(self) -> None:
        """R3757."""
        self.assertEqual(len(self.found(words("bread"), E(S.RebuildResults))), 2)
        self.room.db.write_now(lambda tx: items.delete_item(tx, self.new))
        self.assertEqual(self.found(words("bread")), [self.old.number])

    def test_nobody_finds_mail_of_others(self) -> None:
        other = make_account(self.room.db, "o@example.org")
        self.room.mail("Bread", where=folder(self.room.db, other))
        self.assertEqual(self.found(words("bread")), [self.new.number, self.old.number])

    def test_a_long_id_goes_on_in_every_command(self) -> None:
        """Z-Push ZP-855."""
        long_id = str(self.found(words("oven"))[0])
        fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), E(S.LongId, long_id))
        for version in VERSIONS:
            response = self.room.post("ItemOperations", E(IO.ItemOperations, fetch), version)
            assert response.root is not None
            fetched = response.root.find(IO.Response, IO.Fetch)
            assert fetched is not None
            self.assertEqual((fetched.text(IO.Status), fetched.text(S.LongId)), ("1", long_id))
            properties = fetched.find(IO.Properties)
            assert properties is not None
            self.assertEqual(properties.text(Email.Subject), "Bread")
        move = E(
            Move.Move,
            E(Move.SrcMsgId, long_id),
            E(Move.SrcFldId, self.room.folder().number),
            E(Move.DstFldId, self.room.folder(FolderType.DELETED).number),
        )
        moved = self.room.post("MoveItems", E(Move.MoveItems, move))
        self.assertEqual(moved.text(Move.Response, Move.Status), "3")


class DirectoryTests(SearchCase):
    def setUp(self) -> None:
        super().setUp()
        self.room.person("ann@example.org", name="Ann Lee", photo=JPEG)
        self.room.person(
            "bob@example.org",
            name="Barry Johnson",
            first_name="Barry",
            last_name="Johnson",
            alias="bj",
            title="Captain",
            company="Lantern",
            office="7",
            phone="+1",
            mobile="+2",
            home_phone="+3",
            photo=JPEG * 3,
        )
        self.room.person("hidden@example.org", name="Ann Hidden", hidden=True)

    def people(self, query: str, *options: Element, version: str = "14.1") -> list[dict[str, str]]:
        store = self.ask("GAL", query, *options, version=version)
        found = store.findall(S.Result)
        self.assertEqual((store.text(S.Status), store.text(S.Total)), ("1", str(len(found))))
        people = []
        for one in found:
            properties = one.find(S.Properties)
            assert properties is not None
            people.append({child.tag.partition(":")[2]: child.value for child in properties.children})
        return people

    def test_everything_that_somebody_has(self) -> None:
        """R5711, R5286, R5391, R3691."""
        for version in VERSIONS:
            self.assertEqual(
                self.people("barry", version=version),
                [
                    {
                        "DisplayName": "Barry Johnson",
                        "Phone": "+1",
                        "Office": "7",
                        "Title": "Captain",
                        "Company": "Lantern",
                        "Alias": "bj",
                        "FirstName": "Barry",
                        "LastName": "Johnson",
                        "HomePhone": "+3",
                        "MobilePhone": "+2",
                        "EmailAddress": "bob@example.org",
                    }
                ],
            )
        found = self.people("ann")
        self.assertEqual(
            found,
            [
                {
                    "DisplayName": "Ann Lee",
                    "Alias": "ann",
                    "FirstName": "Ann",
                    "LastName": "Lee",
                    "EmailAddress": "ann@example.org",
                }
            ],
        )

    def test_beginnings_and_order(self) -> None:
        """R421, R426, R3697, R3699; nobody finds the hidden."""
        for query, expected in (
            ("JOHN", ["Barry Johnson"]),
            ("ohnson", []),
            ("bob@example.org", ["Barry Johnson"]),
            ("hidden", []),
        ):
            self.assertEqual([one["DisplayName"] for one in self.people(query)], expected, query)
        for number in range(3):
            self.room.person(f"m{number}@example.org", name=f"{'cab'[number]} Mill")
        self.assertEqual([one["DisplayName"] for one in self.people("mill")], ["a Mill", "b Mill", "c Mill"])

    def test_ranges_and_totals(self) -> None:
        """R419, R420, R431, R3736, R3847."""
        for number in range(4):
            self.room.person(f"m{number}@example.org", name=f"Mill {number}")
        store = self.ask("GAL", "mill", span("1-2"))
        self.assertEqual((store.text(S.Range), store.text(S.Total)), ("1-2", "4"))
        store = self.ask("GAL", "mill", span("0-500"))
        self.assertEqual((store.text(S.Status), store.text(S.Range)), ("12", "0-3"))
        self.assertEqual(self.ask("GAL", "mill", span("100-200")).text(S.Status), "12")
        store = self.ask("GAL", "nobody")
        self.assertEqual([child.tag for child in store.children], [S.Status, S.Total])
        for query in ("", " ", None):
            self.assertEqual(self.ask("GAL", query).text(S.Status), "2")

    def test_pictures(self) -> None:
        """R2135, R3310, R3311, R3674, R4371 to R4375; the data is base64 text."""
        self.room.person("ann2@example.org", name="Ann Two")
        self.room.person("ann3@example.org", name="Ann Xerxes", photo=JPEG)

        def pictures(
            *limits: Element, query: str = "ann", version: str = "14.1"
        ) -> list[tuple[str | None, bytes]]:
            store = self.ask("GAL", query, E(S.Picture, limits), version=version)
            found = []
            for one in store.findall(S.Result):
                picture = one.find(S.Properties, GAL.Picture)
                if picture is not None:
                    data = picture.find(GAL.Data)
                    if data is not None:
                        self.assertIsInstance(data.content, str)
                    found.append(
                        (picture.text(GAL.Status), b64decode(data.value) if data is not None else b"")
                    )
            return found

        for version in ("14.1", "16.0", "16.1"):
            self.assertEqual(pictures(version=version), [("1", JPEG), ("173", b""), ("1", JPEG)])
        self.assertEqual(pictures(version="14.0"), [])
        self.assertEqual(pictures(E(S.MaxPictures, 1)), [("1", JPEG), ("173", b""), ("175", b"")])
        self.assertEqual(
            pictures(E(S.MaxSize, 10), E(S.MaxPictures, 9)), [("174", b""), ("173", b""), ("174", b"")]
        )
        self.assertEqual(pictures(E(S.MaxSize, 10_000_000), query="bob"), [("1", JPEG * 3)])
        self.assertEqual(self.ask("GAL", "ann", E(S.Picture, E(S.MaxSize, "big"))).text(S.Status), "2")


class LibraryTests(SearchCase):
    def test_there_is_no_library(self) -> None:
        """2.2.3.177.13: 13 blocked, 4 a bad link, 2 none."""

        def status(link: str | None) -> str | None:
            value = E(S.Value, link) if link is not None else None
            query = E(S.EqualTo, E(DocumentLibrary.LinkId), value)
            return self.ask("DocumentLibrary", query).text(S.Status)

        self.assertEqual(status("\\\\server\\share"), "13")
        self.assertEqual(status("https://intranet.example/doc"), "13")
        self.assertEqual(status("hello"), "4")
        self.assertEqual(status(None), "2")
        self.assertEqual(self.ask("DocumentLibrary", None).text(S.Status), "2")
