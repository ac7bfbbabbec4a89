"""kill -9 in the middle of a burst: whatever was answered with 250 is there after the restart, exactly once."""

from __future__ import annotations

import resource
import smtplib
import threading
import time
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.tags import Email
from tests.support.daemon import Daemon
from tests.support.eas import mail_options
from tests.system.house import INBOX, letter, login, phone_of

SESSIONS = 8
MESSAGES = 500
KILL_AFTER = 200  # answered messages


class Burst:
    """Eight sessions that send distinct messages until they are done or the server is gone."""

    def __init__(self, port: int, sender: str, to: str) -> None:
        self.port, self.sender, self.to = port, sender, to
        self.answered: list[str] = []
        self.tried: list[str] = []
        self._lock = threading.Lock()
        self._left = list(range(MESSAGES))
        self.threads = [threading.Thread(target=self._session, daemon=True) for _ in range(SESSIONS)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(60)

    def _session(self) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
                while True:
                    with self._lock:
                        if not self._left:
                            return
                        subject = f"burst {self._left.pop():03d}"
                        self.tried.append(subject)
                    text = f"{subject}\r\n" + "The bridge opens at ten, at noon and at four.\r\n" * 200
                    client.sendmail(
                        self.sender, [self.to], letter(self.sender, self.to, subject, text, subject[6:])
                    )
                    with self._lock:
                        self.answered.append(subject)
        except (OSError, smtplib.SMTPException):
            return


class CrashTests(SynchronousTestCase):
    def test_kill_during_a_burst_loses_and_doubles_nothing(self) -> None:
        daemon = Daemon.demo()
        self.addCleanup(daemon.clean)
        burst = Burst(daemon.facts["smtp"], "far@away.example", daemon.account(1)["address"])
        burst.start()
        deadline = time.monotonic() + 60
        while len(burst.answered) < KILL_AFTER and time.monotonic() < deadline:
            time.sleep(0.002)
        daemon.kill()
        burst.join()
        self.assertGreaterEqual(len(burst.answered), KILL_AFTER)
        self.assertLess(len(burst.answered), MESSAGES, "the burst was over before the server was killed")

        daemon.start()
        phone = phone_of(daemon, 1)
        inbox = phone.folder(INBOX)
        phone.sync_all(inbox, window=512, options=mail_options(1, 200))
        there = Counter(fields[Email.Subject].value for fields in phone.mirror[inbox].values())
        self.assertEqual(set(burst.answered) - set(there), set(), "answered, and lost")
        self.assertEqual({subject for subject, count in there.items() if count > 1}, set())
        self.assertEqual(set(there) - set(burst.tried), set())

        # A sender who heard no answer tries again; what had been kept is not doubled by it.
        unsure = sorted(set(burst.tried) - set(burst.answered))
        for subject in unsure:
            text = f"{subject}\r\n" + "The bridge opens at ten, at noon and at four.\r\n" * 200
            to = daemon.account(1)["address"]
            daemon.mail("far@away.example", [to], letter("far@away.example", to, subject, text, subject[6:]))
        phone.sync_all(inbox, window=512, options=mail_options(1, 200))
        again = Counter(fields[Email.Subject].value for fields in phone.mirror[inbox].values())
        self.assertEqual(again, Counter(burst.tried))

    def test_kill_after_an_answer_to_a_phone_keeps_what_it_was_told(self) -> None:
        daemon = Daemon.demo()
        self.addCleanup(daemon.clean)
        phone = phone_of(daemon)
        inbox = phone.folder(INBOX)
        phone.sync_all(inbox, window=100, options=mail_options(1, 200))
        item = next(iter(phone.mirror[inbox]))
        phone.mark_read(inbox, item)
        self.assertEqual(
            phone.send_mail(letter(daemon.account()["address"], "far@away.example", "on its way")), 0
        )
        daemon.kill()
        daemon.start()
        phone.close()
        phone.url = phone_of(daemon, 0, "OTHER000000000000000000001").url
        # The key of before the crash is good, nothing is shown twice (the phone would complain).
        result = phone.sync_all(inbox, options=mail_options(1, 200))
        self.assertEqual((result.status, result.added), (1, []))
        other = phone_of(daemon, 0, "OTHER000000000000000000002")
        other.sync_all(inbox, window=512, options=mail_options(1, 200))
        self.assertEqual(other.mirror[inbox][item][Email.Read].value, "1")


class FullDiskTests(SynchronousTestCase):
    def test_mail_is_put_off_while_files_cannot_grow_and_taken_again_afterwards(self) -> None:
        daemon = Daemon.demo()
        self.addCleanup(daemon.clean)
        assert daemon.process is not None
        sender, to = "far@away.example", daemon.account(1)["address"]
        largest = max(path.stat().st_size for path in daemon.directory.iterdir() if path.is_file())
        # A limit on the size of files stands for a full disk: writes beyond it fail with EFBIG.
        limit = largest + 1_000_000
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        answered, refused = [], None
        for number in range(100):
            subject = f"full {number:03d}"
            # Text that does not compress, so that the database has to grow.
            text = "\r\n".join(f"{hash((number, line)):x}" * 4 for line in range(4000))
            try:
                daemon.mail(sender, [to], letter(sender, to, subject, text, subject[5:]))
            except smtplib.SMTPResponseException as problem:
                refused = problem.smtp_code
                break
            answered.append(subject)
        self.assertIn(refused, (451, 452))
        resource.prlimit(
            daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        daemon.mail(sender, [to], letter(sender, to, "after"))
        phone = phone_of(daemon, 1)
        inbox = phone.folder(INBOX)
        phone.sync_all(inbox, window=512, options=mail_options(1, 200))
        self.assertEqual(sorted(phone.subjects(inbox)), sorted([*answered, "after"]))
        with login(daemon) as client:
            client.noop()
