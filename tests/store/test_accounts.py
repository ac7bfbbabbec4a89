"""Domains, accounts, logins, app passwords, and removing somebody altogether."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Exists, NoSuchAccount, NotPermitted
from posthouse.model import FolderType
from posthouse.store import accounts, devices, folders, housekeeping, items, search
from posthouse.store.transaction import Transaction
from tests.support.store import NOW, add, folder, make_account, make_database


class AccountTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db, "ann@example.org", admin=True, password_hash="hash")

    def test_a_new_mailbox_has_every_default_folder_once(self) -> None:
        found = self.db.read_now(lambda tx: folders.list_folders(tx, self.account.mailbox_id))
        types = [each.type for each in found]
        self.assertEqual(sorted(types), [*range(2, 11), FolderType.USER_MAIL, FolderType.RECIPIENT_CACHE])
        junk = self.db.read_now(lambda tx: folders.folder_of_role(tx, self.account.mailbox_id, "junk"))
        self.assertEqual((junk.name, junk.type), ("Junk Email", FolderType.USER_MAIL))

    def test_an_account_is_found_by_address_id_and_mailbox(self) -> None:
        for find in (
            lambda tx: accounts.account_by_address(tx, "ann@example.org"),
            lambda tx: accounts.account_by_id(tx, self.account.id),
            lambda tx: accounts.account_by_mailbox(tx, self.account.mailbox_id),
        ):
            self.assertEqual(self.db.read_now(find), self.account)
        self.assertIsNone(self.db.read_now(lambda tx: accounts.account_by_address(tx, "x@example.org")))
        self.assertEqual(self.db.read_now(accounts.accounts), [self.account])

    def test_addresses_and_domains_are_taken_once(self) -> None:
        def alias(tx: Transaction) -> None:
            accounts.add_alias(tx, "info@example.org", ["ann@example.org"], NOW)

        self.db.write_now(alias)
        self.assertRaises(Exists, self.db.write_now, alias)
        for address in ("ann@example.org", "info@example.org"):
            self.assertRaises(Exists, make_account, self.db, address)
        self.assertRaises(Exists, self.db.write_now, lambda tx: accounts.add_domain(tx, "example.org", NOW))

    def test_no_account_outside_our_domains(self) -> None:
        for address in ("a@elsewhere.example", "nodomain", "@example.org"):
            self.assertRaises(
                NoSuchAccount,
                self.db.write_now,
                lambda tx, address=address: accounts.add_account(tx, address, "", "!", False, NOW),
            )

    def test_a_domain_in_use_stays(self) -> None:
        self.assertRaises(
            NotPermitted, self.db.write_now, lambda tx: accounts.delete_domain(tx, "example.org")
        )
        self.db.write_now(lambda tx: accounts.add_domain(tx, "b_c.example", NOW))
        self.db.write_now(lambda tx: accounts.add_domain(tx, "bxc.example", NOW))
        self.db.write_now(lambda tx: accounts.add_alias(tx, "i@bxc.example", ["a@b.example"], NOW))
        self.db.write_now(lambda tx: accounts.delete_domain(tx, "b_c.example"))
        self.assertRaises(
            NotPermitted, self.db.write_now, lambda tx: accounts.delete_domain(tx, "bxc.example")
        )
        self.assertRaises(
            NoSuchAccount, self.db.write_now, lambda tx: accounts.delete_domain(tx, "no.example")
        )
        self.assertEqual(self.db.read_now(accounts.domains), ["example.org", "bxc.example"])

    def test_logins(self) -> None:
        other = make_account(self.db, "ann@other.example")
        bob = make_account(self.db, "bob@other.example")
        for login, expected in (
            ("ann@example.org", self.account),
            (" ANN@Example.ORG ", self.account),
            ("bob", bob),
            ("Bob", bob),
            ("ann", None),
            ("OFFICE\\bob", bob),
            ("OFFICE\\ann", None),
            ("other.example\\ann", other),
            ("OFFICE\\ann@example.org", self.account),
            ("", None),
            ("nobody", None),
            ("a\0nn@example.org", self.account),
            ("\ud800@x", None),
        ):
            found = self.db.read_now(lambda tx, login=login: accounts.find_login(tx, login))
            self.assertEqual(found, expected, login)

    def test_settings_of_an_account(self) -> None:
        me = self.account.id
        self.db.write_now(lambda tx: accounts.set_password(tx, me, "new"))
        self.db.write_now(lambda tx: accounts.set_enabled(tx, me, False))
        now = self.db.read_now(lambda tx: accounts.account_by_id(tx, me))
        assert now is not None
        self.assertFalse(now.enabled)
        self.assertEqual(self.db.read_now(lambda tx: accounts.password_hash(tx, me)), "new")
        self.assertRaises(NoSuchAccount, self.db.write_now, lambda tx: accounts.set_password(tx, 99, "x"))
        self.assertRaises(NoSuchAccount, self.db.read_now, lambda tx: accounts.password_hash(tx, 99))

    def test_names_that_never_change(self) -> None:
        guid = self.db.read_now(lambda tx: accounts.mailbox_guid(tx, self.account.mailbox_id))
        self.assertEqual(len(guid), 16)
        name = self.db.read_now(lambda tx: accounts.directory_name(tx, self.account.id))
        other = make_account(self.db, "bob@example.org")
        self.assertNotEqual(self.db.read_now(lambda tx: accounts.directory_name(tx, other.id)), name)

    def test_app_passwords(self) -> None:
        me = self.account.id
        digest = b"d" * 32
        made = self.db.write_now(lambda tx: accounts.add_app_password(tx, me, "phone", digest, NOW))
        self.assertEqual(self.db.read_now(lambda tx: accounts.account_for_app_password(tx, digest)), me)
        self.assertIsNone(self.db.read_now(lambda tx: accounts.account_for_app_password(tx, b"e" * 32)))
        self.db.write_now(lambda tx: accounts.touch_app_password(tx, digest, NOW + 1))
        listed = self.db.read_now(lambda tx: accounts.app_passwords(tx, me))
        self.assertEqual(listed, [(made, "phone", NOW, NOW + 1)])
        self.assertFalse(self.db.write_now(lambda tx: accounts.delete_app_password(tx, 99, made)))
        self.assertTrue(self.db.write_now(lambda tx: accounts.delete_app_password(tx, me, made)))
        self.assertIsNone(self.db.read_now(lambda tx: accounts.account_for_app_password(tx, digest)))

    def fill(self, address: str) -> None:
        account = make_account(self.db, address)
        inbox = folder(self.db, account)
        for number in range(3):
            add(self.db, inbox, data=b"body of %s %d" % (address.encode(), number), thread_keys=(b"k" * 16,))

        def more(tx: Transaction) -> None:
            search.index(tx, [(row, "words") for row in search.to_index(tx, 99)])
            item = items.items(tx, inbox.id, [items.added_since(tx, inbox.id, 0, 1)[0].number])
            items.delete_item(tx, next(iter(item.values())))
            device = devices.seen_device(tx, account.id, "d", "t", "u", "14.1", NOW)
            devices.save_state(tx, device.id, "1", "", b"", "k", b"s", NOW)
            devices.save_value(tx, device.id, "n", b"v")
            devices.remember_send(tx, device.id, "c", b"h", NOW)
            devices.set_aside(tx, device.id, inbox.id, 5, "broken", NOW)
            devices.log_device(tx, device.id, "line", NOW)
            accounts.add_app_password(tx, account.id, "l", address.encode(), NOW)

        self.db.write_now(more)

    def sizes(self) -> dict[str, int]:
        def count(tx: Transaction) -> dict[str, int]:
            names = tx.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlite%'"
            )
            return {
                name: tx.value(f"SELECT count(*) FROM {name}")
                for (name,) in names
                if not name.startswith("search_") or name == "search_text"
            }

        return self.db.read_now(count)

    def test_a_deleted_account_leaves_nothing_behind(self) -> None:
        self.fill("keep@example.org")
        before = self.sizes()
        self.fill("leave@example.org")
        leaving = self.db.read_now(lambda tx: accounts.account_by_address(tx, "leave@example.org"))
        assert leaving is not None
        self.assertFalse(self.db.write_now(lambda tx: accounts.delete_account(tx, leaving.id)))
        # From the first slice on nobody finds it, and the address is free.
        for find in (
            lambda tx: accounts.account_by_address(tx, "leave@example.org"),
            lambda tx: accounts.account_by_id(tx, leaving.id),
            lambda tx: accounts.find_login(tx, "leave"),
        ):
            self.assertIsNone(self.db.read_now(find))
        self.assertRaises(NoSuchAccount, self.db.read_now, lambda tx: accounts.route(tx, "leave@example.org"))
        # A crash in between: housekeeping goes on.
        while self.db.write_now(lambda tx: housekeeping.housekeep(tx, NOW + 2 * 3600 * 1000)):
            pass
        after = self.sizes()
        after.pop("gone_age"), before.pop("gone_age")
        # Tidying took the kept account's own loose ends, too.
        self.assertLessEqual(before.pop("to_index") - after.pop("to_index"), 1)
        self.assertLessEqual(before.pop("loose_body") - after.pop("loose_body"), 3)
        for table in ("body", "chunk", "search", "search_text"):
            self.assertEqual(before.pop(table) - after.pop(table), 1, table)
        self.assertEqual(after, before)
        self.assertTrue(self.db.write_now(lambda tx: accounts.delete_account(tx, leaving.id)))
        make_account(self.db, "leave@example.org")
