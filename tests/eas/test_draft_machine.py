"""Drafts over a lossy line: two devices write, rewrite and send them, answers are lost, transactions fail.

Whatever happens, what was sent once arrives once, what was refused does not arrive, and both devices end up with the
drafts that there are.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import TryLater
from posthouse.model import FolderType
from posthouse.store import devices
from posthouse.wbxml.tags import AirSync
from posthouse.wbxml.tree import Element
from tests.eas.desk import Mirror
from tests.eas.test_drafts import DraftCase, add, change, data, file

DEVICES = st.integers(0, 1)
LOSSES = st.integers(0, 2)


class _House(DraftCase):
    def runTest(self) -> None:
        """Only a house to stand in."""


class DraftMachine(RuleBasedStateMachine):
    """``sent``: subjects that have to have arrived, once each."""

    def __init__(self) -> None:
        super().__init__()
        self.house = _House()
        self.house.setUp()
        tablet = Mirror(self.house.room, FolderType.DRAFTS, self.house.room.other).prime()
        self.mirrors = [self.house.phone, tablet]
        self.sent: list[str] = []
        self.serial = 0

    def teardown(self) -> None:
        self.house.room.db.close()

    def subject(self) -> str:
        self.serial += 1
        return f"number {self.serial}"

    def perform(self, device: int, losses: int, fails: bool, *commands: Element) -> Element:
        """Say it again until an answer is heard."""
        mirror = self.mirrors[device]
        if fails:
            self.fail_once(mirror, *commands)
        for _ in range(losses):
            mirror.ask(commands=list(commands))
        found = mirror.take(mirror.ask(commands=list(commands)))
        assert found is not None
        return found

    def fail_once(self, mirror: Mirror, *commands: Element) -> None:
        """The last step of the transaction fails; the device knows only that it got no answer."""
        real = devices.save_state

        def broken(*args: Any) -> None:
            raise TryLater(cause="the disk is busy")

        devices.save_state = broken
        try:
            mirror.ask(commands=list(commands))
        except TryLater:
            pass
        finally:
            devices.save_state = real

    def statuses(self, found: Element) -> list[str]:
        responses = found.find(AirSync.Responses)
        return [] if responses is None else [one.text(AirSync.Status) or "" for one in responses.children]

    @rule(device=DEVICES, losses=LOSSES, fails=st.booleans(), attaches=st.booleans())
    def write(self, device: int, losses: int, fails: bool, attaches: bool) -> None:
        content = data(
            to="b@example.org", subject=self.subject(), text="t", files=[file("f")] if attaches else []
        )
        found = self.perform(device, losses, fails, add(content))
        assert self.statuses(found) == ["1"]
        responses = found.find(AirSync.Responses, AirSync.Add)
        assert responses is not None
        self.mirrors[device].held[int(responses.text(AirSync.ServerId) or 0)] = True

    @rule(device=DEVICES, losses=LOSSES, fails=st.booleans(), attaches=st.booleans(), which=st.integers(0, 9))
    def rewrite(self, device: int, losses: int, fails: bool, attaches: bool, which: int) -> None:
        number = self.chosen(device, which)
        if number:
            content = data(subject=self.subject(), files=[file("g")] if attaches else [])
            before = self.files(number)
            found = self.perform(device, losses, fails, change(number, content))
            done = self.statuses(found) in ([], ["1"])
            assert self.files(number) == before + (attaches and done and before >= 0)

    @rule(device=DEVICES, losses=LOSSES, fails=st.booleans(), which=st.integers(0, 9), changes=st.booleans())
    def send(self, device: int, losses: int, fails: bool, which: int, changes: bool) -> None:
        number = self.chosen(device, which)
        item = next((one for one in self.house.items() if one.number == number), None)
        if number:
            subject = self.subject() if changes or item is None else item.subject
            content = data(subject=subject) if changes else None
            found = self.perform(device, losses, fails, change(number, content, send=True))
            if self.statuses(found) == []:
                self.sent.append(subject)
            else:
                assert self.statuses(found) in (["7"], ["8"])

    @rule(device=DEVICES, losses=LOSSES, fails=st.booleans())
    def send_at_once(self, device: int, losses: int, fails: bool) -> None:
        subject = self.subject()
        found = self.perform(device, losses, fails, add(data(to="b@example.org", subject=subject), send=True))
        assert self.statuses(found) == ["1"]
        self.sent.append(subject)

    @rule(device=DEVICES, losses=LOSSES)
    def look(self, device: int, losses: int) -> None:
        mirror = self.mirrors[device]
        for _ in range(losses):
            mirror.ask()
        while mirror.sync() is not None:
            pass
        assert sorted(mirror.held) == sorted(item.number for item in self.house.items())

    def chosen(self, device: int, which: int) -> int:
        """One of the drafts that the device holds; perhaps one that the other has sent already."""
        held = sorted(self.mirrors[device].held)
        return held[which % len(held)] if held else 0

    def files(self, number: int) -> int:
        return next((len(item.attachments) for item in self.house.items() if item.number == number), -1)

    @invariant()
    def everything_sent_arrived_once(self) -> None:
        assert sorted(item.subject for item in self.house.received) == sorted(self.sent)
        assert sorted(item.subject for item in self.house.sent) == sorted(self.sent)


class DraftMachineTests(SynchronousTestCase):
    def test_sent_once_whatever_happens(self) -> None:
        # Rule 3 of the sync model.
        """MS-ASCMD_R955, R961, R2066-R2069, MS-ASEMAIL_R1389."""
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            DraftMachine,
            settings=settings(
                max_examples=40,
                stateful_step_count=15,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
