"""What lay in a database before an upgrade is there, and at work, after it."""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database, Migrations
from twisted.trial.unittest import SynchronousTestCase

from posthouse.store.schema import migrations


class SendingTests(SynchronousTestCase):
    def test_a_queue_goes_on_with_its_domains(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(connection.close)
        before = Migrations("posthouse")
        for migration in migrations._migrations:
            if migration.name == "0006_sending":
                break
            before(name=migration.name)(migration.fn)
        database = Database(connection)
        before.apply(database)
        for number, recipient in enumerate(('"a@b"@There.Example', "c@else.example"), 1):
            connection.execute(
                "INSERT INTO outbox (account_id, id, body_id, size, sender, recipient, created, due, due_before, "
                "expires, state, smtputf8, eight_bit, envid, ret, notify, orcpt, trace) "
                "VALUES (7, ?, 1, 1, 's', ?, 1, 1, 1, 9, 'due', 0, 0, '', '', '', '', x'')",
                (number, recipient),
            )
        migrations.apply(database)
        rows = connection.execute("SELECT domain, own, verdict, priority FROM outbox ORDER BY id").fetchall()
        self.assertEqual(rows, [("there.example", 1, "", 0), ("else.example", 1, "", 0)])
        ((key,),) = connection.execute("SELECT value FROM secret WHERE name = 'srs'").fetchall()
        self.assertEqual(len(key), 32)
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM outbox WHERE state IN ('due', 'leased') AND priority = 0 "
            "AND due <= 5 ORDER BY due, id LIMIT 9"
        ).fetchall()
        self.assertIn("outbox_ready", plan[0][3])
