"""A configured server, not the demo, as a process: one user, and ``routes`` to a next host of the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posthouse.auth.passwords import hash_password
from posthouse.store import accounts
from posthouse.store.db import open_for_tool
from tests.support.daemon import environment, twistd
from tests.support.sink import Sink

IDA, PASSWORD = "ida@here.test", "correct horse battery"
DOMAIN = "away.test"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Configured:
    """``ports`` and data stay the same over restarts. ``fault`` is the file that ``posthouse.faults`` looks at.

    :param parent: where the data lies, made when it is not given. :param people: make the user.
    """

    def __init__(self, parent: Path | None = None, people: bool = True) -> None:
        self.sink = Sink()
        self.directory = Path(tempfile.mkdtemp(prefix="posthouse-", dir=parent))
        self.data = self.directory / "data"
        self.data.mkdir(mode=0o700)
        self.fault = self.directory / "fault"
        self.output = self.directory / "output"
        self.process: subprocess.Popen[bytes] | None = None
        names = ("smtp", "submission", "submissions", "https")
        self.ports = dict(zip(names, _free_ports(4), strict=True))
        listen = "\n".join(f'{name} = ["127.0.0.1:{port}"]' for name, port in self.ports.items())
        self.config = self.directory / "mailserver.toml"
        self.config.write_text(
            f'[server]\nhostname = "mail.here.test"\ndirectory = "{self.data}"\n[listen]\n{listen}\n'
            "[auth]\nbcrypt_cost = 4\n[mailauth]\nverify = false\nsign = false\n[junk]\nwords = false\n"
            f'[delivery]\nroutes = ["{DOMAIN}=smtp://127.0.0.1:{self.sink.port}"]\n'
        )
        if people:
            self.in_store(self._fill)

    @staticmethod
    def _fill(tx: Any) -> None:
        accounts.add_domain(tx, "here.test", 0)
        accounts.add_account(tx, IDA, "Ida", hash_password(PASSWORD.encode(), 4), True, 0)

    def in_store(self, function: Callable[[Any], Any]) -> Any:
        """Run a function in the store of a server that does not run."""
        database = open_for_tool(self.data / "posthouse.db")
        found: list[Any] = []
        try:
            database.write(function).addBoth(found.append)
        finally:
            database.stop()
        if hasattr(found[0], "raiseException"):
            found[0].raiseException()
        return found[0]

    # -- the process

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start, and do not wait."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                twistd("--config", str(self.config), cwd=self.directory),
                cwd=self.directory,
                env=environment() | {"POSTHOUSE_FAULT": str(self.fault)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start(self) -> None:
        """Start, and wait until it listens."""
        before = self.said().count('"message": "ready:') + self.said().count("ready: ")
        process = self.spawn()
        self.until(
            lambda: (
                process.poll() is not None
                or self.said().count('"message": "ready:') + self.said().count("ready: ") > before
            ),
            90.0,
        )
        assert process.poll() is None, self.said()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def dies(self, seconds: float = 60.0) -> int:
        """Wait for the end. :returns: its code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def clean(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.sink.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def said(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def until(self, true: Callable[[], Any], seconds: float = 40.0) -> Any:
        """Wait until something is true. :raises AssertionError: with what the server said."""
        deadline = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < deadline, self.said()[-6000:]
            time.sleep(0.05)
        return found

    def run(self, *words: str) -> None:
        """The ``posthouse`` command."""
        done = subprocess.run(
            [sys.executable, "-m", "posthouse.cli", "--config", str(self.config), *words],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == 0, done.stderr

    # -- mail

    def arrive(self, message: bytes, to: str = IDA) -> bool:
        """As another server would. :returns: was it answered with 250? :raises SMTPResponseException: refused."""
        with self._broken_is_no(), smtplib.SMTP("127.0.0.1", self.ports["smtp"], timeout=60) as client:
            client.sendmail("far@away.test", [to], message)
            return True
        return False

    def submit(self, message: bytes, to: str) -> bool:
        """As Ida's program would. :returns: was it answered with 250? :raises SMTPResponseException: refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        port = self.ports["submissions"]
        with (
            self._broken_is_no(),
            smtplib.SMTP_SSL("127.0.0.1", port, timeout=60, context=context) as client,
        ):
            client.login(IDA, PASSWORD)
            client.sendmail(IDA, [to], message)
            return True
        return False

    @staticmethod
    @contextlib.contextmanager
    def _broken_is_no() -> Any:
        try:
            yield
        except smtplib.SMTPServerDisconnected:
            pass
        except smtplib.SMTPResponseException:
            raise
        except OSError:
            pass

    # -- what the store says, also while the server runs

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        uri = f"file:{self.data / 'posthouse.db'}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def kept(self, subject: str) -> int:
        """How many items of this subject there are, in all folders."""
        return int(self.ask("SELECT count(*) FROM item WHERE subject = ?", subject)[0][0])

    def waiting(self) -> int:
        """Rows of the queue that are not finished."""
        return int(self.ask("SELECT count(*) FROM outbox WHERE state NOT IN ('sent', 'failed')")[0][0])
