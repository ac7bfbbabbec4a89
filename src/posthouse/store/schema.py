"""The tables, and how they came to be.

Each migration runs once, in its own transaction, in the order written here; its name is recorded in the file.
Never change one that was released: add another. The first one's tables are in ``first_schema``; types are the
dialect's words (see ``dialect``).

Times are ms since the epoch; numbers are of the mailbox's 48-bit counter (docs/decisions/0004). Booleans are
0 and 1. ``*_by`` columns hold the row id of the device that made the last change of that group, 0 for none.
"""

from __future__ import annotations

import secrets

from sqlite_utils import Database, Migrations

from posthouse.faults import reach
from posthouse.store.dialect import SQLITE, fold_words
from posthouse.store.first_schema import FIRST
from posthouse.store.people import Kind, Person, search_keys

__all__ = ["migrations"]


class _Steps(Migrations):
    """Migrations that a test can cut short."""

    def _record_applied(self, db: Database, name: str) -> None:
        super()._record_applied(db, name)
        reach("store.migration")


migrations = _Steps("posthouse")


@migrations(name="0001_first")
def _first(database: Database) -> None:
    """Everything that mail needs, and what later protocols need to have been there from the start."""
    for statement in FIRST:
        database.conn.execute(SQLITE.ddl(statement))
    database.conn.execute(SQLITE.search_table)


_PEOPLE = (
    """CREATE TABLE person (
        id IDENTITY, kind BIGINT NOT NULL, account_id BIGINT UNIQUE, address TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL, name_key TEXT NOT NULL, first_name TEXT NOT NULL DEFAULT '',
        last_name TEXT NOT NULL DEFAULT '', alias TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '',
        company TEXT NOT NULL DEFAULT '', office TEXT NOT NULL DEFAULT '', phone TEXT NOT NULL DEFAULT '',
        mobile TEXT NOT NULL DEFAULT '', home_phone TEXT NOT NULL DEFAULT '',
        hidden BIGINT NOT NULL DEFAULT 0)""",
    "CREATE INDEX person_name ON person (name_key, address)",
    # Each word under which somebody is found.
    """CREATE TABLE person_key (
        key TEXT NOT NULL, person_id BIGINT NOT NULL, PRIMARY KEY (key, person_id)) CLUSTERED""",
    "CREATE INDEX person_key_person ON person_key (person_id)",
    "CREATE TABLE person_picture (person_id BIGINT PRIMARY KEY, type TEXT NOT NULL, data BYTES NOT NULL)",
    """CREATE TABLE person_certificate (
        person_id BIGINT NOT NULL, position BIGINT NOT NULL, data BYTES NOT NULL,
        PRIMARY KEY (person_id, position))""",
)


@migrations(name="0002_people")
def _people(database: Database) -> None:
    """The directory, with every account and alias in it."""
    for statement in _PEOPLE:
        database.conn.execute(SQLITE.ddl(statement))
    there = "SELECT id, address, name, 0 FROM account WHERE deleting = 0"
    aliases = "SELECT NULL, address, '', 1 FROM alias ORDER BY 4, 2"
    for account_id, address, name, kind in database.conn.execute(f"{there} UNION ALL {aliases}").fetchall():
        person = Person(0, Kind(kind), account_id, address, name or address.partition("@")[0])
        number = database.conn.execute(
            "INSERT INTO person (kind, account_id, address, name, name_key) VALUES (?, ?, ?, ?, ?)",
            (kind, account_id, address, person.name, fold_words(person.name)),
        ).lastrowid
        database.conn.executemany(
            "INSERT INTO person_key (key, person_id) VALUES (?, ?)",
            [(key, number) for key in sorted(search_keys(person))],
        )


_PHONES = (
    # settings: JSON, as posthouse.policy understands it.
    "CREATE TABLE policy (name TEXT PRIMARY KEY, settings TEXT NOT NULL, changed BIGINT NOT NULL)",
    # What an account has of its own; NULL: what the server says.
    "CREATE TABLE account_rule (account_id BIGINT PRIMARY KEY, policy TEXT, new_devices BIGINT)",
    # wipe: "device" or "account", with the latest of its states in wipe_state.
    "ALTER TABLE device ADD COLUMN wipe TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE device ADD COLUMN wipe_state TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE device ADD COLUMN wipe_ordered BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE device ADD COLUMN wipe_at BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE absence (
        mailbox_id BIGINT PRIMARY KEY, state BIGINT NOT NULL, starts BIGINT, ends BIGINT,
        messages TEXT NOT NULL, changed BIGINT NOT NULL)""",
    """CREATE TABLE absence_answer (
        mailbox_id BIGINT NOT NULL, audience TEXT NOT NULL, sender TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (mailbox_id, audience, sender)) CLUSTERED""",
    "CREATE INDEX absence_answer_at ON absence_answer (at)",
    "CREATE INDEX absence_answer_lately ON absence_answer (mailbox_id, at)",
)


@migrations(name="0003_phones_and_absence")
def _phones_and_absence(database: Database) -> None:
    """Policies by name, wiping of phones, out-of-office messages."""
    for statement in _PHONES:
        database.conn.execute(SQLITE.ddl(statement))


@migrations(name="0004_dkim_keys")
def _dkim_keys(database: Database) -> None:
    """What signs outgoing mail. private: PKCS #8 in DER."""
    database.conn.execute(
        SQLITE.ddl(
            """CREATE TABLE dkim_key (
                domain TEXT NOT NULL, selector TEXT NOT NULL, algorithm TEXT NOT NULL, private BYTES NOT NULL,
                created BIGINT NOT NULL, PRIMARY KEY (domain, selector)) CLUSTERED"""
        )
    )


