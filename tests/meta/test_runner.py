"""The counting line at the end of a run."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support.runner import count


class CountTests(SynchronousTestCase):
    def test_a_run_that_passed(self) -> None:
        self.assertEqual(
            count(["Ran 12 tests in 0.1s\n", "\n", "PASSED (successes=12)\n"]), "12 passed, 0 failed"
        )

    def test_skips_are_told_apart(self) -> None:
        self.assertEqual(count(["PASSED (skips=2, successes=10)\n", "\n"]), "10 passed, 0 failed, 2 skipped")

    def test_failures_and_errors_are_failed(self) -> None:
        self.assertEqual(count(["FAILED (failures=1, errors=2, successes=9)\n"]), "9 passed, 3 failed")

    def test_a_run_without_an_end_failed(self) -> None:
        self.assertEqual(count(["Segmentation fault\n"]), "0 passed, 1 failed")
