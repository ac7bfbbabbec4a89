"""Settings Oof: what a phone sets, it and every other phone gets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.services import EasSettings
from posthouse.store import absence
from posthouse.store.absence import MAX_MESSAGE, Absence, Message, State
from posthouse.wbxml.tags import Settings as S
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Room
from tests.support.store import NOW

AUDIENCES = (S.AppliesToInternal, S.AppliesToExternalKnown, S.AppliesToExternalUnknown)


def message(audience: str, text: str | None = "Away", kind: str | None = "Text", enabled: int = 1) -> Element:
    return E(
        S.OofMessage,
        E(audience),
        E(S.Enabled, enabled),
        E(S.ReplyMessage, text) if text is not None else None,
        E(S.BodyType, kind) if kind is not None else None,
    )


class OofCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))

    def put(self, *children: Element | None, version: str = "14.1") -> str:
        ask = E(S.Settings, E(S.Oof, E(S.Set, *children)))
        response = self.room.post("Settings", ask, version)
        self.assertEqual(response.text(S.Status), "1")
        return response.text(S.Oof, S.Status)

    def get(self, kind: str | None = "Text", version: str = "14.1") -> Element:
        ask = E(S.Settings, E(S.Oof, E(S.Get, E(S.BodyType, kind) if kind is not None else None)))
        response = self.room.post("Settings", ask, version)
        self.assertEqual(response.text(S.Oof, S.Status), "1")
        assert response.root is not None
        found = response.root.find(S.Oof, S.Get)
        assert found is not None
        return found

    def kept(self) -> Absence:
        mailbox = self.room.account.mailbox_id
        return self.room.db.read_now(lambda tx: absence.absence_of(tx, mailbox))


class GetTests(OofCase):
    def test_nothing_set_is_off_with_a_node_for_each_audience(self) -> None:
        """MS-ASCMD R3504, R3505, R3521, R3522, R2252, R3531."""
        for version in VERSIONS:
            found = self.get(version=version)
            self.assertEqual(found.text(S.OofState), "0")
            nodes = found.findall(S.OofMessage)
            self.assertEqual([node.children[0].tag for node in nodes], list(AUDIENCES))
            self.assertEqual([node.text(S.Enabled) for node in nodes], ["0"] * 3)
            self.assertTrue(all(node.find(S.ReplyMessage) is None for node in nodes))

    def test_what_was_set_comes_back_at_every_version(self) -> None:
        """R783, R785-787, R793-796, R802-805, R826, R1106, R2251, R5866, R5867, R3532."""
        for version in VERSIONS:
            texts = ["Inside", "Outside", "Outside"]
            messages = [message(one, text) for one, text in zip(AUDIENCES, texts, strict=True)]
            self.assertEqual(self.put(E(S.OofState, 1), *messages, version=version), "1")
            found = self.get(version=version)
            self.assertEqual(found.text(S.OofState), "1")
            for text, node in zip(texts, found.findall(S.OofMessage), strict=True):
                self.assertEqual(
                    (node.text(S.Enabled), node.text(S.ReplyMessage), node.text(S.BodyType)),
                    ("1", text, "Text"),
                )

    def test_in_the_format_that_is_asked_for(self) -> None:
        """R822, R823, R3117, R3503."""
        self.put(
            E(S.OofState, 1),
            message(AUDIENCES[0], "<b>A &amp; B</b>", "HTML"),
            message(AUDIENCES[1], "A & B"),
        )
        html = self.get("HTML").findall(S.OofMessage)
        self.assertEqual(html[0].text(S.ReplyMessage), "<b>A &amp; B</b>")
        self.assertIn("A &amp; B", html[1].text(S.ReplyMessage) or "")
        text = self.get("TEXT").findall(S.OofMessage)
        self.assertEqual((text[0].text(S.ReplyMessage) or "").strip(), "A & B")
        # As the client spells it: Microsoft's own cases compare with "TEXT".
        self.assertEqual([node.text(S.BodyType) for node in text[:2]], ["TEXT", "TEXT"])
        kept = self.get(None).findall(S.OofMessage)
        self.assertEqual([node.text(S.BodyType) for node in kept[:2]], ["HTML", "Text"])


class SetTests(OofCase):
    def test_times(self) -> None:
        """R3533, R2270, R3990: both come back, and only at state 2."""
        times = E(S.StartTime, "2026-12-24T12:00:00.000Z"), E(S.EndTime, "2027-01-02T08:00:00.000Z")
        self.assertEqual(self.put(E(S.OofState, 2), *times, message(AUDIENCES[0])), "1")
        found = self.get()
        self.assertEqual(
            [found.text(tag) for tag in (S.OofState, S.StartTime, S.EndTime)],
            ["2", "2026-12-24T12:00:00.000Z", "2027-01-02T08:00:00.000Z"],
        )
        self.assertEqual(self.put(E(S.OofState, 1), *times), "1")  # R3535
        found = self.get()
        self.assertEqual((found.text(S.OofState), found.find(S.StartTime)), ("1", None))  # R7544
        self.assertIsNone(self.kept().start)

    def test_state_2_without_times_holds_until_further_notice(self) -> None:
        """R4392, R4396; as every case of Microsoft's does. Times that are set stay."""
        self.assertEqual(self.put(E(S.OofState, 2), message(AUDIENCES[0])), "1")
        found = self.get()
        self.assertEqual((found.text(S.OofState), found.find(S.StartTime)), ("2", None))
        self.assertTrue(self.kept().is_on(NOW))
        times = E(S.StartTime, "2026-12-24T12:00:00.000Z"), E(S.EndTime, "2027-01-02T08:00:00.000Z")
        self.put(E(S.OofState, 2), *times)
        self.assertEqual(self.put(E(S.OofState, 2)), "1")
        self.assertEqual(self.get().text(S.EndTime), "2027-01-02T08:00:00.000Z")
        self.assertFalse(self.kept().is_on(NOW))
        self.put(E(S.OofState, 1))
        self.put(E(S.OofState, 2))
        self.assertIsNone(self.kept().end)

    def test_one_time_alone_is_2(self) -> None:
        """R2272, R3992, R5681, R5827."""
        for one in (S.StartTime, S.EndTime):
            self.assertEqual(self.put(E(S.OofState, 2), E(one, "2026-12-24T12:00:00.000Z")), "2")

    def test_switching_off_keeps_the_messages(self) -> None:
        self.put(E(S.OofState, 1), message(AUDIENCES[0], "Away"))
        self.assertEqual(self.put(E(S.OofState, 0)), "1")
        found = self.get()
        self.assertEqual(found.text(S.OofState), "0")
        self.assertEqual(found.findall(S.OofMessage)[0].text(S.ReplyMessage), "Away")

    def test_an_audience_that_is_not_named_stays_as_it_is(self) -> None:
        """R3509: for one or more of the groups."""
        self.put(E(S.OofState, 1), message(AUDIENCES[0], "In"), message(AUDIENCES[1], "Known"))
        self.put(message(AUDIENCES[1], None, None, 0))
        kept = self.kept()
        self.assertEqual((kept.state, kept.internal), (State.ON, Message(True, "In")))
        self.assertEqual(kept.known, Message())

    def test_what_is_wrong(self) -> None:
        """R5582, R5702 (5), R5583, R5385 (6), R5845 (2); R825 and R3785, R3517, R3526."""
        noon, later = "2026-12-24T12:00:00.000Z", "2026-12-25T12:00:00.000Z"
        cases: tuple[tuple[str, tuple[Element, ...]], ...] = (
            ("5", (E(S.OofState, 3),)),
            ("5", (E(S.OofState, "x"),)),
            ("5", (E(S.OofState, 2), E(S.StartTime, "noon"), E(S.EndTime, later))),
            ("6", (E(S.OofState, 2), E(S.StartTime, later), E(S.EndTime, noon))),
            ("6", (E(S.OofState, 1), message(AUDIENCES[0]), message(AUDIENCES[0]))),
            ("6", (message(AUDIENCES[1], "Known"), message(AUDIENCES[2], "Unknown"))),  # R5194
            ("5", (message(AUDIENCES[0], kind="RTF"),)),
            ("2", (message(AUDIENCES[0], kind=None),)),
            ("2", (E(S.OofMessage, E(S.Enabled, 1)),)),
            ("2", (E(S.OofMessage, E(AUDIENCES[0]), E(AUDIENCES[1]), E(S.Enabled, 1)),)),
            ("5", (E(S.OofMessage, E(AUDIENCES[0]), E(S.Enabled, "yes")),)),
            ("5", (message(AUDIENCES[0], "x" * (MAX_MESSAGE + 1)),)),
        )
        for status, children in cases:
            self.assertEqual(self.put(*children), status, children)
        self.assertEqual(self.kept(), Absence())

    def test_neither_get_nor_set_is_2(self) -> None:
        for inside in ((), (E(S.Get, E(S.BodyType, "Text")), E(S.Set, E(S.OofState, 0)))):
            response = self.room.post("Settings", E(S.Settings, E(S.Oof, *inside)))
            self.assertEqual((response.text(S.Status), response.text(S.Oof, S.Status)), ("1", "2"))

    def test_a_second_phone_sees_what_the_first_one_set(self) -> None:
        self.put(E(S.OofState, 1), message(AUDIENCES[2], "Hello"))
        self.room.device_id = "OTHER"
        self.assertEqual(self.get().findall(S.OofMessage)[2].text(S.ReplyMessage), "Hello")
