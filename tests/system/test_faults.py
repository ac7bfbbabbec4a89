"""kill -9 at every named place of a message's way, then a restart: what was answered is delivered, queued or
reported, and one copy too many is possible only while the next host's answer is not on record."""

from __future__ import annotations

import atexit
import random
import signal
import sqlite3
import time
from pathlib import Path

from sqlite_utils import Database, Migrations
from twisted.trial.unittest import SynchronousTestCase

from posthouse.faults import PLACES
from posthouse.store.connect import APPLICATION_ID
from posthouse.store.schema import migrations
from tests.support.configured import DOMAIN, IDA, PASSWORD, Configured
from tests.support.eas import Phone
from tests.system.house import letter

FAR = f"far@{DOMAIN}"
# A 250 of the next host that is not yet on record (RFC 1047): it is given the message once more.
WINDOW = {"relay.after-dot", "queue.before-record", "queue.recording"}
SOME = 300_000  # bytes; more than one block, and more than the spool has in memory
MANY = 3_000_000  # bytes; stored in slices


_houses: list[Configured] = []


def shared_house() -> Configured:
    """One server for all places, made when the first one asks: each restart serves the next one, too."""
    if not _houses:
        _houses.append(Configured())
        atexit.register(_houses[0].clean)
    return _houses[0]


