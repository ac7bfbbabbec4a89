"""A configured server for who means it ill: its own DNS, logins of two users, and a balancer's address.

Connections from ``BALANCER`` begin with a PROXY header, so that a test may be a stranger from anywhere (those from
127.0.0.1 are exempt from every limit). ``Raw`` is a socket that says exactly what it is told.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest, TestCase

from posthouse.auth.passwords import hash_password
from posthouse.store import accounts
from posthouse.store.db import open_for_tool
from posthouse.wbxml.tags import AirSyncBase, Email
from tests.support.daemon import environment, twistd
from tests.support.eas import Phone
from tests.support.nameserver import NameServer

__all__ = ["BALANCER", "IDA", "NOA", "PASSWORD", "STRANGER", "Fort", "Raw", "fort_of", "plain", "wrap"]

IDA, NOA, PASSWORD = "ida@here.test", "noa@here.test", "correct horse battery"
BALANCER = "127.0.0.2"
STRANGER = "203.0.113.5"
NETWORK = "127.0.8"  # where other domains' servers live


def wrap(connection: socket.socket) -> ssl.SSLSocket:
    """TLS with whoever is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname="mail.here.test")


def plain(login: str, password: str) -> bytes:
    """The initial response of AUTH PLAIN."""
    return base64.b64encode(f"\0{login}\0{password}".encode())


class Raw:
    """One connection to an SMTP server, in bytes."""

    def __init__(self, port: int, source: str = "127.0.0.1", header: bytes = b"", tls: bool = False) -> None:
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), 30, (source, 0))
        except OSError as problem:
            if source != "127.0.0.1" and problem.errno is not None and problem.errno != 111:
                raise SkipTest("this machine has one loopback address only") from None
            raise
        self._unread = b""
        if header:
            self.socket.sendall(header)
        if tls:
            self.socket = wrap(self.socket)

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Raw:
        # A server that has closed resets us; what it said before is still there to be read.
        with contextlib.suppress(OSError):
            self.socket.sendall(data)
        return self

    def reply(self) -> tuple[int, str]:
        """The next reply: code and all its text. (0, "") when the connection has ended."""
        texts: list[str] = []
        while True:
            line = self._line()
            if line is None:
                return 0, ""
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(texts)

    def _line(self) -> str | None:
        while b"\r\n" not in self._unread:
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                return None
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line.decode()

    def code(self, *commands: bytes) -> int:
        """Say these one after the other; the code of the last reply."""
        found = 0
        for command in commands:
            found = self.send(command + b"\r\n").reply()[0]
        return found

    def codes(self, *commands: bytes) -> list[int]:
        return [self.code(command) for command in commands]

    def replies(self) -> list[tuple[int, str]]:
        """All replies until the server hangs up."""
        found = []
        while (answer := self.reply()) != (0, ""):
            found.append(answer)
        return found

    def rest(self) -> list[int]:
        """Their codes."""
        return [code for code, _ in self.replies()]

    def starttls(self) -> Raw:
        assert self.code(b"STARTTLS") == 220
        self.socket = wrap(self.socket)
        return self

    def ended(self) -> bool:
        """Whether the server hangs up, without another word."""
        return self.reply() == (0, "")


