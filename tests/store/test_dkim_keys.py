"""The keys of a domain live and go with it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import NoSuchAccount
from posthouse.store import accounts, dkim_keys
from posthouse.store.dkim_keys import DkimKey
from tests.support.store import NOW, make_database

RSA = DkimKey("here.example", "r1", "rsa", b"one", NOW)
ED = DkimKey("here.example", "e1", "ed25519", b"two", NOW)


class KeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.db.write_now(lambda tx: accounts.add_domain(tx, "here.example", NOW))
        for key in (ED, RSA):
            self.db.write_now(lambda tx, key=key: dkim_keys.add_key(tx, key))

    def keys(self, domain: str = "here.example") -> list[DkimKey]:
        return self.db.read_now(lambda tx: dkim_keys.keys_of(tx, domain))

    def test_rsa_comes_first(self) -> None:
        self.assertEqual(self.keys(), [RSA, ED])
        self.assertEqual(self.keys("there.example"), [])

    def test_the_same_selector_is_the_same_place(self) -> None:
        newer = DkimKey("here.example", "r1", "rsa", b"three", NOW + 1)
        self.db.write_now(lambda tx: dkim_keys.add_key(tx, newer))
        self.assertEqual(self.keys(), [newer, ED])

    def test_only_the_active_ones_sign(self) -> None:
        following = DkimKey("here.example", "r2", "rsa", b"three", NOW, dkim_keys.NEXT, NOW)
        self.db.write_now(lambda tx: dkim_keys.add_key(tx, following))

        def signing() -> list[str]:
            found = self.db.read_now(lambda tx: dkim_keys.signing_keys(tx, "here.example"))
            return [key.selector for key in found]

        self.assertEqual(signing(), ["r1", "e1"])
        self.db.write_now(lambda tx: dkim_keys.switch(tx, "here.example", NOW + 5))
        self.assertEqual(signing(), ["r2"])
        self.assertEqual(
            {(key.state, key.since) for key in self.keys()}, {("active", NOW + 5), ("retired", NOW + 5)}
        )
        self.db.write_now(lambda tx: dkim_keys.forget_retired(tx, "here.example"))
        self.assertEqual([key.selector for key in self.keys()], ["r2"])

    def test_only_for_domains_of_ours(self) -> None:
        stranger = DkimKey("there.example", "r1", "rsa", b"x", NOW)
        self.assertRaises(NoSuchAccount, self.db.write_now, lambda tx: dkim_keys.add_key(tx, stranger))

    def test_they_go_with_their_domain(self) -> None:
        self.db.write_now(lambda tx: accounts.delete_domain(tx, "here.example"))
        self.assertEqual(self.keys(), [])

    def test_the_private_half_is_not_shown(self) -> None:
        self.assertNotIn("one", repr(RSA))