def text_of(size: int) -> str:
    """Lines that do not compress to nothing."""
    chosen = random.Random(size)
    return "".join(f"{chosen.getrandbits(288):072x}\r\n" for _ in range(size // 74))


class FaultTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = shared_house()
        process = self.house.process
        if process is None or process.poll() is not None:
            self.house.start()
        self.house.sink.greets.set()
        self.house.sink.judges.set()

    def falls(self) -> None:
        """It has killed itself, and by this fault."""
        self.assertEqual(self.house.dies(), -signal.SIGKILL, self.house.said()[-3000:])
        self.assertFalse(self.house.fault.exists(), "it died of something else")

    def reports(self) -> int:
        """How many reports Ida has."""
        return int(self.house.ask("SELECT count(*) FROM item WHERE message_class LIKE 'REPORT%'")[0][0])

    def settled(self) -> None:
        self.house.until(lambda: not self.house.waiting(), 60)

    # -- in

    def comes_in(self, place: str, size: int, kept: int, answered: bool = False) -> None:
        """Mail from outside, and the kill. ``kept``: how many of it are there after the restart."""
        house, subject = self.house, f"in {place}"
        message = letter(FAR, IDA, subject, text_of(size), place)
        house.fault.write_text(place)
        self.assertEqual(house.arrive(message), answered)
        self.falls()
        house.start()
        self.assertEqual(house.kept(subject), kept)
        if not answered:
            # Who heard nothing tries again, as every mail server does; it is there once.
            self.assertTrue(house.arrive(message))
        self.assertEqual(house.kept(subject), 1)

    def test_kill9_every_fault_point_before_spool(self) -> None:
        self.comes_in("intake.before-spool", SOME, 0)

    def test_kill9_every_fault_point_mid_spool(self) -> None:
        self.comes_in("intake.mid-spool", SOME, 0)
        self.assertEqual([path.name for path in (self.house.data / "spool").iterdir()], [])

    def test_kill9_every_fault_point_upload(self) -> None:
        self.comes_in("intake.upload", MANY, 0)

    def test_kill9_every_fault_point_before_commit(self) -> None:
        self.comes_in("intake.before-commit", SOME, 0)

    def test_kill9_every_fault_point_after_commit(self) -> None:
        self.comes_in("intake.after-commit", SOME, 1)

    def test_kill9_every_fault_point_after_answer(self) -> None:
        self.comes_in("intake.after-answer", SOME, 1, answered=True)

    # -- from a phone

    def phone_sends(self, place: str, second: int) -> None:
        """``second``: what the phone hears when it sends again."""
        house, subject = self.house, f"phone {place}"
        url = f"https://127.0.0.1:{house.ports['https']}"
        phone = Phone(
            url, IDA, PASSWORD, insecure=True, device_id=f"PHONE{second:021d}", check=False
        ).set_up()
        message = letter(IDA, FAR, subject, number=place)
        house.fault.write_text(place)
        with self.assertRaises(Exception):  # noqa: B017 - however the phone calls a connection that ended
            phone.send_mail(message, "client-1")
        self.falls()
        house.start()
        phone.close()
        self.assertEqual(phone.send_mail(message, "client-1"), second)
        self.settled()
        self.assertEqual((house.sink.copies[subject], house.kept(subject)), (1, 1))

    def test_kill9_every_fault_point_submission_before_commit(self) -> None:
        self.phone_sends("submission.before-commit", 0)

    def test_kill9_every_fault_point_submission_after_commit(self) -> None:
        self.phone_sends("submission.after-commit", 118)

    # -- out

    def goes_out(self, place: str, to: str = FAR) -> str:
        """A message that was answered with 250, the kill on its way, and the restart."""
        house, subject = self.house, f"out {place} {to}"
        others = house.waiting()
        house.sink.greets.clear()
        self.assertTrue(house.submit(letter(IDA, to, subject, text_of(SOME), f"{place}-{to}"), to))
        house.fault.write_text(place)
        house.sink.greets.set()
        self.falls()
        self.assertEqual(house.waiting() - others, 0 if place == "queue.after-record" else 1)
        house.start()
        began = time.monotonic()
        self.settled()
        self.assertLess(time.monotonic() - began, 30, "the lease of a dead process is tried again soon")
        return subject

    def reaches(self, place: str) -> None:
        subject = self.goes_out(place)
        copies = self.house.sink.copies[subject]
        self.assertEqual(copies, 2 if place in WINDOW else 1, "copies at the next host")

    def test_kill9_every_fault_point_before_connect(self) -> None:
        """Here the attempt may begin before the 250 was said; then its sender tries again."""
        house, place, subject = self.house, "queue.before-connect", "out queue.before-connect"
        message = letter(IDA, FAR, subject, number=place)
        house.fault.write_text(place)
        answered = house.submit(message, FAR)
        self.falls()
        house.start()
        if not answered:
            self.assertTrue(house.submit(message, FAR))
        self.settled()
        self.assertEqual(house.sink.copies[subject], 1)

    def test_kill9_every_fault_point_after_mail(self) -> None:
        self.reaches("relay.after-mail")

    def test_kill9_every_fault_point_mid_body(self) -> None:
        self.reaches("relay.mid-body")

    def test_kill9_every_fault_point_after_dot(self) -> None:
        self.reaches("relay.after-dot")

    def test_kill9_every_fault_point_before_record(self) -> None:
        self.reaches("queue.before-record")

    def test_kill9_every_fault_point_recording(self) -> None:
        self.reaches("queue.recording")

    def test_kill9_every_fault_point_after_record(self) -> None:
        self.reaches("queue.after-record")

    def test_kill9_every_fault_point_of_a_bounce(self) -> None:
        for place in ("queue.before-record", "queue.recording", "queue.after-record"):
            name = place.partition(".")[2]
            self.house.sink.unknown.add(name)
            before = self.reports()
            subject = self.goes_out(place, f"{name}@{DOMAIN}")
            self.assertEqual(self.house.sink.copies[subject], 0)
            self.assertEqual(self.reports() - before, 1, place)

    def test_duplicate_window(self) -> None:
        """The next host has all of it and has not answered: it is sent once more, and not twice more."""
        house, subject = self.house, "window"
        house.sink.judges.clear()
        self.assertTrue(house.submit(letter(IDA, FAR, subject, number="window"), FAR))
        house.until(lambda: house.sink.copies[subject])
        house.kill()
        house.sink.judges.set()
        house.start()
        self.settled()
        self.assertEqual(house.sink.copies[subject], 2)
        house.kill()
        house.start()
        time.sleep(1.0)
        self.assertEqual(house.sink.copies[subject], 2)

    def test_a_lease_of_a_dead_process_is_not_tried_for_ever(self) -> None:
        house, subject = self.house, "crash loop"
        house.sink.greets.clear()
        self.assertTrue(house.submit(letter(IDA, FAR, subject, number="loop"), FAR))
        house.fault.write_text("relay.after-mail")
        house.sink.greets.set()
        self.falls()
        house.fault.write_text("relay.after-mail")
        house.spawn()
        self.falls()  # the one attempt soon after the start
        house.start()
        waits = "SELECT due, created, attempts FROM outbox WHERE state = 'due'"
        ((due, created, attempts),) = house.until(lambda: house.ask(waits))
        self.assertEqual(attempts, 2)
        self.assertGreater(due, created + 55_000)  # and then a minute of rest
        house.run("queue", "retry")
        self.settled()
        self.assertEqual(house.sink.copies[subject], 1)


class MigrationTests(SynchronousTestCase):
    def test_kill9_every_fault_point_migration(self) -> None:
        house = Configured(people=False)
        self.addCleanup(house.clean)
        path = house.data / "posthouse.db"
        connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("auto_vacuum=INCREMENTAL", f"application_id={APPLICATION_ID}", "journal_mode=WAL"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        older = Migrations("posthouse")
        for migration in migrations._migrations[:8]:
            older(name=migration.name)(migration.fn)
        older.apply(Database(connection))
        connection.execute("INSERT INTO domain (name, created) VALUES ('here.test', 0)")
        connection.close()
        path.chmod(0o600)

        def applied() -> int:
            return int(house.ask("SELECT count(*) FROM _sqlite_migrations")[0][0])

        house.fault.write_text("store.migration")
        house.spawn()
        self.assertEqual(house.dies(), -signal.SIGKILL, house.said()[-3000:])
        self.assertFalse(house.fault.exists())
        self.assertEqual(applied(), 8)
        house.start()
        self.assertEqual(applied(), len(migrations._migrations))
        self.assertEqual(house.ask("SELECT name FROM domain"), [("here.test",)])
        backup = sqlite3.connect(f"file:{path}.before-{migrations._migrations[8].name}?mode=ro", uri=True)
        self.addCleanup(backup.close)
        self.assertEqual(backup.execute("SELECT name FROM domain").fetchall(), [("here.test",)])
        self.assertEqual(backup.execute("PRAGMA integrity_check").fetchall(), [("ok",)])


class NamesTests(SynchronousTestCase):
    def test_every_place_is_reached_tested_and_described(self) -> None:
        root = Path(__file__).resolve().parents[2]
        sources = "".join(path.read_text() for path in (root / "src/posthouse").rglob("*.py"))
        here = Path(__file__).read_text()
        page = (root / "docs/reliability.rst").read_text()
        for place in PLACES:
            self.assertIn(f'reach("{place}")', sources, place)
            self.assertIn(f'"{place}"', here, place)
            self.assertIn(f"``{place}``", page, place)
        for used in sources.split('reach("')[1:]:
            self.assertIn(used.partition('"')[0], PLACES)
