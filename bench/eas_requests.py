"""Requests a second, and how long they take, by kind. ``python bench/eas_requests.py [--quick]``

1, 8 and 32 phones over TLS, each with an Inbox of 2,000 messages, send one kind of request after the other: FolderSync
without news, a Sync without news, a Sync that brings one change made by a phone's twin, the start of a Ping (which
supersedes the one before it, so that an answer shows that it is parked). The phones live in a process of their own.
Goal: no request that carries no item costs 2 ms of CPU.

``--profile FILE`` runs py-spy beside it and leaves its samples there.
"""

# ruff: noqa: I001 - the path is set before the package is imported
from __future__ import annotations

import multiprocessing
import re
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from support import InlineDatabase, Line, Server, add_people, fill, options, sync_key

from eas_fill import request
from eas_incremental import Phone
from posthouse.wbxml.tags import AirSync, Email
from posthouse.wbxml.tree import E

_KINDS = ("FolderSync", "empty Sync", "Sync with one change", "Ping start")
#: In an Add: token 0x0D of page 0, and an inline string.
_SERVER_ID = re.compile(rb"\x47\x4d\x03([^\0]+)\0")


class Pair:
    """A phone, and a twin of the same account that makes the changes."""

    def __init__(self, server: Any, user: tuple[str, str], number: int) -> None:
        self.phone = Phone(server, user, f"ASKS{number}")
        self.twin = Phone(server, user, f"TWIN{number}")
        self.line, self.other = self.phone.line, Line(server.https, user, f"ASKS{number}", server.certificate)
        self.other.key = self.line.key
        self.read = 0
        # The twin begins again, with one message, which is the one that it will change.
        twin = self.twin
        twin.key = sync_key(twin.line.ask("Sync", request(twin.folder, "0", 1))).decode()
        answer = twin.line.ask("Sync", request(twin.folder, twin.key, 1))
        twin.key = sync_key(answer).decode()
        found = _SERVER_ID.search(bytes(answer))
        if found is None:
            raise RuntimeError("no message in the Inbox")
        self.item = found[1].decode()

    def prepare(self, kind: str) -> None:
        if kind == "Ping start":
            self.phone.ping(self.line, 300)
            time.sleep(0.3)

    def ask(self, kind: str) -> float:
        """One request of a kind: seconds until its answer."""
        phone = self.phone
        if kind == "Sync with one change":
            self._change()
        began = time.perf_counter()
        if kind == "FolderSync":
            phone.folder_sync(phone.folder_key)
        elif kind == "Ping start":
            self.line, self.other = self.other, self.line
            phone.ping(self.line, 300)
            self.other.receive()
        else:
            before = phone.key
            phone.sync()
            if (phone.key != before) != (kind == "Sync with one change"):
                raise RuntimeError(f"{kind}: the key was {before} and is {phone.key}")
        return time.perf_counter() - began

    def _change(self) -> None:
        """The twin turns the read mark of the first message."""
        twin, self.read = self.twin, 1 - self.read
        change = E(
            AirSync.Change,
            E(AirSync.ServerId, self.item),
            E(AirSync.ApplicationData, E(Email.Read, self.read)),
        )
        root = E(
            AirSync.Sync,
            E(
                AirSync.Collections,
                E(
                    AirSync.Collection,
                    E(AirSync.SyncKey, twin.key),
                    E(AirSync.CollectionId, twin.folder),
                    E(AirSync.GetChanges, 0),
                    E(AirSync.Commands, change),
                ),
            ),
        )
        twin.key = sync_key(twin.line.ask("Sync", root)).decode()


class _Ports:
    """What a phone needs to know of the server."""

    def __init__(self, https: int, certificate: str) -> None:
        self.https = https
        self.certificate = certificate


def phones(https: int, certificate: str, people: list[tuple[str, str]], told: Any) -> None:
    """The process of the phones: obeys (kind, phones, requests each), answers with the times of all."""
    server = _Ports(https, certificate)
    with ThreadPoolExecutor(len(people)) as pool:
        pairs = [Pair(server, user, number) for number, user in enumerate(people)]
        told.send(len(pairs))
        while (order := told.recv()) is not None:
            kind, number, count = order
            for pair in pairs[:number]:
                pair.prepare(kind)

            def work(pair: Pair, kind: str = kind, count: int = count) -> list[float]:
                return [pair.ask(kind) for _ in range(count)]

            told.send(("begin", 0))
            began = time.perf_counter()
            times = [one for some in pool.map(work, pairs[:number]) for one in some]
            told.send((time.perf_counter() - began, sorted(times)))


def show(server: Server, here: Any, kind: str, number: int, count: int) -> None:
    """Measure and print one line."""
    here.send((kind, number, count))
    here.recv()
    before = server.figures.cpu()
    seconds, times = here.recv()
    used = (server.figures.cpu() - before) / len(times)
    note = " (with the twin's request)" if kind == "Sync with one change" else ""
    print(
        f"{number:3} phones  {kind:22} {len(times) / seconds:7.0f} requests/s   p50 {_at(times, 0.5):6.2f} ms   "
        f"p99 {_at(times, 0.99):6.2f} ms   CPU {used * 1000:5.2f} ms each{note}",
        flush=True,
    )


def _at(times: list[float], part: float) -> float:
    return times[min(len(times) - 1, int(len(times) * part))] * 1000


def _profiled(pid: int, path: str) -> Callable[[], Any]:
    if not path:
        return lambda: None
    spy = subprocess.Popen(
        ["py-spy", "record", "-p", str(pid), "-o", path, "-f", "raw", "-d", "600", "-r", "250"]
    )
    return lambda: (spy.send_signal(2), spy.wait())


def main() -> None:
    given = options(__doc__, requests=3000, profile="")
    total = 300 if given.quick else given.requests
    people: list[tuple[str, str]] = []

    def prepared(db: InlineDatabase) -> None:
        people.extend(add_people(db, 32))
        for address, _ in people:
            fill(db, address, 200 if given.quick else 2000, small=True)

    with Server.over(given.directory, prepared) as server:
        here, there = multiprocessing.Pipe()
        process = multiprocessing.Process(
            target=phones, args=(server.https, server.certificate, people, there)
        )
        process.start()
        there.close()
        here.recv()
        server.settle()
        stop = _profiled(server.figures.pid, given.profile)
        for kind in _KINDS:
            for number in (1, 8, 32):
                show(server, here, kind, number, max(1, total // number))
        stop()
        here.send(None)
        process.join()
        print(f"reactor held for {server.reactor_held():.0f} ms at the most")


if __name__ == "__main__":
    main()
