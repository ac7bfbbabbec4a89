"""What the source of the store must not contain."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import posthouse.store

SOURCES = sorted(Path(posthouse.store.__file__).parent.glob("*.py"))

# Each of these ends the transaction of a whole group behind its back.
FORBIDDEN = re.compile(
    r"\bcommit\(|\brollback\(|\bwith (self\.)?_?conn\w*\b|executescript|DEFERRABLE", re.IGNORECASE
)
# Only the group commit and the readers begin and end transactions.
STATEMENTS = re.compile(r"[\"'](BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|END)\b")
ENDS = {"group.py", "db.py", "inline.py"}


class SourceTests(SynchronousTestCase):
    def test_nothing_ends_a_transaction_by_accident(self) -> None:
        self.assertTrue(SOURCES)
        for path in SOURCES:
            found = FORBIDDEN.findall(path.read_text())
            self.assertEqual(found, [], path.name)

    def test_transactions_begin_and_end_in_one_place(self) -> None:
        for path in SOURCES:
            if path.name not in ENDS:
                self.assertEqual(STATEMENTS.findall(path.read_text()), [], path.name)

    def test_sql_is_nowhere_else(self) -> None:
        house = SOURCES[0].parent.parent
        for path in house.rglob("*.py"):
            if path.parent != SOURCES[0].parent:
                text = path.read_text()
                self.assertNotRegex(text, r"\bSELECT \w+.* FROM |INSERT INTO |sqlite3\.connect", str(path))

    def test_every_migration_tells_what_it_does(self) -> None:
        from posthouse.store.schema import migrations

        for migration in migrations._migrations:
            self.assertTrue((migration.fn.__doc__ or "").strip(), migration.name)
