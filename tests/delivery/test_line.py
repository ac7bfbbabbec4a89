"""Whose turn it is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.line import Line


class LineTests(SynchronousTestCase):
    def test_people_first_yet_bulk_moves_on(self) -> None:
        line: Line[str] = Line()
        for number in range(3):
            line.put(f"b{number}", 1)
        for number in range(9):
            line.put(f"h{number}", 0)
        self.assertEqual(len(line), 12)
        taken = [line.take() for _ in range(12)]
        self.assertEqual(taken, ["h0", "h1", "h2", "h3", "b0", "h4", "h5", "h6", "h7", "b1", "h8", "b2"])
        self.assertRaises(IndexError, line.take)
