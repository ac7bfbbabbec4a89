"""Junk at the intake: for each reader, from lists, words, a filter and the senders that a mailbox knows."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail

from posthouse.daemon.lessons import learn_some
from posthouse.delivery.absence import AutoReply
from posthouse.delivery.blocklists import BlockLists
from posthouse.delivery.greylist import Greylist, network_of
from posthouse.delivery.judging import Judge
from posthouse.delivery.scanner import Finding
from posthouse.delivery.sending_on import SendingOn
from posthouse.delivery.sifting import Sifter
from posthouse.delivery.sorting import Sorter
from posthouse.delivery.traits import KnownTraits
from posthouse.dns.codec import Status
from posthouse.errors import ComeAgain, NotPermitted
from posthouse.junk.lists import parse_zone
from posthouse.model import Account, FolderType, Item
from posthouse.smtp.replies import reply_to_error
from posthouse.store import absence, allowance, folders, items, junk
from posthouse.store.absence import Absence, Message, State
from posthouse.store.junk import Listed
from tests.delivery.test_authentication import BODY, HEAD, MAIL, VerifierCase, with_signature
from tests.mailauth.test_arc import seal
from tests.mailauth.test_arc import zone as keys_of
from tests.support.store import NOW

PEER = "8.1.2.3"


def message(number: int, subject: str = "Hello", text: bytes = BODY, extra: bytes = b"") -> bytes:
    head = HEAD.replace(b"<1@", b"<%d@" % number).replace(b"Subject: Hello", b"Subject: " + subject.encode())
    return extra + head + b"\r\n" + text


class FakeScanner:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.asked: list[str] = []

    async def look(self, envelope: Any, message: Any, name: str) -> Finding | None:
        self.asked.append(name)
        found: Finding | None = await self.answer if isinstance(self.answer, Deferred) else self.answer
        return found


class JudgeCase(VerifierCase):
    def setUp(self) -> None:
        super().setUp()
        self.judge = Judge(self.db, self.pool, enough=3)
        self.traits = KnownTraits(self.db, self.clock.seconds)
        sorter = Sorter(SendingOn(self.reporter))
        self.sifter = Sifter(self.traits, sorter, self.pool, self.judge)
        self.intake.sifter = self.sifter
        self.zone.text("there.example", f"v=spf1 ip4:{PEER} -all")

    def arrive(
        self, data: bytes = MAIL, *to: str, sender: str = "far@there.example", peer: str = PEER
    ) -> Any:
        envelope = evolve(self.envelope(sender, *(to or ("bob@here.example",))), peer=peer)
        self.traits.forget()
        return self.intake.accept(envelope, self.spooled(data))

    def junk_of(self, account: Account) -> list[Item]:
        return self.items_in(
            self.db.read_now(lambda tx: folders.folder_of_role(tx, account.mailbox_id, "junk"))
        )

    def arrives(self, data: bytes = MAIL, *to: str, **more: Any) -> str:
        """Why it is junk for Bob; "" when it is not."""
        before = len(self.junk_of(self.bob))
        self.successResultOf(self.arrive(data, *to, **more))
        found = self.junk_of(self.bob)
        if len(found) == before:
            return ""
        line = next(one for one in found[-1].trace.split(b"\r\n") if one.startswith(b"X-Posthouse-Reason: "))
        return line.partition(b": ")[2].decode()

    def list_sender(self, name: str, how: Listed, account: Account | None = None) -> None:
        box = (account or self.bob).mailbox_id
        self.db.write_now(lambda tx: junk.list_sender(tx, box, name, how, NOW))

    def move(self, item: Item, role: str) -> None:
        def do(tx: Any) -> None:
            if role == "junk":
                to = folders.folder_of_role(tx, item.mailbox_id, "junk")
            else:
                to = folders.folder_of_type(tx, item.mailbox_id, FolderType.INBOX)
            items.move_item(tx, item, to)

        self.db.write_now(do)

    def learn(self) -> None:
        while True:
            step = Deferred.fromCoroutine(learn_some(self.db, self.clock, lambda: NOW))
            while not step.called:
                self.clock.advance(0)
            if not self.successResultOf(step):
                return


class SenderTests(JudgeCase):
    def test_a_blocked_sender_is_junk_for_who_blocked_him(self) -> None:
        self.list_sender("@there.example", Listed.BLOCKED)
        self.assertEqual(self.arrives(MAIL, "team@here.example"), "you blocked the sender")
        self.assertEqual((len(self.items(self.ann)), len(self.items(self.bob))), (1, 0))

    def test_a_safe_sender_is_safe_when_it_is_really_he(self) -> None:
        self.policy("p=none")
        self.list_sender("far@there.example", Listed.SAFE)
        self.judge.scanner = scanner = FakeScanner()
        scanner.answer = Finding(30.0, 15.0)
        self.assertEqual(self.arrives(), "")
        self.assertIn("the filter gives it", self.arrives(message(2), peer="9.9.9.9"))

    def test_dmarc_goes_first(self) -> None:
        self.policy("p=quarantine")
        self.list_sender("far@there.example", Listed.SAFE)
        self.elsewhere()
        self.assertIn("asks to put mail aside", self.arrives())

    def test_who_was_written_to_is_believed(self) -> None:
        self.policy("p=none")
        self.judge.scanner = scanner = FakeScanner()
        scanner.answer = Finding(15.0, 15.0)
        self.assertIn("the filter gives it 15.0 of 15.0", self.arrives())
        self.db.write_now(lambda tx: allowance.note(tx, self.bob.id, ["far@there.example"], NOW))
        self.assertEqual(self.arrives(message(2)), "")

    def test_moving_mail_teaches_who_sends_junk(self) -> None:
        for number in (1, 2):
            self.arrives(message(number))
        for item in self.items(self.bob):
            self.move(item, "junk")
        self.learn()
        self.assertEqual(self.arrives(message(3)), "you moved mail of the sender to Junk")
        self.move(self.junk_of(self.bob)[0], "inbox")
        self.learn()
        self.assertEqual(self.arrives(message(4)), "")

    def test_junk_is_not_answered_and_is_put_into_no_other_folder(self) -> None:
        self.intake.auto_reply = AutoReply(self.reporter)
        away = Absence(State.ON, unknown=Message(True, "I am away"))
        self.db.write_now(lambda tx: absence.set_absence(tx, self.bob.mailbox_id, away, NOW))
        self.list_sender("far@there.example", Listed.BLOCKED)
        self.arrives()
        self.assertEqual(self.queue(), [])
        self.list_sender("far@there.example", Listed.NO)
        self.arrives(message(2))
        self.assertEqual(len(self.queue()), 1)

    def test_nobody_is_answered_whose_address_may_be_forged(self) -> None:
        self.intake.auto_reply = AutoReply(self.reporter)
        away = Absence(State.ON, unknown=Message(True, "I am away"))
        self.db.write_now(lambda tx: absence.set_absence(tx, self.bob.mailbox_id, away, NOW))
        self.assertEqual(self.arrives(peer="9.9.9.9"), "")
        self.assertEqual((len(self.items(self.bob)), self.queue()), (1, []))
        # Forwarded mail keeps its signature, which is as good.
        self.policy("p=none")
        self.successResultOf(self.arrive(with_signature(), peer="9.9.9.9"))
        self.assertEqual([row.recipient for row in self.queue()], ["far@there.example"])


class WordTests(JudgeCase):
    SPAM = b"Cheap watches and pills, click https://pills.example/now to win money today\r\n"
    HAM = b"Shall we meet at the harbour on Tuesday to talk about the boat and the sails?\r\n"

    def teach(self) -> None:
        for number in range(8):
            kind, text = ("junk", self.SPAM) if number % 2 else ("good", self.HAM)
            sender = b"%s%d@x%d.example" % (kind.encode(), number, number)
            self.arrives(message(100 + number, text=text).replace(b"far@there.example", sender))
        for item in self.items(self.bob):
            self.move(item, "junk")
        self.learn()
        for item in self.junk_of(self.bob):
            if "good" in item.sender_address:
                self.move(item, "inbox")
        self.learn()

    def test_words_decide_once_enough_were_learned(self) -> None:
        spam, ham = message(1, "pills", self.SPAM), message(2, "boat", self.HAM)
        self.assertEqual(self.arrives(spam), "")
        self.teach()
        self.assertIn("its words are those of junk", self.arrives(message(3, "pills", self.SPAM)))
        self.assertEqual(self.arrives(ham), "")
        # Ann has learned nothing.
        self.arrives(message(4, "pills", self.SPAM), "ann@here.example")
        self.assertEqual(len(self.items(self.ann)), 1)

    def test_the_administrator_may_switch_it_off(self) -> None:
        self.teach()
        self.judge.words = False
        self.assertEqual(self.arrives(message(3, "pills", self.SPAM)), "")

    def test_a_message_in_a_file_is_judged_too(self) -> None:
        self.teach()
        data = message(3, "pills", self.SPAM * 4000)
        envelope = self.envelope("far@there.example", "bob@here.example")
        self.traits.forget()
        self.successResultOf(self.intake.accept(envelope, self.spooled(data, memory_limit=4096)))
        self.assertEqual(len(self.items_in(self.folder(self.bob))) + len(self.junk_of(self.bob)), 9)
        self.assertIn(b"words are those of junk", self.junk_of(self.bob)[-1].trace)


class ListTests(JudgeCase):
    def setUp(self) -> None:
        super().setUp()
        self.judge.lists = BlockLists(
            (parse_zone("zen.example=2-3:5"), parse_zone("six.example")), self.ask, self.clock
        )

    def test_a_listed_host_is_junk(self) -> None:
        self.zone.records["3.2.1.8.zen.example", "A"] = ("127.0.0.2",)
        self.assertEqual(self.arrives(), "the host is listed by zen.example")

    def test_another_code_is_no_listing(self) -> None:
        self.zone.records["3.2.1.8.zen.example", "A"] = ("127.0.0.10",)
        self.assertEqual(self.arrives(), "")

    def test_ipv6(self) -> None:
        asked = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.a.2.zen.example"
        self.zone.records[asked, "A"] = ("127.0.0.2",)
        self.assertRegex(self.arrives(peer="2a00::1"), "^the host is listed by zen.example")

    def test_dns_that_fails_lets_mail_in(self) -> None:
        self.zone.records["3.2.1.8.zen.example", "A"] = Status.FAILED
        self.held["3.2.1.8.six.example"] = fail(RuntimeError("resolver"))
        self.assertEqual(self.arrives(), "")

    def test_dns_that_is_slow_delays_mail_by_seconds_only(self) -> None:
        self.held["3.2.1.8.zen.example"] = Deferred()
        waiting = self.arrive()
        self.assertNoResult(waiting)
        self.clock.advance(4.1)
        self.successResultOf(waiting)
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_a_list_that_does_not_serve_us_is_named_in_the_log(self) -> None:
        self.zone.records["3.2.1.8.zen.example", "A"] = ("127.255.255.254",)
        self.assertEqual(self.arrives(), "")

    def test_our_own_users_and_hosts_are_not_asked_about(self) -> None:
        self.arrives(peer="127.0.0.1")
        self.accept(
            MAIL.replace(b"far@there.example", b"ann@here.example"),
            "ann@here.example",
            "bob@here.example",
            account=self.ann,
        )
        self.assertEqual([name for name, _ in self.zone.asked if "zen" in name or "six" in name], [])


class FilterTests(JudgeCase):
    def setUp(self) -> None:
        super().setUp()
        self.judge.scanner = self.scanner = FakeScanner()

    def test_a_filter_that_says_nothing_changes_nothing(self) -> None:
        self.assertEqual(self.arrives(), "")
        self.assertEqual(len(self.scanner.asked), 1)

    def test_what_it_rejects_is_junk_or_refused_as_the_administrator_wants(self) -> None:
        self.scanner.answer = Finding(20.0, 15.0, True)
        self.assertIn("the filter gives it 20.0 of 15.0", self.arrives())
        self.judge.reject = True
        error = self.failureResultOf(self.arrive(message(2)), NotPermitted).value
        self.assertEqual(reply_to_error(error).code, 550)
        self.assertEqual(len(self.junk_of(self.bob)), 1)

    def test_a_refused_message_does_not_wait_for_it(self) -> None:
        self.policy("p=reject")
        self.elsewhere()
        self.scanner.answer = waiting = Deferred()
        self.failureResultOf(self.arrive())
        waiting.addErrback(lambda _: None)
        self.assertTrue(waiting.called)


class GreylistTests(JudgeCase):
    def setUp(self) -> None:
        super().setUp()
        self.sifter.greylist = Greylist(self.db, 240)

    def test_a_stranger_is_told_to_come_again(self) -> None:
        error = self.failureResultOf(self.arrive(), ComeAgain).value
        self.assertRegex(reply_to_error(error).wire, b"^451 4.7.1 ")
        self.assertEqual(self.items(self.bob), [])
        self.clock.advance(100)
        self.failureResultOf(self.arrive(), ComeAgain)
        self.clock.advance(150)
        self.assertEqual(self.arrives(), "")
        # From the next host of the same network, too.
        self.assertEqual(self.arrives(message(2), peer="8.1.2.77"), "")
        self.failureResultOf(self.arrive(message(3), peer="8.1.3.1"), ComeAgain)

    def test_whom_the_reader_knows_does_not_wait_when_it_is_really_he(self) -> None:
        self.policy("p=none")
        self.db.write_now(lambda tx: allowance.note(tx, self.bob.id, ["far@there.example"], NOW))
        self.assertEqual(self.arrives(), "")
        self.failureResultOf(self.arrive(message(2), peer="9.9.9.9"), ComeAgain)

    def test_our_own_users_do_not_wait(self) -> None:
        data = MAIL.replace(b"far@there.example", b"ann@here.example")
        self.accept(data, "ann@here.example", "bob@here.example", account=self.ann)
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_networks(self) -> None:
        for peer, expected in (
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2a00:1:2:3:4::5", "2a00:1:2:3::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("nonsense", "nonsense"),
        ):
            self.assertEqual(network_of(peer), expected)


class ChainTests(JudgeCase):
    """Mail that a list changed, from a domain that wants such mail put aside."""

    def setUp(self) -> None:
        super().setUp()
        self.zone.records.update(keys_of("list.example", "two.example").records)
        self.elsewhere()

    def sealed(self, results: bytes = b"dmarc=pass header.from=there.example") -> bytes:
        return seal(MAIL, "list.example", results)

    def trust(self, *names: str) -> None:
        self.verifier.sealers = frozenset(names)

    def test_a_chain_of_somebody_we_do_not_know_changes_nothing(self) -> None:
        self.policy("p=quarantine")
        self.assertIn("asks to put mail aside", self.arrives(self.sealed()))
        self.assertIn(b"arc=pass (i=1 list.example)", self.junk_of(self.bob)[0].trace)

    def test_somebody_we_trust_vouches_for_it(self) -> None:
        self.policy("p=quarantine")
        self.trust("list.example")
        self.assertEqual(self.arrives(self.sealed()), "")
        self.assertIn(b"dmarc=fail", self.items(self.bob)[0].trace)

    def test_what_would_be_refused_is_junk(self) -> None:
        self.policy("p=reject")
        self.trust("list.example")
        self.assertIn("asks to put mail aside", self.arrives(self.sealed()))

    def test_every_sealer_has_to_be_trusted(self) -> None:
        self.policy("p=quarantine")
        self.trust("list.example")
        twice = seal(self.sealed(), "two.example", b"arc=pass")
        self.assertNotEqual(self.arrives(twice), "")
        self.trust("list.example", "two.example")
        self.assertEqual(self.arrives(seal(self.sealed(), "two.example", b"arc=pass;")), "")

    def test_what_the_first_host_did_not_see_nobody_vouches_for(self) -> None:
        self.policy("p=quarantine")
        self.trust("list.example")
        self.assertNotEqual(self.arrives(self.sealed(b"dmarc=fail header.from=there.example")), "")
        self.assertNotEqual(self.arrives(self.sealed().replace(b"Hello Bob", b"Hello Rob")), "")

    def test_a_signature_that_holds_needs_no_chain(self) -> None:
        self.policy("p=reject")
        self.assertEqual(self.arrives(with_signature()), "")


class NothingTests(JudgeCase):
    def test_where_nothing_is_known_the_store_is_not_asked(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.traits.of([self.bob.mailbox_id])))
        spy = _Spy(self.db)
        self.traits.database = spy
        self.successResultOf(Deferred.fromCoroutine(self.traits.of([self.bob.mailbox_id])))
        self.assertEqual(spy.reads, 0)
        self.clock.advance(6)
        self.successResultOf(Deferred.fromCoroutine(self.traits.of([self.bob.mailbox_id])))
        self.assertEqual(spy.reads, 1)


class _Spy:
    def __init__(self, database: Any) -> None:
        self.database = database
        self.reads = 0

    def read(self, function: Any) -> Deferred[Any]:
        self.reads += 1
        found: Deferred[Any] = self.database.read(function)
        return found
