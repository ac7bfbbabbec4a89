"""The decision of the rules: what applies, in which order, and what is done."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.rules.decide import Facts, Outcome, Person, Reader, decide, fits
from posthouse.rules.model import Action, Condition, Rule
from posthouse.rules.phrases import condition_from
from tests.rules.test_form import conditions

ANN = Person("ann <ann@here.example>", "ann@here.example")
BOB = Person("bob b. <bob@here.example>", "bob@here.example")
FAR = Person("the shop <sales@eu.shop.example>", "sales@eu.shop.example")
FACTS = Facts(
    author=(FAR,),
    to=(ANN,),
    subject="your invoice 7",
    size=5000,
    importance=2,
    attachment=True,
    header=lambda name: {"x-kind": "news"}.get(name, ""),
    read_text=lambda: "Dear ANN, pay.",
)
READER = Reader(frozenset({"ann@here.example"}), "ann+shop@here.example")


def rule(*actions: Action, when: str = "", stop: bool = False, number: int = 0, any_of: bool = False) -> Rule:
    conditions = tuple(condition_from(one) for one in when.split(" & ") if one)
    return Rule("r", actions or (Action("read"),), conditions, any_of=any_of, stop=stop, id=number)


class ConditionTests(SynchronousTestCase):
    def check(self, facts: Facts, reader: Reader, table: dict[str, bool]) -> None:
        for words, expected in table.items():
            self.assertIs(fits(condition_from(words), facts, reader), expected, words)

    def test_the_table(self) -> None:
        self.check(
            FACTS,
            READER,
            {
                "from is sales@eu.shop.example": True,
                "from is @shop.example": True,
                "from is shop.example": True,
                "from is @hop.example": False,
                "from is ales@eu.shop.example": False,
                "from contains the shop": True,
                "from contains ann": False,
                "to is ann@here.example": True,
                "cc ann": False,
                "recipient is ann+shop@here.example": True,
                "recipient is ann@here.example": True,
                "recipient bob": False,
                "subject invoice": True,
                "subject is your invoice 7": True,
                "subject is invoice": False,
                "body pay": True,
                "body dear ann": True,
                "body bob": False,
                "header x-kind is news": True,
                "header x-kind is new": False,
                "header x-other news": False,
                "attachment": True,
                "attachment no": False,
                "size over 4999": True,
                "size over 5000": False,
                "size under 5001": True,
                "importance high": True,
                "importance low | normal": False,
                "sensitivity normal": True,
                "sensitivity private": False,
                "only-me": True,
                "to-me": True,
                "cc-me": False,
                "not-me": False,
                "list": False,
                "list no": True,
                "junk": False,
            },
        )

    def test_who_is_meant(self) -> None:
        both = evolve(FACTS, to=(ANN, BOB))
        self.check(both, READER, {"only-me": False, "to-me": True})
        self.check(evolve(FACTS, cc=(BOB,)), READER, {"only-me": False, "to-me": True})
        self.check(
            evolve(FACTS, to=(BOB,), cc=(ANN,)), READER, {"to-me": False, "cc-me": True, "not-me": False}
        )
        self.check(evolve(FACTS, to=(BOB,)), READER, {"not-me": True, "to-me": False})
        tagged = Person("x", "ann+tag@here.example")
        self.check(evolve(FACTS, to=(tagged,)), READER, {"only-me": True})

    def test_a_list_and_its_mail(self) -> None:
        self.check(evolve(FACTS, is_list=True), READER, {"list": True, "list no": False})


class DecisionTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(conditions(), max_size=4),
        st.lists(conditions(), max_size=2),
        st.booleans(),
        st.text(max_size=50),
    )
    def test_every_condition_can_be_asked(
        self, when: list[Condition], unless: list[Condition], any_of: bool, text: str
    ) -> None:
        one = Rule("r", (Action("flag"),), tuple(when), tuple(unless), any_of, id=1)
        facts = evolve(FACTS, subject=text, read_text=lambda: text, header=lambda _: text)
        outcome = decide([one], facts, READER)
        asked = [fits(each, facts, READER) for each in when]
        applies = (any(asked) if any_of and asked else all(asked)) and not any(
            fits(each, facts, READER) for each in unless
        )
        self.assertEqual(outcome.flag, applies)

    def test_all_or_any(self) -> None:
        for any_of, expected in ((False, False), (True, True)):
            outcome = decide([rule(when="subject invoice & from bob", any_of=any_of)], FACTS, READER)
            self.assertIs(outcome.read, expected)

    def test_no_condition_is_every_message(self) -> None:
        for any_of in (False, True):
            self.assertTrue(decide([rule(any_of=any_of)], FACTS, READER).read)

    def test_an_exception_wins(self) -> None:
        one = evolve(rule(when="subject invoice"), exceptions=(condition_from("importance high"),))
        self.assertEqual(decide([one], FACTS, READER), Outcome())

    def test_the_first_place_counts_and_marks_add_up(self) -> None:
        rules = [
            rule(Action("category", value="A"), number=1),
            rule(Action("move", folder=5), Action("category", value="B"), number=2),
            rule(Action("delete"), Action("copy", folder=6), Action("flag"), number=3),
            rule(Action("importance", value="low"), Action("category", value="A"), number=4),
        ]
        outcome = decide(rules, FACTS, READER)
        self.assertEqual(outcome.applied, (1, 2, 3, 4))
        self.assertEqual((outcome.folder, outcome.delete), (5, False))
        self.assertEqual((outcome.copies, outcome.categories), ((6,), ("A", "B")))
        self.assertEqual((outcome.flag, outcome.read, outcome.importance), (True, False, 0))

    def test_stop_ends_it_where_the_rule_applied(self) -> None:
        rules = [
            rule(when="from bob", stop=True, number=1),
            rule(Action("flag"), stop=True, number=2),
            rule(Action("delete"), number=3),
        ]
        outcome = decide(rules, FACTS, READER)
        self.assertEqual((outcome.applied, outcome.delete, outcome.stopped), ((2,), False, True))

    def test_junk_is_shown_to_those_who_ask_for_it(self) -> None:
        rules = [rule(Action("move", folder=5), number=1), rule(Action("delete"), when="junk", number=2)]
        self.assertEqual(decide(rules, FACTS, evolve(READER, junk=True)).applied, (2,))
        self.assertEqual(decide(rules, FACTS, READER).applied, (1,))

    def test_forwards_know_their_rule(self) -> None:
        rules = [
            rule(Action("forward", to=("a@b.c",)), number=1),
            rule(Action("redirect", to=("d@e.f",)), number=2),
        ]
        outcome = decide(rules, FACTS, READER)
        self.assertEqual((outcome.forward, outcome.redirect), (((1, "a@b.c"),), ((2, "d@e.f"),)))

    def test_the_text_is_read_once_and_only_when_a_rule_asks(self) -> None:
        asked: list[int] = []

        def text() -> str:
            asked.append(1)
            return "hello"

        decide(
            [rule(when="subject invoice"), rule(when="from bob & body hello")],
            evolve(FACTS, read_text=text),
            READER,
        )
        self.assertEqual(asked, [])
        decide([rule(when="body hello")] * 20, evolve(FACTS, read_text=text), READER)
        self.assertEqual(asked, [1])

    def test_looks_into_the_text_are_bounded(self) -> None:
        needles = tuple(f"needle {n}" for n in range(60))
        rules = [Rule("r", (Action("flag"),), (Condition("body", "contains", needles),))] * 20
        last = rule(when="body pay", number=9)
        self.assertEqual(decide([*rules, last], FACTS, READER).applied, ())
        self.assertEqual(decide([*rules[:8], last], FACTS, READER).applied, (9,))

    def test_people_and_headers_cost_as_well(self) -> None:
        crowd = tuple(Person(f"person {n}", f"p{n}@x.example") for n in range(200))
        facts = evolve(FACTS, to=crowd, cc=crowd, header=lambda name: "x" * 80_000)
        values = tuple(f"nobody {n}" for n in range(64))
        last = rule(when="body pay", number=9)
        for condition in (
            Condition("recipient", "contains", values),
            Condition("to", "is", values),
            Condition("header", "contains", values, "x-kind"),
        ):
            costly = Rule("r", (Action("flag"),), (condition,))
            self.assertEqual(decide([last, *[costly] * 200], facts, READER).applied, (9,))
            self.assertEqual(decide([*[costly] * 200, last], facts, READER).applied, ())

    def test_a_rule_whose_exceptions_are_too_costly_deletes_nothing(self) -> None:
        needles = tuple(f"needle {n}" for n in range(60))
        costly = Rule("r", (Action("flag"),), (Condition("body", "contains", needles),))
        deadly = Rule("d", (Action("delete"),), (), (Condition("body", "contains", ("pay",)),))
        self.assertFalse(decide([deadly], FACTS, READER).delete)
        self.assertFalse(decide([*[costly] * 8, deadly], FACTS, READER).delete)
        self.assertFalse(decide([*[costly] * 20, deadly], FACTS, READER).delete)
