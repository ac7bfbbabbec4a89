"""MTA-STS policies of others: when they are fetched, kept, and followed."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.fetch import FetchFailed
from posthouse.delivery.sts import StsFound, StsPolicies
from posthouse.errors import NoSuchDomain, TryLater
from tests.support.store import NOW, make_database

DAY = 86_400_000


def policy(mode: str = "enforce", age: int = 604_800, mx: str = "mx.there.example") -> bytes:
    return f"version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: {age}\n".encode()


class StsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.time = NOW
        self.records: Any = [b"v=STSv1; id=1"]
        self.content: Any = policy()
        self.fetched: list[str] = []
        self.policies = self.make()

    def make(self) -> StsPolicies:
        return StsPolicies(self.db, self, self.fetch, lambda: self.time)

    def texts(self, name: str) -> Deferred[Any]:
        self.assertEqual(name, "_mta-sts.there.example")
        return fail(self.records) if isinstance(self.records, Exception) else succeed(self.records)

    def fetch(self, domain: str) -> Deferred[Any]:
        self.fetched.append(domain)
        if isinstance(self.content, Deferred):
            return self.content
        return fail(self.content) if isinstance(self.content, Exception) else succeed(self.content)

    def find(self) -> StsFound:
        return self.successResultOf(ensureDeferred(self.policies.find("there.example")))

    def mode(self) -> str:
        found = self.find().policy
        return found.mode if found is not None else ""

    def test_without_a_record_nothing_is_fetched(self) -> None:
        for records in ([], [b"v=spf1 -all"], TryLater(cause="SERVFAIL"), NoSuchDomain()):
            self.records = records
            self.assertEqual(self.find(), StsFound())
        self.assertEqual(self.fetched, [])

    def test_a_policy_is_fetched_once_and_survives_a_restart(self) -> None:
        self.assertEqual(self.mode(), "enforce")
        self.assertEqual(self.mode(), "enforce")
        self.policies = self.make()
        self.content = FetchFailed("down")
        self.assertEqual(self.mode(), "enforce")
        self.assertEqual(self.fetched, ["there.example"])

    def test_a_large_policy_lies_in_the_store_only(self) -> None:
        self.content = policy() + b"x: y\n" * 2000
        for _ in range(2):
            found = self.find().policy
            assert found is not None
            self.assertEqual((found.mode, len(found.lines)), ("enforce", 40))
        self.assertEqual((len(self.fetched), len(self.policies._kept)), (1, 0))

    def test_it_holds_without_its_record_until_it_expires(self) -> None:
        self.find()
        for records in ([], TryLater(cause="time-out")):
            self.records = records
            self.time = NOW + 604_800_000 - 1
            self.assertEqual(self.mode(), "enforce")
            self.time += 1
            self.assertEqual(self.mode(), "")

    def test_another_id_fetches_anew_and_a_failure_keeps_the_old_one(self) -> None:
        self.find()
        self.records, self.content = [b"v=STSv1; id=2"], FetchFailed("down")
        found = self.find()
        self.assertEqual(
            (found.policy and found.policy.mode, found.result), ("enforce", "sts-policy-fetch-error")
        )
        self.time += 300_000
        self.content = policy("testing")
        self.assertEqual(self.mode(), "testing")
        self.assertEqual(len(self.fetched), 3)

    def test_a_failing_fetch_stops_no_mail_and_is_not_repeated_for_five_minutes(self) -> None:
        for content, result in (
            (FetchFailed("404"), "sts-policy-fetch-error"),
            (FetchFailed("certificate", True), "sts-webpki-invalid"),
            (b"noise", "sts-policy-invalid"),
        ):
            self.policies, self.fetched, self.content = self.make(), [], content
            for _ in range(3):
                found = self.find()
                self.assertEqual((found.policy, found.result), (None, result))
            self.assertEqual(len(self.fetched), 1)
            self.time += 300_000
            self.find()
            self.assertEqual(len(self.fetched), 2)

    def test_none_takes_a_policy_back(self) -> None:
        self.find()
        self.records, self.content = [b"v=STSv1; id=2"], policy("none")
        self.assertEqual(self.mode(), "")
        self.records = []
        self.assertEqual(self.mode(), "")

    def test_it_is_refreshed_ahead_without_waiting(self) -> None:
        self.find()
        self.time += DAY
        waiting: Deferred[bytes] = Deferred()
        self.content = waiting
        self.assertEqual(self.mode(), "enforce")
        self.assertEqual(len(self.fetched), 2)
        waiting.callback(policy("testing"))
        self.assertEqual(self.mode(), "testing")
        # An attacker who blocks the fetch only delays the news.
        self.time += DAY
        self.content = FetchFailed("blocked")
        self.assertEqual(self.mode(), "testing")
        self.assertEqual(self.mode(), "testing")
        self.assertEqual(len(self.fetched), 3)

    def test_those_who_want_the_same_wait_for_the_same(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        self.content = waiting
        two = [ensureDeferred(self.policies.find("there.example")) for _ in range(2)]
        for one in two:
            self.assertNoResult(one)
        waiting.callback(policy())
        for one in two:
            self.assertEqual(self.successResultOf(one).policy.mode, "enforce")
        self.assertEqual(len(self.fetched), 1)