_CONVERSATIONS = (
    # The mail of a conversation, in one folder or all: for finding, moving and keeping it together.
    "CREATE INDEX item_conversation ON item (mailbox_id, conversation, folder_id, received, number)",
    # Where all mail of a conversation goes, that to come included; the mailbox knows how many such rules it has.
    """CREATE TABLE conversation_rule (
        mailbox_id BIGINT NOT NULL, conversation BYTES NOT NULL, folder_id BIGINT NOT NULL,
        created BIGINT NOT NULL, PRIMARY KEY (mailbox_id, conversation)) CLUSTERED""",
    "ALTER TABLE mailbox ADD COLUMN conversation_rules BIGINT NOT NULL DEFAULT 0",
    # The place of a message in its conversation, under its own key; NULL while only others mentioned it.
    "ALTER TABLE thread_key ADD COLUMN place BYTES",
    # Sender, when it is not From.
    "ALTER TABLE item ADD COLUMN sent_by TEXT NOT NULL DEFAULT ''",
)


@migrations(name="0005_conversations")
def _conversations(database: Database) -> None:
    """Conversations as a whole: found, moved for ever, with each message's place; who sent for whom."""
    for statement in _CONVERSATIONS:
        database.conn.execute(SQLITE.ddl(statement))


_SENDING = (
    # own: written here; verdict: what the administrator decided; domain: of the recipient, lower case.
    "ALTER TABLE outbox ADD COLUMN own BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE outbox ADD COLUMN verdict TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE outbox ADD COLUMN priority BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE outbox ADD COLUMN domain TEXT NOT NULL DEFAULT ''",
    "DROP INDEX outbox_due",
    "CREATE INDEX outbox_ready ON outbox (priority, due) WHERE state IN ('due', 'leased')",
    "CREATE INDEX outbox_domain ON outbox (domain) WHERE state IN ('due', 'leased', 'held', 'paused')",
    "CREATE TABLE paused_domain (domain TEXT PRIMARY KEY, at BIGINT NOT NULL, reason TEXT NOT NULL)",
    """CREATE TABLE suppressed (
        address TEXT PRIMARY KEY, at BIGINT NOT NULL, reason TEXT NOT NULL, sender TEXT NOT NULL)""",
    # Recipients elsewhere by account and hour, and whom an account has written to at all.
    """CREATE TABLE sent_hour (
        account_id BIGINT NOT NULL, hour BIGINT NOT NULL, recipients BIGINT NOT NULL,
        PRIMARY KEY (account_id, hour)) CLUSTERED""",
    """CREATE TABLE written_to (
        account_id BIGINT NOT NULL, address TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
        PRIMARY KEY (account_id, address)) CLUSTERED""",
    "CREATE INDEX written_to_first ON written_to (account_id, first)",
    "CREATE INDEX written_to_last ON written_to (last)",
    "CREATE TABLE secret (name TEXT PRIMARY KEY, value BYTES NOT NULL, created BIGINT NOT NULL)",
)


@migrations(name="0006_sending")
def _sending(database: Database) -> None:
    """Orders for the queue, suppressed addresses, limits per account, the key of rewritten senders."""
    for statement in _SENDING:
        database.conn.execute(SQLITE.ddl(statement))
    database.conn.execute("UPDATE outbox SET own = 1 WHERE account_id IS NOT NULL")
    rows = database.conn.execute("SELECT id, recipient FROM outbox").fetchall()
    database.conn.executemany(
        "UPDATE outbox SET domain = ? WHERE id = ?",
        [(recipient.rpartition("@")[2].lower(), number) for number, recipient in rows],
    )
    database.conn.execute(
        "INSERT INTO secret (name, value, created) VALUES ('srs', ?, 0)", (secrets.token_bytes(32),)
    )


