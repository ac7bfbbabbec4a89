"""Killed at any moment: everything that was answered is there, once, and nothing is half there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import posthouse
from posthouse.store import bodies, folders, items
from posthouse.store.inline import InlineDatabase

# Delivers without end, 16 at a time, and prints each number after its answer. ("reactor": the main thread.)
BURST = """
import sys
from queue import SimpleQueue
from posthouse.model import ItemDraft
from posthouse.store import accounts, bodies, delivery
from posthouse.store.db import Database

NOW = 1_767_225_600_000
calls = SimpleQueue()
db = Database(sys.argv[1], publish=lambda news: None, to_reactor=lambda *call: calls.put(call))
db.open()
db.start()
box = []

def populate(tx):
    accounts.add_domain(tx, "example.org", NOW)
    return accounts.add_account(tx, "a@example.org", "A", "!", False, NOW).mailbox_id

def answered(done, number):
    sys.stdout.write(f"{number} {done.numbers[0]}\\n")
    sys.stdout.flush()
    go_on()

following = iter(range(10**9))

def go_on():
    number = next(following)
    data = b"Message-ID: <%d@x>\\r\\n\\r\\n" % number + b"body %d " % number * 500
    prepared = bodies.prepare(data)
    draft = ItemDraft(received=NOW, size=len(data), subject=f"number {number}", message_id=f"<{number}@x>")
    copy = delivery.Copy(box[0], "a@example.org")
    db.write(
        lambda tx: delivery.deliver(tx, prepared, draft, [copy], "s@x.example", [], NOW)
    ).addCallback(answered, number)

def begin(mailbox):
    box.append(mailbox)
    for _ in range(16):
        go_on()

db.write(populate).addCallback(begin)
while True:
    function, *arguments = calls.get()
    function(*arguments)
"""


class KillTests(SynchronousTestCase):
    def burst(self, path: Path, answers: int) -> dict[int, int]:
        """Run the burst, kill it after so many answers. :returns: message to item number, as answered."""
        source = str(Path(posthouse.__file__).parent.parent)
        environment = {**os.environ, "PYTHONPATH": source}
        process = subprocess.Popen(
            [sys.executable, "-c", BURST, str(path)], stdout=subprocess.PIPE, env=environment, text=True
        )
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if len(lines) == answers:
                process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        self.assertEqual(process.returncode, -signal.SIGKILL)
        # The last line may be cut off by the kill.
        return dict(tuple(map(int, line.split())) for line in lines if line.endswith("\n"))

    def test_what_was_answered_is_there_once(self) -> None:
        chosen = random.Random(7)
        for turn in range(2):
            path = Path(f"{self.mktemp()}-{turn}")
            answered = self.burst(path, chosen.randint(100, 400))
            db = InlineDatabase(path).open()
            try:
                self.check(db, answered)
            finally:
                db.close()

    def check(self, db: InlineDatabase, answered: dict[int, int]) -> None:
        mailbox = db.read_now(lambda tx: tx.value("SELECT id FROM mailbox"))
        rows = db.read_now(
            lambda tx: tx.execute("SELECT subject, number, body_id, size FROM item ORDER BY number")
        )
        stored = {int(subject.split()[1]): number for subject, number, _, _ in rows}
        self.assertEqual(len(stored), len(rows), "something is there twice")
        self.assertEqual({key: stored.get(key) for key in answered}, answered)
        # Not half there either: bodies whole, counts right, numbers below the counter.
        for subject, _, body_id, size in rows:
            data = db.read_now(lambda tx, body_id=body_id: bodies.read_body(tx, body_id))
            self.assertEqual(len(data), size)
            self.assertIn(b"<%d@x>" % int(subject.split()[1]), data)
        inbox = db.read_now(lambda tx: folders.folder_of_type(tx, mailbox, folders.FolderType.INBOX))
        self.assertEqual(inbox.total, len(rows))
        top = db.read_now(lambda tx: items.top_number(tx, mailbox))
        self.assertEqual(top, max(stored.values()))
        self.assertEqual(db.read_now(lambda tx: tx.value("SELECT count(*) FROM to_index")), len(rows))
        self.assertEqual(db.read_now(lambda tx: tx.value("PRAGMA integrity_check")), "ok")
