"""Puts the demo's messages where they belong, by the same functions of the store that real mail takes."""

from __future__ import annotations

from functools import partial
from typing import Any

from posthouse.demo.cast import Person
from posthouse.demo.mailbox import DemoMessage, messages
from posthouse.mime.draft import draft_from
from posthouse.mime.scan import scan
from posthouse.model import Account, Flag, Folder, evolve
from posthouse.store import accounts, bodies, folders, items
from posthouse.store.inline import InlineDatabase

__all__ = ["fill"]

_SLICE = 50  # messages of one transaction
DAY = 86_400_000


def fill(database: InlineDatabase, owner: Person, other: Person, now: int) -> int:
    """Deliver all messages to the owner's mailbox, oldest first. Returns how many there are."""
    all_messages = messages(now, owner, other)
    for start in range(0, len(all_messages), _SLICE):
        some = all_messages[start : start + _SLICE]
        database.write_now(partial(_deliver, owner=owner, some=some, now=now))
    return len(all_messages)


def _deliver(tx: Any, owner: Person, some: list[DemoMessage], now: int) -> None:
    account = accounts.account_by_address(tx, owner.address)
    assert account is not None
    for one in some:
        root = scan(one.raw)
        draft = draft_from(
            root,
            one.raw[: root.body_start],
            partial(_slice, one.raw),
            len(one.raw),
            one.received,
        )
        flag = (
            Flag(status=2, type="Follow up", start=one.received, due=one.received + 7 * DAY)
            if one.flagged
            else None
        )
        trace = f"Return-Path: <{one.sender}>\r\n".encode()
        body = bodies.put_body(tx, bodies.prepare(one.raw), now)
        folder = _folder(tx, account, one)
        items.add_item(tx, folder, evolve(draft, read=one.read, flag=flag, trace=trace), body.id, now)


def _slice(raw: bytes, start: int, stop: int) -> bytes:
    return raw[start:stop]


def _folder(tx: Any, account: Account, one: DemoMessage) -> Folder:
    if one.folder is None:
        return folders.folder_of_role(tx, account.mailbox_id, "junk")
    return folders.folder_of_type(tx, account.mailbox_id, one.folder)
