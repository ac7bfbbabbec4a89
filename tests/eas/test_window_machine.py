"""A phone on a line that loses requests and answers, mail coming and going, flags changed on both sides.

At the end phone and mailbox are equal; on the way nothing was shown twice and nothing unknown was changed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas import knowledge, window
from posthouse.eas.generation import AddResult, Generation, base_for, next_generation
from posthouse.eas.knowledge import BOTTOM, State
from posthouse.eas.window import Batch
from posthouse.model import Arrival, ChangeGroup, Gone, Mark


class Mail:
    """One item of the model mailbox."""

    def __init__(self, number: int, received: int) -> None:
        self.number = number
        self.received = received
        self.groups = [number] * 4
        self.values = [0, 0, 0, 0]

    @property
    def arrival(self) -> Arrival:
        return Arrival(self.received, self.number)

    def mark(self) -> Mark:
        return Mark(self.number, max(self.groups), self.received, *self.groups)


class Folder:
    """A folder as plain Python: the simplest Feed there can be."""

    def __init__(self) -> None:
        self.counter = 0
        self.items: dict[int, Mail] = {}
        self.stones: list[Gone] = []

    def next(self) -> int:
        self.counter += 1
        return self.counter

    def put(self, received: int) -> Mail:
        mail = Mail(self.next(), received)
        self.items[mail.number] = mail
        return mail

    def remove(self, number: int) -> int:
        mail = self.items.pop(number)
        at = self.next()
        self.stones.append(Gone(number, at, mail.received))
        return at

    def set(self, number: int, group: int, value: int) -> int:
        mail = self.items[number]
        if mail.values[group] == value:
            return 0
        mail.values[group] = value
        mail.groups[group] = self.next()
        return mail.groups[group]

    # Feed
    def top(self) -> int:
        return self.counter

    def added(self, since: int, limit: int) -> Sequence[Mark]:
        return [m.mark() for n, m in sorted(self.items.items()) if n > since][:limit]

    def changed(self, since: int, limit: int) -> Sequence[Mark]:
        marks = [m.mark() for m in self.items.values()]
        return sorted(
            (m for m in marks if m.changed > since and m.changed > m.number), key=lambda m: m.changed
        )[:limit]

    def gone(self, since: int, limit: int) -> Sequence[Gone]:
        return [stone for stone in self.stones if stone.at > since][:limit]

    def filling(self, below: Arrival, floor: Arrival, limit: int) -> Sequence[Mark]:
        chosen = [m.mark() for m in self.items.values() if floor <= m.arrival < below]
        return sorted(chosen, key=lambda m: m.arrival, reverse=True)[:limit]

    def leaving(self, start: Arrival, stop: Arrival, limit: int) -> Sequence[Mark]:
        chosen = [m.mark() for m in self.items.values() if start <= m.arrival < stop]
        return sorted(chosen, key=lambda m: m.arrival)[:limit]

    def marks(self, numbers: Iterable[int]) -> Mapping[int, Mark]:
        return {n: self.items[n].mark() for n in numbers if n in self.items}

    def count(self, floor: Arrival, below: Arrival, cap: int) -> int:
        return min(cap, sum(1 for m in self.items.values() if floor <= m.arrival < below))

    # Conversations: here every second item belongs to the same one.
    def kindred(self, target: Arrival, limit: int) -> Sequence[Mark]:
        below = [n for n, m in self.items.items() if m.arrival < target]
        return self._newest(self.alive(below, target), limit)

    def companions(self, numbers: Iterable[int], target: Arrival, limit: int) -> Sequence[Mark]:
        named = {n % 2 for n in numbers}
        return self._newest(
            [n for n, m in self.items.items() if n % 2 in named and m.arrival < target], limit
        )

    def alive(self, numbers: Iterable[int], target: Arrival) -> frozenset[int]:
        inside = {n % 2 for n, m in self.items.items() if m.arrival >= target}
        return frozenset(n for n in numbers if n in self.items and n % 2 in inside)

    def _newest(self, numbers: Iterable[int], limit: int) -> Sequence[Mark]:
        return sorted((self.items[n].mark() for n in numbers), key=lambda m: m.arrival, reverse=True)[:limit]


class Server:
    """One collection of one device, on record as two generations."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.serial = 0
        self.old_key = ""
        self.old: Generation | None = None
        self.new_key = ""
        self.new = Generation()
        self.made: dict[int, int] = {}
        self.together = False

    def fresh(self) -> str:
        self.serial += 1
        return f"k{self.serial}"

    def sync(
        self, key: str, size: int, target: Arrival, commands: list[tuple[int, int, int]], changes: bool
    ) -> tuple[str, Batch, dict[int, list[int]], list[int]] | None:
        """Commands are (number, group, value), group -1 for a deletion, -2 for an Add with that ClientId."""
        if key == "0":
            self.old_key, self.old = "", None
            self.new_key = self.fresh()
            self.new = Generation(state=State.begin(self.folder.top()))
            return self.new_key, Batch(), {}, []
        base = base_for(key, self.old_key, self.old, self.new_key, self._reload(self.new), False)
        if base is None:
            return None
        state = base.start
        refused = []
        self.made = {}
        results: dict[str, AddResult] = {}
        for number, group, value in commands:
            if group == -2:
                result = base.repeats.get(str(number)) or AddResult(self.folder.put(value).number, 1, "")
                results[str(number)] = result
                state = knowledge.added_here(
                    state, result.number, self.folder.marks([result.number]).get(result.number)
                )
                self.made[number] = result.number
                continue
            mail = self.folder.items.get(number)
            if mail is None:
                if group < 0:
                    state = knowledge.removed_here(state, number)
                continue
            if group < 0:
                self.folder.remove(number)
                state = knowledge.removed_here(state, number)
                continue
            before = mail.mark()
            if mail.values[group] == value:
                state = knowledge.agreed_here(state, before, ChangeGroup(group))
                continue
            if knowledge.in_conflict(state, before, ChangeGroup(group)):
                refused.append(number)  # Conflict 1: the server's value wins and is news
                continue
            at = self.folder.set(number, group, value)
            state = knowledge.changed_here(state, before, ChangeGroup(group), at)
        if changes:
            batch, state = window.decide(state, self.folder, target, size, conversations=self.together)
        else:
            batch = Batch()
        generation = next_generation(
            base, state, batch, options=None, supported=None, filter_type=0, results=results
        )
        self.old_key, self.old = base.key, self._reload(base.proved)
        self.new_key, self.new = self.fresh(), generation
        values = {n: list(self.folder.items[n].values) for n in self.folder.items}
        return self.new_key, batch, values, refused

    @staticmethod
    def _reload(generation: Generation) -> Generation:
        return Generation.load(generation.dump())


