"""swaks, a client that is not ours, on all three ports; and what the demo prints is what works."""

from __future__ import annotations

import re
import shlex
import smtplib
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

    def test_every_mechanism_on_every_port_of_users(self) -> None:
        for port, tls in (("submission", "--tls"), ("submissions", "--tlsc")):
            for kind in ("PLAIN", "LOGIN"):
                done = self.send(port, f"swaks {port} {kind}", tls, *self.login(kind))
                said = done.stdout + done.stderr
                self.assertEqual(done.returncode, 0, said[-1500:])
                # It did what it was told, and not something else that is offered, too.
                self.assertEqual(re.findall(r"~> AUTH (\w+)", said), [kind])
                self.assertRegex(said, r"<~  235 2\.7\.0 ")

    def test_a_wrong_password_is_535_for_every_mechanism_on_every_port(self) -> None:
        for port, tls in (("submission", "--tls"), ("submissions", "--tlsc")):
            for kind in ("PLAIN", "LOGIN"):
                for user, password in (
                    (self.bruno["address"], "not the password"),
                    ("nobody@posthouse.test", self.bruno["password"]),
                ):
                    more = ("--auth", kind, "--auth-user", user, "--auth-password", password)
                    done = self.send(port, "never", tls, *more)
                    said = done.stdout + done.stderr
                    self.assertEqual(done.returncode, 28, (port, kind, said[-800:]))  # "no authentication"
                    self.assertRegex(said, r"535 5\.7\.8 ")
                    self.assertNotIn("MAIL FROM", said)

    def test_mechanisms_that_are_not_offered(self) -> None:
        """What would need passwords in clear in the database."""
        for kind in ("CRAM-MD5", "DIGEST-MD5", "NTLM"):
            done = self.send("submissions", "never", "--tlsc", *self.login(kind))
            self.assertNotEqual(done.returncode, 0, kind)
            self.assertNotIn("MAIL FROM", done.stdout)

    def test_with_and_without_an_initial_response(self) -> None:
        """swaks does one of them for each mechanism; Python's client does both, as Outlook and others do."""
        address, password = self.bruno["address"], self.bruno["password"]
        for port in ("submission", "submissions"):
            for kind in ("PLAIN", "LOGIN"):
                for initial in (True, False):
                    with self.client(port) as client:
                        client.user, client.password = address, password
                        answer = getattr(client, f"auth_{kind.lower()}")
                        code, _ = client.auth(kind, answer, initial_response_ok=initial)
                        self.assertEqual(code, 235, (port, kind, initial))
                    with self.client(port) as client:
                        client.user, client.password = address, "not the password"
                        answer = getattr(client, f"auth_{kind.lower()}")
                        with self.assertRaises(smtplib.SMTPAuthenticationError) as caught:
                            client.auth(kind, answer, initial_response_ok=initial)
                        self.assertEqual(caught.exception.smtp_code, 535, (port, kind, initial))

    def client(self, port: str) -> smtplib.SMTP:
        """Python's client on a port for users, inside TLS, after EHLO."""
        number = self.daemon.facts[port]
        if port == "submissions":
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                "127.0.0.1", number, timeout=60, context=self.daemon.tls()
            )
        else:
            client = smtplib.SMTP("127.0.0.1", number, timeout=60)
            client.starttls(context=self.daemon.tls())
        client.ehlo()
        self.assertEqual(client.esmtp_features["auth"].split(), ["PLAIN", "LOGIN"])
        return client

    def test_pipelined(self) -> None:
        self.good("smtp", "swaks 25 pipelined", "--pipeline")
        self.good("submissions", "swaks 465 pipelined", "--pipeline", "--tlsc", *self.login())

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
