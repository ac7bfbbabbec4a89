"""Ping: tell a device, the moment it happens, that a Sync is worth its while.

Promise: what is announced here a Sync delivers; one Ping of a device lives, a newer one takes its place and the
older is answered at once; the heartbeat ends it to the second. MS-ASCMD 2.2.1.13, 3.1.5.8.

Additions, changes and removals by others all wake the device. MS-ASCMD R5641 would wake it for additions only
("SHOULD NOT"), and leave a mail that was read on the desk unread on the phone for up to an hour; that is not
what people who have two devices expect. What falls out of a filter wakes nobody (docs/decisions/0006).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from attrs import frozen

from posthouse.eas import collection, hierarchy
from posthouse.eas.call import Call
from posthouse.eas.grammar import MANY, Child, Rule, check, number
from posthouse.eas.ids import folder_name
from posthouse.eas.parking import NEWS
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import StatusError
from posthouse.model import Folder
from posthouse.store import devices
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import Ping as P
from posthouse.wbxml.tree import E, Element

NOTHING = 1
CHANGES = 2
INCOMPLETE = 3
SYNTAX = 4
BAD_HEARTBEAT = 5
TOO_MANY = 6
STALE = 7
#: The name under which the parameters are kept (R5632).
_VALUE = "ping"

_GRAMMAR = Rule(
    {
        # Of any length and sign: what is no interval is one out of range (R5837).
        P.HeartbeatInterval: Child(),
        P.Folders: Child(
            kind="container",
            rule=Rule(
                {
                    P.Folder: Child(
                        least=1,
                        most=MANY,
                        kind="container",
                        rule=Rule(
                            {
                                P.Id: Child(least=1, least_length=1, length=64),
                                P.Class: Child(least=1, length=40),
                            },
                            status=SYNTAX,
                        ),
                    )
                },
                status=SYNTAX,
            ),
        ),
    },
    status=SYNTAX,
    one_of=(P.HeartbeatInterval, P.Folders),
)


@frozen
class Watch:
    """What a Ping looks at."""

    heartbeat: int
    ids: tuple[str, ...]


@frozen
class _Look:
    """What a look at the folders found. ``stale``: the device has to do FolderSync first."""

    stale: bool = False
    changed: tuple[str, ...] = ()
    folders: tuple[Folder, ...] = ()


@command("Ping")
class Ping(Command):
    """Waits for news in a list of folders."""

    may_be_empty = True

    async def run(self, call: Call) -> Element:
        watch = await self._watch(call)
        settings = call.services.settings
        least, most = settings.heartbeat
        if not least <= watch.heartbeat <= most:
            # R4247, R4248
            limit = least if watch.heartbeat < least else most
            return _answer(BAD_HEARTBEAT, E(P.HeartbeatInterval, limit))
        if len(watch.ids) > settings.max_ping_folders:
            return _answer(TOO_MANY, E(P.MaxFolders, settings.max_ping_folders))
        call.notes["heartbeat"] = watch.heartbeat
        call.notes["folders"] = len(watch.ids)
        return await self._wait(call, watch)

    async def _watch(self, call: Call) -> Watch:
        """What the request says, completed by what the last one said (R3152, R5836)."""
        row = call.device.id
        kept = await call.read(lambda tx: devices.load_value(tx, row, _VALUE))
        before = _load(kept) if kept else None
        if call.request is None:
            if before is None:
                raise StatusError(INCOMPLETE, "an empty Ping, and none before")
            return before
        unknown = check(call.request, _GRAMMAR)
        if unknown:
            call.notes["unknown"] = unknown
        interval, listed = call.request.find(P.HeartbeatInterval), call.request.find(P.Folders)
        wanted = _seconds(interval) if interval is not None else None
        if (interval is None or listed is None) and before is None:
            raise StatusError(INCOMPLETE, "heartbeat and folders have to be said once")
        heartbeat = wanted if wanted is not None else before.heartbeat if before else 0
        ids = (
            tuple(dict.fromkeys(folder.text(P.Id) or "" for folder in listed.findall(P.Folder)))
            if listed is not None
            else before.ids
            if before
            else ()
        )
        watch = Watch(heartbeat, ids)
        least, most = call.services.settings.heartbeat
        if (
            watch != before
            and least <= heartbeat <= most
            and len(ids) <= call.services.settings.max_ping_folders
        ):
            await call.write(lambda tx: devices.save_value(tx, row, _VALUE, _dump(watch)))
        return watch

    async def _wait(self, call: Call, watch: Watch) -> Element:
        mailbox, device = call.account.mailbox_id, call.device.id
        parked = call.services.yard.park(call, "Ping", watch.heartbeat)
        # Before the first look, so that nothing falls between look and wait.
        subscription = call.services.bus.subscribe(mailbox)
        try:
            look: _Look = await call.read(lambda tx: _look(tx, mailbox, device, watch.ids, call.now()))
            while True:
                if look.stale:
                    return _answer(STALE)
                if look.changed:
                    call.notes["changed"] = list(look.changed)
                    return _answer(CHANGES, E(P.Folders, [E(P.Folder, name) for name in look.changed]))
                watched = {folder.id: folder for folder in look.folders}
                parked.heard.clear()
                while not parked.heard & {0, *watched}:
                    ended = await parked.wait(subscription)
                    if ended != NEWS:
                        call.notes["ended"] = ended
                        return _answer(NOTHING)
                # Only those of which something was heard, or everything when the hierarchy changed.
                ids = (
                    watch.ids
                    if 0 in parked.heard
                    else tuple(folder_name(watched[row]) for row in parked.heard if row in watched)
                )
                now = call.now()
                again: _Look = await call.read(
                    lambda tx, ids=ids, now=now: _look(tx, mailbox, device, ids, now)
                )
                look = again if 0 in parked.heard else _Look(again.stale, again.changed, look.folders)
        finally:
            subscription.close()
            call.services.yard.leave(parked)


def _seconds(interval: Element) -> int:
    """A heartbeat. A negative or huge one is out of range, not a syntax error (R4249, R5690, R5837)."""
    text = interval.value.strip()
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and (len(digits) > 9 or digits != text):
        return -1 if digits != text else 1 << 30
    return number(interval, status=SYNTAX)


def _look(tx: Transaction, mailbox: int, device: int, ids: Iterable[str], now: int) -> _Look:
    """R4257, R4258: a stale hierarchy or an unknown folder is told at once; a folder that the device never
    synchronised is passed over (it is only pinged by some clients)."""
    if hierarchy.standing(tx, mailbox, device) != "current":
        return _Look(stale=True)
    found: list[Folder] = []
    changed: list[str] = []
    for name in ids:
        folder = collection.folder_named(tx, mailbox, name)
        if folder is None:
            return _Look(stale=True)
        found.append(folder)
        news = collection.has_news(tx, mailbox, device, folder, now)
        # What an administrator let it fetch anew is worth a Sync: its key is no longer good there.
        if news or (news is None and devices.is_forgotten(tx, device, str(folder.number))):
            changed.append(folder_name(folder))
    return _Look(changed=tuple(changed), folders=tuple(found))


def _answer(status: int, *more: Element) -> Element:
    return E(P.Ping, E(P.Status, status), *more)


def _dump(watch: Watch) -> bytes:
    return json.dumps([watch.heartbeat, list(watch.ids)]).encode()


def _load(data: bytes) -> Watch:
    heartbeat, ids = json.loads(data)
    return Watch(heartbeat, tuple(ids))