class Phone(RuleBasedStateMachine):
    """The device and its line."""

    torn = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = Folder()
        self.server = Server(self.folder)
        self.key = "0"
        self.held: dict[int, list[int]] = {}
        self.pending: list[tuple[int, int, int]] = []
        self.target = BOTTOM
        self.doubt: set[int] = set()  # items of answers that got lost or were half kept
        self.dropped: set[int] = set()  # removed by a half kept answer; it is told again in its turn
        self.clock = 1000
        self.somebody: dict[tuple[int, int], bool] = {}

    # the world ------------------------------------------------------------------------------------
    @rule(age=st.integers(0, 900))
    def mail_arrives(self, age: int) -> None:
        self.clock += 1
        self.folder.put(self.clock if age < 500 else self.clock - age)

    @rule(pick=st.integers(0, 1000), group=st.integers(0, 3), value=st.integers(0, 2))
    def somebody_changes(self, pick: int, group: int, value: int) -> None:
        if self.folder.items:
            number = sorted(self.folder.items)[pick % len(self.folder.items)]
            self.folder.set(number, group, value)
            self.somebody[number, group] = True

    @rule(pick=st.integers(0, 1000))
    def somebody_deletes(self, pick: int) -> None:
        if self.folder.items:
            self.folder.remove(sorted(self.folder.items)[pick % len(self.folder.items)])

    @rule(cut=st.integers(0, 600))
    def the_filter_moves(self, cut: int) -> None:
        self.target = Arrival(self.clock - cut, 0) if cut < 500 else BOTTOM

    # the user of the phone ------------------------------------------------------------------------
    @rule(
        pick=st.integers(0, 1000), group=st.integers(0, 3), value=st.integers(0, 2), last_only=st.booleans()
    )
    def the_user_changes(self, pick: int, group: int, value: int, last_only: bool) -> None:
        if self.held:
            number = sorted(self.held)[pick % len(self.held)]
            self.held[number][group] = value
            if last_only:
                # Most devices keep the value alone, not the way to it.
                self.pending = [one for one in self.pending if one[:2] != (number, group)]
            self.pending.append((number, group, value))

    @rule(pick=st.integers(0, 1000))
    def the_user_deletes(self, pick: int) -> None:
        if self.held:
            number = sorted(self.held)[pick % len(self.held)]
            del self.held[number]
            self.pending = [c for c in self.pending if c[0] != number] + [(number, -1, 0)]

    @rule()
    def the_user_writes_a_draft(self) -> None:
        self.clock += 1
        if self.key != "0":
            self.pending.append((self.clock, -2, self.clock))

    # the line -------------------------------------------------------------------------------------
    @rule(
        size=st.integers(1, 6),
        fate=st.sampled_from(["okay", "okay", "okay", "lost", "torn"]),
        changes=st.booleans(),
    )
    def sync(self, size: int, fate: str, changes: bool) -> None:
        if self.key == "0":
            self.held, self.pending = {}, []
        answer = self.server.sync(self.key, size, self.target, copy.deepcopy(self.pending), changes)
        assert answer is not None, "a key that the server gave out was refused"
        key, batch, values, refused = answer
        assert batch.size <= size
        assert (
            len({*batch.adds, *(n for n, _ in batch.changes), *batch.deletes, *batch.soft_deletes})
            == batch.size
        )
        # A device that kept a half answer and wrote a draft under the same key is not played here.
        if fate == "lost" or (fate == "torn" and (not self.torn or self.server.made)):
            self.doubt |= {*batch.adds, *batch.deletes, *batch.soft_deletes}
            return
        for number in refused:
            assert any(who[0] == number for who in self.somebody), f"{number}: in conflict with itself"
        mine = {(n, g): value for n, g, value in self.pending}
        if fate == "okay":
            self._keep_drafts()
        for number in batch.adds:
            assert number not in self.held or number in self.doubt, f"{number} was shown twice"
            self.held[number] = list(values[number])
        for number, groups in batch.changes:
            assert number in self.held, f"{number} is not known here"
            for group in groups:
                own = mine.get((number, group)) == values[number][group] and number not in refused
                assert not own or self.somebody.pop((number, int(group)), False), "its own change came back"
                self.held[number][group] = values[number][group]
        for number in batch.deletes + batch.soft_deletes:
            assert number in self.held or number in self.doubt | self.dropped, f"{number} was never here"
            self.held.pop(number, None)
        if fate == "torn":
            # Stored, but the new key was not.
            self.doubt |= {*batch.adds, *batch.deletes, *batch.soft_deletes}
            self.dropped |= {*batch.deletes, *batch.soft_deletes}
            return
        self.key, self.pending = key, []
        self.doubt &= self.server.new.state.maybe | self.server.new.state.lacking

    def _keep_drafts(self) -> None:
        for number in self.server.made.values():
            assert number not in self.held or number in self.doubt
            # As it was written here; what others made of it since is news.
            self.held[number] = [0, 0, 0, 0]

    @invariant()
    def ping_and_sync_agree(self) -> None:
        if self.key != "0" and self.server.new_key:
            state = self.server.new.state
            target = min(self.target, state.floor)
            together = self.server.together
            batch, _ = window.decide(state, self.folder, target, 512, conversations=together)
            news = window.is_news(state, self.folder, self.target, conversations=together)
            assert news == (batch.size > 0)

    def teardown(self) -> None:
        self._rest()
        members = {n: m.values for n, m in self.folder.items.items() if m.arrival >= self.target}
        assert self.held == members, f"phone {self.held} mailbox {members}"
        assert not window.is_news(self.server.new.state, self.folder, self.target)
        assert window.estimate(self.server.new.state, self.folder, self.target, 512) == 0

    def _rest(self) -> None:
        """Sync until nothing is left to say."""
        for _ in range(400):
            before = self.key
            answer = self.server.sync(self.key, 4, self.target, self.pending, True)
            assert answer is not None
            key, batch, values, _refused = answer
            self._keep_drafts()
            for number in batch.adds:
                self.held[number] = list(values[number])
            for number, groups in batch.changes:
                if number in self.held:
                    for group in groups:
                        self.held[number][group] = values[number][group]
            for number in batch.deletes + batch.soft_deletes:
                self.held.pop(number, None)
            self.key, self.pending = key, []
            if before != "0" and not batch.size and not batch.more:
                break
        else:
            raise AssertionError("the collection never came to rest")
        final = self.server.new.state
        assert not final.told and not final.maybe and not final.lacking and not final.gone


class TornPhone(Phone):
    """A device that may store the items of an answer and forget its key (rule 4)."""

    torn = True


_SETTINGS = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


class LossyLineTests(SynchronousTestCase):
    """hypothesis runs its machines as plain functions under trial."""

    def test_phone_and_mailbox_end_equal(self) -> None:
        run_state_machine_as_test(Phone, settings=_SETTINGS)

    def test_a_phone_that_forgets_the_key_ends_equal(self) -> None:
        # Rule 4 of the sync model.
        run_state_machine_as_test(TornPhone, settings=_SETTINGS)

    def test_a_draft_that_a_lost_answer_took_away_and_its_author_deleted_leaves_no_doubt(self) -> None:
        phone = Phone()
        phone.sync(size=1, fate="okay", changes=False)
        phone.the_user_writes_a_draft()
        phone.the_user_writes_a_draft()
        phone.the_filter_moves(cut=0)
        phone.sync(size=1, fate="okay", changes=False)
        phone.sync(size=1, fate="lost", changes=True)
        phone.the_user_deletes(pick=0)
        phone.teardown()
