"""Whose address it is, for those who ask where their mailbox lies."""

from __future__ import annotations

from tests.delivery.house import HouseCase


class BelongsTests(HouseCase):
    def test_ones_own_and_what_is_not_ours_belongs_and_what_is_anothers_does_not(self) -> None:
        for address, expected in (
            ("ann@here.example", True),
            ("ANN@here.example", True),
            ("ann+tag@here.example", True),
            ("sales@here.example", True),
            ("ann@there.example", True),
            ("bob@here.example", False),
            ("nobody@here.example", False),
        ):
            found = self.successResultOf(self.directory.belongs(self.ann.id, address))
            self.assertEqual(found, expected, address)