class Fort:
    """The server, its name server, and what a test needs to know of both."""

    def __init__(
        self, *more: str, verify: bool = True, delivery: tuple[str, ...] = (), listen: tuple[str, ...] = ()
    ) -> None:
        """:param more: lines of ``[smtp]``; ``delivery`` and ``listen``: of those sections."""
        self.dns = NameServer()
        self.directory = Path(tempfile.mkdtemp(prefix="posthouse-"))
        self.data = self.directory / "data"
        self.data.mkdir(mode=0o700)
        self.log = self.directory / "log"
        self.config = self.directory / "mailserver.toml"
        with socket.socket() as probe:
            probe.bind((f"{NETWORK}.1", 0))
            self.away = probe.getsockname()[1]
        addresses = "\n".join(
            (
                *(f'{name} = ["127.0.0.1:0"]' for name in ("smtp", "submission", "submissions", "https")),
                *listen,
            )
        )
        self.config.write_text(
            f'[server]\nhostname = "mail.here.test"\ndirectory = "{self.data}"\n'
            f'[listen]\n{addresses}\nproxied = ["{BALANCER}"]\n'
            f'[log]\nfile = "{self.log}"\n[auth]\nbcrypt_cost = 4\n[mailauth]\nverify = {str(verify).lower()}\n'
            f'[dns]\nservers = ["{self.dns.address}"]\n'
            f'[delivery]\nport = {self.away}\ninside = ["{NETWORK}.0/24"]\nmta_sts = false\n'
            + "".join(f"{line}\n" for line in delivery)
            + "[smtp]\nsize_limit = 3000000\n"
            + "".join(f"{line}\n" for line in more)
        )
        database = open_for_tool(self.data / "posthouse.db")

        def fill(tx: Any) -> None:
            accounts.add_domain(tx, "here.test", 0)
            for address, name in ((IDA, "Ida"), (NOA, "Noa")):
                accounts.add_account(tx, address, name, hash_password(PASSWORD.encode(), 4), True, 0)

        _finished(database.write(fill))
        _finished(database.stop())
        self.server = subprocess.Popen(
            twistd("--config", str(self.config), cwd=self.directory),
            cwd=self.directory,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while '"message": "ready:' not in self.said():
            assert self.server.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        words = next(one["listening"] for one in self.events() if one["message"].startswith("ready:"))
        pairs = words.replace(",", "").split()
        self.ports: dict[str, int] = dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True))

    def clean(self) -> None:
        self.server.kill()
        self.server.wait()
        self.dns.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- looking

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def events(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]

    def unharmed(self, case: TestCase) -> None:
        """No test may be the cause of a failure that nobody has foreseen."""
        bad = [one["message"][:3000] for one in self.events() if one["level"] in ("error", "critical")]
        case.assertEqual(bad, [])

    def memory(self) -> int:
        """Bytes that the server has in memory."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def run(self, *words: str) -> Any:
        """What the command says, as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "posthouse.cli", "--config", str(self.config), "--json", *words],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def until(self, true: Callable[[], Any], seconds: float = 30.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < deadline, self.said()[-6000:]
            time.sleep(0.05)
        return found

    # -- talking

    def raw(self, service: str = "smtp", peer: str = "", tls: bool = False) -> Raw:
        """A connection whose greeting was read. :param peer: the address of the stranger; "" is this machine."""
        header = (
            f"PROXY TCP{6 if ':' in peer else 4} {peer} {'::1' if ':' in peer else '192.0.2.1'} 4711 25\r\n"
        )
        line = Raw(
            self.ports[service],
            BALANCER if peer else "127.0.0.1",
            header.encode() if peer else b"",
            tls or service in ("submissions", "https"),
        )
        if service != "https":
            line.greeting = line.reply()  # type: ignore[attr-defined]
        return line

    def user(self, service: str = "submissions", login: str = IDA) -> Raw:
        """A connection of a user who has logged in."""
        line = self.raw(service)
        line.code(b"EHLO client.test")
        if service == "submission":
            line.starttls().code(b"EHLO client.test")
        assert line.code(b"AUTH PLAIN " + plain(login, PASSWORD)) == 235
        return line

    def phone(self, login: str = NOA) -> Phone:
        """A phone of a user, provisioned, with its folders."""
        place = f"https://127.0.0.1:{self.ports['https']}"
        return Phone(place, login, PASSWORD, insecure=True, check=False).set_up()

    def mail(self, login: str = NOA) -> dict[str, str]:
        """A user's mail by its subject; see ``letters``."""
        return dict(self.letters(login))

    def letters(self, login: str = NOA) -> list[tuple[str, str]]:
        """All of a user's mail in Inbox, Sent and Junk: (subject, the whole message with its header unfolded)."""
        found = []
        with self.phone(login) as phone:
            for number, folder in phone.folders.items():
                if folder.type not in (2, 5) and folder.name != "Junk Email":
                    continue
                phone.sync_all(number)
                for item in phone.mirror[number]:
                    fields = phone.fetch_item(number, item, body=4, mime=2)
                    data = fields[AirSyncBase.Body].find(AirSyncBase.Data).value
                    text = data.decode("latin-1") if isinstance(data, bytes) else data
                    head, _, body = text.partition("\r\n\r\n")
                    subject = fields[Email.Subject].value if Email.Subject in fields else ""
                    found.append((subject, re.sub(r"\r\n[ \t]+", " ", head) + "\r\n\r\n" + body))
        return found


def _finished(deferred: Any) -> None:
    found: list[Any] = []
    if deferred is not None:
        deferred.addBoth(found.append)
        if found and hasattr(found[0], "raiseException"):
            found[0].raiseException()


_forts: dict[str, Fort] = {}


def fort_of(module: str, *more: str, **options: Any) -> Fort:
    """The module's server, made when the first test asks."""
    if module not in _forts:
        fort = _forts[module] = Fort(*more, **options)
        atexit.register(fort.clean)
    return _forts[module]
