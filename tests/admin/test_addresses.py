"""Groups, catch-all, grants, quotas, forwarding and held mail, as an administrator orders them."""

from __future__ import annotations

from typing import Any

from posthouse.delivery.message import message_of
from posthouse.errors import Exists, Malformed, NoSuchAccount, NoSuchThing, NotPermitted
from posthouse.mime.scan import scan
from posthouse.model import Recipient
from posthouse.store import accounts, bodies, domains, held, preferences, senders
from tests.admin.test_operations import NOW, OperationsCase


class AddressCase(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("ann", "bob"):
            self.run_op("user add", address=f"{name}@example.org", password="long enough")
        found = self.db.read_now(lambda tx: accounts.account_by_address(tx, "ann@example.org"))
        assert found is not None
        self.ann = found


class GroupTests(AddressCase):
    def test_from_its_making_to_its_end(self) -> None:
        made = self.run_op(
            "group add", address="Team@example.org", members=["ann@example.org", "far@else.example"], name="Team",
            owner="bob@example.org",
        )  # fmt: skip
        self.assertEqual(
            made,
            {
                "group": "team@example.org",
                "name": "Team",
                "owner": "bob@example.org",
                "posting": "anyone",
                "allow": [],
                "members": ["ann@example.org", "far@else.example"],
                "mailboxes": 1,
                "elsewhere": 1,
            },
        )
        self.assertEqual(
            self.run_op("group join", address="team@example.org", members=["bob@example.org"])["mailboxes"], 2
        )
        self.refused(Exists, "group join", address="team@example.org", members=["bob@example.org"])
        left = self.run_op("group leave", address="team@example.org", members=["far@else.example"])
        self.assertEqual(left["members"], ["ann@example.org", "bob@example.org"])
        self.refused(NoSuchThing, "group leave", address="team@example.org", members=["far@else.example"])
        self.assertEqual(
            self.run_op("group list"),
            [
                {
                    "group": "team@example.org", "name": "Team", "members": 2, "posting": "anyone",
                    "owner": "bob@example.org",
                }
            ],
        )  # fmt: skip
        self.refused(NotPermitted, "alias delete", address="team@example.org")
        self.run_op("group delete", address="team@example.org")
        self.refused(NoSuchThing, "group show", address="team@example.org")

    def test_who_may_write(self) -> None:
        self.run_op("group add", address="team@example.org", members=["ann@example.org"], posting="members")
        changed = self.run_op(
            "group set", address="team@example.org", allow=["x@else.example", "@Third.example"]
        )
        self.assertEqual(
            (changed["posting"], changed["allow"]), ("listed", ["@third.example", "x@else.example"])
        )
        self.assertEqual(
            self.run_op("group set", address="team@example.org", posting="anyone")["posting"], "anyone"
        )
        self.refused(Malformed, "group set", address="team@example.org", posting="nobody")
        self.run_op("group add", address="b@example.org", members=["ann@example.org"])
        self.refused(Malformed, "group set", address="b@example.org", posting="listed")

    def test_what_leads_nowhere_makes_no_group(self) -> None:
        self.refused(NoSuchAccount, "group add", address="team@example.org", members=["no@example.org"])
        self.refused(
            NoSuchAccount,
            "group add",
            address="team@example.org",
            members=["ann@example.org"],
            owner="no@example.org",
        )
        self.assertEqual(self.run_op("group list"), [])
        self.refused(Exists, "group add", address="ann@example.org", members=["bob@example.org"])


class DomainTests(AddressCase):
    def test_catch_all_and_what_it_does_not_catch(self) -> None:
        self.run_op("catchall set", domain="Example.org", address="ann@example.org")
        self.run_op("address disable", address="old@example.org", note="left in May")
        self.assertEqual(
            self.run_op("catchall list"),
            [{"domain": "example.org", "address": "ann@example.org", "refused": ["old@example.org"]}],
        )
        self.assertEqual(
            self.run_op("address list"), [{"address": "old@example.org", "at": NOW, "note": "left in May"}]
        )
        self.run_op("address enable", address="old@example.org")
        self.refused(NoSuchThing, "address enable", address="old@example.org")
        self.run_op("catchall remove", domain="example.org")
        self.refused(NoSuchThing, "catchall remove", domain="example.org")
        self.refused(NoSuchAccount, "catchall set", domain="example.org", address="no@example.org")
        self.refused(NoSuchAccount, "address disable", address="x@else.example")

    def test_a_domain_that_stands_for_another(self) -> None:
        self.run_op("domain add", domain="twin.example", alias_of="example.org")
        self.assertIn(
            {"domain": "twin.example", "alias_of": "example.org", "catch_all": None},
            self.run_op("domain list"),
        )
        self.refused(NotPermitted, "user add", address="x@twin.example", password="long enough")
        self.refused(NoSuchAccount, "domain add", domain="third.example", alias_of="no.example")
        self.assertEqual(self.db.read_now(domains.domains), ["example.org", "twin.example"])


class UserTests(AddressCase):
    def test_all_about_a_user(self) -> None:
        self.run_op("alias add", address="sales@example.org", targets=["ann@example.org"])
        self.run_op("group add", address="team@example.org", members=["ann@example.org"])
        self.run_op("grant add", user="ann@example.org", address="team@example.org")
        self.run_op("user forward", address="ann@example.org", targets=["far@else.example"])
        self.run_op("user quota", address="ann@example.org", size="2.5G")
        self.run_op("user plus", address="ann@example.org", folders=True)
        self.run_op("user hold", address="ann@example.org", seconds=20)
        shown = self.run_op("user show", address="ann@example.org")
        wanted = {
            "address": "ann@example.org", "enabled": True, "size": 0, "quota": 2_500_000_000, "own_quota": True,
            "percent": 0, "full_since": None, "addresses": ["ann@example.org", "sales@example.org"],
            "may_write_as": ["team@example.org"], "forward_to": ["far@else.example"], "keep_copy": True,
            "plus_folders": True, "hold": 20, "app_passwords": 0,
        }  # fmt: skip
        self.assertEqual({key: shown[key] for key in wanted}, wanted)

    def test_sizes(self) -> None:
        for text, limit in (
            ("500M", 500_000_000),
            ("1000000", 1_000_000),
            ("5 gb", 5 * 10**9),
            ("none", None),
        ):
            found = self.run_op("user quota", address="ann@example.org", size=text)
            self.assertEqual((found["quota"], found["own_quota"]), (limit, True), text)
        self.assertFalse(self.run_op("user quota", address="ann@example.org", size="default")["own_quota"])
        for text in ("much", "-5", "5X", ""):
            self.refused(Malformed, "user quota", address="ann@example.org", size=text)

    def test_the_fullest_come_first(self) -> None:
        self.run_op("user quota", address="ann@example.org", size="10")
        self.db.write_now(
            lambda tx: tx.execute("UPDATE mailbox SET size = 8 WHERE id = ?", (self.ann.mailbox_id,))
        )
        rows = self.run_op("quota list")
        self.assertEqual(
            [(row["address"], row["percent"]) for row in rows],
            [("ann@example.org", 80), ("bob@example.org", None)],
        )
        self.assertEqual(len(self.run_op("quota list", over=80)), 1)
        self.assertEqual(self.run_op("quota list", over=81), [])

    def test_forwarding_and_back(self) -> None:
        self.run_op("user forward", address="ann@example.org", targets=["far@else.example"], no_copy=True)
        wanted = self.db.read_now(lambda tx: preferences.preferences(tx, self.ann.id))
        self.assertEqual((wanted.forward_to, wanted.keep_copy), (("far@else.example",), False))
        self.refused(Malformed, "user forward", address="ann@example.org")
        self.refused(
            Malformed, "user forward", address="ann@example.org", targets=["bob@example.org"], off=True
        )
        self.refused(NoSuchAccount, "user forward", address="ann@example.org", targets=["no@example.org"])
        self.run_op("group add", address="crew@example.org", members=["bob@example.org"])
        self.run_op("user forward", address="ann@example.org", targets=["crew@example.org"])
        # Otherwise strangers who write to Ann would be told that they may not write to the group.
        self.run_op("group set", address="crew@example.org", posting="members")
        self.refused(NotPermitted, "user forward", address="ann@example.org", targets=["crew@example.org"])
        self.run_op("user forward", address="ann@example.org", off=True)
        self.assertIsNone(self.run_op("user show", address="ann@example.org")["keep_copy"])

    def test_who_deletes_a_user_hears_what_still_names_him(self) -> None:
        self.run_op("group add", address="crew@example.org", members=["bob@example.org", "ann@example.org"])
        self.run_op("alias add", address="sales@example.org", targets=["bob@example.org"])
        self.run_op("user forward", address="ann@example.org", targets=["bob@example.org"])
        self.run_op("catchall set", domain="example.org", address="bob@example.org")
        self.assertEqual(
            self.run_op("user delete", address="bob@example.org")["still_named_by"],
            ["@example.org", "ann@example.org", "crew@example.org", "sales@example.org"],
        )
        self.run_op("user forward", address="ann@example.org", off=True)
        self.assertEqual(
            self.run_op("user delete", address="ann@example.org")["still_named_by"], ["crew@example.org"]
        )

    def test_grants(self) -> None:
        self.run_op("grant add", user="ann@example.org", address="@example.org")
        self.refused(Exists, "grant add", user="ann@example.org", address="@Example.org")
        self.refused(NoSuchAccount, "grant add", user="ann@example.org", address="x@else.example")
        self.assertEqual(
            self.run_op("grant list"),
            [{"user": "ann@example.org", "address": "@example.org", "created": NOW}],
        )
        self.assertEqual(self.run_op("grant list", user="bob@example.org"), [])
        self.run_op("grant remove", user="ann@example.org", address="@example.org")
        self.refused(NoSuchThing, "grant remove", user="ann@example.org", address="@example.org")
        self.assertEqual(
            self.db.read_now(lambda tx: senders.sender_addresses(tx, self.ann.id)), {"ann@example.org"}
        )


class HeldTests(AddressCase):
    def test_what_waits_is_listed_and_taken_back(self) -> None:
        data = b"From: ann@example.org\r\nTo: far@else.example\r\nSubject: Later\r\n\r\nx\r\n"
        draft = message_of(data, scan(data)).draft(NOW)

        def hold(tx: Any) -> None:
            account = self.ann
            held.hold_back(
                tx, "NAME1", account.id, account.mailbox_id, draft, bodies.prepare(data), account.address,
                [Recipient("far@else.example")], {}, True, NOW, NOW + 60_000,
            )  # fmt: skip

        self.db.write_now(hold)
        self.assertEqual(
            self.run_op("queue waiting"),
            [
                {
                    "name": "NAME1", "user": "ann@example.org", "recipients": ["far@else.example"], "created": NOW,
                    "due": NOW + 60_000,
                }
            ],
        )  # fmt: skip
        self.assertEqual(self.run_op("queue waiting", user="bob@example.org"), [])
        self.refused(NoSuchThing, "queue undo", name="NAME1", user="bob@example.org")
        self.assertEqual(
            self.run_op("queue undo", name="NAME1"),
            {"name": "NAME1", "withdrawn": ["far@else.example"], "gone": []},
        )
        self.refused(NoSuchThing, "queue undo", name="NAME1")
        self.refused(NoSuchThing, "queue undo", name="NAME2")
