"""What is wrong is one sentence and exit code 2, before anything runs; and systemd is told the truth."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from posthouse.certs.selfsigned import make_selfsigned
from tests.support.daemon import FREE_PORTS, environment, twistd


class StartCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="posthouse-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.data = self.root / "data"
        self.data.mkdir(mode=0o700)
        self.ports = {"smtp": "127.0.0.1:0", "submission": "127.0.0.1:0", "submissions": "127.0.0.1:0"}
        self.ports["https"] = "127.0.0.1:0"

    def configure(self, more: str = "") -> str:
        path = self.root / "mailserver.toml"
        listen = "\n".join(f'{service} = ["{address}"]' for service, address in self.ports.items())
        path.write_text(
            f'[server]\nhostname = "mail.example.org"\ndirectory = "{self.data}"\n[listen]\n{listen}\n'
            f'[log]\nfile = "{self.root}/log"\n{more}'
        )
        return str(path)

    def refused(self, *arguments: str) -> str:
        """Start, and expect one sentence and exit code 2 within seconds."""
        done = subprocess.run(
            twistd(*arguments, cwd=self.root),
            cwd=self.root,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aposthouse: [^\n]+[.?]\n\Z")
        return done.stderr

    # -- a real server

    def start(self, config: str, **environ: str) -> subprocess.Popen[bytes]:
        server = subprocess.Popen(
            twistd("--config", config, cwd=self.root),
            cwd=self.root,
            env=environment() | environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        log = self.root / "log"
        while not (log.exists() and '"message": "ready:' in log.read_text()):
            self.assertIsNone(server.poll())
            self.assertLess(time.monotonic(), deadline, "the server is not ready")
            time.sleep(0.05)
        return server

    def end(self, server: subprocess.Popen[bytes]) -> None:
        server.terminate()
        server.wait(30)
        (self.root / "log").unlink()


class RefusalTests(StartCase):
    def test_what_is_no_option(self) -> None:
        self.assertIn("nope", self.refused("--nope"))
        self.assertIn("see twistd mailserver --help", self.refused("surplus"))

    def test_a_wrong_key(self) -> None:
        self.assertIn("did you mean", self.refused("--config", self.configure("[smtp]\nsize_limmit = 5\n")))

    def test_a_missing_configuration(self) -> None:
        self.assertIn("No such file", self.refused("--config", str(self.root / "none.toml")))

    def test_a_taken_port(self) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            self.ports["submission"] = f"127.0.0.1:{other.getsockname()[1]}"
            self.assertIn("taken", self.refused("--config", self.configure()))

    def test_an_unreadable_certificate(self) -> None:
        sentence = self.refused("--config", self.configure('[tls]\ncertificate = "/nonexistent/chain.pem"\n'))
        self.assertIn("/nonexistent/chain.pem", sentence)

    def test_a_too_new_database(self) -> None:
        config = self.configure()
        server = self.start(config)
        self.end(server)
        with sqlite3.connect(self.data / "posthouse.db") as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(_sqlite_migrations)")]
            last = connection.execute("SELECT * FROM _sqlite_migrations").fetchall()[-1]
            row = dict(zip(columns, last, strict=True)) | {"name": "m999_of_tomorrow"}
            row.pop("id", None)
            marks = ", ".join("?" * len(row))
            connection.execute(
                f"INSERT INTO _sqlite_migrations ({', '.join(row)}) VALUES ({marks})", list(row.values())
            )
        connection.close()
        self.assertIn("newer Posthouse", self.refused("--config", config))

    def test_a_directory_in_use(self) -> None:
        server = self.start(self.configure())
        self.assertIn("in use", self.refused("--config", self.configure()))
        self.end(server)

    def test_a_wrong_option_of_the_demo(self) -> None:
        self.assertIn("--https-port", self.refused("--demo", "--https-port=many"))
        self.assertIn("--config", self.refused("--demo", "--config", self.configure()))
        self.assertIn("smarthost", self.refused("--demo", *FREE_PORTS, "--smarthost", "nowhere"))

    def test_a_demo_keeps_its_hands_off_the_data_of_another_server(self) -> None:
        self.end(self.start(self.configure()))
        before = (self.data / "posthouse.db").stat().st_mtime_ns
        sentence = self.refused("--demo", *FREE_PORTS, "--directory", str(self.data))
        self.assertIn("another server", sentence)
        self.assertEqual((self.data / "posthouse.db").stat().st_mtime_ns, before)


class SystemdTests(StartCase):
    def test_systemd_notify_ready_after_listen(self) -> None:
        path = str(self.root / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(path)
            systemd.settimeout(60)
            server = self.start(self.configure(), NOTIFY_SOCKET=path, WATCHDOG_USEC="1000000")
            said = systemd.recv(4096).decode()
            while "READY=1" not in said:
                self.assertNotIn("STOPPING", said)
                said = systemd.recv(4096).decode()
            ports = re.findall(r"(?:smtp|https) (\d+)", said)
            self.assertEqual(len(ports), 2)
            for port in ports:
                with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
                    pass
            while "WATCHDOG=1" not in said:
                said = systemd.recv(4096).decode()
            server.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in said:
                said = systemd.recv(4096).decode()
            self.end(server)

    def test_sighup_takes_a_new_certificate_and_keeps_the_old_one_when_it_is_broken(self) -> None:
        chain, key = self.root / "chain.pem", self.root / "key.pem"

        def renew(name: str) -> None:
            certificate, private = make_selfsigned([name], [], int(time.time() * 1000))
            chain.write_bytes(certificate)
            key.write_bytes(private)

        renew("one.example.org")
        server = self.start(self.configure(f'[tls]\ncertificate = "{chain}"\nkey = "{key}"\n'))
        log = self.root / "log"
        self.assertEqual(self.served(log), "one.example.org")
        renew("two.example.org")
        self.hup(server, log, "read again")
        self.assertEqual(self.served(log), "two.example.org")
        chain.write_text("broken")
        self.hup(server, log, "not taken")
        self.assertEqual(self.served(log), "two.example.org")
        self.assertIsNone(server.poll())
        self.end(server)

    def served(self, log: Path) -> str:
        """The name in the certificate of the HTTPS port."""
        found = re.search(r"https (\d+)", log.read_text())
        assert found is not None
        pem = ssl.get_server_certificate(("127.0.0.1", int(found[1])), timeout=10)
        names = x509.load_pem_x509_certificate(pem.encode()).subject
        return str(names.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    def hup(self, server: subprocess.Popen[bytes], log: Path, words: str) -> None:
        server.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while words not in log.read_text():
            self.assertLess(time.monotonic(), deadline, log.read_text()[-2000:])
            time.sleep(0.05)

    def test_the_log_is_json_with_a_level_and_a_time(self) -> None:
        server = self.start(self.configure())
        lines = [json.loads(line) for line in (self.root / "log").read_text().splitlines()]
        self.assertTrue(all({"time", "level", "event"} <= set(line) for line in lines))
        self.assertEqual((self.root / "log").stat().st_mode & 0o777, 0o600)
        self.end(server)


class ProgramTests(StartCase):
    def test_twistd_knows_the_server_and_its_options(self) -> None:
        done = subprocess.run(
            twistd("--help", cwd=self.root), cwd=self.root, env=environment(), capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0)
        for option in ("--config", "--demo", "--directory", "--smarthost", "--https-port"):
            self.assertIn(option, done.stdout)

    def test_the_version_is_printed(self) -> None:
        done = subprocess.run(
            twistd("--version", cwd=self.root),
            cwd=self.root,
            env=environment(),
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0)
        self.assertIn("SQLite", done.stdout)

    def test_runs_in_the_background_and_stops_by_its_pid_file(self) -> None:
        config = self.configure()
        command = twistd("--config", config, cwd=self.root)
        command = [command[0], "--pidfile", str(self.root / "pid"), *command[3:]]
        started = subprocess.run(command, cwd=self.root, env=environment(), capture_output=True, timeout=60)
        self.assertEqual(started.returncode, 0, started.stderr)
        log = self.root / "log"
        deadline = time.monotonic() + 60
        while not (log.exists() and '"message": "ready:' in log.read_text()):
            self.assertLess(time.monotonic(), deadline, "the server is not ready")
            time.sleep(0.05)
        os.kill(int((self.root / "pid").read_text()), signal.SIGTERM)
        while (self.root / "pid").exists():
            self.assertLess(time.monotonic(), deadline, "the server does not stop")
            time.sleep(0.05)
