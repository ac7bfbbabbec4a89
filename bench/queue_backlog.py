"""What a look at the queue costs while much waits in it: CPU per delivery with 1,000 to 40,000 queued rows.

``python bench/queue_backlog.py [ROWS ...]``

The rows are spread over 1,000 domains (20,000 rows, say: 20 for each). The store is a file, the clock is the test's,
and 50 attempts are open all the time. The time is that of this process for the runner, the attempt and the store
together; a look is what follows when something new was queued.

Goal: what one delivery costs does not grow with what waits.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "src"), str(Path(__file__).resolve().parents[1])]

from tests.support.resolver import FakeResolver  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import Clock, deferLater  # noqa: E402
from twisted.logger import globalLogBeginner  # noqa: E402

from posthouse.delivery.attempt import Sender  # noqa: E402
from posthouse.delivery.bounce import Reporter  # noqa: E402
from posthouse.delivery.routes import Routes, Smarthost  # noqa: E402
from posthouse.delivery.runner import Runner  # noqa: E402
from posthouse.model import RecipientResult, RelayJob  # noqa: E402
from posthouse.store import bodies, outbox  # noqa: E402
from posthouse.store.db import InlineDatabase  # noqa: E402

DOMAINS = 1000
NOW = 1_790_000_000_000
SAMPLE = 600  # deliveries measured
STEP = 0.05  # seconds of the clock; what a quick host takes
SECONDS = 10 * STEP  # what a slow one takes


class Relay:
    """Takes everything, after ``wait`` seconds of the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.wait, self.sent = clock, STEP, 0

    def send(self, job: RelayJob) -> Deferred[Any]:
        self.sent += 1
        results = [RecipientResult(one, "sent", 250, "2.0.0", "ok", "mx") for one in job.recipients]
        return deferLater(self.clock, self.wait, lambda: results)


class ByDomain(Routes):
    """One host for all, and yet a lane for each domain."""

    def key(self, domain: str) -> str:
        return domain


def fill(db: InlineDatabase, count: int) -> None:
    def some(tx: Any, numbers: range) -> None:
        for number in numbers:
            text = b"From: a@here.example\r\nSubject: %d\r\n\r\nHello\r\n" % number
            body = bodies.put_body(tx, bodies.prepare(text), NOW)
            to = f"x{number}@d{number % DOMAINS}.example"
            draft = outbox.OutboxDraft(
                None, "a@here.example", to, len(text), NOW + 10**9, NOW - count + number, body.id
            )
            outbox.enqueue(tx, draft, NOW)

    for start in range(0, count, 500):
        db.write_now(lambda tx, start=start: some(tx, range(start, min(count, start + 500))))


def measure(count: int) -> None:
    place = Path(tempfile.mkdtemp(prefix="queue-bench-"))
    try:
        db = InlineDatabase(place / "posthouse.db").open()
        fill(db, count)
        db._connection.execute("PRAGMA synchronous=OFF")  # type: ignore[union-attr] # the CPU, not the disk
        clock = Clock()
        clock.advance(NOW / 1000)
        relay = Relay(clock)
        relay.wait = SECONDS
        resolver = FakeResolver()
        resolver.known["mx"] = ["192.0.2.1"]
        reporter = Reporter("mx.here.example", lambda: "1")
        routes = ByDomain(resolver, smarthost=Smarthost("mx", 25))
        sender = Sender(db, relay, routes, reporter, Random(1), lambda: int(clock.seconds() * 1000))  # type: ignore[arg-type]
        runner = Runner(db, sender, clock)
        began = time.process_time()
        runner.start()
        for _ in range(4):
            clock.advance(0)
        first = time.process_time() - began
        figures = []
        for wait in (STEP, SECONDS):
            relay.wait = wait
            before, began = relay.sent, time.process_time()
            while relay.sent - before < min(SAMPLE, count // 3):
                clock.advance(STEP)
            figures.append((time.process_time() - began) * 1e6 / (relay.sent - before))
        reads = 200
        began = time.process_time()
        for _ in range(reads):
            getattr(runner, "hear", runner.poke)()
            clock.advance(0)
        look = (time.process_time() - began) * 1e6 / reads
        print(
            f"{count:6} rows: start {first * 1000:7.0f} ms; {figures[0]:6.0f} us a delivery to quick hosts, "
            f"{figures[1]:6.0f} us to slow ones; {look:8.0f} us a look",
            flush=True,
        )
        db.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main() -> None:
    globalLogBeginner.beginLoggingTo([lambda event: None], redirectStandardIO=False)
    for count in [int(word) for word in sys.argv[1:]] or [1_000, 5_000, 20_000, 40_000]:
        measure(count)


if __name__ == "__main__":
    main()
