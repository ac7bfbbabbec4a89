"""FUTURERELEASE: what is announced, what is taken, and what reaches the intake."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.smtp.future import announcement, release_time
from tests.support.smtp import Peer

NOW = 1_767_225_600  # 2026-01-01T00:00:00Z
DAY = 86_400


class MomentTests(SynchronousTestCase):
    def test_both_forms_mean_the_same(self) -> None:
        self.assertEqual(release_time("HOLDFOR", "3600", DAY, NOW), (NOW + 3600) * 1000)
        for text in ("2026-01-01T01:00:00Z", "2026-01-01t01:00:00z", "2026-01-01T02:00:00+01:00"):
            self.assertEqual(release_time("HOLDUNTIL", text, DAY, NOW), (NOW + 3600) * 1000, text)

    def test_the_past_means_at_once(self) -> None:
        self.assertEqual(release_time("HOLDUNTIL", "2001-01-01T00:00:00Z", DAY, NOW), NOW * 1000)

    def test_what_is_no_moment_or_too_far_is_refused(self) -> None:
        for key, value in (
            ("HOLDFOR", "0"), ("HOLDFOR", "-1"), ("HOLDFOR", "1.5"), ("HOLDFOR", None), ("HOLDFOR", "1234567890"),
            ("HOLDFOR", "86401"), ("HOLDUNTIL", "2026-01-02T00:00:01Z"), ("HOLDUNTIL", "2026-13-01T00:00:00Z"),
            ("HOLDUNTIL", "2026-01-01"), ("HOLDUNTIL", "2026-01-01T01:00:00"), ("HOLDUNTIL", None),
        ):  # fmt: skip
            self.assertRaises(Malformed, release_time, key, value, DAY, NOW)

    @settings(max_examples=100)
    @given(st.sampled_from(("HOLDFOR", "HOLDUNTIL")), st.text(max_size=40))
    def test_any_text_is_a_moment_within_the_limit_or_refused(self, key: str, text: str) -> None:
        try:
            found = release_time(key, text, DAY, NOW)
        except Malformed:
            return
        self.assertTrue(NOW * 1000 <= found <= (NOW + DAY) * 1000)

    def test_the_limits_are_announced(self) -> None:
        self.assertEqual(announcement(DAY, NOW), [b"86400", b"2026-01-02T00:00:00Z"])


class WireTests(SynchronousTestCase):
    def peer(self, role: str = "submissions", **more: int) -> Peer:
        clock = Clock()
        clock.advance(NOW)
        return Peer(role, clock=clock, **more)

    def test_it_is_offered_to_users_only(self) -> None:
        self.assertIn("FUTURERELEASE 5184000 2026-03-02T00:00:00Z", self.peer().hello())
        for other in (self.peer("mx"), self.peer(hold_seconds=0)):
            self.assertEqual([line for line in other.hello() if line.startswith("FUTURE")], [])

    def test_the_moment_reaches_the_intake(self) -> None:
        peer = self.peer()
        peer.login()
        for number, (words, until) in enumerate(
            (("HOLDFOR=60", NOW + 60), ("holduntil=2026-01-01T00:02:00Z", NOW + 120), ("", 0))
        ):
            codes = peer.codes(f"MAIL FROM:<alice@example.org> {words}", "RCPT TO:<bob@example.org>", "DATA")
            self.assertEqual(codes, [250, 250, 354])
            self.assertTrue(peer.send(b"Subject: later\r\n\r\nHello\r\n.\r\n").startswith(b"250 "))
            self.assertEqual(peer.intake.accepted[number][0].hold_until, until * 1000)

    def test_bad_or_double_wishes_are_refused(self) -> None:
        peer = self.peer()
        peer.login()
        sender = "MAIL FROM:<alice@example.org>"
        for words in (
            "HOLDFOR=5184001", "HOLDFOR=x", "HOLDFOR", "HOLDUNTIL=tomorrow", "HOLDFOR=5 HOLDUNTIL=2026-01-01T00:02:00Z"
        ):  # fmt: skip
            self.assertIn("501 5.5.4", peer.lines(f"{sender} {words}")[0], words)
        self.assertEqual(self.peer("mx").codes("EHLO c.example", f"{sender} HOLDFOR=5"), [250, 555])
