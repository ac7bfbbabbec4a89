"""The authenticator over the real store."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.auth.login import Accounts, Authenticator, LoginSettings
from posthouse.auth.passwords import hash_password, make_app_password
from posthouse.auth.throttle import Throttle
from posthouse.errors import AuthFailed
from posthouse.store import accounts
from posthouse.work.pool import InlinePool
from tests.support.store import NOW, make_account, make_database


class StoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.account = make_account(self.db, "ann@example.org", password_hash=hash_password(b"good", 4))
        clock = Clock()
        clock.advance(NOW / 1000)
        store: Accounts = accounts
        self.auth = Authenticator(
            self.db, store, InlinePool(), Throttle(clock), clock, os.urandom(32), LoginSettings(cost=4)
        )

    def check(self, login: str, password: bytes) -> bool:
        answer = self.auth.check_password(login, password, "192.0.2.1")
        told = answer.addCallbacks(
            lambda account: account.id == self.account.id, lambda failure: not failure.trap(AuthFailed)
        )
        return self.successResultOf(told)

    def test_every_form_of_a_login(self) -> None:
        for login in ("ann@example.org", "Ann@Example.ORG", "ann", "EXAMPLE\\ann"):
            self.assertTrue(self.check(login, b"good"), login)
        self.assertFalse(self.check("ann@elsewhere.example", b"good"))
        self.assertFalse(self.check("ann", b"bad"))

    def test_a_new_password_and_a_disabled_account_count_at_once(self) -> None:
        self.assertTrue(self.check("ann", b"good"))
        self.db.write_now(lambda tx: accounts.set_password(tx, self.account.id, hash_password(b"new", 4)))
        self.auth.forget(self.account.id)
        self.assertFalse(self.check("ann", b"good"))
        self.assertTrue(self.check("ann", b"new"))
        self.db.write_now(lambda tx: accounts.set_enabled(tx, self.account.id, False))
        self.auth.forget(self.account.id)
        self.assertFalse(self.check("ann", b"new"))

    def test_an_app_password_and_the_time_of_its_use(self) -> None:
        text, digest = make_app_password(os.urandom)
        self.db.write_now(lambda tx: accounts.add_app_password(tx, self.account.id, "phone", digest, NOW))
        self.assertTrue(self.check("ann", text.upper().encode()))
        self.assertEqual(
            [used for *_, used in self.db.read_now(lambda tx: accounts.app_passwords(tx, self.account.id))],
            [NOW],
        )
