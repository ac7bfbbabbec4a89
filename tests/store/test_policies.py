"""Policies and absences as rows."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Conflict, NoSuchThing
from posthouse.model import DeviceAccess, FolderType
from posthouse.store import absence, accounts, housekeeping, policies
from posthouse.store.absence import ANSWER_AGAIN, Absence, Audience, Message, State
from posthouse.store.policies import Rule
from tests.support import store
from tests.support.store import NOW, make_account, make_database


class StoreCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)

    def write(self, function: Any, *arguments: Any, **more: Any) -> Any:
        return self.db.write_now(lambda tx: function(tx, *arguments, **more))

    def read(self, function: Any, *arguments: Any) -> Any:
        return self.db.read_now(lambda tx: function(tx, *arguments))

    def count(self, table: str) -> int:
        return self.db.read_now(lambda tx: tx.value(f"SELECT count(*) FROM {table}"))


class PolicyTests(StoreCase):
    def test_a_rule_is_the_accounts_own_or_the_servers(self) -> None:
        self.write(policies.save_policy, "a", {"AllowCamera": 0}, NOW)
        rule = lambda default: self.read(policies.rule_for, self.account.id, default)  # noqa: E731
        self.assertEqual(rule("a"), Rule("a", '{"AllowCamera": 0}'))
        self.assertEqual(rule("b"), Rule("b"))
        self.write(policies.set_new_devices, self.account.id, DeviceAccess.QUARANTINED)
        self.write(policies.assign_policy, self.account.id, "b")
        self.assertEqual(rule("a"), Rule("b", None, DeviceAccess.QUARANTINED))
        self.write(policies.assign_policy, self.account.id, None)
        self.assertEqual(rule("a").policy, "a")
        self.assertEqual(self.read(policies.assignments)[self.account.id].policy, "")

    def test_one_that_somebody_has_is_kept(self) -> None:
        self.write(policies.save_policy, "a", {}, NOW)
        self.write(policies.assign_policy, self.account.id, "a")
        self.assertRaises(Conflict, self.write, policies.delete_policy, "a")
        self.write(policies.delete_policy, "a", given=True)
        self.assertRaises(NoSuchThing, self.write, policies.delete_policy, "a", given=True)

    def test_an_account_that_goes_takes_its_rule_with_it(self) -> None:
        self.write(policies.assign_policy, self.account.id, "a")
        self.write(absence.set_absence, self.account.mailbox_id, Absence(State.ON), NOW)
        self.write(absence.first_answer, self.account.mailbox_id, Audience.KNOWN, "x@y.example", NOW)
        while not self.write(accounts.delete_account, self.account.id):
            pass
        for table in ("account_rule", "absence", "absence_answer"):
            self.assertEqual(self.count(table), 0, table)


class AbsenceTests(StoreCase):
    def keep(self, state: State = State.ON, now: int = NOW, **more: Any) -> None:
        self.write(absence.set_absence, self.account.mailbox_id, Absence(state, **more), now)

    def away(self, now: int) -> bool:
        return bool(self.read(absence.away, [self.account.mailbox_id], now))

    def first(self, now: int, audience: Audience = Audience.UNKNOWN, sender: str = "x@y.example") -> bool:
        return bool(self.write(absence.first_answer, self.account.mailbox_id, audience, sender, now))

    def test_what_was_set_comes_back(self) -> None:
        message = Message(True, "Füße \U0001f9b6\0", True)
        self.keep(State.TIMED, start=5, end=9, known=message)
        kept = self.read(absence.absence_of, self.account.mailbox_id)
        self.assertEqual((kept.state, kept.start, kept.end, kept.changed), (State.TIMED, 5, 9, NOW))
        self.assertEqual(kept.known, Message(True, "Füße \U0001f9b6", True))

    def test_away_by_state_and_time(self) -> None:
        self.assertFalse(self.away(NOW))
        self.keep()
        self.assertTrue(self.away(NOW))
        self.keep(State.TIMED, start=NOW, end=NOW + 10)
        self.assertEqual([self.away(NOW + step) for step in (-1, 0, 9, 10)], [False, True, True, False])
        self.keep()
        self.write(accounts.set_enabled, self.account.id, False)
        self.assertFalse(self.away(NOW))

    def test_an_answer_a_week_for_each_audience(self) -> None:
        self.assertTrue(self.first(NOW))
        self.assertFalse(self.first(NOW + ANSWER_AGAIN - 1))
        self.assertTrue(self.first(NOW, Audience.KNOWN))
        self.assertTrue(self.first(NOW + ANSWER_AGAIN))

    def test_who_was_answered_is_forgotten_in_time(self) -> None:
        self.first(NOW)
        self.first(NOW + 5, sender="z@y.example")
        self.assertEqual(self.write(absence.prune_answers, NOW + ANSWER_AGAIN, 10), 1)
        while self.write(housekeeping.housekeep, NOW + 2 * ANSWER_AGAIN):
            pass
        self.assertEqual(self.count("absence_answer"), 0)

    def test_people_to_whom_one_writes(self) -> None:
        sent = store.folder(self.db, self.account, FolderType.SENT)
        store.add(self.db, sent, to='"Ann" <Ann.B@There.example>, 100%@x.example', cc="c_d@x.example")
        knows = lambda address: self.read(  # noqa: E731
            absence.has_written_to, self.account.mailbox_id, address, sent.id
        )
        for address in ("ann.b@there.example", "c_d@x.example", "100%@x.example"):
            self.assertTrue(knows(address), address)
        for address in (
            "b@there.example",
            "n.b@there.example",
            "ann.b@there.exampl",
            "cxd@x.example",
            "1%@x.example",
        ):
            self.assertFalse(knows(address), address)
