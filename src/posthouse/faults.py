"""Places where a test ends the process as a power cut would, to see what the next start makes of it.

Promise: nothing happens at any of them, and nothing is looked at, unless the environment named a file when the
process began (``POSTHOUSE_FAULT``); only tests do. Then the place whose name stands in that file is the last
that the process reaches: the file is removed and the process kills itself, by a signal that nobody can handle.

What may have happened to a message at each of them is written in docs/reliability.rst.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

__all__ = ["PLACES", "VARIABLE", "reach"]

VARIABLE = "POSTHOUSE_FAULT"

#: Every place by its name, in the order in which a message passes them.
PLACES = {
    "intake.before-spool": "DATA or BDAT was said; nothing of the message is here",
    "intake.mid-spool": "a part of the message has arrived",
    "intake.upload": "a part of a large message is in the store, and nothing refers to it",
    "intake.before-commit": "the message is written, and the transaction is open",
    "intake.after-commit": "the message is kept, and its sender has not heard so",
    "intake.after-answer": "250 has been said",
    "submission.before-commit": "a phone's message is written, and the transaction is open",
    "submission.after-commit": "a phone's message is kept, and the phone has not heard so",
    "queue.before-connect": "an attempt is on record, and has not begun",
    "relay.after-mail": "the next host has answered MAIL",
    "relay.mid-body": "the next host has a part of the message, or is about to get all of it",
    "relay.after-dot": "the next host has all of the message, and its answer was not read",
    "queue.before-record": "the next host has answered, and the queue does not know yet",
    "queue.recording": "the outcome is written, with the report that follows, and the transaction is open",
    "queue.after-record": "the outcome is kept",
    "store.migration": "an upgrade of the database is written, and its transaction is open",
}


def _nothing(place: str) -> None:
    """What ``reach`` is in a house where nobody tests anything."""


class _Trap:
    """Ends the process at the place that the file names."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, place: str) -> None:
        try:
            if self._file.read_text().strip() != place:
                return
            self._file.unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


#: ``reach(place)``: called at each of ``PLACES``.
reach = _Trap(Path(os.environ[VARIABLE])) if os.environ.get(VARIABLE) else _nothing
