"""How many phones can wait, what each costs, and how soon they hear. ``python bench/eas_ping.py [--quick]``

2,000 accounts with a phone each, parked in Ping over TLS: the server's memory for each; all of them woken by a
mailing (20 messages to 100 recipients each, then one message to ten aliases that mean 200 each): the time from the
last 250 to the last answer; and one message to one phone while the others wait: from the final dot, and from its
250, to the answer of the Ping. The phones live in a process of their own. Published beside it: SOGo measured 6 s and
9.7 MB, Z-Push 12 s and 4-7 MB.
"""

# ruff: noqa: I001 - the path is set before the package is imported
from __future__ import annotations

import multiprocessing
import selectors
import smtplib
import ssl
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from support import (
    DOMAIN,
    InlineDatabase,
    Line,
    Server,
    add_people,
    options,
    policy_key,
    raise_limit,
    sync_key,
)

from eas_fill import inbox_of, request
from posthouse.store import accounts
from posthouse.wbxml.tags import FolderHierarchy, Ping
from posthouse.wbxml.tree import E

_HEARTBEAT = 1800
#: Seconds after which a connection may be closed.
_IDLE = 60
#: Ping's Status in its answer: token 0x05 or 0x07 of page 13.
_CHANGES = b"\x47\x032\x00"


class Phone:
    """A phone that can park and be read without blocking."""

    def __init__(self, port: int, user: tuple[str, str], certificate: str) -> None:
        self._again = lambda: Line(port, user, "PHONE", certificate, 1 << 14)
        self.line = self._again()
        self.used = time.monotonic()
        policy_key(self.line)
        root = E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, "0"))
        self.folder = inbox_of(bytes(self.line.ask("FolderSync", root)))
        self.key = sync_key(self.line.ask("Sync", request(self.folder, "0", 100))).decode()
        self.sync()

    def _connected(self) -> None:
        """Connect again when the server has closed what was idle."""
        if time.monotonic() - self.used > _IDLE:
            key, self.line = self.line.key, self._again()
            self.line.key = key
        self.used = time.monotonic()

    def sync(self) -> None:
        """Take what is new."""
        while True:
            self._connected()
            answer = self.line.ask("Sync", request(self.folder, self.key, 100))
            if not len(answer):
                return
            self.key = sync_key(answer).decode()

    def park(self) -> None:
        """Send a Ping."""
        self._connected()
        folder = E(Ping.Folder, E(Ping.Id, self.folder), E(Ping.Class, "Email"))
        self.line.send("Ping", E(Ping.Ping, E(Ping.HeartbeatInterval, _HEARTBEAT), E(Ping.Folders, folder)))


def phones(port: int, people: list[tuple[str, str]], certificate: str, told: Any) -> None:
    """The process of the phones. Obeys "park", "wait", "sync", "end"; answers with counts and times."""
    with ThreadPoolExecutor(8) as pool:
        everyone = list(pool.map(lambda user: Phone(port, user, certificate), people))
        told.send(len(everyone))
        while (order := told.recv()) != "end":
            if order == "park":
                list(pool.map(Phone.park, everyone))
                told.send(len(everyone))
            elif order == "sync":
                list(pool.map(Phone.sync, everyone))
                told.send(len(everyone))
            else:
                told.send(_all_answers(everyone))
    for phone in everyone:
        phone.line.close()


def _all_answers(everyone: list[Phone]) -> list[float]:
    """When each Ping was answered, by the clock that processes share; the change of all is checked."""
    selector = selectors.DefaultSelector()
    for phone in everyone:
        phone.line.socket.setblocking(False)
        selector.register(phone.line.socket, selectors.EVENT_READ, phone)
    times: list[float] = []
    deadline = time.monotonic() + 60
    while len(times) < len(everyone) and time.monotonic() < deadline:
        for key, _ in selector.select(1.0):
            phone = key.data
            try:
                data = phone.line.socket.recv(1 << 14)
            except ssl.SSLWantReadError:
                continue
            times.append(time.monotonic())
            if _CHANGES not in data:
                raise RuntimeError(f"no news in {data!r}")
            selector.unregister(phone.line.socket)
            phone.line.socket.settimeout(120)
    selector.close()
    return times


class Crowd:
    """The process of the phones, from here."""

    def __init__(self, server: Server, people: list[tuple[str, str]]) -> None:
        self._here, there = multiprocessing.Pipe()
        self._process = multiprocessing.Process(
            target=phones, args=(server.https, people, server.certificate, there)
        )
        self._process.start()
        there.close()
        self.size: int = self._here.recv()

    def tell(self, order: str) -> None:
        """Give an order; ``hear`` waits until it is done."""
        self._here.send(order)

    def hear(self) -> Any:
        """What it answers."""
        return self._here.recv()

    def ask(self, order: str) -> Any:
        """Both."""
        self.tell(order)
        return self.hear()

    def close(self) -> None:
        """Hang up."""
        self.tell("end")
        self._process.join()


