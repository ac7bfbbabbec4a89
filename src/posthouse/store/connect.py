"""How the database file is opened: private, locked, known to be ours, migrated.

One process at a time: an exclusive lock on ``<file>.lock`` is held for as long as the database is open. A
file that another program made, or a newer Posthouse, is refused with a sentence. An existing file is copied
(``<file>.before-<migration>``) before it is upgraded.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from pathlib import Path

import sqlite_utils
from twisted.logger import Logger

from posthouse.errors import ConfigError
from posthouse.store.dialect import has_words
from posthouse.store.schema import migrations

__all__ = ["APPLICATION_ID", "BUSY_MS", "FileLock", "connect", "prepare_file"]

#: "Post" in the header of the file (https://www.sqlite.org/pragma.html#pragma_application_id)
APPLICATION_ID = 0x506F7374
#: how long a connection waits for another one's lock
BUSY_MS = 5000
# Small pages: most of what one message changes lies in indexes, a few bytes in a page each, and each such
# page goes whole into the log.
PAGE_SIZE = 4096
_WAL_KEEP = 64 * 1024 * 1024

_log = Logger()


class FileLock:
    """The exclusive claim of one process on one database file."""

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{path}.lock")
        self._database = path
        self._descriptor = -1

    def take(self) -> None:
        """:raises ConfigError: another process has it, or the place cannot be written."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"The database {self._database} cannot be opened: {error.strerror}.") from error
        try:
            # flock belongs to the open file, not the process: a second open in one process is refused, too.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise ConfigError(
                f"The database {self._database} is in use: the daemon is running (process {owner})."
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it up. The file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def connect(path: Path | str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection as every thread of the store uses it.

    Transactions are begun and ended by explicit statements only (``isolation_level=None``).
    """
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=BUSY_MS / 1000
    )
    connection.create_function("posthouse_has_words", 2, has_words, deterministic=True)
    for pragma in (
        "synchronous=FULL",  # answered means durable: every commit is synced
        "wal_autocheckpoint=0",  # a thread of its own does it
        "temp_store=MEMORY",
        "foreign_keys=OFF",
        "secure_delete=FAST",
        f"journal_size_limit={_WAL_KEEP}",
        "cache_size=-16384" if not read_only else "cache_size=-8192",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if read_only:
        connection.execute("PRAGMA query_only=ON").fetchall()
    return connection


def _make_private(path: Path) -> None:
    # Made before SQLite opens it, so that no moment and no umask exposes it; -wal and -shm take its mode.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
    except OSError as error:
        raise ConfigError(f"The database {path} cannot be opened: {error.strerror}.") from error


def prepare_file(path: Path | None) -> sqlite3.Connection:
    """Open, check and upgrade the database; its connection is the writer's.

    :param path: None for a database in memory.
    :raises ConfigError: not ours, newer than this program, damaged, or no room for the backup.
    """
    if path is not None:
        _make_private(path)
    try:
        connection = connect(path if path is not None else ":memory:")
        try:
            _check_and_upgrade(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise ConfigError(f"The database {path} cannot be opened: {error}.") from error
    return connection


def _check_and_upgrade(connection: sqlite3.Connection, path: Path | None) -> None:
    fresh = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if fresh:
        # These three count only before the first table.
        connection.execute(f"PRAGMA page_size={PAGE_SIZE}").fetchall()
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL").fetchall()
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}").fetchall()
    elif connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ConfigError(f"The file {path} is not a database of Posthouse.")
    if path is not None:
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
    database = sqlite_utils.Database(connection, execute_plugins=False)
    applied = [migration.name for migration in migrations.applied(database)]
    pending = [migration.name for migration in migrations.pending(database)]
    known = _known_names()
    unknown = [name for name in applied if name not in known]
    if unknown:
        raise ConfigError(
            f"The database {path} was made by a newer Posthouse (it knows {unknown[-1]}); "
            "install that version or restore the backup made before the upgrade."
        )
    if pending and applied and path is not None:
        _backup(connection, path, pending[0])
    if pending:
        migrations.apply(database)


def _known_names() -> set[str]:
    # To an empty database all that this program knows is pending.
    empty = sqlite_utils.Database(memory=True, execute_plugins=False)
    try:
        return {migration.name for migration in migrations.pending(empty)}
    finally:
        empty.close()


def _backup(connection: sqlite3.Connection, path: Path, name: str) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    size = pages * connection.execute("PRAGMA page_size").fetchone()[0]
    free = shutil.disk_usage(path.parent).free
    # The copy, and as much again for the log of the upgrade itself.
    if free < 2 * size:
        raise ConfigError(
            f"The database {path} must be upgraded, but the backup before it needs {2 * size} bytes "
            f"and the disk has {free}."
        )
    target = Path(f"{path}.before-{name}")
    partial = Path(f"{target}.partial")
    partial.unlink(missing_ok=True)
    _make_private(partial)
    copy = sqlite3.connect(partial, isolation_level=None)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(partial, target)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    _log.info("copied the database to {target} before upgrading it", target=str(target))
