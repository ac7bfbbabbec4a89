"""No room: mail is put off with 452, phones are told to try later, the queue goes on, and all is well when room is
back, without anybody's help."""

from __future__ import annotations

import os
import random
import resource
import smtplib
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import ComposeMail
from posthouse.wbxml.tree import E
from tests.support.configured import DOMAIN, IDA, PASSWORD, Configured
from tests.support.eas import Phone
from tests.system.house import letter

FAR = f"far@{DOMAIN}"
SIZE = 200_000


def noise(number: int) -> str:
    """Text that does not compress to much less."""
    chosen = random.Random(number)
    return "".join(f"{chosen.getrandbits(288):072x}\r\n" for _ in range(SIZE // 74))


class FullDiskTests(SynchronousTestCase):
    house: Configured

    def begin(self, parent: Path | None = None) -> None:
        self.house = Configured(parent)
        self.addCleanup(self.house.clean)
        self.house.start()
        self.phone = Phone(
            f"https://127.0.0.1:{self.house.ports['https']}", IDA, PASSWORD, insecure=True, check=False
        ).set_up()

    def queue_some(self, count: int = 5) -> list[str]:
        """Mail for a next host that does not answer yet."""
        self.house.sink.greets.clear()
        subjects = [f"queued {number}" for number in range(count)]
        for subject in subjects:
            self.assertTrue(self.house.submit(letter(IDA, FAR, subject, number=subject[7:]), FAR))
        return subjects

    def fill(self, most: int = 200) -> tuple[list[str], int]:
        """Mail until it is refused: the subjects that were answered with 250, and the code."""
        kept = []
        for number in range(most):
            subject = f"full {number:03d}"
            try:
                self.house.arrive(letter(FAR, IDA, subject, noise(number), f"full{number}"))
            except smtplib.SMTPResponseException as problem:
                return kept, problem.smtp_code
            except smtplib.SMTPRecipientsRefused as problem:
                return kept, next(iter(problem.recipients.values()))[0]
            kept.append(subject)
        raise AssertionError("it never became full")

    def drains(self, subjects: list[str]) -> None:
        house = self.house
        house.sink.greets.set()
        house.until(lambda: not house.waiting(), 60)
        self.assertEqual([house.sink.copies[subject] for subject in subjects], [1] * len(subjects))

    def phone_is_put_off(self, message: bytes) -> None:
        """HTTP 503 with Retry-After (MS-ASHTTP 2.2.2.1.1.3): phones keep the message in the Outbox and come again."""
        mime = E(ComposeMail.Mime, message)
        root = E(ComposeMail.SendMail, E(ComposeMail.ClientId, "once"), E(ComposeMail.SaveInSentItems), mime)
        answer = self.phone.request("SendMail", encode(root))
        self.assertEqual((answer.status, answer.headers.get("retry-after", "").isdigit()), (503, True))

    def recovers(self, kept: list[str]) -> None:
        house = self.house
        self.assertTrue(house.arrive(letter(FAR, IDA, "after", number="after")))
        self.assertEqual(self.phone.send_mail(letter(IDA, FAR, "from the phone"), "once"), 0)
        house.until(lambda: house.sink.copies["from the phone"])
        for subject in (*kept, "after"):
            self.assertEqual(house.kept(subject), 1, subject)
        assert house.process is not None
        house.process.terminate()
        self.assertIn(house.dies(), (0, -15))
        house.start()
        for subject in (*kept, "after"):
            self.assertEqual(house.kept(subject), 1, subject)
        self.assertEqual(house.ask("PRAGMA integrity_check"), [("ok",)])

    def test_files_that_cannot_grow(self) -> None:
        self.begin()
        house = self.house
        assert house.process is not None
        subjects = self.queue_some()
        largest = max(path.stat().st_size for path in house.data.iterdir() if path.is_file())
        # Writes beyond it fail with EFBIG, as those beyond a quota of the file system with EDQUOT.
        resource.prlimit(
            house.process.pid, resource.RLIMIT_FSIZE, (largest + 1_000_000, resource.RLIM_INFINITY)
        )
        kept, code = self.fill()
        self.assertEqual(code, 452)
        large = letter(IDA, FAR, "from the phone", noise(1000))
        self.phone_is_put_off(large)
        # What is asked for little still finds room in what the files have, most of the time; what does not is kept
        # in memory until it does.
        house.sink.greets.set()
        house.until(lambda: all(house.sink.copies[subject] for subject in subjects), 60)
        resource.prlimit(
            house.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        self.drains(subjects)
        self.recovers(kept)

    def test_a_file_system_that_is_nearly_full(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root may mount a small file system")
        place = Path(tempfile.mkdtemp(prefix="posthouse-small-"))
        self.addCleanup(place.rmdir)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(place)], capture_output=True
        )
        if mounted.returncode:
            raise SkipTest(f"cannot mount: {mounted.stderr!r}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(place)], check=True)
        self.begin(place)
        subjects = self.queue_some()
        kept = []
        ballast = place / "ballast"
        with ballast.open("wb") as stream:
            # All but a part of the reserve, a twentieth of the disk.
            room = os.statvfs(place)
            stream.write(bytes(room.f_bavail * room.f_frsize - 3_000_000))
        time.sleep(1.0)  # what was seen of the disk holds for half a second
        found, code = self.fill()
        kept += found
        self.assertEqual((found, code), ([], 452))
        with self.assertRaises(smtplib.SMTPResponseException) as caught:
            self.house.submit(letter(IDA, FAR, "refused", number="refused"), FAR)
        self.assertEqual(caught.exception.smtp_code, 452)
        self.phone_is_put_off(letter(IDA, FAR, "from the phone"))
        self.drains(subjects)
        ballast.unlink()
        self.recovers(kept)
