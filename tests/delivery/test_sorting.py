"""Rules at work: in the transaction that delivers, whichever way the message came."""

from __future__ import annotations

from typing import Any

from posthouse.delivery import sorting
from posthouse.delivery.absence import AutoReply
from posthouse.delivery.holding import Holding
from posthouse.delivery.message import message_of
from posthouse.delivery.sending_on import MAX_ATTACHED, SendingOn, stays_here
from posthouse.delivery.sifting import Sifter
from posthouse.delivery.sorting import Letter, Sorter, trial
from posthouse.delivery.srs import is_rewritten
from posthouse.delivery.traits import KnownTraits
from posthouse.model import Account, Folder, FolderType, Item, MailGroup, Recipient, evolve
from posthouse.rules.form import form_of, rule_from
from posthouse.rules.model import Rule
from posthouse.rules.phrases import action_form, condition_from
from posthouse.store import absence, accounts, allowance, bodies, conversations, folders, groups, rules
from posthouse.store.absence import Absence, Message, State
from posthouse.store.allowance import Allowance
from posthouse.store.delivery import Copy
from tests.delivery.house import PLAIN, HouseCase
from tests.support.store import NOW

FAR = PLAIN.replace(b"From: Ann <ann@here.example>", b"From: Far <far@there.example>")
SENDER = "far@there.example"


class SortingCase(HouseCase):
    """Bob has folders Work and Play."""

    def setUp(self) -> None:
        super().setUp()
        self.sending_on = SendingOn(self.reporter, Allowance(20, 0))
        self.traits = KnownTraits(self.db, self.clock.seconds)
        self.sifter = Sifter(self.traits, Sorter(self.sending_on), self.pool)
        self.intake.sifter = self.submission.sifter = self.sifter
        self.work, self.play = self.make("Work"), self.make("Play")

    def make(self, name: str) -> Folder:
        made: Folder = self.db.write_now(
            lambda tx: folders.create_folder(tx, self.bob.mailbox_id, 0, name, FolderType.USER_MAIL, NOW)
        )
        return made

    def rule(
        self, *do: str, when: tuple[str, ...] = (), stop: bool = False, of: Account | None = None
    ) -> int:
        owner = of or self.bob
        actions = []
        for text in do:
            action = action_form(text)
            if "folder" in action:
                action["folder"] = {"Work": self.work, "Play": self.play}[action["folder"]].number
            actions.append(action)
        conditions = form_of(Rule("x", (), tuple(map(condition_from, when))))["conditions"]
        form: dict[str, Any] = {"name": "r", "conditions": conditions, "actions": actions, "stop": stop}
        kept = self.db.write_now(lambda tx: rules.add_rule(tx, owner.mailbox_id, rule_from(form), NOW))
        self.traits.forget()
        return int(kept.id)

    def arrive(self, data: bytes = FAR, to: str = "bob@here.example", **more: Any) -> None:
        self.accept(data, SENDER, to, **more)

    def one(self, folder: Folder) -> Item:
        (item,) = self.items_in(folder)
        return item


