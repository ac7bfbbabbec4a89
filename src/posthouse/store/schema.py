"""The tables, and how they came to be.

Each migration runs once, in its own transaction, in the order written here; its name is recorded in the file.
Never change one that was released: add another. Types are the dialect's words (see ``dialect``).

Times are ms since the epoch; numbers are of the mailbox's 48-bit counter (docs/decisions/0004). Booleans are
0 and 1. ``*_by`` columns hold the row id of the device that made the last change of that group, 0 for none.
"""

from __future__ import annotations

import secrets

from sqlite_utils import Database, Migrations

from posthouse.faults import reach
from posthouse.store.dialect import SQLITE, fold_words
from posthouse.store.people import Kind, Person, search_keys

__all__ = ["migrations"]


class _Steps(Migrations):
    """Migrations that a test can cut short."""

    def _record_applied(self, db: Database, name: str) -> None:
        super()._record_applied(db, name)
        reach("store.migration")


migrations = _Steps("posthouse")

_FIRST = (
    "CREATE TABLE domain (id IDENTITY, name TEXT NOT NULL UNIQUE, created BIGINT NOT NULL)",
    # guid and replica name the mailbox and its numbers for ever: change key = replica + number.
    """CREATE TABLE mailbox (
        id IDENTITY, guid BYTES NOT NULL UNIQUE, replica BYTES NOT NULL,
        counter BIGINT NOT NULL DEFAULT 0 CHECK (counter < 281474976710656),
        tombstone_horizon BIGINT NOT NULL DEFAULT 0, folder_horizon BIGINT NOT NULL DEFAULT 0,
        size BIGINT NOT NULL DEFAULT 0, quota BIGINT, created BIGINT NOT NULL)""",
    # directory_name: legacyExchangeDN, never changed, whatever becomes of the address.
    """CREATE TABLE account (
        id IDENTITY, mailbox_id BIGINT NOT NULL UNIQUE, address TEXT NOT NULL UNIQUE,
        local_part TEXT NOT NULL, domain TEXT NOT NULL, name TEXT NOT NULL,
        directory_name TEXT NOT NULL UNIQUE, password TEXT NOT NULL, enabled BIGINT NOT NULL,
        admin BIGINT NOT NULL, deleting BIGINT NOT NULL DEFAULT 0, created BIGINT NOT NULL)""",
    "CREATE INDEX account_local_part ON account (local_part)",
    "CREATE TABLE alias (id IDENTITY, address TEXT NOT NULL UNIQUE, created BIGINT NOT NULL)",
    """CREATE TABLE alias_target (
        alias_id BIGINT NOT NULL, position BIGINT NOT NULL, target TEXT NOT NULL,
        PRIMARY KEY (alias_id, position)) CLUSTERED""",
    "CREATE INDEX alias_target_target ON alias_target (target)",
    """CREATE TABLE app_password (
        id IDENTITY, account_id BIGINT NOT NULL, label TEXT NOT NULL, digest BYTES NOT NULL UNIQUE,
        created BIGINT NOT NULL, last_used BIGINT)""",
    "CREATE INDEX app_password_account ON app_password (account_id)",
    """CREATE TABLE folder (
        id IDENTITY, mailbox_id BIGINT NOT NULL, number BIGINT NOT NULL, parent BIGINT NOT NULL,
        name TEXT NOT NULL, name_key TEXT NOT NULL, type BIGINT NOT NULL, slot BIGINT, role TEXT,
        changed BIGINT NOT NULL, changed_by BIGINT NOT NULL DEFAULT 0, total BIGINT NOT NULL DEFAULT 0,
        unread BIGINT NOT NULL DEFAULT 0, hidden BIGINT NOT NULL DEFAULT 0,
        deleted BIGINT NOT NULL DEFAULT 0, uid_validity BIGINT NOT NULL, uid_next BIGINT NOT NULL DEFAULT 1,
        created BIGINT NOT NULL, UNIQUE (mailbox_id, number))""",
    "CREATE UNIQUE INDEX folder_name ON folder (mailbox_id, parent, name_key) WHERE deleted = 0",
    "CREATE INDEX folder_changed ON folder (mailbox_id, changed)",
    # slot: the type of a default folder, of which there is one; NULL for the rest. (A partial index on the
    # type would say the same, but SQLite then compiles a statement with "type = ?" anew at each use.)
    "CREATE UNIQUE INDEX folder_slot ON folder (mailbox_id, slot)",
    "CREATE UNIQUE INDEX folder_role ON folder (mailbox_id, role)",
    "CREATE INDEX folder_deleted ON folder (id) WHERE deleted = 1",
    """CREATE TABLE folder_gone (
        mailbox_id BIGINT NOT NULL, at BIGINT NOT NULL, number BIGINT NOT NULL,
        PRIMARY KEY (mailbox_id, at)) CLUSTERED""",
    # The numbers stand first: the sync decision reads them alone, from the head of the row.
    """CREATE TABLE item (
        id IDENTITY, mailbox_id BIGINT NOT NULL, folder_id BIGINT NOT NULL, number BIGINT NOT NULL,
        changed BIGINT NOT NULL, read_no BIGINT NOT NULL, flag_no BIGINT NOT NULL,
        categories_no BIGINT NOT NULL, rest_no BIGINT NOT NULL, received BIGINT NOT NULL,
        hidden BIGINT NOT NULL, read BIGINT NOT NULL, body_id BIGINT NOT NULL, size BIGINT NOT NULL,
        uid BIGINT NOT NULL, created_by BIGINT NOT NULL, read_by BIGINT NOT NULL, flag_by BIGINT NOT NULL,
        categories_by BIGINT NOT NULL, rest_by BIGINT NOT NULL, message_class TEXT NOT NULL,
        subject TEXT NOT NULL, topic TEXT NOT NULL, sender TEXT NOT NULL, sender_address TEXT NOT NULL,
        recipients TEXT NOT NULL, cc TEXT NOT NULL, bcc TEXT NOT NULL, reply_to TEXT NOT NULL, sent BIGINT,
        message_id TEXT NOT NULL, importance BIGINT NOT NULL, preview TEXT NOT NULL, flag TEXT,
        categories TEXT, draft BIGINT NOT NULL, has_attachments BIGINT NOT NULL, attachments TEXT,
        structure BYTES NOT NULL, conversation BYTES NOT NULL, conversation_index BYTES NOT NULL,
        verb BIGINT NOT NULL DEFAULT 0, verb_at BIGINT, trace BYTES NOT NULL)""",
    "CREATE UNIQUE INDEX item_number ON item (mailbox_id, number)",
    "CREATE INDEX item_folder ON item (folder_id, number)",
    "CREATE INDEX item_arrival ON item (folder_id, received, number)",
    "CREATE INDEX item_changed ON item (folder_id, changed) WHERE changed > number",
    "CREATE INDEX item_body ON item (body_id)",
    # In the order of writing, so that age needs no index.
    """CREATE TABLE gone (
        id IDENTITY, folder_id BIGINT NOT NULL, number BIGINT NOT NULL, at BIGINT NOT NULL,
        received BIGINT NOT NULL, gone_by BIGINT NOT NULL)""",
    "CREATE UNIQUE INDEX gone_at ON gone (folder_id, at)",
    "CREATE INDEX gone_number ON gone (folder_id, number)",
    # Which tombstones existed at which time, once a day.
    "CREATE TABLE gone_age (at BIGINT PRIMARY KEY, last BIGINT NOT NULL)",
    """CREATE TABLE thread_key (
        mailbox_id BIGINT NOT NULL, key BYTES NOT NULL, conversation BYTES NOT NULL,
        PRIMARY KEY (mailbox_id, key)) CLUSTERED""",
    # sha256 is NULL while a body is on its way in or out.
    """CREATE TABLE body (
        id IDENTITY, sha256 BYTES UNIQUE, size BIGINT NOT NULL, created BIGINT NOT NULL)""",
    # id = body * 65536 + sequence: one tree, a body's chunks side by side.
    "CREATE TABLE chunk (id BIGINT PRIMARY KEY, data BYTES NOT NULL)",
    # Bodies to look at: perhaps nothing refers to them.
    "CREATE TABLE loose_body (body_id BIGINT PRIMARY KEY, at BIGINT NOT NULL)",
    """CREATE TABLE recent_delivery (
        sha256 BYTES NOT NULL, recipient TEXT NOT NULL, sender TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (sha256, recipient, sender)) CLUSTERED""",
    "CREATE INDEX recent_delivery_at ON recent_delivery (at)",
    """CREATE TABLE outbox (
        id IDENTITY, account_id BIGINT, body_id BIGINT NOT NULL, size BIGINT NOT NULL, sender TEXT NOT NULL,
        recipient TEXT NOT NULL, created BIGINT NOT NULL, due BIGINT NOT NULL, due_before BIGINT NOT NULL,
        expires BIGINT NOT NULL, attempts BIGINT NOT NULL DEFAULT 0, state TEXT NOT NULL,
        last_reply TEXT NOT NULL DEFAULT '', last_attempt BIGINT, smtputf8 BIGINT NOT NULL,
        eight_bit BIGINT NOT NULL, envid TEXT NOT NULL, ret TEXT NOT NULL, notify TEXT NOT NULL,
        orcpt TEXT NOT NULL, trace BYTES NOT NULL, delay_told BIGINT NOT NULL DEFAULT 0)""",
    "CREATE INDEX outbox_due ON outbox (due) WHERE state IN ('due', 'leased')",
    "CREATE INDEX outbox_finished ON outbox (last_attempt) WHERE state IN ('sent', 'failed')",
    "CREATE INDEX outbox_body ON outbox (body_id)",
    """CREATE TABLE device (
        id IDENTITY, account_id BIGINT NOT NULL, device_id TEXT NOT NULL, device_type TEXT NOT NULL,
        user_agent TEXT NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL,
        protocol TEXT NOT NULL, policy_key BIGINT NOT NULL DEFAULT 0,
        pending_policy_key BIGINT NOT NULL DEFAULT 0, policy_hash TEXT NOT NULL DEFAULT '',
        provisioned BIGINT NOT NULL DEFAULT 0, access BIGINT NOT NULL DEFAULT 0,
        trace BIGINT NOT NULL DEFAULT 0, information TEXT, last_command TEXT NOT NULL DEFAULT '',
        last_error TEXT NOT NULL DEFAULT '', version_ceiling TEXT NOT NULL DEFAULT '',
        UNIQUE (account_id, device_id, device_type))""",
    """CREATE TABLE device_state (
        device BIGINT NOT NULL, collection TEXT NOT NULL, old_key TEXT NOT NULL, old BYTES NOT NULL,
        new_key TEXT NOT NULL, new BYTES NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (device, collection)) CLUSTERED""",
    """CREATE TABLE device_value (
        device BIGINT NOT NULL, name TEXT NOT NULL, value BYTES NOT NULL,
        PRIMARY KEY (device, name)) CLUSTERED""",
    """CREATE TABLE device_send (
        id IDENTITY, device BIGINT NOT NULL, client_id TEXT NOT NULL, sha256 BYTES NOT NULL,
        at BIGINT NOT NULL, UNIQUE (device, client_id, sha256))""",
    """CREATE TABLE device_aside (
        device BIGINT NOT NULL, folder_id BIGINT NOT NULL, number BIGINT NOT NULL, reason TEXT NOT NULL,
        at BIGINT NOT NULL, PRIMARY KEY (device, folder_id, number)) CLUSTERED""",
    """CREATE TABLE device_log (
        id IDENTITY, device BIGINT NOT NULL, at BIGINT NOT NULL, line TEXT NOT NULL)""",
    "CREATE INDEX device_log_device ON device_log (device, id)",
    # What waits for the full-text index: absent 0 put it in, 1 take it out.
    "CREATE TABLE to_index (item_id BIGINT PRIMARY KEY, absent BIGINT NOT NULL DEFAULT 0)",
    # The text as it was indexed, compressed: FTS5 of SQLite 3.40 needs it again for removal.
    """CREATE TABLE search_text (
        item_id BIGINT PRIMARY KEY, mailbox_id BIGINT NOT NULL, text BYTES NOT NULL)""",
    # MS-OXCPRPT 3.2.5.10: a mailbox's own map of named properties to ids from 0x8000.
    """CREATE TABLE named_property (
        mailbox_id BIGINT NOT NULL, property BIGINT NOT NULL, guid BYTES NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (mailbox_id, property), UNIQUE (mailbox_id, guid, name)) CLUSTERED""",
)


@migrations(name="0001_first")
def _first(database: Database) -> None:
    """Everything that mail needs, and what later protocols need to have been there from the start."""
    for statement in _FIRST:
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
