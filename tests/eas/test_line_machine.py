"""Two phones of one account on a bad line, and somebody at a desk who works in the same mailbox.

Sync, FolderSync, the folder commands, MoveItems, SendMail, SmartReply and Ping together. Whatever is lost, sent twice
or brought up from long ago: nothing is shown twice, nobody sleeps over news, every letter leaves once, and when
all is quiet both phones show what there is.
"""

from __future__ import annotations

import os
import re
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import PosthouseError
from posthouse.model import Flag, FolderType, Item
from posthouse.store import folders, items
from posthouse.wbxml.tags import FolderHierarchy
from posthouse.wbxml.tree import E
from tests.eas.line import FAR, FRIEND, Handset, House, shown

PHONES = st.integers(0, 1)
PICK = st.integers(0, 1000)
FATES = st.sampled_from(["okay", "okay", "okay", "answer", "request", "twice", "breaks"])
FILTERS = st.sampled_from([0, 1, 3])


class LineMachine(RuleBasedStateMachine):
    """``sent``: letters of which a phone was told that they are sent. ``lost``: the others that were let go."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.phones = [Handset(self.house, "PHONE", "16.1"), Handset(self.house, "TABLET", "14.1")]
        self.serial = 0
        self.sent: list[tuple[str, str]] = []
        self.let_go: list[str] = []

    @initialize(
        mails=st.integers(0, 8), rounds=st.integers(0, 2), version=st.sampled_from(["12.1", "14.1", "16.0"])
    )
    def begin(self, mails: int, rounds: int, version: str) -> None:
        self.phones[1] = Handset(self.house, "TABLET", version)
        for _ in range(mails):
            self.house.deliver(self.word("mail"), self.house.mail_folders()[0], age=self.serial * 1000)
        for phone in self.phones:
            phone.folder_sync()
            for _ in range(rounds):
                phone.sync(phone.mail_folders(), 5)

    def word(self, what: str) -> str:
        self.serial += 1
        return f"{what} {self.serial}"

    # -- somebody at a desk

    def some_item(self, pick: int) -> Item | None:
        found = self.house.all_items()
        return found[pick % len(found)] if found else None

    @rule(pick=PICK, age=st.integers(0, 9))
    def mail_arrives(self, pick: int, age: int) -> None:
        self.house.clock.advance(1)
        places = self.house.mail_folders()
        self.house.deliver(self.word("mail"), places[pick % len(places)], age * 20 * 3_600_000)

    @rule(
        pick=PICK, what=st.sampled_from(["read", "unread", "flag", "clear", "categories", "verb", "delete"])
    )
    def somebody_changes(self, pick: int, what: str) -> None:
        item = self.some_item(pick)
        if item is None:
            return
        acts = {
            "read": lambda tx: items.set_read(tx, item, True),
            "unread": lambda tx: items.set_read(tx, item, False),
            "flag": lambda tx: items.set_flag(tx, item, Flag(2, "Follow up")),
            "clear": lambda tx: items.set_flag(tx, item, None),
            "categories": lambda tx: items.set_categories(tx, item, (self.word("c"),)),
            "verb": lambda tx: items.set_verb(tx, item, 1 + pick % 3, 1),
            "delete": lambda tx: items.delete_item(tx, item),
        }
        self.house.do(acts[what])

    @rule(pick=PICK, to=PICK)
    def somebody_moves(self, pick: int, to: int) -> None:
        item = self.some_item(pick)
        places = self.house.mail_folders()
        if item is not None and places[to % len(places)].id != item.folder_id:
            self.house.do(lambda tx: items.move_item(tx, item, places[to % len(places)]))

    @rule(pick=PICK, what=st.sampled_from(["create", "rename", "delete", "nest"]))
    def somebody_tidies(self, pick: int, what: str) -> None:
        mailbox = self.house.ann.mailbox_id
        own = [one for one in self.house.folders() if one.type == FolderType.USER_MAIL]
        place = own[pick % len(own)] if own else None
        kind = FolderType.USER_MAIL
        try:
            if what == "create" or place is None:
                self.house.do(lambda tx: folders.create_folder(tx, mailbox, 0, self.word("f"), kind, 1))
            elif what == "nest":
                self.house.do(
                    lambda tx: folders.create_folder(tx, mailbox, place.number, self.word("f"), kind, 1)
                )
            elif what == "rename":
                self.house.do(lambda tx: folders.rename_folder(tx, place, self.word("f"), 0))
            else:
                self.house.do(lambda tx: folders.delete_folder(tx, place))
        except PosthouseError:
            pass

    # -- the phones and their users

    @rule(which=PHONES, fate=FATES)
    def looks_at_the_folders(self, which: int, fate: str) -> None:
        self.phones[which].folder_sync(fate)

    @rule(which=PHONES, pick=PICK, what=st.sampled_from(["create", "rename", "delete"]), fate=FATES)
    def makes_order(self, which: int, pick: int, what: str, fate: str) -> None:
        phone, tags = self.phones[which], FolderHierarchy
        if phone.folder_key == "0":
            return
        own = [number for number, (_, _, kind) in sorted(phone.folders.items()) if kind == 12]
        name, key = self.word("p"), E(tags.SyncKey, phone.folder_key)
        parent = E(tags.ParentId, "0")
        if what == "create" or not own:
            title = E(tags.DisplayName, name)
            request = E(tags.FolderCreate, key, parent, title, E(tags.Type, 12))

            def created(answer: object) -> None:
                number = answer.text(tags.ServerId)  # type: ignore[attr-defined]
                assert number not in phone.folders
                phone.folders[number] = ("0", name, 12)

            phone.folder_command("FolderCreate", request, fate, created)
            return
        number = own[pick % len(own)]
        if what == "rename":
            request = E(tags.FolderUpdate, key, E(tags.ServerId, number), parent, E(tags.DisplayName, name))
            phone.folder_command(
                "FolderUpdate", request, fate, lambda _: phone.folders.update({number: ("0", name, 12)})
            )
            return

        def deleted(_: object) -> None:
            inside = {number}
            while more := {n for n, (up, _, _) in phone.folders.items() if up in inside} - inside:
                inside |= more
            for one in inside:
                phone.folders.pop(one)
                phone.forget(one)
            phone.cleared = True

        phone.folder_command(
            "FolderDelete", E(tags.FolderDelete, key, E(tags.ServerId, number)), fate, deleted
        )

    @rule(
        which=PHONES,
        picks=st.lists(PICK, min_size=1, max_size=4),
        window=st.integers(1, 6),
        fate=FATES,
        hang=st.sampled_from([0, 0, 300]),
        changes=st.sampled_from([True, True, False]),
        partial=st.booleans(),
    )
    def synchronises(
        self, which: int, picks: list[int], window: int, fate: str, hang: int, changes: bool, partial: bool
    ) -> None:
        phone = self.phones[which]
        known = phone.mail_folders()
        if known:
            names = list(dict.fromkeys(known[pick % len(known)] for pick in picks))
            partial = partial and changes and phone.can_repeat()
            phone.sync(names, window, fate, hang if changes else 0, changes, partial)

    @rule(which=PHONES, fate=FATES)
    def synchronises_without_a_word(self, which: int, fate: str) -> None:
        if self.phones[which].can_repeat():
            self.phones[which].sync_empty(fate)

    @rule(which=PHONES, pick=PICK, kind=FILTERS)
    def its_user_wants_less_or_more(self, which: int, pick: int, kind: int) -> None:
        phone = self.phones[which]
        known = phone.mail_folders()
        if known:
            phone.filters[known[pick % len(known)]] = kind

    @rule(which=PHONES, fate=FATES)
    def its_user_empties_the_trash(self, which: int, fate: str) -> None:
        phone = self.phones[which]
        for name in [one for one, (_, _, kind) in phone.folders.items() if kind == 4]:
            phone.empty(name, fate)

    @rule(which=PHONES, pick=PICK, what=st.sampled_from(["read", "flag", "delete"]), value=st.booleans())
    def its_user_changes(self, which: int, pick: int, what: str, value: bool) -> None:
        phone = self.phones[which]
        held = phone.holds()
        if not held:
            return
        name, number = held[pick % len(held)]
        if what == "delete":
            phone.remove(name, number)
        elif what == "read":
            phone.mark(name, number, "read", "1" if value else "0")
        else:
            phone.mark(name, number, "flag", "2" if value else "")

    @rule()
    def its_user_writes_a_draft(self) -> None:
        phone = self.phones[0]
        name = next((one for one, (_, _, kind) in phone.folders.items() if kind == 3), "")
        if phone.keys.get(name, "0") != "0":
            phone.write_draft(name, self.word("draft"))

    @rule(which=PHONES, pick=PICK, sends=st.booleans())
    def its_user_goes_on_with_a_draft(self, which: int, pick: int, sends: bool) -> None:
        phone = self.phones[which]
        name = next((one for one, (_, _, kind) in phone.folders.items() if kind == 3), "")
        held = sorted(
            n for n, one in phone.mirror.get(name, {}).items() if one["subject"].startswith("draft")
        )
        if held and phone.version >= "16":
            if sends:
                phone.send_draft(name, held[pick % len(held)])
            else:
                phone.mark(name, held[pick % len(held)], "subject", self.word("draft"))

    @rule(which=PHONES, picks=st.lists(PICK, min_size=1, max_size=3, unique=True), to=PICK, fate=FATES)
    def its_user_moves(self, which: int, picks: list[int], to: int, fate: str) -> None:
        phone = self.phones[which]
        held, places = phone.holds(), phone.mail_folders()
        if held and places:
            target = places[to % len(places)]
            chosen = list(dict.fromkeys(held[pick % len(held)] for pick in picks))
            chosen = [one for one in chosen if one[0] != target]
            if chosen:
                phone.move(chosen, target, fate)

    @rule(
        which=PHONES,
        pick=PICK,
        kind=st.sampled_from(["new", "reply", "replace"]),
        far=st.booleans(),
        fate=FATES,
    )
    def its_user_writes(self, which: int, pick: int, kind: str, far: bool, fate: str) -> None:
        phone = self.phones[which]
        if phone.old:
            return  # without a ClientId nobody can tell a repetition from a second letter
        held = phone.holds()
        subject, to = self.word("letter"), FAR if far else FRIEND
        if kind == "new" or not held:
            phone.compose(subject, to)
        else:
            phone.compose(subject, to, held[pick % len(held)], kind == "replace")
        self.try_outbox(phone, fate)

    @precondition(lambda self: any(phone.outbox for phone in self.phones))
    @rule(fate=FATES)
    def its_outbox_is_tried(self, fate: str) -> None:
        self.try_outbox(next(phone for phone in self.phones if phone.outbox), fate)

    def try_outbox(self, phone: Handset, fate: str) -> None:
        letter = phone.outbox[0]
        status = phone.post_letter(letter, fate)
        if status is None:
            return
        there = letter.subject in self.house.subjects(self.house.ann, FolderType.SENT)
        if status in (0, 118):
            self.sent.append(
                (letter.subject, letter.mime.partition(b"To: ")[2].partition(b"\r\n")[0].decode())
            )
        else:
            # The original is gone. Then nothing was sent before either, or the user would send it again.
            assert status == 150, f"status {status}"
            assert letter.original[0], "a new letter has no original"
            assert not there, "it was sent, and the phone was told that it was not"
            self.let_go.append(letter.subject)
        phone.outbox.pop(0)

    @precondition(lambda self: any(phone.outbox and phone.outbox[0].original[0] for phone in self.phones))
    @rule(moves=st.booleans())
    def the_original_goes(self, moves: bool) -> None:
        """What a letter in an outbox answers to is deleted or moved, perhaps after the answer was sent."""
        wanted = {phone.outbox[0].original[1] for phone in self.phones if phone.outbox}
        for item in [one for one in self.house.all_items() if str(one.number) in wanted]:
            place = next(one for one in self.house.mail_folders() if one.id != item.folder_id)
            if moves:
                self.house.do(lambda tx, item=item, place=place: items.move_item(tx, item, place))
            else:
                self.house.do(lambda tx, item=item: items.delete_item(tx, item))

    @rule(which=PHONES, picks=st.lists(PICK, min_size=1, max_size=4))
    def waits_for_news(self, which: int, picks: list[int]) -> None:
        phone = self.phones[which]
        known = [one for one in phone.mail_folders() if phone.keys.get(one, "0") != "0"]
        if known and phone.sure and not phone.unsure:
            phone.ping(list(dict.fromkeys(known[pick % len(known)] for pick in picks)))

    # -- the line

    @rule(which=PHONES)
    def a_request_comes_again(self, which: int) -> None:
        self.phones[which].repeat()

    @rule(which=PHONES, pick=PICK)
    def a_key_from_long_ago(self, which: int, pick: int) -> None:
        """A phone that was restored from a backup says a key before the last two: 3, and it begins anew."""
        phone = self.phones[which]
        known = sorted(phone.void)
        if not known:
            return
        name = known[pick % len(known)]
        if name not in phone.keys:
            return
        current, phone.keys[name] = phone.keys[name], phone.void[name]
        # The key before the current one is still good until the current one is used.
        phone.keys[name] = current
        phone.sync([name])
        if phone.keys.get(name) in (None, "0"):
            return
        phone.keys[name] = "0" + phone.void[name]
        phone.sync([name])
        assert name not in phone.keys, "a key that was never given was taken"

    @rule(seconds=st.integers(1, 400))
    def time_passes(self, seconds: int) -> None:
        self.house.clock.advance(seconds)

    @rule(days=st.sampled_from([1, 2, 40, 70]))
    def days_pass(self, days: int) -> None:
        """Each with its night, in which old tombstones are swept away."""
        for _ in range(min(days, 3)):
            self.house.clock.advance(86_400 * days / min(days, 3))
            self.house.sweep()

    @rule()
    def the_server_restarts(self) -> None:
        for phone in self.phones:
            phone.settle()
            if phone.hanging is not None:
                phone.hanging[0].break_off()
                phone.unsure.update(phone.hanging[1])
                phone.hanging = None
            if phone.pinging is not None:
                phone.pinging[0].break_off()
                phone.pinging = None
        self.house.restart()

    @rule(which=PHONES, pick=PICK)
    def an_administrator_has_a_folder_fetched_anew(self, which: int, pick: int) -> None:
        phone = self.phones[which]
        known = sorted(phone.keys)
        if known:
            self.house.forget(phone.name, known[pick % len(known)])

    # -- what holds at any time

    @invariant()
    def nobody_sleeps_over_news(self) -> None:
        for phone in self.phones:
            phone.settle()
            if phone.pinging is not None:
                assert not self.house.stale(phone.name), f"{phone.name} sleeps over changed folders"
                for name in phone.pinging[1]:
                    assert not self.house.news(phone.name, name), f"{phone.name} sleeps over news in {name}"
            if phone.hanging is not None:
                for name in phone.hanging[1]:
                    assert not self.house.news(phone.name, name), f"{phone.name} hangs over news in {name}"

    # -- the end

    def teardown(self) -> None:
        try:
            for _ in range(2):
                # What the one says last is news to the other.
                for phone in self.phones:
                    self.rest(phone)
            self.compare()
        finally:
            self.house.db.close()

    def rest(self, phone: Handset) -> None:
        phone.settle()
        while phone.outbox:
            self.try_outbox(phone, "okay")
        said: list[str] = []
        for _ in range(60):
            said = ["F"] if phone.folder_sync() else []
            said += [name for name in phone.mail_folders() if phone.sync([name], 5)]
            if not said and phone.sure and not phone.unsure:
                return
        raise AssertionError(f"{phone.name} never comes to rest: {said} {phone.pending} {phone.unsure}")

    def unsent(self) -> dict[str, list[object]]:
        return {phone.name: [one for held in phone.pending.values() for one in held] for phone in self.phones}

    def compare(self) -> None:
        there = {str(one.number): (str(one.parent), one.name, int(one.type)) for one in self.house.folders()}
        for phone in self.phones:
            mailbox = {
                str(where.number): {
                    str(item.number): shown(item, phone.old)
                    for item in self.house.inside(where, phone.filters.get(str(where.number), 0))
                }
                for where in self.house.mail_folders()
            }
            assert {n: f for n, f in phone.folders.items() if f[2] != 19} == there, phone.name
            for name, held in mailbox.items():
                mirror = phone.mirror.get(name, {})
                assert mirror == held, f"{phone.name} in {name}: {mirror} and {held}"
            phone.ping(phone.mail_folders())
            assert phone.pinging is not None, f"{phone.name} is woken by nothing"
        copies = Counter(self.house.subjects(self.house.ann, FolderType.SENT))
        arrived = Counter(self.house.subjects(self.house.bob, FolderType.INBOX)) + Counter(
            self.house.queued()
        )
        letters = Counter({subject: n for subject, n in arrived.items() if not subject.startswith("draft")})
        assert letters == Counter(subject for subject, _ in self.sent)
        # Drafts keep their words however often their subject is changed.
        tokens = re.findall("token [A-Z]+ [0-9]+;", self.house.words(self.house.bob, FolderType.INBOX))
        assert len(set(tokens)) == len(tokens), f"a draft was sent twice: {tokens}"
        assert not any(held for name, held in self.unsent().items()), "a draft is still to be sent"
        # The Sent copies may have been moved or deleted since; none is there twice.
        assert all(count == 1 for subject, count in copies.items() if subject.startswith("letter"))
        assert not set(self.let_go) & set(arrived)


_EXAMPLES = int(os.environ.get("POSTHOUSE_LINE_EXAMPLES", "60"))


class LineMachineTests(SynchronousTestCase):
    def test_both_phones_end_with_the_mailbox_and_every_letter_left_once(self) -> None:
        """MS-ASCMD_R2066-R2069, R3125-R3127, R5556, R4208, R4850, R289, R5636; MS-ASCMD 2.2.1.13, 3.1.5.8."""
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            LineMachine,
            settings=settings(
                max_examples=_EXAMPLES,
                stateful_step_count=50,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
