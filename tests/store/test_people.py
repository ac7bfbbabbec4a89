"""The directory: who is in it, and how people are found."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database, Migrations
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Exists, NoSuchThing, NotPermitted, TooLarge
from posthouse.store import accounts, people, routing
from posthouse.store.connect import connect
from posthouse.store.people import Kind, Person, Picture
from posthouse.store.schema import migrations
from posthouse.store.transaction import Transaction
from tests.support.store import NOW, make_account, make_database


class PeopleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.ann = make_account(self.db, "ann.lee@example.org")
        self.bob = make_account(self.db, "bob@example.org")
        self.change("ann.lee@example.org", name="Ann Lée", title="Captain", company="Lantern & Sons")
        self.change("bob@example.org", name="Barry Johnson")

    def change(self, address: str, hidden: bool | None = None, **fields: str) -> Person:
        return self.db.write_now(lambda tx: people.set_person(tx, address, fields, hidden))

    def found(self, query: str) -> list[str]:
        found, total = self.db.read_now(lambda tx: people.search_people(tx, query))
        self.assertEqual(len(found), total)
        return [person.name for person in found]

    def person(self, address: str) -> Person | None:
        return self.db.read_now(lambda tx: people.person_by_address(tx, address))

    def some(self, address: str) -> Person:
        found = self.person(address)
        assert found is not None
        return found

    def test_the_beginning_of_any_word_finds(self) -> None:
        """MS-ASCMD R421, R425, R3697 (not what merely contains it), R3699 (case); accents do not matter."""
        for query, expected in (
            ("ann", ["Ann Lée"]),
            ("LEE", ["Ann Lée"]),
            ("lée", ["Ann Lée"]),
            ("Lee An", ["Ann Lée"]),
            ("ann.lee", ["Ann Lée"]),
            ("ann.lee@exa", ["Ann Lée"]),
            ("John", ["Barry Johnson"]),
            ("ohnson", []),
            ("lantern", ["Ann Lée"]),
            ("a", ["Ann Lée"]),
            ("b", ["Barry Johnson"]),
            ("ann bob", []),
            ("example", []),
            ("", []),
            ("  ", []),
            ("%", []),
            ("*", []),
        ):
            self.assertEqual(self.found(query), expected, query)

    def test_the_order_is_that_of_display_names(self) -> None:
        """R426."""
        for number, name in enumerate(("zed Mill", "Ärger Mill", "anna Mill", "Berta Mill")):
            self.db.write_now(
                lambda tx, number=number, name=name: people.add_contact(tx, f"m{number}@elsewhere.net", name)
            )
        self.assertEqual(self.found("mill"), ["anna Mill", "Ärger Mill", "Berta Mill", "zed Mill"])
        page, total = self.db.read_now(lambda tx: people.search_people(tx, "mill", 2, 1))
        self.assertEqual(([person.name for person in page], total), (["Ärger Mill", "Berta Mill"], 4))
        self.assertEqual(self.db.read_now(lambda tx: people.search_people(tx, "mill", 2, 9)), ([], 4))

    def test_what_is_hidden_is_not_found(self) -> None:
        self.change("bob@example.org", hidden=True)
        self.assertEqual(self.found("bob"), [])
        self.assertEqual(self.db.read_now(lambda tx: people.find_people(tx, "bob@example.org")), ([], 0))
        self.change("bob@example.org", hidden=False)
        self.assertEqual(self.found("bob"), ["Barry Johnson"])

    def test_a_whole_address_means_one(self) -> None:
        make_account(self.db, "bob@example.org.example")
        found, total = self.db.read_now(lambda tx: people.find_people(tx, "bob@example.org"))
        self.assertEqual(([person.name for person in found], total), (["Barry Johnson"], 1))

    def test_the_name_is_that_of_the_mail(self) -> None:
        account = self.db.read_now(lambda tx: accounts.account_by_id(tx, self.bob.id))
        assert account is not None
        self.assertEqual(account.name, "Barry Johnson")

    def test_who_leaves_the_house_leaves_the_directory(self) -> None:
        person = self.some("bob@example.org")
        self.db.write_now(lambda tx: people.set_picture(tx, person, Picture("image/png", b"x")))
        self.db.write_now(lambda tx: accounts.delete_account(tx, self.bob.id))
        self.assertEqual((self.found("barry"), self.person("bob@example.org")), ([], None))
        self.assertIsNone(self.db.read_now(lambda tx: people.picture(tx, person.id)))
        self.assertIsNotNone(make_account(self.db, "bob@example.org"))

    def test_groups_and_their_members(self) -> None:
        self.db.write_now(
            lambda tx: routing.add_alias(tx, "crew@example.org", ["bob@example.org", "x@far.net"], NOW)
        )
        self.db.write_now(
            lambda tx: routing.add_alias(
                tx, "all@example.org", ["crew@example.org", "ann.lee@example.org", "all@example.org"], NOW
            )
        )
        group = self.some("all@example.org")
        self.assertEqual((group.kind, group.name), (Kind.GROUP, "all"))
        found = self.db.read_now(lambda tx: people.members(tx, group))
        self.assertEqual(
            [one.name if one is not None else None for one in found], ["Barry Johnson", None, "Ann Lée"]
        )
        self.assertRaises(
            NotPermitted, self.db.write_now, lambda tx: people.set_certificates(tx, group, [b"x"])
        )
        self.db.write_now(lambda tx: routing.delete_alias(tx, "all@example.org"))
        self.assertIsNone(self.person("all@example.org"))

    def test_contacts_make_room_for_users(self) -> None:
        self.db.write_now(lambda tx: people.add_contact(tx, "new@example.org", "New One"))
        self.assertRaises(
            Exists, self.db.write_now, lambda tx: people.add_contact(tx, "new@example.org", "x")
        )
        make_account(self.db, "new@example.org")
        self.assertEqual(self.some("new@example.org").kind, Kind.USER)

    def test_pictures_and_certificates(self) -> None:
        ann = self.some("ann.lee@example.org")
        self.db.write_now(lambda tx: people.set_picture(tx, ann, Picture("image/jpeg", b"12345")))
        self.assertEqual(self.some("ann.lee@example.org").picture, 5)
        self.assertRaises(
            TooLarge,
            self.db.write_now,
            lambda tx: people.set_picture(tx, ann, Picture("image/png", b"x" * (people.MAX_PICTURE + 1))),
        )
        self.assertEqual(self.some("ann.lee@example.org").picture, 5)
        self.db.write_now(lambda tx: people.set_picture(tx, ann, None))
        self.assertEqual(self.some("ann.lee@example.org").picture, 0)
        self.db.write_now(lambda tx: people.set_certificates(tx, ann, [b"b", b"a", b"b"]))
        self.assertEqual(self.db.read_now(lambda tx: people.certificates(tx, ann.id)), [b"b", b"a"])
        self.assertRaises(
            TooLarge,
            self.db.write_now,
            lambda tx: people.set_certificates(tx, ann, [b"%d" % i for i in range(17)]),
        )

    def test_fields_are_checked(self) -> None:
        self.assertRaises(NoSuchThing, self.change, "nobody@example.org", title="x")
        self.assertRaises(NoSuchThing, self.change, "bob@example.org", shoe_size="x")
        self.assertRaises(TooLarge, self.change, "bob@example.org", title="x" * 257)
        self.assertEqual(self.change("bob@example.org", name=" ").name, "bob")

    def test_the_search_reads_the_index(self) -> None:
        plan = self.db.read_now(
            lambda tx: tx.execute(
                "EXPLAIN QUERY PLAN SELECT p.id FROM person p WHERE p.hidden = 0 AND p.id IN "
                "(SELECT person_id FROM person_key WHERE key >= 'a' AND key < 'b') ORDER BY p.name_key"
            )
        )
        self.assertTrue(any("person_key USING PRIMARY KEY (key>? AND key<?)" in row[3] for row in plan), plan)

    def test_a_house_from_before_the_directory_is_all_in_it(self) -> None:
        connection = connect(":memory:")
        self.addCleanup(connection.close)
        database = Database(connection, execute_plugins=False)
        first = Migrations("posthouse")
        first(name="0001_first")(migrations._migrations[0].fn)
        first.apply(database)
        for row, (address, name, deleting) in enumerate(
            (("bo@a.b", "Bo Derek", 0), ("no.name@a.b", "", 0), ("!3", "Gone", 1)), 1
        ):
            connection.execute(
                "INSERT INTO account (mailbox_id, address, local_part, domain, name, directory_name, password, "
                "enabled, admin, deleting, created) VALUES (?, ?, '', 'a.b', ?, ?, '', 1, 0, ?, 0)",
                (row, address, name, str(row), deleting),
            )
        connection.execute("INSERT INTO alias (address, created) VALUES ('crew@a.b', 0)")
        migrations.apply(database)
        tx = Transaction(connection, writable=True)
        self.assertEqual(
            [(one.address, one.kind, one.account_id, one.name) for one in people.people(tx)],
            [
                ("bo@a.b", Kind.USER, 1, "Bo Derek"),
                ("crew@a.b", Kind.GROUP, None, "crew"),
                ("no.name@a.b", Kind.USER, 2, "no.name"),
            ],
        )
        for query, address in (("der", "bo@a.b"), ("crew", "crew@a.b"), ("nam", "no.name@a.b")):
            self.assertEqual([one.address for one in people.search_people(tx, query)[0]], [address])

    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=40))
    def test_any_query_is_only_words(self, query: str) -> None:
        self.db.read_now(lambda tx: people.search_people(tx, query, 5))
