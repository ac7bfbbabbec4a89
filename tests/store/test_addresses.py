"""Where addresses lead that are nobody's mailbox: groups, catch-all, other domains, forwarding, plus-addresses."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed, NoSuchAccount, NoSuchThing, NotPermitted, TooLarge
from posthouse.model import FolderType, MailGroup, Recipient
from posthouse.store import accounts, domains, folders, groups, people, preferences, routing, senders
from tests.support.store import NOW, make_account, make_database


class AddressCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.ann = make_account(self.db, "ann@example.org", admin=True)
        self.bob = make_account(self.db, "bob@example.org")
        self.eve = make_account(self.db, "eve@other.example")

    def write(self, function, *arguments, **more):  # type: ignore[no-untyped-def]
        return self.db.write_now(lambda tx: function(tx, *arguments, **more))

    def read(self, function, *arguments):  # type: ignore[no-untyped-def]
        return self.db.read_now(lambda tx: function(tx, *arguments))

    def route(self, address: str) -> Recipient:
        found: Recipient = self.read(routing.route, address)
        return found

    def boxes(self, address: str) -> set[str]:
        names = {account.mailbox_id: account.address for account in (self.ann, self.bob, self.eve)}
        return {names[one].partition("@")[0] for one in self.route(address).mailbox_ids}

    def group(self, address: str, *members: str, **fields: object) -> None:
        self.write(groups.add_group, MailGroup(address, **fields), members, NOW)  # type: ignore[arg-type]


class CatchAllTests(AddressCase):
    def test_nobodys_mail_is_somebodys_but_for_closed_addresses(self) -> None:
        self.write(domains.set_catch_all, "example.org", "bob@example.org")
        self.write(domains.close_address, "spam@example.org", "", NOW)
        self.assertEqual(self.boxes("anything@example.org"), {"bob"})
        self.assertEqual(self.boxes("any+thing@example.org"), {"bob"})
        self.assertEqual(self.boxes("ann@example.org"), {"ann"})
        self.assertEqual(self.boxes("postmaster@example.org"), {"ann"})
        for address in ("spam@example.org", "spam+x@example.org", "no@other.example", "@example.org"):
            self.assertRaises(NoSuchAccount, self.route, address)
        self.write(domains.open_address, "spam@example.org")
        self.assertEqual(self.boxes("spam@example.org"), {"bob"})
        self.write(domains.set_catch_all, "example.org", "")
        self.assertRaises(NoSuchAccount, self.route, "anything@example.org")

    def test_a_catch_all_that_leads_nowhere_ends(self) -> None:
        self.write(domains.set_catch_all, "example.org", "gone@example.org")
        self.assertRaises(NoSuchAccount, self.route, "x@example.org")

    def test_the_owner_answers_as_what_is_nobodys(self) -> None:
        self.write(domains.set_catch_all, "example.org", "bob@example.org")
        self.group("team@example.org", "ann@example.org", owner="ann@example.org")
        for taken in (
            "team@example.org",
            "team-owner@example.org",
            "team-owner+x@example.org",
            "abuse@example.org",
        ):
            self.assertTrue(self.read(routing.is_taken, taken), taken)
        self.assertFalse(self.read(routing.is_taken, "some-owner@example.org"))
        self.assertEqual(self.read(senders.caught_domains, self.bob.id), {"example.org"})
        self.assertEqual(self.read(senders.caught_domains, self.ann.id), frozenset())
        self.assertTrue(self.read(routing.is_taken, "ann@example.org"))
        self.assertTrue(self.read(routing.is_taken, "ann+x@example.org"))
        self.assertTrue(self.read(routing.is_taken, "postmaster@example.org"))
        self.assertFalse(self.read(routing.is_taken, "shop@example.org"))

    def test_a_tagged_address_alone_may_be_closed(self) -> None:
        self.write(domains.close_address, "ann+shop@example.org", "leaked", NOW)
        self.assertRaises(NoSuchAccount, self.route, "ann+shop@example.org")
        self.assertEqual(self.boxes("ann+bank@example.org"), {"ann"})
        self.assertEqual(self.read(domains.closed_addresses), [("ann+shop@example.org", NOW, "leaked")])


class DomainTests(AddressCase):
    def setUp(self) -> None:
        super().setUp()
        self.write(accounts.add_domain, "twin.example", NOW, "example.org")

    def test_its_addresses_are_those_of_the_other(self) -> None:
        self.write(accounts.add_alias, "sales@example.org", ["bob@example.org"], NOW)
        self.assertEqual(self.boxes("ann@twin.example"), {"ann"})
        self.assertEqual(self.boxes("ann+x@twin.example"), {"ann"})
        self.assertEqual(self.boxes("sales@twin.example"), {"bob"})
        self.assertEqual(self.boxes("abuse@twin.example"), {"ann"})
        self.assertRaises(NoSuchAccount, self.route, "no@twin.example")
        self.write(domains.set_catch_all, "example.org", "bob@example.org")
        self.assertEqual(self.boxes("no@twin.example"), {"bob"})

    def test_addresses_are_closed_here_or_there(self) -> None:
        self.write(domains.close_address, "ann@twin.example", "", NOW)
        self.write(domains.close_address, "bob@example.org", "", NOW)
        self.assertRaises(NoSuchAccount, self.route, "ann@twin.example")
        self.assertEqual(self.boxes("ann@example.org"), {"ann"})
        self.assertRaises(NoSuchAccount, self.route, "bob@twin.example")

    def test_users_write_as_and_log_in_as_either(self) -> None:
        self.assertEqual(
            self.read(accounts.owned_addresses, self.ann.id), {"ann@example.org", "ann@twin.example"}
        )
        self.assertEqual(self.read(accounts.find_login, "Ann@Twin.example"), self.ann)

    def test_it_has_none_of_its_own_and_chains_are_refused(self) -> None:
        self.assertRaises(
            NotPermitted, self.write, accounts.add_alias, "x@twin.example", ["ann@example.org"], NOW
        )
        self.assertRaises(
            NotPermitted, self.write, accounts.add_account, "x@twin.example", "X", "!", False, NOW
        )
        self.assertRaises(NotPermitted, self.write, accounts.add_domain, "third.example", NOW, "twin.example")
        self.assertRaises(NoSuchAccount, self.write, accounts.add_domain, "third.example", NOW, "no.example")
        self.assertRaises(NotPermitted, self.write, domains.set_catch_all, "twin.example", "ann@example.org")

    def test_the_other_is_deleted_last(self) -> None:
        for name in ("a.example", "b.example"):
            self.write(accounts.add_domain, name, NOW, "" if name == "a.example" else "a.example")
        self.assertRaises(NotPermitted, self.write, accounts.delete_domain, "a.example")
        self.write(accounts.delete_domain, "b.example")
        self.write(accounts.delete_domain, "a.example")
        self.assertEqual(self.read(accounts.domains), ["example.org", "other.example", "twin.example"])


class PlusTests(AddressCase):
    def setUp(self) -> None:
        super().setUp()
        self.shop = self.write(
            lambda tx: folders.create_folder(tx, self.ann.mailbox_id, 0, "Shop", FolderType.USER_MAIL, NOW)
        )

    def test_a_tag_names_a_folder_for_those_who_want_that(self) -> None:
        self.assertEqual(self.route("ann+shop@example.org").folder_id, 0)
        self.write(preferences.set_plus_folders, self.ann.id, True)
        self.assertEqual(self.route("ann+SHOP@example.org").folder_id, self.shop.id)
        self.assertEqual(self.route("ann+other@example.org").folder_id, 0)
        self.assertEqual(self.route("ann@example.org").folder_id, 0)
        # Neither a default folder nor somebody else's.
        self.assertEqual(self.route("ann+drafts@example.org").folder_id, 0)
        self.write(preferences.set_plus_folders, self.bob.id, True)
        self.assertEqual(self.route("bob+shop@example.org").folder_id, 0)

    def test_a_tag_of_a_group_is_nobodys_folder(self) -> None:
        self.write(preferences.set_plus_folders, self.ann.id, True)
        self.write(accounts.add_alias, "both@example.org", ["ann@example.org", "bob@example.org"], NOW)
        self.assertEqual(self.route("both+shop@example.org").folder_id, 0)


class ForwardingTests(AddressCase):
    def forward(self, account, *targets: str, copy: bool = True) -> None:  # type: ignore[no-untyped-def]
        self.write(preferences.set_forwarding, account.id, targets, copy)

    def test_with_a_copy_and_without(self) -> None:
        self.forward(self.ann, "far@there.example", "bob@example.org")
        found = self.route("ann@example.org")
        self.assertEqual(
            (self.boxes("ann@example.org"), found.remote), ({"ann", "bob"}, ("far@there.example",))
        )
        self.assertEqual(found.staying, (self.ann.mailbox_id,))
        self.forward(self.ann, "far@there.example", copy=False)
        found = self.route("ann@example.org")
        self.assertEqual((found.mailbox_ids, found.remote), ((), ("far@there.example",)))
        self.assertEqual(found.staying, (self.ann.mailbox_id,))
        self.forward(self.ann)
        self.assertEqual(self.route("ann@example.org"), Recipient("ann@example.org", (self.ann.mailbox_id,)))

    def test_who_forwards_in_a_circle_keeps_his_mail(self) -> None:
        self.forward(self.ann, "bob@example.org", copy=False)
        self.forward(self.bob, "ann+x@example.org", copy=False)
        self.assertEqual(self.boxes("ann@example.org"), {"ann", "bob"})
        self.forward(self.ann, "ann@example.org", copy=False)
        self.assertEqual(self.boxes("ann@example.org"), {"ann"})

    def test_nobodys_mail_is_lost_because_others_get_it(self) -> None:
        self.group("team@example.org", "ann@example.org", "bob@example.org", "eve@other.example")
        self.forward(self.ann, "gone@example.org", copy=False)
        self.assertEqual(self.boxes("team@example.org"), {"ann", "bob", "eve"})
        self.forward(self.ann, "bob@example.org", copy=False)
        self.forward(self.bob, "ann@example.org", copy=False)
        self.assertEqual(self.boxes("team@example.org"), {"ann", "bob", "eve"})
        # A way out of the circle is a way.
        self.forward(self.bob, "ann+x@example.org", "far@there.example", copy=False)
        self.assertEqual(self.boxes("team@example.org"), {"eve"})
        self.assertEqual(self.route("team@example.org").remote, ("far@there.example",))

    def test_what_is_wanted_is_remembered_and_bounded(self) -> None:
        self.forward(self.ann, "b@there.example", "a@there.example", copy=False)
        self.write(preferences.set_hold, self.ann.id, 30)
        wanted = self.read(preferences.preferences, self.ann.id)
        self.assertEqual(
            wanted, preferences.Preferences(30, False, ("b@there.example", "a@there.example"), False)
        )
        many = [f"x{number}@there.example" for number in range(21)]
        self.assertRaises(TooLarge, self.forward, self.ann, *many)
        self.assertRaises(Malformed, self.write, preferences.set_hold, self.ann.id, 601)
        self.assertRaises(NoSuchAccount, self.write, preferences.set_hold, 99, 1)


class GroupTests(AddressCase):
    def test_a_group_means_its_members_and_says_what_it_is(self) -> None:
        self.group(
            "team@example.org",
            "ann@example.org",
            "far@there.example",
            name="The team",
            owner="bob@example.org",
        )
        found = self.route("team@example.org")
        self.assertEqual((self.boxes("team@example.org"), found.remote), ({"ann"}, ("far@there.example",)))
        assert found.group is not None
        self.assertEqual((found.group.name, found.group.owner), ("The team", "bob@example.org"))
        self.assertEqual(found.groups, (found.group,))
        person = self.read(people.person_by_address, "team@example.org")
        self.assertEqual((person.name, person.kind), ("The team", people.Kind.GROUP))

    def test_its_owner_has_an_address(self) -> None:
        self.group("team@example.org", "ann@example.org", owner="bob@example.org")
        self.group("crew@example.org", "bob@example.org")
        self.assertEqual(self.boxes("team-owner@example.org"), {"bob"})
        self.assertEqual(self.boxes("crew-owner@example.org"), {"ann"})  # the postmaster
        self.write(accounts.add_alias, "plain@example.org", ["ann@example.org"], NOW)
        self.assertRaises(NoSuchAccount, self.route, "plain-owner@example.org")

    def test_groups_in_groups_count_as_the_outer_one_and_circles_end(self) -> None:
        self.group("inner@example.org", "ann@example.org", "outer@example.org")
        self.group("outer@example.org", "inner@example.org", "bob@example.org")
        found = self.route("outer@example.org")
        self.assertEqual(self.boxes("outer@example.org"), {"ann", "bob"})
        self.assertEqual([one.address for one in found.groups], ["outer@example.org"])

    def test_an_alias_of_a_group_is_the_group_a_mixture_is_none(self) -> None:
        self.group("team@example.org", "ann@example.org", posting="members")
        self.write(accounts.add_alias, "alle@example.org", ["team@example.org"], NOW)
        self.write(accounts.add_alias, "mixed@example.org", ["team@example.org", "bob@example.org"], NOW)
        found = self.route("alle@example.org")
        assert found.group is not None
        self.assertEqual(found.group.address, "team@example.org")
        mixed = self.route("mixed@example.org")
        self.assertIsNone(mixed.group)
        self.assertEqual([one.posting for one in mixed.groups], ["members"])  # whoever writes is still asked

    def test_who_its_members_are_is_not_whom_an_address_means_beside_it(self) -> None:
        self.group("team@example.org", "ann@example.org", "far@there.example", posting="members")
        self.write(
            accounts.add_alias,
            "mixed@example.org",
            ["team@example.org", "bob@example.org", "x@there.example"],
            NOW,
        )
        for address in ("team@example.org", "mixed@example.org"):
            (group,) = self.route(address).groups
            self.assertEqual(group.members, {self.ann.mailbox_id}, address)
            self.assertEqual(group.posters, {"far@there.example"}, address)

    def test_it_is_changed_listed_and_deleted(self) -> None:
        self.group("team@example.org", "ann@example.org")
        changed = MailGroup(
            "team@example.org",
            "T",
            "listed",
            "ann@example.org",
            frozenset(("@there.example", "eve@other.example")),
        )
        self.write(groups.set_group, changed)
        self.write(groups.set_members, "team@example.org", ["bob@example.org"])
        self.assertEqual(self.read(groups.groups), [(changed, ("bob@example.org",))])
        self.assertEqual(self.read(accounts.aliases), [])
        self.assertRaises(Malformed, self.write, groups.set_group, MailGroup("team@example.org", posting="x"))
        self.assertRaises(NotPermitted, self.write, groups.set_members, "team@example.org", [])
        self.write(accounts.delete_alias, "team@example.org")
        self.assertRaises(NoSuchThing, self.read, groups.group_named, "team@example.org")
        self.assertRaises(NoSuchAccount, self.route, "team@example.org")
        for table in ("mail_group", "mail_group_poster", "alias_target"):
            self.assertEqual(self.db.read_now(lambda tx, t=table: tx.value(f"SELECT count(*) FROM {t}")), 0)


class GrantTests(AddressCase):
    def test_membership_is_no_right_a_grant_is(self) -> None:
        self.group("team@example.org", "ann@example.org")
        self.assertEqual(self.read(senders.sender_addresses, self.ann.id), {"ann@example.org"})
        self.assertTrue(self.write(senders.add_grant, self.ann.id, "team@example.org", NOW))
        self.assertFalse(self.write(senders.add_grant, self.ann.id, "team@example.org", NOW))
        self.assertTrue(self.write(senders.add_grant, self.ann.id, "@other.example", NOW))
        self.assertEqual(
            self.read(senders.sender_addresses, self.ann.id),
            {"ann@example.org", "team@example.org", "@other.example"},
        )
        # What one may write as is not where one is found.
        self.assertEqual(self.read(senders.owned_addresses, self.ann.id), {"ann@example.org"})
        self.write(senders.delete_grant, self.ann.id, "@other.example")
        self.assertRaises(NoSuchThing, self.write, senders.delete_grant, self.ann.id, "@other.example")

    def test_a_grant_ends_with_the_address_and_with_the_account(self) -> None:
        self.group("team@example.org", "ann@example.org")
        for account in (self.ann, self.bob):
            self.write(senders.add_grant, account.id, "team@example.org", NOW)
        self.write(senders.add_grant, self.bob.id, "eve@other.example", NOW)
        self.write(accounts.delete_account, self.bob.id)
        self.assertEqual([one.account for one in self.read(senders.grants)], ["ann@example.org"])
        self.write(accounts.delete_alias, "team@example.org")
        self.assertEqual(self.read(senders.grants), [])
        self.write(senders.add_grant, self.ann.id, "eve@other.example", NOW)
        self.write(accounts.delete_account, self.eve.id)
        self.assertEqual(self.read(senders.grants), [])
