"""swaks, a client that is not ours, on all three ports; and what the demo prints is what works."""

from __future__ import annotations

import shlex
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import need
from tests.support.eas import mail_options
from tests.system.house import INBOX, demo_of, phone_of


class SwaksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.swaks = need("swaks")
        self.daemon = demo_of(__name__)
        self.ida, self.bruno = self.daemon.account(0), self.daemon.account(1)

    def send(self, port: str, subject: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                self.swaks, "--server", "127.0.0.1", "--port", str(self.daemon.facts[port]),
                "--from", self.bruno["address"], "--to", self.ida["address"],
                "--header", f"Subject: {subject}", *more,
            ],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def arrived(self, subject: str) -> bool:
        phone = phone_of(self.daemon, 0, f"SWAKS{abs(hash(subject)):020d}"[:25])
        inbox = phone.folder(INBOX)
        phone.sync_collection(inbox)
        phone.sync_collection(inbox, window=10, options=mail_options(1, 100))
        return subject in phone.subjects(inbox)

    def login(self, kind: str = "PLAIN") -> tuple[str, ...]:
        return (
            "--auth",
            kind,
            "--auth-user",
            self.bruno["address"],
            "--auth-password",
            self.bruno["password"],
        )

    def good(self, port: str, subject: str, *more: str) -> None:
        done = self.send(port, subject, *more)
        if "TLS not available" in done.stderr + done.stdout:
            need("swaks with Net::SSLeay")
        self.assertEqual(done.returncode, 0, done.stdout[-1500:] + done.stderr[-500:])
        self.assertTrue(self.arrived(subject))

    def test_from_outside(self) -> None:
        self.good("smtp", "swaks 25 plain")
        self.good("smtp", "swaks 25 starttls", "--tls")

    def test_from_a_user_by_starttls(self) -> None:
        self.good("submission", "swaks 587 plain", "--tls", *self.login())
        self.good("submission", "swaks 587 login", "--tls", *self.login("LOGIN"))

    def test_from_a_user_by_tls(self) -> None:
        self.good("submissions", "swaks 465", "--tlsc", *self.login())

    def test_no_login_in_clear_text_and_none_at_all_on_25(self) -> None:
        for port, more in (("submission", ()), ("smtp", ("--tls",))):
            done = self.send(port, "never", *more, *self.login())
            self.assertNotEqual(done.returncode, 0, port)
        self.assertFalse(self.arrived("never"))

    def test_users_ports_take_nothing_without_a_login(self) -> None:
        self.assertNotEqual(self.send("submission", "never", "--tls").returncode, 0)
        self.assertNotEqual(self.send("submissions", "never", "--tlsc").returncode, 0)

    def test_the_printed_lines_work_as_they_are(self) -> None:
        said = self.daemon.output.read_text()
        lines = [line.strip() for line in said.splitlines() if line.startswith(("  swaks ", "  curl "))]
        self.assertEqual(len(lines), 5)
        for line in lines:
            need(shlex.split(line)[0])
            done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, line + done.stdout[-500:] + done.stderr[-500:])
        self.assertIn(
            "MS-ASProtocolVersions".lower(),
            subprocess.run(shlex.split(lines[0]), capture_output=True, text=True, timeout=60).stdout.lower(),
        )
