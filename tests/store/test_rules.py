"""Rules as kept: their order, their limits, and what becomes of them when a folder goes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import NoSuchThing, TooLarge
from posthouse.model import Folder, FolderType
from posthouse.rules.form import rule_from
from posthouse.rules.model import MAX_RULES, Rule
from posthouse.store import accounts, folders, rules
from tests.support.store import NOW, make_account, make_database


def rule(name: str, folder: int = 0, body: str = "", value: str = "x") -> Rule:
    field = "body" if body else "subject"
    return rule_from(
        {
            "name": name,
            "conditions": [{"field": field, "values": [body or value]}],
            "actions": [{"do": "move", "folder": folder}] if folder else [{"do": "read"}],
        }
    )


class RuleCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.ann = make_account(self.db, "ann@here.example")
        self.box = self.ann.mailbox_id

    def add(self, one: Rule, position: int | None = None) -> rules.Kept:
        kept: rules.Kept = self.db.write_now(lambda tx: rules.add_rule(tx, self.box, one, NOW, position))
        return kept

    def make(self, name: str, parent: int = 0) -> Folder:
        made: Folder = self.db.write_now(
            lambda tx: folders.create_folder(tx, self.box, parent, name, FolderType.USER_MAIL, NOW)
        )
        return made

    def names(self) -> list[str]:
        return [one.rule.name for one in self.kept()]

    def kept(self) -> list[rules.Kept]:
        return self.db.read_now(lambda tx: rules.rules_of(tx, self.box))

    def level(self) -> int:
        return self.db.read_now(lambda tx: rules.traits(tx, [self.box]))[0].rules

    def do(self, function: Any, *args: Any) -> Any:
        return self.db.write_now(lambda tx: function(tx, self.box, *args))


class OrderTests(RuleCase):
    def test_rules_keep_the_order_that_they_are_given(self) -> None:
        one, two = self.add(rule("one")), self.add(rule("two"))
        self.add(rule("zero"), 1)
        self.assertEqual(self.names(), ["zero", "one", "two"])
        self.do(rules.move_rule, two.id, 1)
        self.do(rules.move_rule, one.id, 99)
        self.assertEqual(self.names(), ["two", "zero", "one"])
        self.assertEqual([kept.position for kept in self.kept()], [1, 2, 3])
        self.do(rules.remove_rule, two.id)
        self.assertEqual([(kept.rule.name, kept.position) for kept in self.kept()], [("zero", 1), ("one", 2)])

    def test_nobody_touches_the_rules_of_others(self) -> None:
        bob = make_account(self.db, "bob@here.example")
        kept = self.add(rule("mine"))
        for function, args in (
            (rules.remove_rule, ()),
            (rules.move_rule, (1,)),
            (rules.enable_rule, (False,)),
            (rules.replace_rule, (rule("his"), NOW)),
        ):
            self.assertRaises(
                NoSuchThing,
                self.db.write_now,
                lambda tx, f=function, a=args: f(tx, bob.mailbox_id, kept.id, *a),
            )
        self.assertEqual(self.names(), ["mine"])

    def test_rules_are_bounded(self) -> None:
        for number in range(MAX_RULES):
            self.add(rule(f"r{number}"))
        self.assertRaises(TooLarge, self.add, rule("one more"))

    def test_rules_are_bounded_altogether(self) -> None:
        big = rule_from(
            {
                "name": "big",
                "conditions": [{"field": "subject", "values": [f"{n:0200}" for n in range(60)]}],
                "actions": [{"do": "read"}],
            }
        )
        with self.assertRaises(TooLarge):
            for _ in range(60):
                self.add(big)
        self.assertTrue(10 < len(self.names()) < 30)


class TraitTests(RuleCase):
    def test_the_mailbox_says_what_has_to_be_asked(self) -> None:
        self.assertEqual(self.level(), 0)
        one = self.add(rule("one"))
        self.assertEqual(self.level(), 1)
        two = self.add(rule("two", body="pay"))
        self.assertEqual(self.level(), 2)
        self.do(rules.enable_rule, two.id, False)
        self.assertEqual(self.level(), 1)
        self.do(rules.remove_rule, one.id)
        self.assertEqual(self.level(), 0)
        self.do(rules.replace_rule, two.id, rule("two"), NOW)
        self.assertEqual((self.level(), self.kept()[0].enabled), (0, False))

    def test_a_mailbox_that_is_gone_has_none(self) -> None:
        self.assertEqual(self.db.read_now(lambda tx: rules.traits(tx, [999])), [])

    def test_rules_go_with_their_account(self) -> None:
        self.add(rule("one"))
        while not self.db.write_now(lambda tx: accounts.delete_account(tx, self.ann.id)):
            pass
        self.assertEqual(self.db.read_now(lambda tx: tx.value("SELECT count(*) FROM rule")), 0)


class DamagedTests(RuleCase):
    def test_a_rule_that_cannot_be_read_is_shown_so_and_does_nothing(self) -> None:
        one = self.add(rule("one"))
        self.add(rule("two"))
        self.db.write_now(lambda tx: tx.execute("UPDATE rule SET form = '{' WHERE id = ?", (one.id,)))
        kept = self.kept()
        self.assertEqual([each.enabled for each in kept], [False, True])
        self.assertIn("cannot be read", kept[0].problem)
        self.assertEqual(
            [each.name for each in self.db.read_now(lambda tx: rules.active(tx, self.box))], ["two"]
        )
        self.do(rules.remove_rule, one.id)
        self.assertEqual(self.names(), ["two"])


class FolderTests(RuleCase):
    def test_a_rule_follows_its_folder_under_any_name(self) -> None:
        work, home = self.make("Work"), self.make("Home")
        self.add(rule("one", work.number))
        self.db.write_now(lambda tx: folders.rename_folder(tx, work, "Job", home.number))
        (kept,) = self.kept()
        self.assertEqual((kept.enabled, kept.problem), (True, ""))

    def test_a_rule_whose_folder_goes_is_off_and_says_why(self) -> None:
        work = self.make("Work")
        bills = self.make("Bills", work.number)
        one = self.add(rule("one", bills.number))
        self.add(rule("two"))
        self.db.write_now(lambda tx: folders.delete_folder(tx, work))
        kept = self.kept()
        self.assertEqual([each.enabled for each in kept], [False, True])
        self.assertEqual(kept[0].problem, 'The folder "Bills" was deleted.')
        self.assertEqual(self.level(), 1)
        # Repaired, it is at work again.
        home = self.make("Home")
        self.do(rules.replace_rule, one.id, rule("one", home.number), NOW)
        self.assertEqual((self.kept()[0].enabled, self.kept()[0].problem), (True, ""))
