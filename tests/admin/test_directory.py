"""The directory from the administrator's side."""

from __future__ import annotations

from base64 import b64encode

from posthouse.errors import Exists, Malformed, NoSuchThing, NotPermitted, TooLarge
from posthouse.store import people
from tests.admin.test_operations import OperationsCase
from tests.support.smime import issue

JPEG = b"\xff\xd8\xff\xe0 a picture"


def data(content: bytes) -> str:
    return b64encode(content).decode()


class DirectoryTests(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.user("ann@example.org")
        self.run_op("alias add", address="crew@example.org", targets=["ann@example.org"])
        self.run_op("people add", address="Doc@Elsewhere.net", name="Doctor Who")

    def test_everybody_is_in_it_with_what_was_told(self) -> None:
        self.run_op(
            "people set", address="ann@example.org", name="Ann Lee", phone="+49 30 1", title="Captain"
        )
        listed = self.run_op("people list")
        self.assertEqual(
            [(one["address"], one["kind"], one["name"]) for one in listed],
            [
                ("ann@example.org", "user", "Ann Lee"),
                ("crew@example.org", "group", "crew"),
                ("doc@elsewhere.net", "contact", "Doctor Who"),
            ],
        )
        self.assertEqual(
            [one["address"] for one in self.run_op("people list", search="le")], ["ann@example.org"]
        )
        shown = self.run_op("people show", address="ann@example.org")
        self.assertEqual((shown["phone"], shown["title"], shown["hidden"]), ("+49 30 1", "Captain", False))
        self.run_op("people set", address="ann@example.org", title="")
        self.assertEqual(self.run_op("people show", address="ann@example.org")["title"], "")
        self.assertEqual(self.run_op("user list")[0]["name"], "Ann Lee")

    def test_who_is_hidden_is_listed_and_not_found(self) -> None:
        self.run_op("people set", address="ann@example.org", hidden=True)
        self.assertEqual(len(self.run_op("people list")), 3)
        self.assertEqual(self.run_op("people list", search="ann"), [])
        self.assertTrue(self.run_op("people show", address="ann@example.org")["hidden"])

    def test_what_cannot_be_set(self) -> None:
        self.refused(Malformed, "people set", address="ann@example.org")
        self.refused(Malformed, "people set", address="ann@example.org", title="two\nlines")
        self.refused(TooLarge, "people set", address="ann@example.org", title="x" * 257)
        self.refused(NoSuchThing, "people set", address="zoe@example.org", title="x")
        self.refused(Exists, "people add", address="ann@example.org")
        self.refused(Malformed, "people add", address="new@example.org", name="x" * 257)

    def test_pictures(self) -> None:
        made = self.run_op("people picture", address="ann@example.org", picture=data(JPEG))
        self.assertEqual(made["picture"], len(JPEG))
        self.assertEqual(self.run_op("people show", address="ann@example.org")["picture"], len(JPEG))
        stored = self.db.read_now(
            lambda tx: people.picture(tx, people.person_by_address(tx, "ann@example.org").id)  # type: ignore[union-attr]
        )
        self.assertEqual(stored, people.Picture("image/jpeg", JPEG))
        for wrong in (b"", b"GIF89a", JPEG + bytes(people.MAX_PICTURE)):
            self.refused(Malformed, "people picture", address="ann@example.org", picture=data(wrong))
        self.refused(Malformed, "people picture", address="ann@example.org", picture="no base64")
        self.refused(Malformed, "people picture", address="ann@example.org")
        self.refused(Malformed, "people picture", address="ann@example.org", picture=data(JPEG), remove=True)
        self.refused(Malformed, "people picture", address="ann@example.org", picture="x" * 700_000)
        self.run_op("people picture", address="ann@example.org", remove=True)
        self.assertEqual(self.run_op("people show", address="ann@example.org")["picture"], 0)

    def test_certificates(self) -> None:
        one, two = issue("ann"), issue("ann again")
        self.run_op("people certificate", address="ann@example.org", certificates=data(one.pem + two.pem))
        shown = self.run_op("people show", address="ann@example.org")["certificates"]
        self.assertEqual(shown, ["CN=ann until 2026-01-11", "CN=ann again until 2026-01-11"])
        self.run_op("people certificate", address="ann@example.org", certificates=data(two.der))
        person = self.db.read_now(lambda tx: people.person_by_address(tx, "ann@example.org"))
        assert person is not None
        self.assertEqual(self.db.read_now(lambda tx: people.certificates(tx, person.id)), [two.der])
        self.refused(
            Malformed, "people certificate", address="ann@example.org", certificates=data(b"rubbish")
        )
        self.refused(
            NotPermitted, "people certificate", address="crew@example.org", certificates=data(one.der)
        )
        self.run_op("people certificate", address="ann@example.org", remove=True)
        self.assertEqual(self.run_op("people show", address="ann@example.org")["certificates"], [])

    def test_only_contacts_are_taken_out(self) -> None:
        self.run_op("people delete", address="doc@elsewhere.net")
        self.refused(NoSuchThing, "people show", address="doc@elsewhere.net")
        self.assertIn("--hidden yes", self.refused(NotPermitted, "people delete", address="ann@example.org"))
        self.refused(NotPermitted, "people delete", address="crew@example.org")
        self.run_op("user delete", address="ann@example.org")
        self.refused(NoSuchThing, "people show", address="ann@example.org")
