"""Where an address leads."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import NoSuchAccount, TooLarge, TryLater
from posthouse.model import Recipient
from posthouse.store import accounts, routing
from tests.support.store import NOW, make_account, make_database


class RouteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.ann = make_account(self.db, "ann@example.org")
        self.bob = make_account(self.db, "bob@example.org", admin=True)
        self.eve = make_account(self.db, "eve@other.example")
        self.off = make_account(self.db, "off@example.org")
        self.db.write_now(lambda tx: accounts.set_enabled(tx, self.off.id, False))

    def alias(self, address: str, *targets: str) -> None:
        self.db.write_now(lambda tx: accounts.add_alias(tx, address, targets, NOW))

    def route(self, address: str) -> Recipient:
        return self.db.read_now(lambda tx: accounts.route(tx, address))

    def leads(self, address: str, *names: str, remote: Sequence[str] = ()) -> None:
        found = self.route(address)
        people = {"ann": self.ann, "bob": self.bob, "eve": self.eve, "off": self.off}
        boxes = {account.mailbox_id: name for name, account in people.items()}
        self.assertEqual(tuple(boxes[each] for each in found.mailbox_ids), names, address)
        self.assertEqual((found.address, list(found.remote)), (address, list(remote)))

    def test_the_table(self) -> None:
        self.alias(
            "team@example.org", "ann@example.org", "eve@other.example", "x@far.example", "no@example.org"
        )
        self.alias("nested@example.org", "team@example.org", "bob@example.org")
        self.alias("loop1@example.org", "loop2@example.org", "ann@example.org")
        self.alias("loop2@example.org", "loop1@example.org")
        self.alias("plus+me@example.org", "eve@other.example")
        self.alias("half@example.org", "off@example.org", "ann@example.org")
        self.leads("ann@example.org", "ann")
        self.leads("ann+shop@example.org", "ann")
        self.leads("ann+a+b@example.org", "ann")
        self.leads("plus+me@example.org", "eve")
        self.leads("team@example.org", "ann", "eve", remote=["x@far.example"])
        self.leads("team+x@example.org", "ann", "eve", remote=["x@far.example"])
        self.leads("nested@example.org", "bob", "ann", "eve", remote=["x@far.example"])
        self.leads("loop1@example.org", "ann")
        self.leads("loop2@example.org", "ann")
        self.leads("half@example.org", "off", "ann")
        self.leads("any@far.example", remote=["any@far.example"])

    def test_nobody_there(self) -> None:
        self.alias("dead@example.org", "no@example.org")
        self.alias("self1@example.org", "self2@example.org")
        self.alias("self2@example.org", "self1@example.org")
        for address in (
            "no@example.org", "no+ann@example.org", "dead@example.org", "self1@example.org", "+x@example.org",
            "@example.org", "nobody", "",
        ):  # fmt: skip
            self.assertRaises(NoSuchAccount, self.route, address)

    def test_the_disabled_get_their_mail(self) -> None:
        self.leads("off@example.org", "off")
        self.alias("only@example.org", "off@example.org")
        self.leads("only@example.org", "off")

    def test_postmaster_and_abuse_are_always_there(self) -> None:
        for address in (
            "postmaster@example.org", "abuse@example.org", "postmaster@other.example", "postmaster",
            "abuse+x@example.org",
        ):  # fmt: skip
            self.leads(address, "bob")  # the first administrator
        self.alias("postmaster@example.org", "eve@other.example")
        self.leads("postmaster@example.org", "eve")
        self.leads("abuse@example.org", "bob")
        self.db.write_now(lambda tx: tx.execute("UPDATE account SET admin = 0 WHERE id = ?", (self.bob.id,)))
        self.leads("abuse@example.org", "ann")

    def test_a_huge_web_of_aliases_ends(self) -> None:
        for number in range(10):
            self.alias(f"l{number}@example.org", *[f"t{number}x{n}@far.example" for n in range(100)])
        self.alias("all@example.org", *[f"l{number}@example.org" for number in range(10)])
        with self.assertRaises(TryLater):  # all of them or none
            self.route("all@example.org")
        self.assertRaises(TooLarge, self.alias, "big@example.org", *[f"x{n}@far.example" for n in range(201)])

    def test_the_longest_alias_reaches_every_target(self) -> None:
        targets = [f"t{number}@far.example" for number in range(routing.MAX_TARGETS)]
        self.alias("full@example.org", *targets)
        self.assertEqual(self.route("full@example.org").remote, tuple(targets))

    def test_aliases_are_listed_and_withdrawn(self) -> None:
        self.alias("b@example.org", "ann@example.org", "x@far.example", "ann@example.org")
        self.alias("a@example.org", "ann@example.org")
        self.assertEqual(
            self.db.read_now(accounts.aliases),
            [
                ("a@example.org", ("ann@example.org",)),
                ("b@example.org", ("ann@example.org", "x@far.example")),
            ],
        )
        owned = self.db.read_now(lambda tx: accounts.owned_addresses(tx, self.ann.id))
        self.assertEqual(owned, {"ann@example.org", "a@example.org", "b@example.org"})
        self.db.write_now(lambda tx: accounts.delete_alias(tx, "a@example.org"))
        self.assertRaises(NoSuchAccount, self.route, "a@example.org")
        self.assertRaises(
            NoSuchAccount, self.db.write_now, lambda tx: accounts.delete_alias(tx, "a@example.org")
        )
        self.assertRaises(NoSuchAccount, self.alias, "x@far.example", "ann@example.org")
        self.assertRaises(NoSuchAccount, self.alias, "x@example.org")
