"""How fast a phone is filled, and how much memory that takes. ``python bench/eas_fill.py [--quick]``

10,000 messages of 22 KB on the average, HTML bodies cut at 32 KB, over TLS, at window 100 and 512, by one phone in
a process of its own that reads no more of an answer than the key and MoreAvailable. Beside it what was
published of Z-Push: 270-400 items a second on a fresh mailbox, 100 at 10,000, 3.4 ms of CPU an item.
"""

# ruff: noqa: I001 - the path is set before the package is imported
from __future__ import annotations

import multiprocessing
import re
import statistics
import time
from typing import Any

from support import Line, Server, Watcher, fill, options, policy_key, sync_key

from posthouse.demo.setup import OWNER
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, FolderHierarchy
from posthouse.wbxml.tree import E

#: Add with its ServerId: token 0x07 and 0x0D of page 0, with content, and an inline string.
_ADD = re.compile(rb"\x47\x4d\x03")


def request(folder: str, key: str, window: int) -> bytes:
    """A Sync as iOS asks."""
    preference = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 2), E(AirSyncBase.TruncationSize, 32768))
    choices = E(
        AirSync.Options,
        E(AirSync.FilterType, 0),
        E(AirSync.MIMETruncation, 1),
        E(AirSync.MIMESupport, 0),
        preference,
    )
    return encode(
        E(
            AirSync.Sync,
            E(
                AirSync.Collections,
                E(
                    AirSync.Collection,
                    E(AirSync.SyncKey, key),
                    E(AirSync.CollectionId, folder),
                    E(AirSync.GetChanges) if key != "0" else None,
                    E(AirSync.WindowSize, window),
                    choices,
                ),
            ),
        )
    )


def phone(port: int, user: tuple[str, str], certificate: str, device: str, window: int, told: Any) -> None:
    """The process of the client: says "ready", then what it got."""
    line = Line(port, user, device, certificate)
    policy_key(line)
    hierarchy = bytes(line.ask("FolderSync", E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, "0"))))
    folder = inbox_of(hierarchy)
    key = sync_key(line.ask("Sync", request(folder, "0", window))).decode()
    told.send("ready")
    told.recv()
    got, octets, waits = 0, 0, []
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        answer = line.ask("Sync", request(folder, key, window))
        waits.append(time.monotonic() - asked)
        got += sum(1 for _ in _ADD.finditer(answer))
        octets += len(answer)
        key = sync_key(answer).decode()
        # MoreAvailable is an empty tag, 0x14, right behind Status.
        if b"\x4e\x031\x00\x01\x14" not in bytes(answer[:120]):
            break
    seconds = time.monotonic() - began
    told.send((got, octets, seconds, waits))
    line.close()


def inbox_of(hierarchy: bytes) -> str:
    """The ServerId of the folder of type 2 in a FolderSync answer."""
    from posthouse.wbxml.decode import decode

    changes = decode(hierarchy).find(FolderHierarchy.Changes)
    assert changes is not None
    for change in changes.children:
        if change.text(FolderHierarchy.Type) == "2":
            return change.text(FolderHierarchy.ServerId) or ""
    raise RuntimeError("there is no Inbox")


def measure(server: Server, window: int, count: int) -> None:
    """Fill one new phone and print what it took."""
    here, there = multiprocessing.Pipe()
    device = f"FILL{window:06}"
    process = multiprocessing.Process(
        target=phone, args=(server.https, server.owner, server.certificate, device, window, there)
    )
    process.start()
    there.close()
    if here.recv() != "ready":  # EOFError: it failed, and has said why
        raise RuntimeError("the phone is not ready")
    before, cpu = server.figures.rss(), server.figures.cpu()
    watcher = Watcher(server.figures, 0.05)
    here.send("go")
    got, octets, seconds, waits = here.recv()
    used = server.figures.cpu() - cpu
    watcher.close()
    process.join()
    if got < count:
        raise RuntimeError(f"{got} of {count} items arrived")
    third = watcher.samples[len(watcher.samples) // 3 :]
    drift = third[-1][1] - third[0][1] if third else 0.0
    print(
        f"window {window:>4}: {got / seconds:7.0f} items/s   {octets / seconds / 1e6:6.1f} MB/s   "
        f"CPU {used / got * 1000:5.2f} ms/item   {len(waits):4} answers, median {statistics.median(waits) * 1000:4.0f} "
        f"ms   RSS before {before:4.0f}, peak {watcher.peak:4.0f} MB, last two thirds {drift:+.0f} MB",
        flush=True,
    )
    rate = got / seconds
    print(
        f"             beside Z-Push: fresh, 270-400 items/s: x{rate / 400:.1f} to x{rate / 270:.1f}; at 10,000, 100 "
        f"items/s: x{rate / 100:.0f}; CPU 3.4 ms/item: x{used / got * 1000 / 3.4:.2f}"
    )


def main() -> None:
    given = options(__doc__, messages=10_000, runs=1)
    count = 1000 if given.quick else given.messages
    size: list[int] = []
    with Server.over(given.directory, lambda db: size.append(fill(db, OWNER.address, count))) as server:
        print(f"{count} messages of {size[0] / count / 1000:.1f} KB on the average, one phone over TLS")
        for _ in range(given.runs):
            for window in (100, 512):
                measure(server, window, count)
                # The next phone has another device id; this one's state goes with the server.
        print(f"reactor held for {server.reactor_held():.0f} ms at the most")


if __name__ == "__main__":
    main()
