"""ConversationMode: whole conversations in spite of the date filter (MS-ASCON 3.2.5.6).
Bare numbers are MS-ASCON.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas import kinship, window
from posthouse.eas.knowledge import BOTTOM
from posthouse.mime.threads import identifier_key
from posthouse.model import Arrival, FolderType, Item
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email
from posthouse.wbxml.tags import GetItemEstimate as G
from posthouse.wbxml.tree import E, Element
from tests.eas.test_interop_mail import PLAIN, Base
from tests.eas.test_window_machine import Phone as Lonely
from tests.eas.test_window_machine import TornPhone as Torn
from tests.support.store import NOW

DAY = 86_400_000


class Together(Lonely):
    """A phone with ConversationMode on a line that loses answers; every second mail is of the same conversation."""

    def __init__(self) -> None:
        super().__init__()
        self.server.together = True

    @rule(on=st.booleans())
    def the_mode_changes(self, on: bool) -> None:
        self.server.together = on

    def teardown(self) -> None:
        self._rest()
        if self.target > BOTTOM:
            # What lost its last relative inside the filter goes when the cut-off rises, and only then (R223).
            self.target = Arrival(self.target.received + 1, 0)
            self._rest()
        self._compare()
        if self.target > BOTTOM:
            # Nothing is inside any more.
            self.target = Arrival(self.clock + 1, 0)
            self._rest()
            self._compare()

    def _compare(self) -> None:
        mail = self.folder.items
        members = {n for n, m in mail.items() if m.arrival >= self.target}
        if self.server.together:
            members |= self.folder.alive(mail, self.target)
        wanted = {n: mail[n].values for n in members}
        assert self.held == wanted, f"phone {self.held} mailbox {wanted}"
        state = self.server.new.state
        assert not window.is_news(state, self.folder, self.target, conversations=self.server.together)
        assert not window.estimate(state, self.folder, self.target, 512, self.server.together)
        assert not state.owed
        assert self.server.together or not state.kin


class TornTogether(Together, Torn):
    """The same with a device that keeps an answer and forgets its key."""

    torn = True


_SETTINGS = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


class LossyLineTests(SynchronousTestCase):
    """R232, R233, R330: hypothesis runs its machines as plain functions under trial."""

    def test_phone_and_mailbox_end_equal(self) -> None:
        run_state_machine_as_test(Together, settings=_SETTINGS)

    def test_a_phone_that_forgets_the_key_ends_equal(self) -> None:
        run_state_machine_as_test(TornTogether, settings=_SETTINGS)


class SyncTests(Base):
    """Through the pipeline and the store."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.mail("q", 20)
        self.older = self.mail("x", 25, "q")
        self.alone = self.mail("z", 20)
        self.new = self.mail("a", 1, "q")

    def mail(self, name: str, age: int, *answers: str, type: FolderType = FolderType.INBOX) -> Item:
        keys = tuple(identifier_key(one) for one in (name, *answers))
        return self.room.deliver(
            PLAIN, self.room.folder(type), thread_keys=keys, received=NOW - age * DAY, subject=name
        )

    def ask(self, phone: object, mode: int | None = 1, days: int = 3) -> dict[str, list[str]]:
        """One Sync: kind of command to what it is about."""
        options = E(AirSync.Options, E(AirSync.FilterType, days), E(AirSyncBase.BodyPreference, _PREVIEW))
        mode_element = E(AirSync.ConversationMode, mode) if mode is not None else None
        found = phone.commands(mode_element, options)  # type: ignore[attr-defined]
        return {
            kind: sorted(one.text(Email.Subject) or one.text(AirSync.ServerId) or "" for one in elements)
            for kind, elements in found.items()
        }

    def test_the_whole_conversation_comes_with_one_message_inside(self) -> None:
        # Rule 13 of the sync model.
        """ASCON R180, R328, R330, ASCMD R2107, R2110."""
        phone = self.phone()
        self.assertEqual(self.ask(phone), {AirSync.Add: ["a", "q", "x"]})
        self.assertEqual(self.ask(phone), {})
        # The other way round: an old message finds a new relative.
        self.mail("b", 0, "z")
        self.assertEqual(self.ask(phone), {AirSync.Add: ["b", "z"]})
        # And one that came late is a relative, too.
        self.mail("w", 22, "q")
        self.mail("v", 22)
        self.assertEqual(self.ask(phone), {AirSync.Add: ["w"]})

    def test_without_their_bodies(self) -> None:
        """ASCMD R2108: a preview, if it is wanted."""
        phone = self.phone()
        options = E(AirSync.Options, E(AirSync.FilterType, 3), E(AirSyncBase.BodyPreference, _PREVIEW))
        adds = phone.commands(E(AirSync.ConversationMode, 1), options)[AirSync.Add]
        bodies = {one.text(Email.Subject): one.find(AirSyncBase.Body) for one in adds}
        self.assertIsNone(bodies["q"].find(AirSyncBase.Data))  # type: ignore[union-attr]
        self.assertEqual(bodies["q"].text(AirSyncBase.Preview), "hello there")  # type: ignore[union-attr]
        self.assertEqual(bodies["q"].text(AirSyncBase.Truncated), "1")  # type: ignore[union-attr]
        self.assertIn("hello", bodies["a"].text(AirSyncBase.Data))  # type: ignore[union-attr]

    def test_switched_on_and_off(self) -> None:
        """ASCON R116, ASCMD R2109; without the element the last one holds (rule 15)."""
        phone = self.phone()
        self.assertEqual(self.ask(phone, None), {AirSync.Add: ["a"]})
        self.assertEqual(self.ask(phone, 1), {AirSync.Add: ["q", "x"]})
        self.assertEqual(self.ask(phone, None), {})
        gone = {AirSync.SoftDelete: sorted([str(self.old.number), str(self.older.number)])}
        self.assertEqual(self.ask(phone, 0), gone)
        options = E(AirSync.Options, E(AirSync.FilterType, 3))
        self.assertEqual(len(phone.commands(E(AirSync.ConversationMode), options)[AirSync.Add]), 2)

    def test_it_leaves_when_the_last_one_does(self) -> None:
        # Rule 13 of the sync model.
        """ASCON R223, R228, R233."""
        phone = self.phone()
        self.ask(phone)
        self.room.clock.advance(8 * 86400)
        left = self.ask(phone, None)
        self.assertEqual(len(left[AirSync.SoftDelete]), 3)
        self.assertEqual(self.ask(phone, None), {})

    def test_a_wider_filter_takes_over_what_was_there(self) -> None:
        phone = self.phone()
        self.ask(phone)
        self.assertEqual(self.ask(phone, 1, days=5), {AirSync.Add: ["z"]})
        self.assertEqual(self.ask(phone, 1, days=3), {AirSync.SoftDelete: [str(self.alone.number)]})

    def test_another_folder_does_not_count(self) -> None:
        """ASCMD R2111, R2112."""
        self.mail("s", 0, "z", type=FolderType.SENT)
        self.assertEqual(self.ask(self.phone()), {AirSync.Add: ["a", "q", "x"]})

    def test_the_estimate_agrees(self) -> None:
        """S02: ASCON R211, R332, ASCMD R2096, R2097."""
        phone = self.phone()

        def estimate(mode: Element | None) -> str:
            collection = E(
                G.Collection,
                E(AirSync.SyncKey, phone.key),
                E(G.CollectionId, phone.name),
                mode,
                E(AirSync.Options, E(AirSync.FilterType, 3)),
            )
            response = self.room.post("GetItemEstimate", E(G.GetItemEstimate, E(G.Collections, collection)))
            return response.text(G.Response, G.Collection, G.Estimate)

        self.assertEqual(estimate(None), "1")
        self.assertEqual(estimate(E(AirSync.ConversationMode, 0)), "1")
        self.assertEqual(estimate(E(AirSync.ConversationMode, 1)), "3")

    def test_the_set_is_bounded(self) -> None:
        self.patch(kinship, "MOST_KIN", 1)
        # The newest of them.
        self.assertEqual(self.ask(self.phone()), {AirSync.Add: ["a", "q"]})


_PREVIEW = (E(AirSyncBase.Type, 1), E(AirSyncBase.TruncationSize, 500), E(AirSyncBase.Preview, 100))
