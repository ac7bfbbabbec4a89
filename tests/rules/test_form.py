"""The JSON form of rules: what goes in comes out, and whatever else is given is one sentence."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed, TooLarge
from posthouse.rules.form import form_of, read_form, rule_from, write_form
from posthouse.rules.model import ACTIONS, FIELDS, LEVELS, MAX_FORWARDS, Action, Condition, Rule
from posthouse.rules.phrases import action_form, condition_from, sentence, words_of, words_of_action

BILLS: dict[str, Any] = {
    "name": "Bills",
    "match": "all",
    "conditions": [
        {"field": "from", "test": "is", "values": ["@shop.example"]},
        {"field": "header", "test": "contains", "values": ["bill", "invoice"], "name": "x-kind"},
    ],
    "exceptions": [{"field": "attachment", "test": "is", "values": ["no"]}],
    "actions": [
        {"do": "move", "folder": 12},
        {"do": "category", "value": "Money"},
        {"do": "forward", "to": ["tax@adviser.example"]},
        {"do": "read"},
    ],
    "stop": True,
}

_text = st.text("abcxyzäß @.-|", min_size=1, max_size=20).filter(lambda text: bool(text.strip()))


@st.composite
def conditions(draw: Any) -> Condition:
    field = draw(st.sampled_from(sorted(FIELDS)))
    tests, choices = FIELDS[field]
    value = st.sampled_from(choices) if choices else _text.map(str.casefold)
    if field == "size":
        value = st.integers(0, 10**9).map(str)
    values = draw(st.lists(value, min_size=1, max_size=4, unique=True))
    name = draw(st.from_regex(r"[a-z-]{1,20}", fullmatch=True)) if field == "header" else ""
    return Condition(field, draw(st.sampled_from(tests)), tuple(values), name)


@st.composite
def actions(draw: Any) -> Action:
    do = draw(st.sampled_from(sorted(ACTIONS)))
    needs = ACTIONS[do]
    if needs == "folder":
        return Action(do, folder=draw(st.integers(1, 1 << 40)))
    if needs == "to":
        return Action(do, to=("a@b.example",))
    if do == "importance":
        return Action(do, value=draw(st.sampled_from(LEVELS)))
    return Action(do, value="Blue" if needs else "")


class FormTests(SynchronousTestCase):
    def test_a_form_comes_back_as_it_was(self) -> None:
        rule = rule_from(BILLS)
        self.assertEqual(form_of(rule), BILLS)
        self.assertEqual(read_form(write_form(rule)), rule)
        self.assertEqual(rule.folders, {12})

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(conditions(), max_size=5),
        st.lists(conditions(), max_size=3),
        st.lists(actions(), min_size=1, max_size=5),
        st.booleans(),
        st.booleans(),
    )
    def test_every_rule_survives_its_form(
        self, when: list[Condition], unless: list[Condition], do: list[Action], any_of: bool, stop: bool
    ) -> None:
        rule = Rule("one", tuple(do), tuple(when), tuple(unless), any_of, stop)
        self.assertEqual(read_form(write_form(rule)), rule)

    def test_what_is_no_rule_is_one_sentence(self) -> None:
        wrong: list[tuple[str, Any]] = [
            ("no object", [BILLS]),
            ("no name", BILLS | {"name": " "}),
            ("a long name", BILLS | {"name": "x" * 201}),
            ("an unknown key", BILLS | {"enabled": True}),
            ("nothing to do", BILLS | {"actions": [], "stop": False}),
            ("another match", BILLS | {"match": "some"}),
            ("stop in words", BILLS | {"stop": "yes"}),
            ("an unknown field", BILLS | {"conditions": [{"field": "moon", "values": ["full"]}]}),
            ("an unknown test", BILLS | {"conditions": [{"field": "body", "test": "is", "values": ["x"]}]}),
            ("no values", BILLS | {"conditions": [{"field": "subject", "values": []}]}),
            ("a blank value", BILLS | {"conditions": [{"field": "subject", "values": [" "]}]}),
            ("a strange size", BILLS | {"conditions": [{"field": "size", "values": ["big"]}]}),
            ("a strange level", BILLS | {"conditions": [{"field": "importance", "values": ["urgent"]}]}),
            ("a header without a name", BILLS | {"conditions": [{"field": "header", "values": ["x"]}]}),
            (
                "a name without a header",
                BILLS | {"conditions": [{"field": "subject", "values": ["x"], "name": "y"}]},
            ),
            ("an unknown action", BILLS | {"actions": [{"do": "sing"}]}),
            ("a folder by name", BILLS | {"actions": [{"do": "move", "folder": "Work"}]}),
            ("a folder that is true", BILLS | {"actions": [{"do": "move", "folder": True}]}),
            ("more than is needed", BILLS | {"actions": [{"do": "read", "folder": 3}]}),
            ("no address", BILLS | {"actions": [{"do": "forward", "to": ["nobody"]}]}),
            ("a broken address", BILLS | {"actions": [{"do": "redirect", "to": ["a@b\r\nBcc: c@d"]}]}),
        ]
        for what, form in wrong:
            with self.subTest(what):
                self.assertRaises(Malformed, rule_from, form)

    def test_too_much_is_refused(self) -> None:
        condition = BILLS["conditions"][0]
        for form in (
            BILLS | {"conditions": [condition] * 33},
            BILLS | {"actions": [{"do": "read"}] * 17},
            BILLS | {"conditions": [condition | {"values": ["x"] * 65}]},
            BILLS
            | {"actions": [{"do": "forward", "to": [f"a{n}@b.example" for n in range(MAX_FORWARDS + 1)]}]},
        ):
            self.assertRaises(TooLarge, rule_from, form)
        long = {"field": "subject", "values": [f"{n:0250}" for n in range(64)]}
        self.assertRaises(TooLarge, write_form, rule_from(BILLS | {"conditions": [long] * 2}))

    @settings(max_examples=60, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda one: (
                st.lists(one)
                | st.dictionaries(
                    st.sampled_from(
                        ["name", "match", "conditions", "actions", "field", "test", "values", "do", "to"]
                    ),
                    one,
                )
            ),
            max_leaves=15,
        )
    )
    def test_anything_else_is_no_traceback(self, form: Any) -> None:
        for one in (form, {"name": "x", "conditions": form}, {"name": "x", "actions": [form]}):
            try:
                rule_from(one)
            except Malformed:
                continue

    def test_text_that_is_no_json(self) -> None:
        for text in ("{", "[" * 5000, json.dumps(BILLS) + "x"):
            self.assertRaises(Malformed, read_form, text)


class WordsTests(SynchronousTestCase):
    def test_conditions_in_words(self) -> None:
        table = {
            "from is ann@example.org": Condition("from", "is", ("ann@example.org",)),
            "subject bill | Invoice": Condition("subject", "contains", ("bill", "invoice")),
            "header X-Kind: is news": Condition("header", "is", ("news",), "x-kind"),
            "attachment": Condition("attachment", "is", ("yes",)),
            "list no": Condition("list", "is", ("no",)),
            "only-me": Condition("sent", "is", ("only-me",)),
            "size over 1000": Condition("size", "over", ("1000",)),
            "importance high": Condition("importance", "is", ("high",)),
        }
        for words, condition in table.items():
            self.assertEqual(condition_from(words), condition, words)

    @settings(max_examples=60, deadline=None)
    @given(conditions())
    def test_words_and_condition_are_the_same(self, one: Condition) -> None:
        if any("|" in value or value != value.strip() or "  " in value for value in one.values):
            return
        if one.test == "contains" and one.values[0].split()[0] in ("contains", "is"):
            return
        self.assertEqual(condition_from(words_of(one)), one)

    def test_actions_in_words(self) -> None:
        self.assertEqual(action_form("move Work/Bills"), {"do": "move", "folder": "Work/Bills"})
        self.assertEqual(action_form("READ"), {"do": "read"})
        self.assertEqual(action_form("forward a@b.c, d@e.f"), {"do": "forward", "to": ["a@b.c", "d@e.f"]})
        for wrong in ("sing", "read this", "move", ""):
            self.assertRaises(Malformed, action_form, wrong)
        self.assertEqual(words_of_action(Action("move", folder=3), "Work"), "move Work")

    def test_a_rule_in_one_line(self) -> None:
        self.assertEqual(
            sentence(rule_from(BILLS)),
            "from is @shop.example and header x-kind contains bill | invoice, unless attachment is no",
        )
        self.assertEqual(sentence(Rule("all", (Action("read"),))), "every message")
