"""The retry formula."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.schedule import (
    BOUNCE_LIFE,
    LIFE,
    expires_at,
    next_attempt,
    wants_delay_notice,
    wants_failure_report,
)
from posthouse.model import OutboxRow, evolve

MINUTE = 60_000
HOUR = 60 * MINUTE
ROW = OutboxRow(1, 7, 1, 100, "a@here.example", "b@there.example", 0, 0, LIFE, 1, "due")


class ScheduleTests(SynchronousTestCase):
    def test_the_waits(self) -> None:
        waits = [next_attempt(n, 0, LIFE, 0.5) for n in range(1, 10)]
        minutes = [wait // MINUTE if wait is not None else None for wait in waits]
        self.assertEqual(minutes, [5, 15, 30, 60, 120, 240, 360, 360, 360])

    @given(st.integers(0, 40), st.floats(0, 1))
    def test_jitter_is_a_tenth(self, attempts: int, chance: float) -> None:
        middle = next_attempt(attempts, 0, LIFE, 0.5)
        due = next_attempt(attempts, 0, LIFE, chance)
        assert middle is not None and due is not None
        self.assertTrue(0.9 * middle - 1 <= due <= 1.1 * middle + 1)

    def test_the_last_attempt_is_at_the_end_of_life(self) -> None:
        self.assertEqual(next_attempt(20, LIFE - 3 * HOUR, LIFE, 0.5), LIFE)
        self.assertIsNone(next_attempt(21, LIFE, LIFE, 0.5))
        self.assertIsNone(next_attempt(21, LIFE + HOUR, LIFE, 0.5))

    def test_a_dead_destination_is_tried_for_five_days_and_then_given_up(self) -> None:
        now, attempts = 0, 0
        while now is not None:
            attempts += 1
            last, now = now, next_attempt(attempts, now, LIFE, 0.9)  # type: ignore[assignment]
        self.assertEqual(last, LIFE)
        self.assertTrue(20 < attempts < 30, attempts)

    def test_reports_live_shorter(self) -> None:
        self.assertEqual(expires_at(5, ""), 5 + BOUNCE_LIFE)
        self.assertEqual(expires_at(5, "a@b"), 5 + LIFE)

    def test_delay_notice_once_after_four_hours_for_submissions(self) -> None:
        self.assertFalse(wants_delay_notice(ROW, 4 * HOUR - 1))
        self.assertTrue(wants_delay_notice(ROW, 4 * HOUR))
        for other in (
            evolve(ROW, delay_told=True),
            evolve(ROW, account_id=None),
            evolve(ROW, sender=""),
            evolve(ROW, notify="NEVER"),
            evolve(ROW, notify="FAILURE,SUCCESS"),
        ):
            self.assertFalse(wants_delay_notice(other, 5 * HOUR))
        self.assertTrue(wants_delay_notice(evolve(ROW, notify="failure,delay"), 5 * HOUR))

    def test_failure_report_unless_null_sender_or_never(self) -> None:
        self.assertTrue(wants_failure_report(ROW))
        self.assertFalse(wants_failure_report(evolve(ROW, sender="")))
        self.assertFalse(wants_failure_report(evolve(ROW, notify="NEVER")))
        self.assertFalse(wants_failure_report(evolve(ROW, notify="DELAY")))
