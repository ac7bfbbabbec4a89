"""The places where a test may end the process, and that nobody else notices them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from posthouse import faults


class FaultTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.killed: list[tuple[int, int]] = []
        self.patch(os, "kill", lambda pid, number: self.killed.append((pid, number)))

    def test_nothing_is_looked_at_without_the_variable(self) -> None:
        code = "from posthouse import faults; print(faults.reach is faults._nothing)"
        path = str(Path(faults.__file__).parents[1])
        environ = {name: value for name, value in os.environ.items() if name != faults.VARIABLE}
        for value, off in (("", True), (None, True), (str(self.file), False)):
            more = {"PYTHONPATH": path} | ({} if value is None else {faults.VARIABLE: value})
            said = subprocess.run(
                [sys.executable, "-c", code], env=environ | more, capture_output=True, text=True, timeout=60
            )
            self.assertEqual(said.stdout.strip(), str(off))

    def test_the_named_place_is_the_last_and_only_once(self) -> None:
        trap = faults._Trap(self.file)
        trap("intake.mid-spool")
        self.file.write_text("intake.mid-spool\n")
        trap("intake.upload")
        self.assertEqual(self.killed, [])
        trap("intake.mid-spool")
        self.assertEqual(self.killed, [(os.getpid(), signal.SIGKILL)])
        self.assertFalse(self.file.exists())
        trap("intake.mid-spool")
        self.assertEqual(len(self.killed), 1)
