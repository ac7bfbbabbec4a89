"""Queries as trees: each kind of condition, and their joins."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.model import AttachmentInfo, Flag, FolderType, Item
from posthouse.store import matching as module
from posthouse.store import search
from posthouse.store.matching import (
    All,
    Anyone,
    Between,
    Conversation,
    Found,
    In,
    Marked,
    Never,
    Node,
    Not,
    Words,
    matching,
)
from tests.support.store import NOW, add, folder, make_account, make_database


class MatchingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.inbox = folder(self.db, self.account)
        self.sent = folder(self.db, self.account, FolderType.SENT)
        self.bread = self.item("Bread and butter", sender='"Ann Müller" <ann@far.net>', received=NOW)
        self.boat = self.item(
            "The boat", to="bread@shop.net", received=NOW + 1000, read=True, importance=2, text="an oar"
        )
        self.bill = self.item(
            "Bill",
            received=NOW - 1000,
            flag=Flag(status=2),
            categories=("Red bread",),
            has_attachments=True,
            attachments=(AttachmentInfo("2", "oven.pdf", "application/pdf", 5),),
            text="oven.pdf",
        )

    def item(self, subject: str, text: str = "", **fields: object) -> Item:
        made = add(self.db, self.inbox, subject, **fields)  # type: ignore[arg-type]
        words = "\n".join((made.subject, made.sender, made.to, text))
        rows = self.db.read_now(lambda tx: search.to_index(tx, 99))
        self.db.write_now(lambda tx: search.index(tx, [(row, words) for row in rows]))
        return made

    def ask(self, node: Node, limit: int = 100, offset: int = 0, where: list[int] | None = None) -> Found:
        folders = [self.inbox.id, self.sent.id] if where is None else where
        return self.db.read_now(
            lambda tx: matching(tx, self.account.mailbox_id, node, folders, limit, offset)
        )

    def found(self, node: Node) -> list[Item]:
        by_number = {item.number: item for item in (self.bread, self.boat, self.bill)}
        answer = self.ask(node)
        self.assertEqual(answer.total, len(answer.items))
        return [by_number[number] for number, _ in answer.items]

    def test_each_condition(self) -> None:
        bread, boat, bill = self.bread, self.boat, self.bill
        cases: tuple[tuple[Node, list[Item]], ...] = (
            (Words("bread"), [boat, bread]),
            (Words("bre"), [boat, bread]),
            (Words("and butt"), [bread]),
            (Words("butter and"), []),
            (In("subject", "bread"), [bread]),
            (In("to", "BREAD"), [boat]),
            (In("from", "muller"), [bread]),
            (In("from", "ann mul"), [bread]),
            (In("from", "uller"), []),
            (In("attachment", "oven"), [bill]),
            (In("category", "red"), [bill]),
            (Between("received", NOW), [boat, bread]),
            (Between("received", None, NOW), [bill]),
            (Between("received", NOW, NOW + 1), [bread]),
            (Between("sent"), [boat, bread, bill]),
            (Marked("read", 1), [boat]),
            (Marked("attachment", 1), [bill]),
            (Marked("flagged", 1), [bill]),
            (Marked("importance", 2), [boat]),
            (Marked("draft", 1), []),
            (Conversation(bread.conversation), [bread]),
            (Never(), []),
            (All(()), [boat, bread, bill]),
            (Anyone(()), []),
            (Not(Words("bread")), [bill]),
            (All((Words("bread"), Not(In("subject", "bread")))), [boat]),
            (All((Words("bread"), Marked("read", 0))), [bread]),
            (All((Words("bread"), Never())), []),
            (Anyone((Words("butter"), Marked("flagged", 1))), [bread, bill]),
            (Anyone((In("to", "bread"), In("from", "ann"))), [boat, bread]),
            (
                Anyone((In("to", "bread"), In("subject", "bread"), Words("bread"), Words("bread"))),
                [boat, bread],
            ),
            (Anyone((All((Words("oar"), Words("boat"))), In("category", "red"))), [boat, bill]),
            (Not(Not(Words("oar"))), [boat]),
            (Words("..."), []),
            (All((Words("oar"), Words("-"))), []),
            (Words('" OR words : "bill'), []),
        )
        for node, expected in cases:
            self.assertEqual(self.found(node), expected, node)

    def test_pages_are_newest_first_and_know_the_total(self) -> None:
        first = self.ask(Words("b"), 2)
        self.assertEqual(
            first, Found(((self.boat.number, self.inbox.number), (self.bread.number, self.inbox.number)), 3)
        )
        self.assertEqual(self.ask(Words("b"), 2, 2), Found(((self.bill.number, self.inbox.number),), 3))
        self.assertEqual(self.ask(Words("b"), 2, 5), Found((), 3))

    def test_other_folders_and_mailboxes_are_not_looked_into(self) -> None:
        self.assertEqual(self.ask(Words("bread"), where=[self.sent.id]).total, 0)
        self.assertEqual(self.ask(Words("bread"), where=[]).total, 0)
        other = make_account(self.db, "o@example.org")
        found = self.db.read_now(
            lambda tx: matching(tx, other.mailbox_id, Words("bread"), [self.inbox.id], 9)
        )
        self.assertEqual(found.total, 0)

    def test_what_is_too_complex_is_refused(self) -> None:
        deep: Node = Words("a")
        for _ in range(module.DEPTH):
            deep = Not(deep)
        wide = Anyone(tuple(Words(f"w{number}") for number in range(module.LEAVES + 1)))
        for node in (deep, wide):
            self.assertRaises(Malformed, self.ask, node)
        self.assertEqual(self.ask(Anyone(wide.of[1:])).total, 0)

    texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
        ('"', "*", "NEAR(", "^a")
    )
    leaves = st.one_of(
        st.builds(Words, texts),
        st.builds(In, st.sampled_from(sorted(module.HEADERS)), texts),
        st.builds(Between, st.sampled_from(("received", "sent")), st.none() | st.integers(0, 1 << 50)),
        st.builds(Marked, st.sampled_from(("read", "draft", "flagged")), st.integers(0, 2)),
        st.just(Never()),
    )

    @settings(max_examples=80, deadline=None)
    @given(
        st.recursive(
            leaves,
            lambda inner: (
                st.builds(Not, inner)
                | st.builds(All, st.lists(inner, max_size=3).map(tuple))
                | st.builds(Anyone, st.lists(inner, max_size=3).map(tuple))
            ),
            max_leaves=8,
        )
    )
    def test_any_tree_is_answered_and_not_is_the_rest(self, node: Node) -> None:
        """Whatever the index narrowed: what fits and what does not are all there is."""
        try:
            fits = {number for number, _ in self.ask(node).items}
            rest = {number for number, _ in self.ask(Not(node)).items}
        except Malformed:
            return
        self.assertEqual(fits | rest, {self.bread.number, self.boat.number, self.bill.number})
        self.assertEqual(fits & rest, set())
