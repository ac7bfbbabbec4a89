"""Runs trial and ends with one plain line that counts: ``N passed, N failed, N skipped``.

``python -m tests.support.runner [trial's arguments]``. The exit code is trial's. With
POSTHOUSE_TEST_COUNTS set, the line is written into that file, too."""

from __future__ import annotations

import os
import re
import subprocess
import sys

_SUMMARY = re.compile(r"^(?:PASSED|FAILED)(?: \((.*)\))?$")


def count(lines: list[str]) -> str:
    """The counting line for what trial printed; a run without a summary is a failure."""
    for line in reversed(lines):
        match = _SUMMARY.match(line.strip())
        if match is not None:
            found = dict(part.split("=") for part in (match[1] or "").split(", ") if "=" in part)
            numbers = {key: int(value) for key, value in found.items()}
            passed = numbers.get("successes", 0) + numbers.get("expectedFailures", 0)
            failed = sum(numbers.get(key, 0) for key in ("failures", "errors", "unexpectedSuccesses"))
            skipped = numbers.get("skips", 0)
            return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
    return "0 passed, 1 failed"


def main(arguments: list[str]) -> int:
    """Run trial, show what it prints as it comes, count."""
    command = [sys.executable, "-u", "-m", "twisted.trial", *arguments]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as trial:
        assert trial.stdout is not None
        for line in trial.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines = [*lines[-50:], line]
    summary = count(lines)
    print(summary)
    target = os.environ.get("POSTHOUSE_TEST_COUNTS")
    if target:
        with open(target, "w", encoding="ascii") as stream:
            stream.write(summary + "\n")
    return trial.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
