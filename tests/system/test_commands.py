"""The ``posthouse`` command beside the running daemon and after it; a second start from the same data."""

from __future__ import annotations

import json
import smtplib
import stat
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Daemon
from tests.support.eas import Phone, PhoneError
from tests.system.house import INBOX, Background, demo_of, letter, login, phone_of


class RunningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)

    def good(self, *arguments: str, stdin: str = "") -> str:
        done = self.daemon.posthouse(*arguments, stdin=stdin)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def add(self, name: str) -> tuple[str, str]:
        address = f"{name}@posthouse.test"
        made = json.loads(self.good("--json", "user", "add", address))
        return address, made["password"]

    def phone(self, address: str, password: str, **more: object) -> Phone:
        return Phone(
            self.daemon.facts["https"],
            address,
            password,
            cafile=self.daemon.facts["certificate"],
            check=False,
            **more,  # type: ignore[arg-type]
        )

    def test_a_new_user_can_work_at_once(self) -> None:
        address, password = self.add("carla")
        phone = self.phone(address, password).set_up()
        self.daemon.mail("x@else.example", [address], letter("x@else.example", address, "Welcome"))
        phone.sync_all(phone.folder(INBOX))
        self.assertEqual(phone.subjects(phone.folder(INBOX)), ["Welcome"])
        devices = json.loads(self.good("--json", "device", "list", "--user", address))
        self.assertEqual(devices[0]["device"], phone.device_id)

    def test_a_new_password_counts_at_once(self) -> None:
        address, password = self.add("dora")
        phone = self.phone(address, password).set_up()
        self.good("user", "passwd", address, "--password-stdin", stdin="another password\n")
        self.assertEqual(phone.request("FolderSync").status, 401)
        self.phone(address, "another password").set_up()

    def test_disabling_ends_a_parked_ping_and_an_open_session_at_once(self) -> None:
        address, password = self.add("emil")
        phone = self.phone(address, password).set_up()
        inbox = phone.folder(INBOX)
        phone.sync_all(inbox)
        ping = Background(phone.ping, [inbox], 600)
        client = smtplib.SMTP_SSL(
            "127.0.0.1", self.daemon.facts["submissions"], timeout=30, context=self.daemon.tls()
        )
        self.addCleanup(client.close)
        client.login(address, password)
        deadline = time.monotonic() + 20
        while json.loads(self.good("--json", "status"))["waiting_requests"] == 0:
            self.assertLess(time.monotonic(), deadline, "the Ping is not parked")
        self.good("user", "disable", address)
        # The phone's own second attempt after the cut is refused: it hears 401 within seconds.
        self.assertIn("401", str(self.assertRaises(PhoneError, ping.result, 20)))
        self.assertRaises(
            smtplib.SMTPException,
            client.sendmail,
            address,
            [self.daemon.account()["address"]],
            letter(address, self.daemon.account()["address"], "too late"),
        )
        self.assertEqual(phone.request("FolderSync").status, 401)
        self.good("user", "enable", address)
        self.phone(address, password).set_up()

    def test_a_deleted_user_is_unknown_at_once(self) -> None:
        address, _ = self.add("fritz")
        self.daemon.mail("x@else.example", [address], letter("x@else.example", address, "one"))
        self.good("user", "delete", address)
        with smtplib.SMTP("127.0.0.1", self.daemon.facts["smtp"], timeout=60) as client:
            client.helo("x.example")
            client.mail("x@else.example")
            self.assertEqual(client.rcpt(address)[0], 550)

    def test_app_passwords_work_until_they_are_withdrawn(self) -> None:
        address, _ = self.add("gerda")
        made = json.loads(self.good("--json", "app-password", "add", address, "phone"))
        self.phone(address, made["password"]).set_up()
        self.good("app-password", "delete", address, str(made["id"]))
        self.assertEqual(self.phone(address, made["password"]).request("FolderSync").status, 401)

    def test_an_alias_works_at_once(self) -> None:
        address, _ = self.add("hugo")
        self.good("alias", "add", "office@posthouse.test", address)
        self.daemon.mail(
            "x@else.example", ["office@posthouse.test"], letter("x@else.example", address, "to the office")
        )
        self.good("alias", "delete", "office@posthouse.test")
        with smtplib.SMTP("127.0.0.1", self.daemon.facts["smtp"], timeout=60) as client:
            client.helo("x.example")
            client.mail("x@else.example")
            self.assertEqual(client.rcpt("office@posthouse.test")[0], 550)

    def test_the_trace_of_a_device_can_be_switched_on(self) -> None:
        phone = phone_of(self.daemon, 0, "TRACED00000000000000000001")
        self.good("device", "trace", phone.device_id, "on")
        self.assertTrue(
            [one for one in json.loads(self.good("--json", "device", "list")) if one["trace"]],
        )
        phone.folder_sync()
        self.assertIn("FolderSync", self.good("device", "log", phone.device_id))
        self.good("device", "trace", phone.device_id, "off")

    def test_the_socket_belongs_to_the_server_alone(self) -> None:
        mode = (self.daemon.directory / "control.sock").stat().st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(mode & 0o777, 0o600)
        self.assertEqual(self.daemon.directory.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.daemon.directory / "demo.json").stat().st_mode & 0o777, 0o600)

    def test_status_says_that_it_runs(self) -> None:
        found = json.loads(self.good("--json", "status"))
        self.assertTrue(found["running"])
        self.assertEqual(found["hostname"], "localhost")


class RestartTests(SynchronousTestCase):
    def test_stops_in_order_works_offline_and_starts_again_from_its_data(self) -> None:
        daemon = Daemon.demo()
        self.addCleanup(daemon.clean)
        first = daemon.facts
        with login(daemon, 1) as client:
            client.sendmail(
                daemon.account(1)["address"],
                [daemon.account(0)["address"]],
                letter(daemon.account(1)["address"], daemon.account(0)["address"], "before the stop"),
            )
            daemon.stop()
        self.assertFalse((daemon.directory / "demo.json").exists())
        self.assertFalse((daemon.directory / "control.sock").exists())
        # The same command, on the closed house.
        done = daemon.posthouse("--json", "status")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((json.loads(done.stdout)["running"], json.loads(done.stdout)["users"]), (False, 2))
        self.assertEqual(daemon.posthouse("user", "add", "late@posthouse.test").returncode, 0)
        daemon.start()
        self.assertEqual(daemon.facts["accounts"], first["accounts"])
        phone = phone_of(daemon)
        phone.sync_all(phone.folder(INBOX), window=512)
        self.assertEqual(phone.subjects(phone.folder(INBOX)).count("before the stop"), 1)
        self.assertIn("late@posthouse.test", daemon.posthouse("user", "list").stdout)
        self.assertNotIn("Traceback", daemon.said())
        self.assertNotIn("Unhandled", daemon.said())

    def test_a_start_that_was_interrupted_is_begun_anew(self) -> None:
        daemon = Daemon.demo()
        self.addCleanup(daemon.clean)
        daemon.kill()
        path = daemon.directory / "demo-secrets.json"
        secrets = json.loads(path.read_text())
        path.write_text(json.dumps(secrets | {"filled": False}))
        daemon.start()
        phone = phone_of(daemon)
        phone.sync_all(phone.folder(INBOX), window=512)
        self.assertGreater(len(phone.subjects(phone.folder(INBOX))), 280)
