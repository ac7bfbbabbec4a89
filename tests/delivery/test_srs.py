"""Senders of forwarded mail."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.srs import LIFE_DAYS, Srs, is_rewritten
from posthouse.errors import Malformed, NoSuchAccount
from tests.delivery.test_runner import PLAIN, RunnerCase
from tests.support.store import NOW

DAY = 24 * 3600 * 1000
OURS = Srs(b"ours")


class SrsTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        new = OURS.forward("Ann.B=c+d@else.example", "here.example", NOW)
        local, _, domain = new.rpartition("@")
        self.assertRegex(new, r"^SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=else\.example=Ann\.B=c\+d@here\.example$")
        self.assertTrue(is_rewritten(local) and domain == "here.example")
        self.assertEqual(OURS.reverse(local, NOW), "Ann.B=c+d@else.example")
        self.assertEqual(OURS.reverse(local.lower(), NOW), "ann.b=c+d@else.example")

    def test_others_cannot_make_one(self) -> None:
        local = Srs(b"theirs").forward("a@else.example", "here.example", NOW).rpartition("@")[0]
        self.assertRaises(Malformed, OURS.reverse, local, NOW)
        mine = OURS.forward("a@else.example", "here.example", NOW).rpartition("@")[0]
        for wrong in (
            mine.replace("else", "evil"),
            mine[:-1] + "b",
            mine + "x",
            "SRS0=",
            "SRS1=a=b=c",
            "x",
            "",
        ):
            self.assertRaises(Malformed, OURS.reverse, wrong, NOW)

    def test_three_weeks(self) -> None:
        local = OURS.forward("a@else.example", "here.example", NOW).rpartition("@")[0]
        self.assertEqual(OURS.reverse(local, NOW + LIFE_DAYS * DAY), "a@else.example")
        self.assertRaises(Malformed, OURS.reverse, local, NOW + (LIFE_DAYS + 1) * DAY)
        self.assertRaises(Malformed, OURS.reverse, local, NOW - 2 * DAY)
        self.assertEqual(OURS.reverse(local, 0), "a@else.example")

    def test_what_others_rewrote_grows_once(self) -> None:
        first = Srs(b"1").forward("a@else.example", "one.example", NOW)
        second = Srs(b"2").forward(first, "two.example", NOW)
        third = OURS.forward(second, "here.example", NOW)
        self.assertTrue(second.startswith("SRS1=") and third.startswith("SRS1="))
        self.assertEqual(len(third) - len("here"), len(second) - len("two"))
        self.assertEqual(OURS.reverse(third.rpartition("@")[0], NOW), first)

    def test_what_cannot_be_rewritten_stays(self) -> None:
        for sender in ('"a b"@else.example', "a@[192.0.2.1]", "", "a", "a" * 470 + "@else.example"):
            self.assertEqual(OURS.forward(sender, "here.example", NOW), sender)
        self.assertEqual(OURS.forward("a@else.example", "", NOW), "a@else.example")

    @given(st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,60}", fullmatch=True))
    @settings(max_examples=80, deadline=None)
    def test_any_sender_comes_back(self, local: str) -> None:
        new = OURS.forward(f"{local}@else.example", "here.example", NOW)
        self.assertEqual(OURS.reverse(new.rpartition("@")[0], NOW), f"{local}@else.example")


class ForwardTests(RunnerCase):
    def test_a_bounce_comes_back_through_us(self) -> None:
        self.resolver.add("else.example")
        self.accept(PLAIN, "X@else.example", "away@here.example")
        self.clock.advance(0)
        sender = self.relay.jobs[-1].sender
        self.assertRegex(sender, r"^SRS0=.*=else\.example=X@here\.example$")
        self.accept(PLAIN.replace(b"<1@", b"<2@"), "", sender)
        self.clock.advance(0)
        self.assertEqual(
            (self.relay.jobs[-1].sender, self.relay.jobs[-1].recipients), ("", ("X@else.example",))
        )

    def test_our_own_users_keep_their_addresses(self) -> None:
        self.accept(PLAIN, "ann@here.example", "away@here.example", account=self.ann)
        self.clock.advance(0)
        self.assertEqual(self.relay.jobs[-1].sender, "ann@here.example")

    def test_a_sender_of_ours_from_elsewhere_is_not_rewritten(self) -> None:
        self.accept(PLAIN, "bob@here.example", "away@here.example")
        self.clock.advance(0)
        self.assertEqual(self.relay.jobs[-1].sender, "bob@here.example")

    def test_an_address_that_is_too_old_or_not_ours_is_nobody(self) -> None:
        self.accept(PLAIN, "x@else.example", "away@here.example")
        self.clock.advance(0)
        sender = self.relay.jobs[-1].sender
        forged = sender.replace("else.example", "evil.example")
        self.failureResultOf(self.intake.check_recipient(forged, None), NoSuchAccount)
        self.clock.advance((LIFE_DAYS + 1) * DAY / 1000)
        self.failureResultOf(self.intake.check_recipient(sender, None), NoSuchAccount)