_ACQUAINTANCES = (
    # rank: as it was told to devices; score: as it is (both in ms, see ``store.acquaintances``).
    """CREATE TABLE acquaintance (
        folder_id BIGINT NOT NULL, address TEXT NOT NULL, number BIGINT NOT NULL, rank BIGINT NOT NULL,
        score BIGINT NOT NULL, written TEXT NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (folder_id, address)) CLUSTERED""",
    "CREATE UNIQUE INDEX acquaintance_number ON acquaintance (folder_id, number)",
    "CREATE INDEX acquaintance_rank ON acquaintance (folder_id, rank, number)",
)


@migrations(name="0007_acquaintances")
def _acquaintances(database: Database) -> None:
    """To whom an account writes, ranked: the recipient information cache of its devices."""
    for statement in _ACQUAINTANCES:
        database.conn.execute(SQLITE.ddl(statement))


_RULES_AND_JUNK = (
    # What is looked at for each message stands in the mailbox's own row: 0 no rules, 1 some, 2 some that read bodies;
    # how many senders are known, and how much was learned. Nothing else is asked where these are 0.
    "ALTER TABLE mailbox ADD COLUMN rules BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE mailbox ADD COLUMN senders BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE mailbox ADD COLUMN learned_junk BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE mailbox ADD COLUMN learned_good BIGINT NOT NULL DEFAULT 0",
    # form: JSON as posthouse.rules understands it; problem: why the house switched the rule off.
    """CREATE TABLE rule (
        id IDENTITY, mailbox_id BIGINT NOT NULL, position BIGINT NOT NULL, name TEXT NOT NULL,
        enabled BIGINT NOT NULL, problem TEXT NOT NULL DEFAULT '', form TEXT NOT NULL, created BIGINT NOT NULL,
        changed BIGINT NOT NULL)""",
    "CREATE INDEX rule_mailbox ON rule (mailbox_id, position)",
    # listed: 0 not, 1 safe, 2 blocked; junk and good: messages of this sender moved into Junk, and out of it.
    """CREATE TABLE known_sender (
        mailbox_id BIGINT NOT NULL, address TEXT NOT NULL, listed BIGINT NOT NULL DEFAULT 0,
        junk BIGINT NOT NULL DEFAULT 0, good BIGINT NOT NULL DEFAULT 0, at BIGINT NOT NULL,
        PRIMARY KEY (mailbox_id, address)) CLUSTERED""",
    # word: 64 bits of a hash, signed; at: the day it was met last.
    """CREATE TABLE junk_word (
        mailbox_id BIGINT NOT NULL, word BIGINT NOT NULL, junk BIGINT NOT NULL, good BIGINT NOT NULL,
        at BIGINT NOT NULL, PRIMARY KEY (mailbox_id, word)) CLUSTERED""",
    # What waits to be learned (junk 1 or 0), and what each message was learned as.
    "CREATE TABLE junk_lesson (item_id BIGINT PRIMARY KEY, junk BIGINT NOT NULL)",
    "CREATE TABLE junk_learned (item_id BIGINT PRIMARY KEY, mailbox_id BIGINT NOT NULL, junk BIGINT NOT NULL)",
    "CREATE INDEX junk_learned_mailbox ON junk_learned (mailbox_id)",
    # Strangers who were told to come again; passed: they did.
    """CREATE TABLE greeting (
        key BYTES NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, passed BIGINT NOT NULL DEFAULT 0,
        PRIMARY KEY (key)) CLUSTERED""",
    "CREATE INDEX greeting_last ON greeting (last)",
)


@migrations(name="0008_rules_and_junk")
def _rules_and_junk(database: Database) -> None:
    """Rules, senders that a user knows, what a mailbox learned about junk, strangers told to come again."""
    for statement in _RULES_AND_JUNK:
        database.conn.execute(SQLITE.ddl(statement))


