"""What people type into a search box."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas import kql
from posthouse.errors import Malformed
from posthouse.store.matching import (
    DEPTH,
    LEAVES,
    All,
    Anyone,
    Between,
    In,
    Marked,
    Never,
    Node,
    Not,
    Words,
    matching,
)
from tests.support.store import make_account, make_database

#: Thursday
NOW = int(datetime(2026, 1, 1, 15, 30, tzinfo=UTC).timestamp() * 1000)


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]


def parse(text: str) -> Node:
    return kql.parse(text, NOW)


A, B, C = Words("a"), Words("b"), Words("c")


class ParseTests(SynchronousTestCase):
    def check(self, *cases: tuple[str, Node]) -> None:
        for text, expected in cases:
            self.assertEqual(parse(text), expected, text)

    def test_words_and_phrases(self) -> None:
        self.check(
            ("a", A),
            ("a b", All((A, B))),
            ('"a b" c', All((Words("a b"), C))),
            ("lunch*", Words("lunch")),
            ("re: a", All((Words("re"), A))),
            ("http://x/y", All((Words("http"), Words("//x/y")))),
            ("o'brien", Words("o'brien")),
            ("and", Words("and")),
        )

    def test_operators(self) -> None:
        self.check(
            ("a AND b", All((A, B))),
            ("a OR b", Anyone((A, B))),
            ("a b OR c", Anyone((All((A, B)), C))),
            ("a (b OR c)", All((A, Anyone((B, C))))),
            ("NOT a", Not(A)),
            ("NOT NOT a", A),
            ("a NOT b", All((A, Not(B)))),
            ("a -b +c", All((A, Not(B), C))),
            ("NOT (a OR b)", Not(Anyone((A, B)))),
            ("a-b", Words("a-b")),
        )

    def test_properties(self) -> None:
        self.check(
            ("from:a", In("from", "a")),
            ('Subject:"a b"', In("subject", "a b")),
            ('subject: "a"', In("subject", "a")),
            ("subject=a", In("subject", "a")),
            ("subject<>a", Not(In("subject", "a"))),
            ("body:a", A),
            ("participants:a", Anyone((In("from", "a"), In("to", "a"), In("cc", "a"), In("bcc", "a")))),
            ("from:(a OR b)", Anyone((In("from", "a"), In("from", "b")))),
            ("from:a from:b", Anyone((In("from", "a"), In("from", "b")))),
            ("from:a AND from:b", All((In("from", "a"), In("from", "b")))),
            ("from:a to:b", All((In("from", "a"), In("to", "b")))),
            ("hasattachment:yes", Marked("attachment", 1)),
            ("isread:false", Marked("read", 0)),
            ("isflagged<>true", Not(Marked("flagged", 1))),
            ("importance:high", Marked("importance", 2)),
            ("importance:immense", Words("importance immense")),
            ("kind:email a", All((All(()), A))),
            ("kind:contacts", Never()),
        )

    def test_dates(self) -> None:
        day, after = at(2025, 12, 24), at(2025, 12, 25)
        self.check(
            ("received:2025-12-24", Between("received", day, after)),
            ("received=12/24/2025", Between("received", day, after)),
            ("received>=2025-12-24", Between("received", day)),
            ("received>2025-12-24", Between("received", after)),
            ("received<2025-12-24", Between("received", None, day)),
            ("received<=2025-12-24", Between("received", None, after)),
            ("received<>2025-12-24", Not(Between("received", day, after))),
            ("received:2025-12-24..2025-12-31", Between("received", day, at(2026, 1, 1))),
            ("sent:2025", Between("sent", at(2025, 1, 1), at(2026, 1, 1))),
            ("received>=2025-12-24T10:30:00Z", Between("received", at(2025, 12, 24, 10, 30))),
            ("received:today", Between("received", at(2026, 1, 1), at(2026, 1, 2))),
            ("received:yesterday", Between("received", at(2025, 12, 31), at(2026, 1, 1))),
            ('received:"this week"', Between("received", at(2025, 12, 28), at(2026, 1, 4))),
            ('received:"last week"', Between("received", at(2025, 12, 21), at(2025, 12, 28))),
            ('received:"last month"', Between("received", at(2025, 12, 1), at(2026, 1, 1))),
            ('received:"this month"', Between("received", at(2026, 1, 1), at(2026, 2, 1))),
            ('received:"this year"', Between("received", at(2026, 1, 1), at(2027, 1, 1))),
            ('received:"last year"', Between("received", at(2025, 1, 1), at(2026, 1, 1))),
            ("received:2025-13-45", Words("received 2025-13-45")),
            ("received:soon", Words("received soon")),
        )

    def test_half_a_query_means_what_is_there(self) -> None:
        self.check(
            ("", Never()),
            ("  ", Never()),
            ('"', Never()),
            ("OR", Never()),
            ("NOT", Never()),
            ("subject:", Never()),
            ("...", Never()),
            ("()", Never()),
            ("a OR", A),
            ("AND a", A),
            ("(a", A),
            ("a)", A),
            (") a (", A),
            ('"a b', Words("a b")),
            ('subject:"5" wide"', All((In("subject", "5"), Words("wide")))),
            ("subject: a", A),
            ("a -- b", All((A, B))),
        )

    def test_what_ios_asks(self) -> None:
        """The query of iOS 18.4.1, as `eas` decodes it from the wire in the test of Find."""
        self.assertEqual(
            parse('to:"T" OR cc:"T" OR from:"T" OR subject:"T" OR "T" OR "T"'),
            Anyone(
                (In("to", "T"), In("cc", "T"), In("from", "T"), In("subject", "T"), Words("T"), Words("T"))
            ),
        )

    def test_limits(self) -> None:
        for text in (
            "x" * (kql.MOST_CHARACTERS + 1),
            "a " * (LEAVES + 1),
            "(" * DEPTH + "a" + ")" * DEPTH,
            "participants:(" + " ".join(f"w{number}" for number in range(20)) + ")",
        ):
            self.assertRaises(Malformed, parse, text)
        parse("NOT " * 500 + "a")

    pieces = st.sampled_from(
        (
            "from:",
            "received>",
            '"',
            "(",
            ")",
            "AND",
            "OR",
            "NOT",
            "-",
            "+",
            "*",
            "..",
            " ",
            "a",
            "2026-01-01",
            "é",
            ":",
            "today",
        )
    )

    @settings(max_examples=100, deadline=None)
    @given(
        st.text(max_size=60)
        | st.lists(pieces, max_size=40).map("".join)
        | st.lists(pieces, max_size=25).map(" ".join)
    )
    def test_anything_is_a_query_that_the_store_answers(self, text: str) -> None:
        """Pure noise and near misses: only `Malformed` is ever raised, and the tree is one that is searched."""
        try:
            node = parse(text)
            self.db.read_now(lambda tx: matching(tx, self.account.mailbox_id, node, [1], 5))
        except Malformed:
            pass

    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
