"""Before the start: each mistake is one sentence, and nothing stays open behind it."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.config import Config, from_mapping
from posthouse.daemon.preflight import check, hold_ports, release
from posthouse.errors import ConfigError
from posthouse.store.connect import FileLock


class PreflightTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def config(self, **sections: Any) -> Config:
        data: dict[str, Any] = {
            "server": {"directory": str(self.directory)},
            "listen": {"smtp": ["127.0.0.1:0"], "submission": [], "submissions": [], "https": []},
        }
        return from_mapping(data | sections)

    def refused(self, config: Config, *words: str) -> None:
        problem = self.assertRaises(ConfigError, check, config)
        self.assertNotIn("\n", problem.public)
        for word in words:
            self.assertIn(word, problem.public)

    def test_holds_every_port_and_leaves_a_usable_database_and_certificate(self) -> None:
        held = check(
            self.config(
                listen={"smtp": ["127.0.0.1:0", "[::1]:0"], "submission": ["127.0.0.1:0"]}
                | {"submissions": [], "https": []}
            )
        )
        self.addCleanup(release, held)
        self.assertEqual([one.service for one in held], ["smtp", "smtp", "submission"])
        for one in held:
            with socket.create_connection(one.socket.getsockname()[:2], timeout=5):
                pass
        self.assertEqual(os.stat(self.directory / "posthouse.db").st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.directory / "selfsigned.key").st_mode & 0o777, 0o600)
        FileLock(self.directory / "posthouse.db").take()

    def test_a_taken_port_is_named_and_the_others_are_let_go(self) -> None:
        with socket.socket() as other, socket.socket() as free:
            for one in (other, free):
                one.bind(("127.0.0.1", 0))
            other.listen()
            taken, mine = other.getsockname()[1], free.getsockname()[1]
            free.close()
            config = self.config(
                listen={"smtp": [f"127.0.0.1:{mine}"], "submission": [f"127.0.0.1:{taken}"]}
                | {"submissions": [], "https": []}
            )
            self.refused(config, f"127.0.0.1:{taken} (submission)", "taken")
        with socket.socket() as again:
            again.bind(("127.0.0.1", mine))

    def test_a_held_port_cannot_be_held_twice(self) -> None:
        held = hold_ports(self.config())
        self.addCleanup(release, held)
        config = self.config(
            listen={"smtp": [f"127.0.0.1:{held[0].port}"], "submission": [], "submissions": [], "https": []}
        )
        self.refused(config, "taken")

    def test_an_unreadable_certificate_is_named(self) -> None:
        self.refused(self.config(tls={"certificate": "/nonexistent/chain.pem"}), "/nonexistent/chain.pem")
        path = self.directory / "chain.pem"
        path.write_text("no certificate")
        self.refused(self.config(tls={"certificate": str(path)}), str(path))

    def test_a_database_of_a_newer_program_is_refused(self) -> None:
        held = check(self.config())
        release(held)
        with sqlite3.connect(self.directory / "posthouse.db") as connection:
            rows = connection.execute("SELECT * FROM _sqlite_migrations").fetchall()
            columns = [row[1] for row in connection.execute("PRAGMA table_info(_sqlite_migrations)")]
            newer = dict(zip(columns, rows[-1], strict=True)) | {"name": "m999_from_the_future"}
            newer.pop("id", None)
            connection.execute(
                f"INSERT INTO _sqlite_migrations ({', '.join(newer)}) VALUES ({', '.join('?' * len(newer))})",
                list(newer.values()),
            )
        connection.close()
        self.refused(self.config(), "newer Posthouse", "m999_from_the_future")

    def test_a_running_daemon_is_named(self) -> None:
        lock = FileLock(self.directory / "posthouse.db")
        lock.take()
        self.addCleanup(lock.release)
        self.refused(self.config(), "in use", str(os.getpid()))

    def test_a_missing_directory_says_how_to_make_it(self) -> None:
        self.refused(self.config(server={"directory": str(self.directory / "no")}), "posthouse init")

    def test_a_directory_whose_name_is_too_long_for_a_socket_is_refused(self) -> None:
        deep = self.directory / ("x" * 100)
        deep.mkdir()
        self.refused(self.config(server={"directory": str(deep)}), "too long")

    def test_a_log_file_that_cannot_be_written_is_named(self) -> None:
        self.refused(self.config(log={"file": "/nonexistent/log"}), "/nonexistent/log")

    def test_no_listener_at_all_is_refused(self) -> None:
        self.refused(
            self.config(listen={"smtp": [], "submission": [], "submissions": [], "https": []}), "[listen]"
        )

    def test_a_directory_that_others_can_read_is_closed_to_them(self) -> None:
        self.directory.chmod(0o755)
        release(check(self.config()))
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)
