"""How fast the store takes mail and gives it back. ``python bench/store.py [directory]``

Messages of 10 KB, one mailbox each, durable: by parts in the writer, then through ``Database.write`` with 1,
8 and 32 producers that each wait for their answer before the next message; then reading.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from posthouse.model import Arrival, ItemDraft
from posthouse.store import accounts, bodies, delivery, folders, items, search
from posthouse.store.db import Database
from posthouse.store.inline import InlineDatabase
from posthouse.store.rows import draft_columns

NOW = 1_767_225_600_000
WORDS = [
    bytes(random.Random(n).choices(b"abcdefghijklmnopqrstuvwxyz", k=random.Random(n).randint(2, 11)))
    for n in range(4000)
]


def message(number: int) -> bytes:
    """10 KB that compress as text does."""
    chosen = random.Random(number)
    head = b"Message-ID: <%d@bench.example>\r\nSubject: number %d\r\n\r\n" % (number, number)
    text = b" ".join(chosen.choice(WORDS) for _ in range(1600))
    return (head + text)[:10240]


def draft(number: int) -> ItemDraft:
    return ItemDraft(
        received=NOW + number,
        size=10240,
        subject=f"number {number} about something of interest",
        topic=f"number {number} about something of interest",
        sender='"Some Sender" <sender@elsewhere.example>',
        sender_address="sender@elsewhere.example",
        to='"A Person" <a0@example.org>',
        sent=NOW,
        message_id=f"<{number}@bench.example>",
        preview="x" * 255,
        structure=b"s" * 120,
        thread_keys=(number.to_bytes(16, "big"),),
    )


def populate(tx: Any) -> list[int]:
    accounts.add_domain(tx, "example.org", NOW)
    return [accounts.add_account(tx, f"a{n}@example.org", "A", "!", False, NOW).mailbox_id for n in range(20)]


def timed(label: str, count: int, work: Callable[[], Any]) -> None:
    begun, cpu = time.perf_counter(), time.process_time()
    work()
    wall, used = time.perf_counter() - begun, time.process_time() - cpu
    each = 1e6 / count
    print(f"{label:48} {wall * each:9.1f} us wall {used * each:9.1f} us cpu {count / wall:10.0f}/s")


def inline(path: Path, count: int) -> None:
    db = InlineDatabase(path).open()
    mailboxes = db.write_now(populate)
    raw = [message(n) for n in range(count)]
    drafts = [draft(n) for n in range(count)]
    prepared: list[bodies.PreparedBody] = []
    timed(
        "prepare (hash, compress; not in the writer)",
        count,
        lambda: prepared.extend(map(bodies.prepare, raw)),
    )
    timed("draft columns (part of deliver)", count, lambda: [draft_columns(each) for each in drafts])
    trace = b"Return-Path: <sender@elsewhere.example>\r\n" + b"Received: from x" * 15

    def one(tx: Any, number: int) -> None:
        box = mailboxes[number % len(mailboxes)]
        copy = delivery.Copy(box, f"a{number % 20}@example.org", trace)
        delivery.deliver(tx, prepared[number], drafts[number], [copy], "sender@elsewhere.example", [], NOW)

    def deliver() -> None:
        for start in range(0, count, 64):
            db.write_now(lambda tx, start=start: [one(tx, n) for n in range(start, min(start + 64, count))])

    timed("deliver, 64 to a commit, all of it", count, deliver)
    sizes = db.read_now(lambda tx: tx.value("PRAGMA page_count") * tx.value("PRAGMA page_size"))
    print(f"{'bytes in the file for each message':48} {sizes / count:9.0f}")

    inbox = db.read_now(lambda tx: folders.folder_of_type(tx, mailboxes[0], folders.FolderType.INBOX))
    per = len(range(0, count, 20))
    everything, nothing = Arrival(2**62, 0), Arrival(0, 0)
    marks = db.read_now(lambda tx: items.filling(tx, inbox.id, everything, nothing, per))
    timed(
        "filling: marks",
        per,
        lambda: db.read_now(lambda tx: items.filling(tx, inbox.id, everything, nothing, per)),
    )
    timed("items", per, lambda: db.read_now(lambda tx: items.items(tx, inbox.id, [m.number for m in marks])))
    found = db.read_now(lambda tx: items.items(tx, inbox.id, [m.number for m in marks]))
    timed(
        "set_read",
        per,
        lambda: db.write_now(lambda tx: [items.set_read(tx, i, True) for i in found.values()]),
    )
    timed(
        "read_body, whole", per,
        lambda: db.read_now(lambda tx: [bodies.read_body(tx, i.body_id) for i in found.values()]),
    )  # fmt: skip
    before = db.read_now(lambda tx: tx.value("PRAGMA page_count") * tx.value("PRAGMA page_size"))
    rows = db.read_now(lambda tx: search.to_index(tx, 1000))

    def words() -> None:
        for start in range(0, len(rows), 50):
            batch = [(row, raw[row.item_id - 1].decode()[:3000]) for row in rows[start : start + 50]]
            db.write_now(lambda tx, batch=batch: search.index(tx, batch))

    timed("index 3,000 characters", len(rows), words)
    after = db.read_now(lambda tx: tx.value("PRAGMA page_count") * tx.value("PRAGMA page_size"))
    print(f"{'bytes of index and text for each item':48} {(after - before) / len(rows):9.0f}")
    db.close()


def group(path: Path, producers: int, count: int) -> None:
    calls: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    db = Database(path, publish=lambda news: None, to_reactor=lambda *call: calls.put(call))
    db.open()
    db.start()
    state = {"done": 0, "next": 0, "boxes": []}

    def wait(until: Callable[[], bool]) -> None:
        while not until():
            function, *arguments = calls.get()
            function(*arguments)

    db.write(populate).addCallback(lambda boxes: state.update(boxes=boxes))
    wait(lambda: bool(state["boxes"]))
    ready = [(bodies.prepare(message(n)), draft(n)) for n in range(count)]

    def produce(_: Any = None) -> None:
        number = state["next"]
        if number >= count:
            return
        state["next"] = number + 1
        prepared, item = ready[number]
        copy = delivery.Copy(
            state["boxes"][number % 20], f"a{number % 20}@example.org", b"Return-Path: <x>\r\n"
        )
        db.write(lambda tx: delivery.deliver(tx, prepared, item, [copy], "s@x.example", [], NOW)).addCallback(
            finish
        )

    def finish(_: Any) -> None:
        state["done"] += 1
        produce()

    def work() -> None:
        for _ in range(producers):
            produce()
        wait(lambda: state["done"] >= count)

    timed(f"write() to answer, {producers} producers", count, work)
    print(f"{'log of the database, MB':48} {db.wal_size / 1e6:9.1f}")
    stopped: list[None] = []
    db.stop().addCallback(stopped.append)
    wait(lambda: bool(stopped))


def main() -> None:
    sys.setswitchinterval(0.0001)
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        inline(Path(name, "inline.db"), 4000)
        for producers, count in ((1, 500), (8, 2000), (32, 4000)):
            group(Path(name, f"group{producers}.db"), producers, count)


if __name__ == "__main__":
    main()
