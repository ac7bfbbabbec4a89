"""The real ``twistd mailserver`` as a process, for system tests.

``Daemon.demo(directory)`` starts a demo on free ports and waits until it is ready; ``kill`` is kill -9.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import SkipTest

import posthouse

START_SECONDS = 90.0
STOP_SECONDS = 30.0
FREE_PORTS = ("--https-port=0", "--smtp-port=0", "--submission-port=0", "--submissions-port=0")


def program(name: str) -> str:
    """A command of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)


def environment() -> dict[str, str]:
    """The tests' environment, without any setting of a server that lives on this machine."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("POSTHOUSE_")}
    root = Path(__file__).resolve().parents[2]
    if Path(posthouse.__file__).is_relative_to(root / "src"):
        # The tests run on the source tree rather than on what was installed, so the server does, too.
        environ["PYTHONPATH"] = f"{root / 'src'}{os.pathsep}{root}"
    # Scripted phones are faster than any real one, and would be told to slow down.
    environ["POSTHOUSE_EAS_REQUESTS_PER_MINUTE"] = "0"
    return environ | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}


def twistd(*arguments: str, cwd: str | Path) -> list[str]:
    """The command line that runs the server in the foreground.

    :raises SkipTest: the package is not installed, so that twistd does not know the plugin.
    """
    return [program("twistd"), "-n", "--pidfile=", "mailserver", *arguments]


class Daemon:
    """One running server. ``facts`` is its ``demo.json``; ``output`` the path of what it prints."""

    def __init__(self, directory: Path, arguments: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.arguments = arguments
        self.output = directory.parent / f"{directory.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.facts: dict[str, Any] = {}

    @classmethod
    def demo(cls, directory: Path | None = None, *arguments: str) -> Daemon:
        """A demo that is ready. Without a directory a temporary one is made; ``clean`` removes it."""
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="posthouse-")) / "demo"
        daemon = cls(directory, ("--demo", "--directory", str(directory), *FREE_PORTS, *arguments))
        daemon.start()
        return daemon

    def start(self, **options: Any) -> None:
        """Start and wait for ``demo.json``. :raises AssertionError: with what it printed, when it ended."""
        (self.directory / "demo.json").unlink(missing_ok=True)
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                twistd(*self.arguments, cwd=self.directory.parent),
                cwd=self.directory.parent,
                env=environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                **options,
            )
        deadline = time.monotonic() + START_SECONDS
        path = self.directory / "demo.json"
        while not path.exists():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.said()}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server is not ready:\n{self.said()}")
            time.sleep(0.05)
        self.facts = json.loads(path.read_text())

    def said(self) -> str:
        """The end of what the server printed."""
        return self.output.read_text(errors="replace")[-8000:]

    def stop(self) -> None:
        """An orderly stop by SIGTERM. twistd passes the signal on to itself in the end, as it should."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop:\n{self.said()}") from None
        assert code in (0, -signal.SIGTERM), f"the server ended with {code}:\n{self.said()}"

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def clean(self) -> None:
        """End the process, if it still runs, and remove its data."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory.parent, ignore_errors=True)

    # -- what it offers

    def account(self, number: int = 0) -> dict[str, Any]:
        """``address``, ``password``, ``admin`` of a user."""
        found: dict[str, Any] = self.facts["accounts"][number]
        return found

    def tls(self) -> ssl.SSLContext:
        """A context that trusts this server and nobody else."""
        return ssl.create_default_context(cafile=self.facts["certificate"])

    def posthouse(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the ``posthouse`` command on this server's directory."""
        return subprocess.run(
            [sys.executable, "-m", "posthouse.cli", "--directory", str(self.directory), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            env=environment(),
        )

    def mail(self, sender: str, recipients: list[str], message: str | bytes) -> None:
        """Hand a message over as another server would."""
        data = message.encode() if isinstance(message, str) else message
        with smtplib.SMTP("127.0.0.1", self.facts["smtp"], timeout=60) as client:
            client.sendmail(sender, recipients, data)


def need(name: str) -> str:
    """The path of a program of the machine. :raises SkipTest: it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise SkipTest(f"{name} is not installed")
    return found
