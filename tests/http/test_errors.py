"""Every error of the house has a row in the table of HTTP."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from posthouse import errors
from posthouse.http.errors import STATUS, reply_for, status_of


def _tree(kind: type[errors.PosthouseError]) -> list[type[errors.PosthouseError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _tree(child))]


class TableTests(SynchronousTestCase):
    def test_every_error_has_a_row(self) -> None:
        ours = [kind for kind in _tree(errors.PosthouseError) if kind.__module__ == errors.__name__]
        self.assertEqual([kind.__name__ for kind in ours if kind not in STATUS], [])

    def test_temporary_errors_are_never_the_clients_fault(self) -> None:
        for kind, code in STATUS.items():
            if kind.temporary:
                self.assertGreaterEqual(code, 500, kind)

    def test_an_error_of_a_room_takes_its_ancestors_row(self) -> None:
        class Special(errors.NoSuchItem):
            pass

        self.assertEqual(status_of(Special()), 404)

    def test_the_answer_says_nothing_private(self) -> None:
        reply = reply_for(errors.NoSuchItem(cause="row 17 of /var/lib"))
        assert isinstance(reply.body, bytes)
        self.assertEqual(json.loads(reply.body), {"error": "NoSuchItem", "message": "No such item."})
        self.assertNotIn(b"row 17", reply.body)

    def test_401_brings_a_challenge_and_503_a_time(self) -> None:
        self.assertEqual(
            reply_for(errors.AuthFailed()).headers, ((b"www-authenticate", b'Basic realm="Posthouse"'),)
        )
        for error, after in ((errors.TooManyAttempts(after=59.2), b"60"), (errors.TryLater(after=0), b"1")):
            reply = reply_for(error)
            self.assertEqual((reply.code, reply.headers), (503, ((b"retry-after", after),)))
