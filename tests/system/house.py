"""One demo for all tests of a module, made when the first one asks, ended with the process."""

from __future__ import annotations

import atexit
import smtplib
import threading
from collections.abc import Callable
from typing import Any

from tests.support.daemon import Daemon
from tests.support.eas import Phone

_running: dict[str, Daemon] = {}

INBOX, DELETED, SENT = 2, 4, 5


def demo_of(module: str) -> Daemon:
    """The module's demo, ready."""
    if module not in _running:
        daemon = _running[module] = Daemon.demo()
        atexit.register(daemon.clean)
    return _running[module]


def phone_of(
    daemon: Daemon, account: int = 0, device: str = "PHONE000000000000000000001", **more: Any
) -> Phone:
    """A phone of one of the two users, provisioned, with its folders."""
    # Checking every answer against the schemas costs seconds for a large mailbox; the tests of eas do it.
    more.setdefault("check", False)
    return Phone.of_demo(daemon.directory / "demo.json", account, device_id=device, **more).set_up()


def letter(sender: str, to: str, subject: str, text: str = "Hello.", number: str = "") -> bytes:
    """A small message."""
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number or abs(hash((sender, to, subject)))}@system.example>\r\n"
        f"Date: Sun, 01 Nov 2026 10:00:00 +0000\r\n\r\n{text}\r\n"
    ).encode()


def login(daemon: Daemon, account: int = 0) -> smtplib.SMTP_SSL:
    """A session on the port for users."""
    client = smtplib.SMTP_SSL("127.0.0.1", daemon.facts["submissions"], timeout=60, context=daemon.tls())
    client.login(daemon.account(account)["address"], daemon.account(account)["password"])
    return client


class Background:
    """A call in a thread; ``result`` waits for it and raises what it raised."""

    def __init__(self, function: Callable[..., Any], *args: Any, **more: Any) -> None:
        self._outcome: list[Any] = []

        def work() -> None:
            try:
                self._outcome.append((True, function(*args, **more)))
            except BaseException as problem:
                self._outcome.append((False, problem))

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float = 60.0) -> Any:
        self._thread.join(seconds)
        if not self._outcome:
            raise AssertionError("the call did not end")
        good, value = self._outcome[0]
        if not good:
            raise value
        return value
