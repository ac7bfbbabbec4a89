"""The tables of the first migration: released, and never changed again. What came since is in ``schema``."""

from __future__ import annotations

__all__ = ["FIRST"]

FIRST = (
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