class PlaceTests(SortingCase):
    def test_a_message_goes_where_a_rule_wants_it(self) -> None:
        self.rule(
            "move Work", "read", "flag", "category Blue", "importance low", when=("from is @there.example",)
        )
        self.arrive()
        item = self.one(self.work)
        self.assertEqual(self.items(self.bob), [])
        self.assertTrue(item.read)
        self.assertEqual((item.categories, item.importance), (("Blue",), 0))
        assert item.flag is not None
        self.assertEqual(item.flag.status, 2)
        folder = self.db.read_now(lambda tx: folders.folder_by_id(tx, self.work.id))
        assert folder is not None
        self.assertEqual((folder.total, folder.unread), (1, 0))

    def test_the_other_recipients_see_nothing_of_it(self) -> None:
        self.rule("move Work", "category Blue")
        self.arrive(to="team@here.example")
        (hers,) = self.items(self.ann)
        self.assertEqual((hers.categories, hers.read, hers.flag), ((), False, None))
        self.assertEqual(self.one(self.work).categories, ("Blue",))

    def test_a_message_that_no_rule_means_stays_in_the_inbox(self) -> None:
        self.rule("move Work", when=("subject lottery",))
        self.arrive()
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_copies_lie_beside_it(self) -> None:
        self.rule("copy Work", "copy Play", "category Blue")
        self.arrive()
        self.assertEqual([len(self.items(self.bob)), len(self.items_in(self.work))], [1, 1])
        self.assertEqual(self.one(self.play).categories, ("Blue",))
        # A repeat makes none of them again.
        self.arrive()
        self.assertEqual([len(self.items(self.bob)), len(self.items_in(self.work))], [1, 1])

    def test_deleted_is_in_deleted_items(self) -> None:
        self.rule("delete")
        self.arrive()
        self.assertEqual(len(self.items(self.bob, FolderType.DELETED)), 1)
        self.assertEqual(self.items(self.bob), [])

    def test_the_text_is_looked_at_also_in_a_large_message(self) -> None:
        self.rule("move Work", when=("body hello bob",))
        self.arrive()
        self.assertEqual(len(self.items_in(self.work)), 1)
        large = FAR.replace(b"<1@", b"<2@") + b"x" * 70 + b"\r\n"
        large += (b"y" * 70 + b"\r\n") * 5000
        envelope = self.envelope(SENDER, "bob@here.example")
        self.successResultOf(self.intake.accept(envelope, self.spooled(large, memory_limit=4096)))
        self.assertEqual(len(self.items_in(self.work)), 2)

    def test_mail_of_colleagues_is_sorted_too(self) -> None:
        self.rule("move Work", when=("from ann", "body hello"))
        self.submit(PLAIN)
        self.assertEqual(len(self.items_in(self.work)), 1)
        self.accept(PLAIN, "ann@here.example", "bob@here.example", account=self.ann)
        self.assertEqual(len(self.items_in(self.work)), 2)

    def test_rules_that_break_keep_no_mail_away(self) -> None:
        self.rule("move Work")
        self.patch(sorting, "decide", lambda *_: 1 / 0)
        self.arrive()
        self.assertEqual(len(self.items(self.bob)), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_folder_that_vanished_switches_the_rule_off(self) -> None:
        self.rule("move Work", "flag")
        self.db.write_now(
            lambda tx: tx.execute("UPDATE folder SET deleted = 1 WHERE id = ?", (self.work.id,))
        )
        self.arrive()
        (item,) = self.items(self.bob)
        self.assertIsNotNone(item.flag)
        (kept,) = self.db.read_now(lambda tx: rules.rules_of(tx, self.bob.mailbox_id))
        self.assertEqual((kept.enabled, bool(kept.problem)), (False, True))

    def test_what_a_rule_deleted_does_not_follow_its_conversation(self) -> None:
        self.arrive(FAR.replace(b"<1@", b"<0@"))
        (first,) = self.items(self.bob)
        self.db.write_now(lambda tx: conversations.keep_rule(tx, first.conversation, self.play, NOW))
        self.rule("delete")
        self.arrive(FAR.replace(b"Subject:", b"References: <0@here.example>\r\nSubject:"))
        self.assertEqual(len(self.items(self.bob, FolderType.DELETED)), 1)

    def test_somebody_who_is_away_answers_what_a_rule_moved(self) -> None:
        self.intake.auto_reply = AutoReply(self.reporter)
        away = Absence(State.ON, unknown=Message(True, "I am away"))
        self.db.write_now(lambda tx: absence.set_absence(tx, self.bob.mailbox_id, away, NOW))
        self.rule("move Work", "copy Play")
        self.arrive()
        self.assertEqual([row.recipient for row in self.queue()], [SENDER])

    def test_a_change_counts_within_seconds_and_at_once_when_told(self) -> None:
        self.arrive(FAR.replace(b"<1@", b"<0@"))
        number = self.rule("move Work")
        self.arrive()
        self.assertEqual(len(self.items_in(self.work)), 1)
        self.db.write_now(lambda tx: rules.enable_rule(tx, self.bob.mailbox_id, number, False))
        self.arrive(FAR.replace(b"<1@", b"<2@"))
        self.assertEqual(len(self.items_in(self.work)), 1)
        self.db.write_now(lambda tx: rules.enable_rule(tx, self.bob.mailbox_id, number, True))
        self.clock.advance(6)
        self.arrive(FAR.replace(b"<1@", b"<3@"))
        self.assertEqual(len(self.items_in(self.work)), 2)


class SendingOnTests(SortingCase):
    def test_a_redirected_message_is_the_same_message(self) -> None:
        self.rule("redirect else@there.example")
        self.arrive()
        (row,) = self.queue()
        self.assertEqual(row.recipient, "else@there.example")
        self.assertTrue(is_rewritten(row.sender) and row.sender.endswith("@here.example"))
        (item,) = self.items(self.bob)
        self.assertEqual(row.body_id, item.body_id)
        self.assertIn(b"Delivered-To: bob@here.example\r\n", row.trace)
        self.assertIn(b"Resent-From: Bob <bob@here.example>\r\n", row.trace)
        self.assertNotIn(b"Return-Path", row.trace)
        self.assertIsNone(row.account_id)

    def test_a_forwarded_message_is_attached_to_one_of_the_users(self) -> None:
        self.rule("forward else@there.example")
        self.arrive()
        (row,) = self.queue()
        self.assertEqual((row.sender, row.account_id), ("bob@here.example", self.bob.id))
        data = self.db.read_now(lambda tx: bodies.read_body(tx, row.body_id))
        for text in (
            b"From: Bob <bob@here.example>",
            b"Subject: Fwd: Hello",
            b"Auto-Submitted: auto-generated",
            b"message/rfc822",
            b"From: Far <far@there.example>",
        ):
            self.assertIn(text, data)

    def test_what_came_under_requiretls_goes_on_under_it(self) -> None:
        self.rule("redirect else@there.example", "forward other@there.example")
        self.accept(FAR, "far@there.example", "bob@here.example", require_tls=True)
        self.assertEqual([row.require_tls for row in self.queue()], [True, True])

    def test_of_a_large_message_the_header_is_forwarded(self) -> None:
        self.rule("forward else@there.example")
        self.arrive(FAR + (b"z" * 70 + b"\r\n") * (MAX_ATTACHED // 70))
        (row,) = self.queue()
        self.assertLess(row.size, 5000)

    def test_colleagues_get_it_in_their_inbox_and_rules_do_not_run_in_circles(self) -> None:
        self.rule("redirect ann@here.example")
        self.rule("redirect bob@here.example", of=self.ann)
        self.arrive()
        self.assertEqual([len(self.items(self.bob)), len(self.items(self.ann))], [1, 1])
        self.assertEqual(self.items(self.ann)[0].subject, "Hello")

    def test_to_oneself_is_nothing(self) -> None:
        self.rule("redirect bob+x@here.example", "forward bob@here.example")
        self.arrive()
        self.assertEqual((len(self.items(self.bob)), self.queue()), (1, []))

    def test_what_stays_here(self) -> None:
        self.rule("redirect else@there.example", "forward other@there.example")
        for what, data, sender in (
            ("a loop", b"Delivered-To: bob+x@here.example\r\n" + FAR, SENDER),
            ("a list", b"List-Id: <a.b>\r\n" + FAR, SENDER),
            ("bulk", b"Precedence: bulk\r\n" + FAR, SENDER),
            ("an answer", b"Auto-Submitted: auto-replied\r\n" + FAR, SENDER),
            ("a report", FAR, ""),
        ):
            self.accept(data, sender, "bob@here.example")
            self.assertEqual(self.queue(), [], what)
        self.assertEqual(len(self.items(self.bob)), 5)
        # A bill that a machine sends may be redirected, not forwarded.
        self.arrive(b"Auto-Submitted: auto-generated\r\n" + FAR)
        self.assertEqual([row.recipient for row in self.queue()], ["else@there.example"])

    def test_junk_stays_here(self) -> None:
        message = message_of(FAR)
        letter = Letter(message, message.draft(NOW), SENDER, b"")
        copy = Copy(self.bob.mailbox_id, "bob@here.example", role="junk")
        self.assertEqual(stays_here(letter, copy, frozenset(), True), "junk")

    def test_rules_use_half_of_what_the_account_may_send(self) -> None:
        self.rule("redirect else@there.example")
        for number in range(15):
            self.arrive(FAR.replace(b"<1@", b"<%d@" % number))
        self.assertEqual(len(self.queue()), 10)
        self.assertEqual(len(self.items(self.bob)), 15)
        # The user's own letters still go.
        self.db.read_now(lambda tx: allowance.check(tx, self.bob.id, ["x@y.example"] * 5, Allowance(20), NOW))

    def test_a_rule_does_not_write_to_a_group(self) -> None:
        self.db.write_now(
            lambda tx: groups.add_group(
                tx, MailGroup("crew@here.example", "Crew"), ["ann@here.example", "bob@here.example"], NOW
            )
        )
        self.rule("redirect crew@here.example")
        self.arrive()
        self.assertEqual((len(self.items(self.ann)), len(self.items(self.bob))), (0, 1))

    def test_a_full_mailbox_takes_nothing_from_a_rule(self) -> None:
        self.db.write_now(lambda tx: accounts.set_quota(tx, self.ann.mailbox_id, 100))
        self.rule("redirect ann@here.example", "forward ann@here.example")
        self.arrive()
        self.assertEqual(len(self.items(self.ann)), 1)  # what fills it is the last
        self.arrive(FAR.replace(b"<1@", b"<2@"))
        self.assertEqual((len(self.items(self.ann)), len(self.items(self.bob))), (1, 2))

    def test_a_held_message_that_a_rule_sends_on_keeps_to_tls(self) -> None:
        self.rule("redirect else@there.example")
        recipients = (Recipient("bob@here.example", (self.bob.mailbox_id,)),)
        envelope = evolve(
            self.envelope("ann@here.example", account=self.ann, require_tls=True),
            recipients=recipients,
            hold_until=self.now() + 5000,
        )
        self.successResultOf(self.intake.accept(envelope, self.spooled(PLAIN)))
        holding = Holding(self.submission, self.clock)
        holding.start()
        self.clock.pump([0.0, 6.0, 0.0, 0.01])
        self.assertEqual([row.require_tls for row in self.queue()], [True])

    def test_a_repeat_is_not_sent_on_again(self) -> None:
        self.rule("redirect else@there.example")
        self.arrive()
        self.arrive()
        self.assertEqual(len(self.queue()), 1)

    def test_nobody_there_is_no_reason_to_refuse_mail(self) -> None:
        self.rule("redirect ghost@here.example", "forward ghost@here.example")
        self.arrive()
        self.assertEqual((len(self.items(self.bob)), self.queue()), (1, []))


class TrialTests(SortingCase):
    def test_rules_are_tried_on_what_is_there(self) -> None:
        self.arrive()
        (item,) = self.items(self.bob)
        number = self.rule("move Work", when=("body hello", "from @there.example", "recipient bob"))
        found = self.db.read_now(lambda tx: trial(tx, self.bob, item.number))
        assert found is not None
        self.assertEqual((found.applied, found.folder), ((number,), self.work.number))
        self.assertEqual(len(self.items(self.bob)), 1)
        self.assertIsNone(self.db.read_now(lambda tx: trial(tx, self.bob, 999)))
        self.assertIsNone(self.db.read_now(lambda tx: trial(tx, self.ann, item.number)))
