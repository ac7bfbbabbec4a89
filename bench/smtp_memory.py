"""Memory and fairness while many send much at once: 200 sessions with a message of 25 MB each, plain and over TLS.

``python bench/smtp_memory.py [--sessions N] [--megabytes N] [--directory DIR] [plain|tls ...]``

The messages are attachments that do not compress, each a different one. Meanwhile one more session sends a small
message four times a second, and another one opens a connection for each of its own: how long each waits for its
250 is what everybody else on this server would notice. Memory is the resident set of the daemon from /proc.

Goals: at most 200 MB above idle at any moment, and every small message answered within 2 s.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import shutil
import ssl
import sys
import tempfile
import time
from base64 import encodebytes
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "src"), str(Path(__file__).resolve().parents[1])]

from bench.support import Figures, Watcher, raise_limit  # noqa: E402
from tests.support.daemon import Daemon  # noqa: E402

MOST_MEMORY = 200.0  # MB above idle
MOST_WAIT = 2.0  # seconds
PAUSE = 0.25
BLOCK = 1 << 20


class Talk:
    """One connection, as a client that reads every answer."""

    def __init__(self, port: int, secure: bool) -> None:
        self.port, self.secure = port, secure

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        await self.answer()
        await self.say("EHLO bench.example")
        if self.secure:
            await self.say("STARTTLS")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            await self.writer.start_tls(context)
            await self.say("EHLO bench.example")

    async def answer(self) -> int:
        while True:
            line = await self.reader.readline()
            if not line:
                raise ConnectionError("the server hung up")
            if line[3:4] != b"-":
                return int(line[:3])

    async def say(self, text: str) -> int:
        self.writer.write(text.encode() + b"\r\n")
        return await self.answer()

    async def begin(self, to: str) -> int:
        codes = [await self.say("MAIL FROM:<a@bench.example>"), await self.say(f"RCPT TO:<{to}>")]
        return max(*codes, await self.say("DATA"))

    async def send(self, name: str, block: bytes, size: int) -> int:
        self.writer.write(
            f"From: a@bench.example\r\nSubject: {name}\r\nMessage-ID: <{name}@bench>\r\n".encode()
        )
        self.writer.write(b"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n")
        for sent in range(0, size, len(block)):
            self.writer.write(block[: size - sent])
            await self.writer.drain()
        self.writer.write(b"\r\n.\r\n")
        return await self.answer()


async def flood(
    port: int, secure: bool, sessions: int, size: int, people: list[str], mark: str
) -> Counter[int]:
    """All sessions at once; the code at the end of each."""
    # Shifted by a line each, so that no two messages have the same bytes anywhere in the same place.
    random = encodebytes(os.urandom(BLOCK)).replace(b"\n", b"\r\n")

    async def one(number: int) -> int:
        talk = Talk(port, secure)
        await talk.open()
        code = await talk.begin(people[number % len(people)])
        if code != 354:
            return code
        at = 78 * number * 7 % len(random)
        return await talk.send(f"{mark}-{number}", random[at:] + random[:at], size)

    found = await asyncio.gather(*(one(number) for number in range(sessions)), return_exceptions=True)
    for problem in found:
        if isinstance(problem, BaseException):
            print(f"  a session failed: {problem!r}")
    return Counter(code if isinstance(code, int) else 0 for code in found)


def flood_process(out: Any, *arguments: Any) -> None:
    raise_limit(2048)
    began = time.monotonic()
    out.send(asyncio.run(flood(*arguments)))
    out.send(time.monotonic() - began)


Took = tuple[float, float, float]  # seconds until 354, in all, and when since the start


async def small(port: int, to: str, mark: str, ended: Any, anew: bool) -> list[Took]:
    """A small message now and then; how long each took."""
    took: list[Took] = []
    start = time.monotonic()
    talk = Talk(port, False)
    await talk.open()
    while not ended.is_set():
        began = time.monotonic()
        if anew:
            talk.writer.close()
            talk = Talk(port, False)
            await talk.open()
        await talk.begin(to)
        ready = time.monotonic()
        code = await talk.send(f"{mark}-{anew}-{len(took)}", b"Hello\r\n", 7)
        took.append((ready - began, time.monotonic() - began if code == 250 else 999.0, began - start))
        await asyncio.sleep(PAUSE)
    return took


async def both(*arguments: Any) -> list[Took]:
    found = await asyncio.gather(*(small(*arguments, anew) for anew in (False, True)))
    return found[0] + found[1]


def small_process(out: Any, *arguments: Any) -> None:
    out.send(asyncio.run(both(*arguments)))


def run(way: str, options: argparse.Namespace) -> bool:
    parent = Path(tempfile.mkdtemp(prefix="smtp-memory-", dir=options.directory))
    os.environ["POSTHOUSE_MAILBOXES_QUOTA"] = "0"
    daemon = Daemon.demo(parent / "demo")
    try:
        assert daemon.process is not None
        figures = Figures(daemon.process.pid)
        people = [account["address"] for account in daemon.facts["accounts"]]
        port = daemon.facts["smtp"]
        # Idle is what it is after the first messages: modules are loaded, caches are warm.
        asyncio.run(flood(port, way == "tls", 2, 1 << 20, people, "warm"))
        time.sleep(3.0)
        idle, used = figures.rss(), figures.cpu()
        watcher = Watcher(figures, 0.05)
        ended = multiprocessing.Event()
        pipes = [multiprocessing.Pipe() for _ in range(2)]
        probe = multiprocessing.Process(
            target=small_process, args=(pipes[0][1], port, people[0], f"small-{way}", ended)
        )
        size = options.megabytes << 20
        work = multiprocessing.Process(
            target=flood_process,
            args=(pipes[1][1], port, way == "tls", options.sessions, size, people, f"large-{way}"),
        )
        probe.start()
        time.sleep(1.0)
        work.start()
        codes, seconds = pipes[1][0].recv(), pipes[1][0].recv()
        ended.set()
        slowest = sorted(pipes[0][0].recv(), key=lambda one: -one[1])
        took = sorted(whole for _, whole, _ in slowest)
        watcher.close()
        more = watcher.peak - idle
        print(
            f"{way}: {options.sessions} sessions of {options.megabytes} MB in {seconds:.0f} s "
            f"({options.sessions * options.megabytes / seconds:.0f} MB/s, CPU {figures.cpu() - used:.0f} s), "
            f"answers {dict(codes)}"
        )
        print(f"  memory: idle {idle:.0f} MB, peak {watcher.peak:.0f} MB, {more:.0f} MB above idle")
        print(
            f"  {len(took)} small messages: median {took[len(took) // 2] * 1000:.0f} ms, "
            f"99% {took[len(took) * 99 // 100] * 1000:.0f} ms, longest {took[-1] * 1000:.0f} ms"
        )
        for envelope, whole, when in slowest[:3]:
            print(
                f"  one at {when:.0f} s: {envelope * 1000:.0f} ms to 354, then {(whole - envelope) * 1000:.0f} ms"
            )
        for line in daemon.posthouse("status").stdout.splitlines():
            if "reactor" in line:
                print(f"  {line.strip()}")
        good = more <= MOST_MEMORY and took[-1] <= MOST_WAIT and codes == {250: options.sessions}
        print(f"  {'as it should be' if good else 'NOT as it should be'}", flush=True)
        return good
    finally:
        daemon.clean()
        shutil.rmtree(parent, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="*", default=["plain", "tls"], help="plain, tls")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--megabytes", type=int, default=25)
    parser.add_argument("--directory", help="where the data lies")
    options = parser.parse_args()
    good = [run(way, options) for way in options.ways]
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
