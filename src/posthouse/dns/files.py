"""``/etc/resolv.conf`` and ``/etc/hosts``, read tolerantly and read again when they change.

Promise: a strange line is skipped, never an error; a missing file means the defaults that resolv.conf(5)
names. Search lists are not used: every name in mail is complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from attrs import define, field, frozen

from posthouse.dns.names import is_address

__all__ = ["ResolvConf", "WatchedFile", "parse_hosts", "parse_resolv_conf", "split_server"]

T = TypeVar("T")
_MAX_FILE = 1 << 20


@frozen
class ResolvConf:
    """Where to ask.

    ``servers`` are IP addresses, maybe with a port (``split_server``); ``timeout`` in seconds for one try,
    ``attempts`` rounds.
    """

    servers: tuple[str, ...] = ("127.0.0.1",)
    timeout: float = 5.0
    attempts: int = 2
    trust_ad: bool = False


def split_server(text: str) -> tuple[str, int]:
    """``"192.0.2.53"``, ``"127.0.0.1:5353"`` or ``"[::1]:5353"`` as (address, port)."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]:")
        return address, int(port)
    if text.count(":") == 1:
        address, _, port = text.partition(":")
        return address, int(port)
    return text, 53


def parse_resolv_conf(text: str) -> ResolvConf:
    """Read the text of a resolv.conf(5): ``nameserver`` (three at most) and three of the options."""
    servers: list[str] = []
    timeout, attempts, trust_ad = 5.0, 2, False
    for words in _lines(text):
        if words[0] == "nameserver" and len(words) > 1:
            server = words[1]
            if is_address(server.partition("%")[0]) and server not in servers:
                servers.append(server)
        elif words[0] == "options":
            for option in words[1:]:
                name, _, value = option.partition(":")
                if name == "timeout" and value.isdecimal():
                    timeout = float(min(max(int(value[:4]), 1), 30))
                elif name == "attempts" and value.isdecimal():
                    attempts = min(max(int(value[:4]), 1), 5)
                elif name == "trust-ad":
                    trust_ad = True
    return ResolvConf(tuple(servers[:3]) or ("127.0.0.1",), timeout, attempts, trust_ad)


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Read the text of a hosts(5): name, lower case, to addresses."""
    found: dict[str, tuple[str, ...]] = {}
    for words in _lines(text):
        if is_address(words[0]):
            for name in words[1:]:
                found[name.lower()] = found.get(name.lower(), ()) + (words[0],)
    return found


def _lines(text: str) -> Iterable[list[str]]:
    for line in text[:_MAX_FILE].splitlines():
        words = line.partition("#")[0].split()
        if words and not words[0].startswith(";"):
            yield words


@define
class WatchedFile(Generic[T]):
    """A parsed small file. Calling it looks at most every ``interval`` seconds whether the file changed."""

    path: str
    parse: Callable[[str], T]
    seconds: Callable[[], float]
    interval: float = 5.0
    _value: T | None = field(default=None, init=False)
    _stamp: tuple[int, int, int] = field(default=(0, 0, 0), init=False)
    _looked: float | None = field(default=None, init=False)

    def __call__(self) -> T:
        now = self.seconds()
        if self._value is not None and self._looked is not None and now - self._looked < self.interval:
            return self._value
        self._looked = now
        try:
            status = os.stat(self.path)
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if self._value is None or stamp != self._stamp:
                with open(self.path, encoding="utf-8", errors="replace") as stream:
                    self._value = self.parse(stream.read(_MAX_FILE))
                self._stamp = stamp
        except OSError:
            if self._value is None:
                self._value = self.parse("")
        return self._value
