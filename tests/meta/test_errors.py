"""Every edge has a row of its own for every error of the house, and disk trouble is temporary everywhere."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from posthouse import errors
from posthouse.eas import statuses
from posthouse.http import errors as http
from posthouse.smtp import replies


def tree(kind: type[errors.PosthouseError] = errors.PosthouseError) -> Iterator[type[errors.PosthouseError]]:
    """The error and all below it that ``posthouse.errors`` defines."""
    if kind.__module__ == "posthouse.errors":
        yield kind
        for below in kind.__subclasses__():
            yield from tree(below)


class TableTests(SynchronousTestCase):
    def test_every_edge_has_a_row_for_every_error(self) -> None:
        for table in (replies.ERRORS, http.STATUS, statuses.ERRORS):
            self.assertEqual([kind.__name__ for kind in tree() if kind not in table], [])

    def test_what_may_pass_is_never_a_final_refusal(self) -> None:
        for kind in tree():
            if kind.temporary:
                self.assertTrue(400 <= replies.ERRORS[kind][0] < 500, kind)
                self.assertIn(http.STATUS[kind], (429, 503, 507), kind)

    def test_a_full_disk_is_452_and_503(self) -> None:
        self.assertEqual(replies.ERRORS[errors.StorageFull][0], 452)
        self.assertEqual(http.STATUS[errors.StorageFull], 503)

    def test_every_error_has_a_sentence_for_the_peer(self) -> None:
        for kind in tree():
            self.assertRegex(kind.public_default, r"^[A-Z].*\.$", kind)
            self.assertTrue(kind.__doc__, kind)
