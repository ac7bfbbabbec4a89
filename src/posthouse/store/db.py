"""The database: one writer thread with group commit, a pool of readers, checkpoints apart.

What it promises:

- A ``write`` Deferred fires only after its changes are on disk (``synchronous=FULL``) and its news were
  published. Writes take effect in the order in which they were asked for.
- The writer takes what is queued, at most 64 functions or 8 MB of bodies, and never waits for more.
- A ``read`` sees one snapshot, holds it for no longer than its deadline, and leaves no cursor behind.
- Full, busy or failing storage is ``TryLater``. Cancelling a Deferred is harmless: a write that was asked for
  still happens, a read that has not begun does not.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore, fail
from twisted.logger import Logger
from zope.interface import implementer

from posthouse.errors import TryLater
from posthouse.interfaces import IDatabase
from posthouse.model import News
from posthouse.store.checkpoint import Checkpointer
from posthouse.store.connect import FileLock, connect, prepare_file
from posthouse.store.group import GROUP_JOBS, GroupCommit, Job
from posthouse.store.inline import InlineDatabase, open_for_tool
from posthouse.store.transaction import Transaction

__all__ = ["Database", "InlineDatabase", "Transaction", "open_for_tool"]

T = TypeVar("T")

#: how many functions may wait before more are refused
QUEUE_LIMIT = 10_000
#: messages that are brought in slices at a time
LARGE = 4
#: seconds for which the reactor is told of outcomes without a pause
SLICE = 0.005
#: seconds in which what arrives still joins the group that runs
GROUP_SECONDS = 0.005
#: seconds that one read may take
READ_SECONDS = 30.0
# SQLite's virtual machine looks at the clock once in so many of its instructions.
_PROGRESS_STEPS = 20_000

_log = Logger()


@implementer(IDatabase)
class Database:
    """The store's file and its threads.

    :param publish: called in the reactor with each piece of news, after commit.
    :param to_reactor: ``reactor.callFromThread``.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        publish: Callable[[News], None],
        to_reactor: Callable[..., Any],
        readers: int = 4,
        read_seconds: float = READ_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        #: a turn for each message that comes in slices (``store.keep``)
        self.large = DeferredSemaphore(LARGE)
        self._publish = publish
        self._to_reactor = to_reactor
        self._reader_count = readers
        self._read_seconds = read_seconds
        self._monotonic = monotonic
        self._lock = FileLock(self.path)
        self._writes: SimpleQueue[Job | None] = SimpleQueue()
        self._reads: SimpleQueue[Job | None] = SimpleQueue()
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._checkpointer: Checkpointer | None = None
        self._threads: list[threading.Thread] = []
        self._running = False
        self._stopped: Deferred[None] | None = None
        self._coming: list[Job] = []
        self._done: deque[Job] = deque()
        self._on_the_way = False

    @property
    def waiting(self) -> int:
        """Functions that wait for the writer."""
        return len(self._coming) + self._writes.qsize()

    @property
    def wal_size(self) -> int:
        """Bytes of the write-ahead log's file."""
        return self._checkpointer.wal_size() if self._checkpointer is not None else 0

    def open(self) -> None:
        """Lock, open and upgrade the file. Blocks; call it before the reactor is busy.

        :raises ConfigError: in use, not ours, too new, no room for a backup.
        """
        self._lock.take()
        try:
            self._writer = prepare_file(self.path)
            for _ in range(self._reader_count):
                self._readers.append(connect(self.path, read_only=True))
            self._checkpointer = Checkpointer(self.path)
        except BaseException:
            self._close()
            raise

    def start(self) -> None:
        """Start the threads; ``open`` comes first."""
        assert self._writer is not None and self._checkpointer is not None, "open() comes first"
        self._running = True
        self._threads = [
            threading.Thread(target=self._read_loop, args=(reader,), name=f"store-read-{index}", daemon=True)
            for index, reader in enumerate(self._readers)
        ]
        self._threads.append(
            threading.Thread(target=self._checkpointer.loop, name="store-checkpoint", daemon=True)
        )
        writing = threading.Thread(
            target=self._write_loop,
            args=(self._writer, self._checkpointer),
            name="store-write",
            daemon=True,
        )
        for thread in (*self._threads, writing):
            thread.start()

    def stop(self) -> Deferred[None]:
        """Refuse new work, finish what waits, close the file. Fires when that is done."""
        if not self._running:
            self._close()
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        self._running = False
        self._stopped = Deferred()
        for _ in self._readers:
            self._reads.put(None)
        self._pass_on()
        self._writes.put(None)
        return self._stopped

    def write(self, function: Callable[[Transaction], T]) -> Deferred[T]:
        """See ``IDatabase.write``."""
        if not self._running:
            return fail(TryLater(cause="the store is stopped"))
        if self.waiting >= QUEUE_LIMIT:
            return fail(TryLater(cause="too many writes wait"))
        deferred: Deferred[T] = Deferred()
        self._coming.append(Job(function, deferred))
        if len(self._coming) == 1:
            self._to_reactor(self._pass_on)
        return deferred

    def _pass_on(self) -> None:
        """Give the writer what one turn of the reactor brought: what many sessions said at once is one commit, and
        the two threads do not fight for the interpreter's lock over the rest of the turn.
        """
        coming, self._coming = self._coming, []
        for job in coming:
            self._writes.put(job)

    def read(self, function: Callable[[Transaction], T]) -> Deferred[T]:
        """See ``IDatabase.read``."""
        if not self._running:
            return fail(TryLater(cause="the store is stopped"))
        if self._reads.qsize() >= QUEUE_LIMIT:
            return fail(TryLater(cause="too many reads wait"))
        deferred: Deferred[T] = Deferred()
        self._reads.put(Job(function, deferred))
        return deferred

    # The writer's thread

    def _write_loop(self, connection: sqlite3.Connection, checkpointer: Checkpointer) -> None:
        group = GroupCommit(connection)
        queue = self._writes
        monotonic = self._monotonic
        ended = False
        left = 0
        late = 0.0

        def more() -> Job | None:
            nonlocal left, ended
            if ended or (left <= 0 and (queue.empty() or monotonic() > late)):
                return None
            left -= 1
            job = queue.get()
            ended = job is None
            return job

        while not ended:
            first = queue.get()
            if first is None:
                break
            # What is queued now, and what arrives in the first moments of the group: on a busy machine that
            # saves every other sync. Not what comes later, so that nobody waits long for others' news.
            left = min(GROUP_JOBS - 1, queue.qsize())
            late = monotonic() + GROUP_SECONDS
            with checkpointer.turn():
                jobs = group.run(first, more)
            checkpointer.wrote(len(jobs), group.weight)
            self._hand_over(jobs)
        self._finish(checkpointer)

    def _finish(self, checkpointer: Checkpointer) -> None:
        checkpointer.stop()
        for thread in self._threads:
            thread.join()
        self._close()
        stopped = self._stopped
        if stopped is not None:
            # Behind everything that is still to be told.
            self._hand_over([Job(lambda tx: None, stopped)])

    def _close(self) -> None:
        for reader in self._readers:
            reader.close()
        self._readers = []
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._lock.release()

    # A reader's thread

    def _read_loop(self, connection: sqlite3.Connection) -> None:
        deadline = 0.0
        monotonic = self._monotonic

        def late() -> bool:
            return monotonic() > deadline

        connection.set_progress_handler(late, _PROGRESS_STEPS)
        while True:
            job = self._reads.get()
            if job is None:
                return
            if job.deferred.called:  # cancelled before it began
                continue
            deadline = monotonic() + self._read_seconds
            read_once(connection, job)
            self._hand_over([job])

    # From a thread to the reactor's

    def _hand_over(self, jobs: Iterable[Job]) -> None:
        self._done.extend(jobs)
        # Two threads may both see that nobody is on the way: then there are two rounds, which is harmless.
        if not self._on_the_way:
            self._on_the_way = True
            self._to_reactor(self._settle)

    # The reactor's thread

    def _settle(self) -> None:
        """Tell what was done, for a few milliseconds; the rest when the reactor has looked at its sockets.

        A message to 2,000 mailboxes wakes 2,000 phones: nobody else should have to wait for all of them.
        """
        until = self._monotonic() + SLICE
        done = self._done
        try:
            while done:
                job = done[0]
                while job.news:
                    self._tell(job.news.pop(0))
                    if self._monotonic() >= until:
                        break
                if not job.news:
                    done.popleft()
                    if job.failure is not None:
                        job.deferred.errback(job.failure)
                    else:
                        job.deferred.callback(job.value)
                if self._monotonic() >= until:
                    break
        finally:
            # In this order: who hands over meanwhile sees the flag down, or we see what was handed over.
            self._on_the_way = False
            if done:
                self._hand_over(())

    def _tell(self, news: News) -> None:
        try:
            self._publish(news)
        except Exception:
            _log.failure("publishing {news} failed", news=news)


def read_once(connection: sqlite3.Connection, job: Job) -> None:
    """Run a job in a transaction of its own that changes nothing; it has its outcome afterwards."""
    try:
        connection.execute("BEGIN")
        job.value = job.function(Transaction(connection, writable=False))
    except BaseException as error:
        job.fail(error)
    finally:
        # END whatever happened: a snapshot that stays keeps the log from being reused.
        if connection.in_transaction:
            connection.execute("END")