_ADDRESSES = (
    # alias_of: every address of this domain is that of the other one; catch_all: who gets what nobody else has.
    "ALTER TABLE domain ADD COLUMN alias_of TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE domain ADD COLUMN catch_all TEXT NOT NULL DEFAULT ''",
    # Addresses that take no mail, whoever has them.
    "CREATE TABLE closed_address (address TEXT PRIMARY KEY, at BIGINT NOT NULL, note TEXT NOT NULL)",
    # A distribution list: an alias with a name, rules and an owner. posting: anyone, members or listed.
    """CREATE TABLE mail_group (
        alias_id BIGINT PRIMARY KEY, name TEXT NOT NULL, posting TEXT NOT NULL, owner TEXT NOT NULL)""",
    """CREATE TABLE mail_group_poster (
        alias_id BIGINT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (alias_id, address)) CLUSTERED""",
    """CREATE TABLE send_grant (
        address TEXT NOT NULL, account_id BIGINT NOT NULL, created BIGINT NOT NULL,
        PRIMARY KEY (address, account_id)) CLUSTERED""",
    "CREATE INDEX send_grant_account ON send_grant (account_id)",
    # forward: 0 nothing, 1 without a copy, 2 with one.
    "ALTER TABLE account ADD COLUMN forward BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE account ADD COLUMN plus_folders BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE account ADD COLUMN hold_seconds BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE forwarding (
        account_id BIGINT NOT NULL, position BIGINT NOT NULL, target TEXT NOT NULL,
        PRIMARY KEY (account_id, position)) CLUSTERED""",
    # The last step of which the reader was warned, in per cent; since when the mailbox is full.
    "ALTER TABLE mailbox ADD COLUMN quota_step BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE mailbox ADD COLUMN full_since BIGINT",
    # Messages that wait in their sender's Outbox, and those that did (state waiting, released, taken-back).
    """CREATE TABLE held_message (
        id IDENTITY, name TEXT NOT NULL UNIQUE, account_id BIGINT NOT NULL, mailbox_id BIGINT NOT NULL,
        item_id BIGINT NOT NULL, sender TEXT NOT NULL, envelope TEXT NOT NULL, file_sent BIGINT NOT NULL,
        created BIGINT NOT NULL, due BIGINT NOT NULL, state TEXT NOT NULL, handed TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX held_message_due ON held_message (due) WHERE state = 'waiting'",
    "CREATE INDEX held_message_account ON held_message (account_id, id)",
    # Which rows of the queue came from one submission that was held.
    "ALTER TABLE outbox ADD COLUMN message TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX outbox_message ON outbox (message) WHERE message <> ''",
)


@migrations(name="0009_addresses")
def _addresses(database: Database) -> None:
    """Catch-all, domain aliases, groups, grants, forwarding, quotas that warn, and mail that waits to be sent."""
    for statement in _ADDRESSES:
        database.conn.execute(SQLITE.ddl(statement))


_TRANSPORT = (
    # RFC 8689: the next host has to keep to TLS.
    "ALTER TABLE outbox ADD COLUMN require_tls BIGINT NOT NULL DEFAULT 0",
    # What other domains say of connections to them (RFC 8461), as it was fetched; and what ours say.
    """CREATE TABLE sts_policy (
        domain TEXT PRIMARY KEY, version TEXT NOT NULL, content BYTES NOT NULL, fetched BIGINT NOT NULL,
        expires BIGINT NOT NULL)""",
    "CREATE INDEX sts_policy_expires ON sts_policy (expires)",
    """CREATE TABLE own_sts (
        domain TEXT PRIMARY KEY, mode TEXT NOT NULL, max_age BIGINT NOT NULL, mx TEXT NOT NULL,
        changed BIGINT NOT NULL)""",
    # Sessions by day, domain and how they ended (RFC 8460), and when the report of a day is due.
    """CREATE TABLE tls_count (
        day BIGINT NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL, result TEXT NOT NULL,
        host TEXT NOT NULL, address TEXT NOT NULL, reason TEXT NOT NULL, sessions BIGINT NOT NULL,
        PRIMARY KEY (day, domain, policy, result, host, address, reason)) CLUSTERED""",
    """CREATE TABLE tls_day (
        day BIGINT NOT NULL, domain TEXT NOT NULL, due BIGINT NOT NULL, tries BIGINT NOT NULL DEFAULT 0,
        PRIMARY KEY (day, domain)) CLUSTERED""",
    "CREATE INDEX tls_day_due ON tls_day (due)",
)


@migrations(name="0010_transport")
def _transport(database: Database) -> None:
    """What connections to other servers have to be like, and how they were."""
    for statement in _TRANSPORT:
        database.conn.execute(SQLITE.ddl(statement))


@migrations(name="0011_stale_greetings")
def _stale_greetings(database: Database) -> None:
    """Strangers who did not come again are found without a look at those who did."""
    for statement in ("DROP INDEX greeting_last", "CREATE INDEX greeting_stale ON greeting (passed, last)"):
        database.conn.execute(SQLITE.ddl(statement))


@migrations(name="0012_dkim_rotation")
def _dkim_rotation(database: Database) -> None:
    """Keys that do not sign yet, and those that do no more (``store.dkim_keys``)."""
    for statement in (
        "ALTER TABLE dkim_key ADD COLUMN state TEXT NOT NULL DEFAULT 'active'",
        "ALTER TABLE dkim_key ADD COLUMN since BIGINT NOT NULL DEFAULT 0",
    ):
        database.conn.execute(SQLITE.ddl(statement))
