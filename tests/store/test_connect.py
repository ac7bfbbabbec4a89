"""Opening the file: private, ours, not newer, backed up before an upgrade."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import NamedTuple

from sqlite_utils import Database as UtilsDatabase
from sqlite_utils import Migrations
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import ConfigError
from posthouse.store import connect as module
from posthouse.store.inline import InlineDatabase
from posthouse.store.schema import migrations


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class OpenTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "posthouse.db"

    def refused(self) -> str:
        return str(self.assertRaises(ConfigError, InlineDatabase(self.path).open).public)

    def raw(self, sql: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def newer(self) -> Migrations:
        """The migrations of a later release."""
        later = Migrations("posthouse")
        for migration in migrations._migrations:
            later(name=migration.name)(migration.fn)

        @later(name="0099_later")
        def _later(database: UtilsDatabase) -> None:
            """Something of the future."""
            database.conn.execute("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT")

        return later

    def test_file_and_log_are_for_the_owner_only_whatever_the_umask(self) -> None:
        previous = os.umask(0)
        try:
            db = InlineDatabase(self.path).open()
        finally:
            os.umask(previous)
        self.addCleanup(db.close)
        db.write_now(lambda tx: tx.execute("INSERT INTO domain (name, created) VALUES ('a', 1)"))
        for name in ("", "-wal", "-shm", ".lock"):
            mode = stat.S_IMODE(os.stat(f"{self.path}{name}").st_mode)
            self.assertEqual(mode, 0o600, name)

    def test_what_cannot_be_changed_later_is_set_before_the_first_table(self) -> None:
        InlineDatabase(self.path).open().close()
        for pragma, value in (
            ("page_size", module.PAGE_SIZE),
            ("auto_vacuum", 2),
            ("application_id", module.APPLICATION_ID),
            ("journal_mode", "wal"),
        ):
            self.assertEqual(self.raw(f"PRAGMA {pragma}"), [(value,)], pragma)

    def test_every_commit_is_synced(self) -> None:
        connection = module.connect(self.path)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA synchronous").fetchone(), (2,))
        self.assertEqual(connection.execute("PRAGMA wal_autocheckpoint").fetchone(), (0,))

    def test_every_table_is_strict(self) -> None:
        InlineDatabase(self.path).open().close()
        loose = self.raw(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 "
            "AND name NOT LIKE 'sqlite%' AND name NOT LIKE '_sqlite%'"
        )
        self.assertEqual(loose, [])

    def test_the_file_of_another_program_is_refused_and_left_alone(self) -> None:
        self.raw("CREATE TABLE theirs (x)")
        self.assertIn("not a database of Posthouse", self.refused())
        self.assertEqual(self.raw("SELECT name FROM sqlite_master"), [("theirs",)])

    def test_what_is_no_database_is_refused(self) -> None:
        self.path.write_bytes(b"this is a letter, not a database" * 100)
        self.assertIn("cannot be opened", self.refused())

    def test_a_missing_directory_is_told_in_a_sentence(self) -> None:
        self.path = self.path.parent / "nowhere" / "posthouse.db"
        self.assertIn("cannot be opened: No such file or directory", self.refused())

    def test_a_newer_file_is_refused(self) -> None:
        self.patch(module, "migrations", self.newer())
        InlineDatabase(self.path).open().close()
        self.patch(module, "migrations", migrations)
        sentence = self.refused()
        self.assertIn("newer Posthouse", sentence)
        self.assertIn("0099_later", sentence)

    def test_an_upgrade_makes_a_backup_first(self) -> None:
        db = InlineDatabase(self.path).open()
        db.write_now(lambda tx: tx.execute("INSERT INTO domain (name, created) VALUES ('a.example', 1)"))
        db.close()
        self.assertEqual([p.name for p in self.path.parent.iterdir() if "before" in p.name], [])
        self.patch(module, "migrations", self.newer())
        InlineDatabase(self.path).open().close()
        backup = Path(f"{self.path}.before-0099_later")
        self.assertEqual(stat.S_IMODE(backup.stat().st_mode), 0o600)
        copy = sqlite3.connect(backup)
        self.addCleanup(copy.close)
        self.assertEqual(copy.execute("SELECT name FROM domain").fetchall(), [("a.example",)])
        self.assertEqual(copy.execute("SELECT name FROM sqlite_master WHERE name = 'later'").fetchall(), [])
        self.assertEqual(self.raw("SELECT name FROM domain"), [("a.example",)])
        # The backup is a file that the older program opens.
        self.patch(module, "migrations", migrations)
        InlineDatabase(backup).open().close()

    def test_without_room_for_the_backup_nothing_is_upgraded(self) -> None:
        InlineDatabase(self.path).open().close()
        self.patch(module, "migrations", self.newer())
        self.patch(shutil, "disk_usage", lambda path: Usage(100, 90, 10))
        self.assertIn("needs", self.refused())
        self.assertEqual(self.raw("SELECT name FROM sqlite_master WHERE name = 'later'"), [])

    def test_a_failed_upgrade_leaves_the_file_as_it_was(self) -> None:
        InlineDatabase(self.path).open().close()
        later = self.newer()

        @later(name="0100_broken")
        def _broken(database: UtilsDatabase) -> None:
            """Fails half-way."""
            database.conn.execute("CREATE TABLE half (id INTEGER PRIMARY KEY) STRICT")
            database.conn.execute("CREATE nonsense")

        self.patch(module, "migrations", later)
        self.assertIn("cannot be opened", self.refused())
        self.assertEqual(self.raw("SELECT name FROM sqlite_master WHERE name = 'half'"), [])

    def test_the_lock_is_free_again_after_a_refusal(self) -> None:
        self.raw("CREATE TABLE theirs (x)")
        self.refused()
        self.assertNotIn("in use", self.refused())
