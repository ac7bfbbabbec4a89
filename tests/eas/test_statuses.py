"""The error table of the edge."""

import inspect

from twisted.trial.unittest import SynchronousTestCase

from posthouse import errors
from posthouse.eas.statuses import ERRORS, Status, StatusError, http_of, status_of


class TableTests(SynchronousTestCase):
    def test_every_error_of_the_house_has_a_row(self) -> None:
        tree = [
            kind
            for _, kind in inspect.getmembers(errors, inspect.isclass)
            if issubclass(kind, errors.PosthouseError)
        ]
        self.assertGreater(len(tree), 15)
        self.assertEqual([kind.__name__ for kind in tree if kind not in ERRORS], [])

    def test_an_error_becomes_its_status(self) -> None:
        self.assertEqual(status_of(errors.OverQuota()), 113)
        self.assertEqual(status_of(errors.MailboxFull()), 113)
        self.assertEqual(status_of(errors.SentTooMuch()), 115)
        self.assertEqual(status_of(StatusError(9)), 9)
        self.assertEqual(status_of(ZeroDivisionError()), 110)

    def test_a_subclass_without_a_row_takes_that_of_its_parent(self) -> None:
        class Special(errors.OverQuota):
            pass

        self.assertEqual(status_of(Special()), 113)

    def test_old_versions_get_http_codes(self) -> None:
        """MS-ASCMD R7545-R7567."""
        for status, code in (
            (101, 400), (103, 400), (106, 400), (110, 500), (111, 503), (112, 403), (113, 507), (125, 403),
            (126, 403), (132, 403), (137, 501), (138, 400), (140, 449), (141, 449), (142, 449), (143, 449),
            (144, 449), (129, 403),
        ):  # fmt: skip
            self.assertEqual(http_of(status), code, status)
        self.assertEqual(http_of(106, "SendMail"), 500)
        self.assertEqual(http_of(132, "Provision"), 500)
        self.assertEqual(http_of(Status.REMOTE_WIPE_REQUESTED, keyed=False), 403)
