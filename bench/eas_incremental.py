"""What a small change costs in a small mailbox and in a large one. ``python bench/eas_incremental.py [--quick]``

A Sync that brings one new message, an empty Sync, the start of a Ping and a FolderSync without news, over TLS, in
mailboxes of 1,000 and of 100,000 items: the median time seen by the phone, and the CPU time of the server for
each. Published beside it: SOGo and Z-Push take 170 ms at 2,000 items and 330-620 ms at 10,000.
"""

# ruff: noqa: I001 - the path is set before the package is imported
from __future__ import annotations

import smtplib
import statistics
import time
from collections.abc import Callable

from support import InlineDatabase, Line, Server, add_people, fill, options, policy_key, sync_key

from attrs import define, field
from eas_fill import inbox_of, request
from posthouse.wbxml.tags import FolderHierarchy, Ping
from posthouse.wbxml.tree import E

_MESSAGE = (
    "From: s@bench.example\r\nTo: {to}\r\nSubject: news {number}\r\n"
    "Message-ID: <n{number}.{at}@bench.example>\r\n\r\nSomething happened, and here it is told in a few words.\r\n"
)


class Phone:
    """One phone, filled up to now."""

    def __init__(self, server: Server, user: tuple[str, str], device: str) -> None:
        self.server = server
        self.user = user
        self.line = Line(server.https, user, device, server.certificate)
        policy_key(self.line)
        hierarchy = bytes(self.folder_sync("0"))
        self.folder = inbox_of(hierarchy)
        self.folder_key = sync_key(memoryview(hierarchy)).decode()
        self.key = sync_key(self.line.ask("Sync", request(self.folder, "0", 512))).decode()
        while b"\x4e\x031\x00\x01\x14" in bytes(self.sync()[:120]):
            pass

    def folder_sync(self, key: str) -> memoryview:
        """A FolderSync."""
        return self.line.ask("FolderSync", E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, key)))

    def sync(self) -> memoryview:
        """One Sync of the Inbox."""
        answer = self.line.ask("Sync", request(self.folder, self.key, 512))
        if len(answer):
            self.key = sync_key(answer).decode()
        return answer

    def ping(self, line: Line, heartbeat: int) -> None:
        """Park on one of the phone's lines; the answer is not waited for."""
        folder = E(Ping.Folder, E(Ping.Id, self.folder), E(Ping.Class, "Email"))
        line.send("Ping", E(Ping.Ping, E(Ping.HeartbeatInterval, heartbeat), E(Ping.Folders, folder)))


@define
class Row:
    """What one kind of request took, by mailbox: seconds, and CPU seconds of the server."""

    times: list[float] = field(factory=list)
    used: list[float] = field(factory=list)

    @property
    def ms(self) -> float:
        return statistics.median(self.times) * 1000

    @property
    def cpu(self) -> float:
        return statistics.median(self.used) * 1000

    def take(self, server: Server, work: Callable[[], object]) -> None:
        """Measure once."""
        cpu, began = server.figures.cpu(), time.perf_counter()
        work()
        self.times.append(time.perf_counter() - began)
        self.used.append(server.figures.cpu() - cpu)


class Bench:
    """The phones of both mailboxes, measured in turns, so that a busy machine is equally unkind to both."""

    def __init__(self, server: Server, people: dict[int, tuple[str, str]]) -> None:
        self.server = server
        self.people = people
        self.phones = {size: Phone(server, user, f"INCREMENT{size}") for size, user in people.items()}
        # A newer Ping of a device makes the older be answered, which shows that it is parked.
        self.others = {
            size: Line(server.https, user, f"INCREMENT{size}", server.certificate)
            for size, user in people.items()
        }
        for size, line in self.others.items():
            line.key = self.phones[size].line.key
        self.rows: dict[str, dict[int, Row]] = {}

    def run(self, name: str, count: int, once: Callable[[Row, int, int], None]) -> None:
        """Measure ``once(row, size, number)`` for both mailboxes by turns."""
        rows = self.rows[name] = {size: Row() for size in self.people}
        for size in self.people:
            once(Row(), size, -1)
        for number in range(count):
            for size, row in rows.items():
                once(row, size, number)
        for size, row in rows.items():
            print(f"{size:>8,} items: {name:18} {row.ms:7.2f} ms   CPU {row.cpu:6.2f} ms", flush=True)
        small, large = rows.values()
        print(
            f"{'':18} ratio{'':12} {large.ms / small.ms:7.2f}          {large.cpu / small.cpu:6.2f}",
            flush=True,
        )

    def news(self, mail: smtplib.SMTP) -> Callable[[Row, int, int], None]:
        """One message comes, and a Sync brings it."""
        at = time.time()

        def once(row: Row, size: int, number: int) -> None:
            phone, to = self.phones[size], self.people[size][0]
            mail.sendmail("s@bench.example", [to], _MESSAGE.format(to=to, number=number, at=at))
            before = phone.key
            time.sleep(0.005)  # the server has other things to do after 250
            row.take(self.server, phone.sync)
            if phone.key == before:
                raise RuntimeError("nothing came")

        return once

    def empty(self, row: Row, size: int, number: int) -> None:
        row.take(self.server, self.phones[size].sync)

    def folders(self, row: Row, size: int, number: int) -> None:
        phone = self.phones[size]
        row.take(self.server, lambda: phone.folder_sync(phone.folder_key))

    def ping(self, row: Row, size: int, number: int) -> None:
        phone, other = self.phones[size], self.others[size]
        new, old = (other, phone.line) if number % 2 == 0 else (phone.line, other)
        if number < 0:
            phone.ping(phone.line, 300)
            time.sleep(0.2)
        else:
            row.take(self.server, lambda: (phone.ping(new, 300), old.receive()))


def main() -> None:
    given = options(__doc__, small=1000, large=100_000, count=200)
    large, count = (10_000, 40) if given.quick else (given.large, given.count)
    sizes = (given.small, large)
    people: list[tuple[str, str]] = []

    def prepared(db: InlineDatabase) -> None:
        people.extend(add_people(db, 2))
        for (address, _), size in zip(people, sizes, strict=True):
            fill(db, address, size, small=True)

    with Server.over(given.directory, prepared) as server:
        bench = Bench(server, dict(zip(sizes, people, strict=True)))
        mail = smtplib.SMTP("127.0.0.1", server.smtp)
        bench.run("one new message", count, bench.news(mail))
        mail.quit()
        bench.run("nothing new", count, bench.empty)
        bench.run("FolderSync", count, bench.folders)
        bench.run("Ping, superseding", count, bench.ping)
        one = bench.rows["one new message"][large].ms
        print(
            f"one new message beside SOGo and Z-Push: at 2,000 items (170 ms) x{170 / one:.0f} faster; at 10,000 "
            f"(330-620 ms) x{330 / one:.0f} to x{620 / one:.0f}"
        )
        print(f"reactor held for {server.reactor_held():.0f} ms at the most")


if __name__ == "__main__":
    main()
