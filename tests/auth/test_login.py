"""The authenticator: order, memory, fairness."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from posthouse.auth.login import Authenticator, LoginSettings
from posthouse.auth.passwords import hash_password, make_app_password
from posthouse.auth.throttle import Throttle
from posthouse.errors import AuthFailed, TooManyAttempts, TryLater
from posthouse.interfaces import IAuthenticator, IDatabase
from posthouse.model import Account, evolve
from posthouse.work.pool import HeldPool, InlinePool

PEER = "192.0.2.7"
ANN = Account(1, 11, "ann@example.org", "Ann", True, False)
BOB = Account(2, 12, "bob@example.org", "Bob", False, False)


class _Accounts:
    """The few functions of the store that a login needs, over dictionaries."""

    def __init__(self) -> None:
        self.accounts = {ANN.id: ANN, BOB.id: BOB}
        self.hashes = {ANN.id: hash_password("pässword".encode(), 4), BOB.id: hash_password(b"bob", 4)}
        self.apps: dict[bytes, int] = {}
        self.touched: list[int] = []
        self.reads = 0

    def find_login(self, tx: Any, login: str) -> Account | None:
        self.reads += 1
        name = login.rpartition("\\")[2].casefold().partition("@")[0]
        return next((a for a in self.accounts.values() if a.address.partition("@")[0] == name), None)

    def password_hash(self, tx: Any, account_id: int) -> str:
        return self.hashes[account_id]

    def account_for_app_password(self, tx: Any, digest: bytes) -> int | None:
        return self.apps.get(digest)

    def touch_app_password(self, tx: Any, digest: bytes, now: int) -> None:
        self.touched.append(now)


@implementer(IDatabase)
class _Database:
    def read(self, function: Callable[..., Any]) -> Deferred[Any]:
        return execute(function, None)

    write = read


class _CountingPool(InlinePool):
    ran = 0

    def run(self, function: Any, *args: Any) -> Any:
        self.ran += 1
        return super().run(function, *args)


def _basic(login: str, password: str, charset: str = "utf-8") -> bytes:
    return b"Basic " + base64.b64encode(f"{login}:{password}".encode(charset))


class _Case(SynchronousTestCase):
    pool: Any

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.accounts = _Accounts()
        self.throttle = Throttle(self.clock)
        self.make(_CountingPool())

    def make(self, pool: Any, **settings: Any) -> None:
        self.pool = pool
        settings = {"cost": 4, **settings}
        self.auth = Authenticator(
            _Database(),
            self.accounts,
            pool,
            self.throttle,
            self.clock,
            os.urandom(32),
            LoginSettings(**settings),
        )


class LoginTests(_Case):
    def test_it_keeps_its_interface(self) -> None:
        verifyObject(IAuthenticator, self.auth)

    def test_all_forms_of_a_login(self) -> None:
        for login in ("ann@example.org", "ann", "EXAMPLE\\ann", "Ann"):
            self.assertEqual(
                self.successResultOf(self.auth.check_basic(_basic(login, "pässword"), PEER)), ANN
            )

    def test_both_character_sets(self) -> None:
        for charset in ("utf-8", "latin-1"):
            answer = self.auth.check_basic(_basic("ann", "pässword", charset), PEER)
            self.assertEqual(self.successResultOf(answer), ANN)
        self.assertEqual(
            self.successResultOf(self.auth.check_password("ann", "pässword".encode(), PEER)), ANN
        )

    def test_unknown_wrong_and_disabled_look_the_same_and_cost_the_same(self) -> None:
        messages, costs = set(), set()
        for login, password in (("nobody", "x"), ("ann", "x"), ("bob", "bob")):
            before = self.pool.ran
            failure = self.failureResultOf(self.auth.check_basic(_basic(login, password), PEER), AuthFailed)
            messages.add(failure.value.public)
            costs.add(self.pool.ran - before)
        self.assertEqual((messages, costs), ({"Authentication failed."}, {1}))

    def test_a_malformed_header_fails_without_a_read(self) -> None:
        for header in (b"", b"Basic ####", b"Basic " + b"A" * 10_000, _basic("", "x"), _basic("a\0", "x")):
            self.failureResultOf(self.auth.check_basic(header, PEER), AuthFailed)
        for login in ("", "x" * 600, "ann\0"):
            self.failureResultOf(self.auth.check_password(login, b"x", PEER), AuthFailed)
        self.assertEqual(self.accounts.reads, 0)

    def test_a_remembered_header_costs_no_read_and_no_bcrypt(self) -> None:
        header = _basic("ann", "pässword")
        for _ in range(5):
            self.successResultOf(self.auth.check_basic(header, PEER))
        self.assertEqual((self.accounts.reads, self.pool.ran), (1, 1))

    def test_a_stale_success_costs_one_read_and_no_bcrypt(self) -> None:
        header = _basic("ann", "pässword")
        self.successResultOf(self.auth.check_basic(header, PEER))
        self.clock.advance(601)
        self.successResultOf(self.auth.check_basic(header, PEER))
        self.assertEqual((self.accounts.reads, self.pool.ran), (2, 1))

    def test_a_stale_success_does_not_outlive_its_hash(self) -> None:
        header = _basic("ann", "pässword")
        self.successResultOf(self.auth.check_basic(header, PEER))
        self.accounts.hashes[1] = hash_password(b"new", 4)
        self.clock.advance(601)
        self.failureResultOf(self.auth.check_basic(header, PEER), AuthFailed)

    def test_forget_takes_effect_at_once(self) -> None:
        header = _basic("ann", "pässword")
        self.successResultOf(self.auth.check_basic(header, PEER))
        self.accounts.hashes[1] = hash_password(b"new", 4)
        self.auth.forget(1)
        self.failureResultOf(self.auth.check_basic(header, PEER), AuthFailed)
        self.successResultOf(self.auth.check_basic(_basic("ann", "new"), PEER))

    def test_disabling_takes_effect_at_once(self) -> None:
        header = _basic("ann", "pässword")
        self.successResultOf(self.auth.check_basic(header, PEER))
        self.accounts.accounts[1] = evolve(ANN, enabled=False)
        self.auth.forget(1)
        self.failureResultOf(self.auth.check_basic(header, PEER), AuthFailed)

    def test_a_password_refused_before_it_was_set_is_accepted_after(self) -> None:
        self.failureResultOf(self.auth.check_basic(_basic("ann", "new"), PEER), AuthFailed)
        self.accounts.hashes[1] = hash_password(b"new", 4)
        self.auth.forget(1)
        self.successResultOf(self.auth.check_basic(_basic("ann", "new"), PEER))

    def test_memory_is_bounded(self) -> None:
        self.make(_CountingPool(), remembered=3)
        for number in range(10):
            self.successResultOf(self.auth.check_basic(_basic(f"D{number}\\ann", "pässword"), ""))
            self.failureResultOf(self.auth.check_basic(_basic("ann", f"wrong{number}"), ""), AuthFailed)
        self.assertEqual(len(self.auth._successes), 3)
        self.assertEqual(len(self.auth._refused), 3)
        self.assertEqual((self.auth._flights, self.auth._turns), ({}, {}))

    def test_nothing_secret_is_logged(self) -> None:
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.failureResultOf(self.auth.check_basic(_basic("ann", "tip0tap"), PEER), AuthFailed)
        self.failureResultOf(self.auth.check_basic(_basic("passwordinthewrongfield", "x"), PEER), AuthFailed)
        self.assertEqual(len(events), 2)
        self.assertNotIn("tip0tap", repr(events))
        self.assertNotIn("wrongfield", repr(events))
        self.assertNotIn(repr(self.auth._key), repr(self.auth))


class AppPasswordTests(_Case):
    def setUp(self) -> None:
        super().setUp()
        self.text, digest = make_app_password(os.urandom)
        self.accounts.apps[digest] = ANN.id

    def test_it_needs_no_bcrypt(self) -> None:
        self.assertEqual(self.successResultOf(self.auth.check_basic(_basic("ann", self.text), PEER)), ANN)
        self.assertEqual(self.pool.ran, 0)

    def test_it_belongs_to_one_account(self) -> None:
        self.accounts.accounts[2] = evolve(BOB, enabled=True)
        self.failureResultOf(self.auth.check_basic(_basic("bob", self.text), PEER), AuthFailed)

    def test_it_is_refused_for_a_disabled_account(self) -> None:
        self.accounts.accounts[1] = evolve(ANN, enabled=False)
        self.failureResultOf(self.auth.check_basic(_basic("ann", self.text), PEER), AuthFailed)
        self.assertEqual(self.pool.ran, 1)

    def test_its_use_is_noted_at_most_hourly(self) -> None:
        for _ in range(5):
            self.successResultOf(self.auth.check_basic(_basic("ann", self.text), PEER))
            self.clock.advance(700)
        self.assertEqual(self.accounts.touched, [1_000_000_000])
        self.clock.advance(3600)
        self.successResultOf(self.auth.check_basic(_basic("ann", self.text), PEER))
        self.assertEqual(len(self.accounts.touched), 2)

    def test_a_withdrawn_one_is_refused(self) -> None:
        self.successResultOf(self.auth.check_basic(_basic("ann", self.text), PEER))
        self.accounts.apps.clear()
        self.auth.forget(ANN.id)
        self.failureResultOf(self.auth.check_basic(_basic("ann", self.text), PEER), AuthFailed)


class ThrottledLoginTests(_Case):
    def test_guessing_is_stopped_and_the_right_password_with_it(self) -> None:
        for number in range(10):
            self.failureResultOf(self.auth.check_basic(_basic("ann", f"no{number}"), PEER), AuthFailed)
        failure = self.failureResultOf(
            self.auth.check_basic(_basic("ann", "pässword"), PEER), TooManyAttempts
        )
        self.assertEqual(failure.value.after, 60)
        self.clock.advance(61)
        self.successResultOf(self.auth.check_basic(_basic("ann", "pässword"), PEER))

    def test_one_cannot_guess_against_the_memory(self) -> None:
        header = _basic("ann", "pässword")
        self.successResultOf(self.auth.check_basic(header, ""))
        for number in range(10):
            self.failureResultOf(self.auth.check_basic(_basic("ann", f"no{number}"), PEER), AuthFailed)
        self.failureResultOf(self.auth.check_basic(header, PEER), TooManyAttempts)

    def test_smtp_and_http_share_the_count(self) -> None:
        for number in range(5):
            self.failureResultOf(self.auth.check_basic(_basic("ann", f"no{number}"), PEER), AuthFailed)
            self.failureResultOf(self.auth.check_password("ann", b"no%d" % number, PEER), AuthFailed)
        self.failureResultOf(self.auth.check_password("ann", b"x", PEER), TooManyAttempts)

    def test_a_phone_with_an_old_password_locks_nobody_out(self) -> None:
        for _ in range(100):
            self.failureResultOf(self.auth.check_basic(_basic("ann", "old"), PEER), AuthFailed)
            self.clock.advance(5)
        self.assertLess(self.pool.ran, 11)
        self.successResultOf(self.auth.check_basic(_basic("ann", "pässword"), PEER))


class QueueTests(_Case):
    def setUp(self) -> None:
        super().setUp()
        self.make(HeldPool(), queue_per_account=2)

    def test_equal_checks_share_one_bcrypt(self) -> None:
        answers = [self.auth.check_basic(_basic("ann", "pässword"), PEER) for _ in range(50)]
        self.assertEqual(self.pool.waiting, 1)
        self.pool.step()
        self.assertEqual({self.successResultOf(answer) for answer in answers}, {ANN})
        self.assertEqual(self.pool.waiting, 0)

    def test_one_check_per_account_at_a_time(self) -> None:
        first = self.auth.check_basic(_basic("ann", "no"), PEER)
        second = self.auth.check_basic(_basic("ann", "pässword"), PEER)
        self.assertEqual(self.pool.waiting, 1)
        self.pool.step()
        self.failureResultOf(first, AuthFailed)
        self.assertNoResult(second)
        self.pool.step()
        self.successResultOf(second)

    def test_too_many_waiting_for_one_account_are_told_when_to_come_again(self) -> None:
        answers = [self.auth.check_basic(_basic("ann", f"no{number}"), PEER) for number in range(5)]
        for refused in answers[3:]:
            self.assertEqual(self.failureResultOf(refused, TryLater).value.after, 10)
        while self.pool.waiting:
            self.pool.step()
        for answer in answers[:3]:
            self.failureResultOf(answer, AuthFailed)

    def test_a_full_pool_is_no_failed_login(self) -> None:
        self.make(HeldPool(queue_limit=0))
        for number in range(30):
            answer = self.auth.check_basic(_basic("ann", f"no{number}"), PEER)
            self.assertNotIsInstance(self.failureResultOf(answer, TryLater).value, TooManyAttempts)
        self.throttle.check(PEER, 1)

    def test_who_goes_away_leaves_the_others_waiting(self) -> None:
        gone, stays = (self.auth.check_basic(_basic("ann", "pässword"), PEER) for _ in range(2))
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.pool.step()
        self.successResultOf(stays)

    def test_a_check_under_way_during_forget_starts_again_and_is_not_remembered(self) -> None:
        answer = self.auth.check_basic(_basic("ann", "pässword"), PEER)
        self.accounts.hashes[1] = hash_password(b"new", 4)
        self.auth.forget(1)
        self.pool.step()
        self.assertNoResult(answer)
        self.pool.step()
        self.failureResultOf(answer, AuthFailed)

    def test_an_account_that_keeps_changing_is_for_later(self) -> None:
        answer = self.auth.check_basic(_basic("ann", "pässword"), PEER)
        for _ in range(3):
            self.auth.forget(1)
            self.pool.step()
        self.failureResultOf(answer, TryLater)
        self.assertEqual(len(self.auth._successes), 0)