def message(subject: str) -> bytes:
    """A message of 2 KB."""
    head = f"From: s@bench.example\r\nSubject: {subject}\r\nMessage-ID: <{subject}.{time.time()}@bench.example>\r\n\r\n"
    return head.encode() + b"All hands are asked to read this line and the ones that follow.\r\n" * 30


def wake(server: Server, crowd: Crowd, name: str, groups: list[list[str]]) -> None:
    """Send one message to each group and print how long after the last 250 all phones, which are parked, had heard;
    they are parked again afterwards."""
    mail = smtplib.SMTP("127.0.0.1", server.smtp, timeout=120)
    crowd.tell("wait")
    time.sleep(0.5)
    cpu, began = server.figures.cpu(), time.monotonic()
    for number, recipients in enumerate(groups):
        mail.sendmail("s@bench.example", recipients, message(f"{name}{number}"))
    accepted = time.monotonic()
    times = crowd.hear()
    mail.quit()
    used = server.figures.cpu() - cpu
    late = [moment - accepted for moment in sorted(times)]
    if len(times) < crowd.size:
        raise RuntimeError(f"{len(times)} of {crowd.size} phones were woken")
    print(
        f"{name}: accepted in {accepted - began:.2f} s; {len(times)} phones woken, the last {late[-1]:+.3f} s, "
        f"the median {statistics.median(late):+.3f} s after the last 250; CPU {used / len(times) * 1000:.2f} ms each",
        flush=True,
    )
    crowd.ask("sync")
    crowd.ask("park")
    server.settle()


def one_by_one(server: Server, user: tuple[str, str], count: int) -> None:
    """One message to one phone, many times."""
    phone = Phone(server.https, user, server.certificate)
    mail = smtplib.SMTP("127.0.0.1", server.smtp, timeout=60)
    mail.ehlo()
    from_dot, from_250 = [], []
    for number in range(count):
        phone.park()
        time.sleep(0.05)
        mail.mail("s@bench.example")
        mail.rcpt(user[0])
        mail.putcmd("DATA")
        mail.getreply()
        began = time.perf_counter()
        mail.send(message(f"one{number}") + b".\r\n")
        code, said = mail.getreply()
        accepted = time.perf_counter()
        if code != 250:
            raise RuntimeError(f"refused: {code} {said!r}")
        answer = bytes(phone.line.receive())
        heard = time.perf_counter()
        if _CHANGES not in answer:
            raise RuntimeError(f"no news in {answer!r}")
        from_dot.append(heard - began)
        from_250.append(heard - accepted)
        phone.sync()
    mail.quit()
    phone.line.close()
    for name, row in (("from its 250", from_250), ("from the final dot", from_dot)):
        ordered = sorted(row)
        print(
            f"one message to one phone, {name} to the Ping's answer: median {statistics.median(row) * 1000:.1f} ms, "
            f"90 % {ordered[int(len(row) * 0.9)] * 1000:.1f} ms, most {ordered[-1] * 1000:.1f} ms",
            flush=True,
        )


def main() -> None:
    given = options(__doc__, phones=2000, count=100)
    number, count = (200, 20) if given.quick else (given.phones, given.count)
    raise_limit(number + 500)  # for each of the two processes
    people: list[tuple[str, str]] = []
    lists: list[str] = []

    def prepared(db: InlineDatabase) -> None:
        people.extend(add_people(db, number + 1))
        for start in range(0, number, 200):
            some = [address for address, _ in people[start : min(number, start + 200)]]
            lists.append(f"all{start}@{DOMAIN}")
            db.write_now(lambda tx, some=some: accounts.add_alias(tx, lists[-1], some, 0))

    with Server.over(given.directory, prepared) as server:
        before = server.figures.rss()
        began = time.monotonic()
        crowd = Crowd(server, people[:number])
        print(f"{number} phones set up in {time.monotonic() - began:.1f} s", flush=True)
        server.settle()
        idle = server.figures.rss()
        crowd.ask("park")
        server.settle()
        parked = server.figures.rss()
        cpu = server.figures.cpu()
        time.sleep(5.0)
        resting = (server.figures.cpu() - cpu) / 5
        print(
            f"memory: {before:.0f} MB at the start, {idle:.0f} MB with all connected, {parked:.0f} MB with all parked: "
            f"{(parked - before) / number * 1024:.1f} KB a phone, {(parked - idle) / number * 1024:.1f} KB of it for "
            f"the Ping; {resting * 100:.1f} % of a CPU while they wait",
            flush=True,
        )
        addresses = [address for address, _ in people[:number]]
        groups = [addresses[start : start + 100] for start in range(0, number, 100)]
        wake(server, crowd, "mailing", groups)
        wake(server, crowd, "aliases", [lists])
        one_by_one(server, people[number], count)
        print(
            f"memory at the end: {server.figures.rss():.0f} MB; reactor held for {server.reactor_held():.0f} ms "
            "at the most"
        )
        crowd.close()


if __name__ == "__main__":
    main()
