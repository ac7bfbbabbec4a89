"""Whole phones on a line that loses things, over the room with the real outbox behind it.

A `House` answers requests as bytes, as the web server hands them over. A `Handset` is what a device does with the
answers: it keeps keys, mirrors, what its user changed and what it still has to send; it never looks into the
store. A line may lose a request, lose an answer, or deliver a request twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from posthouse.bus import Bus
from posthouse.delivery.bounce import Reporter
from posthouse.delivery.directory import Directory
from posthouse.delivery.submission import Submission
from posthouse.eas import collection, folder_feed, hierarchy
from posthouse.eas.pipeline import Incoming, Pipeline
from posthouse.eas.services import EasSettings, Services
from posthouse.errors import TryLater
from posthouse.mime.draft import draft_from
from posthouse.mime.scan import scan
from posthouse.model import Arrival, Folder, FolderType, Item
from posthouse.store import bodies, changes, devices, folders, housekeeping, items, outbox
from posthouse.wbxml.decode import decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, ComposeMail, Email, Email2, FolderHierarchy, Move, Ping
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from posthouse.work.pool import InlinePool
from tests.eas.room import NoAuthenticator
from tests.support.store import NOW, make_account, make_database

MAIL_TYPES = frozenset((2, 3, 4, 5, 12))
FRIEND = "bob@here.example"
FAR = "far@there.example"


@define(eq=False)
class Exchange:
    """One request under way. ``reply`` is there when it was answered."""

    command: str
    data: bytes
    reply: Any = None
    watchers: list[Deferred[None]] = field(factory=list)

    def on_gone(self) -> Deferred[None]:
        watcher: Deferred[None] = Deferred()
        self.watchers.append(watcher)
        return watcher

    def break_off(self) -> None:
        """The connection ends; the server notices."""
        watchers, self.watchers = self.watchers, []
        for watcher in watchers:
            if not watcher.called:
                watcher.callback(None)

    @property
    def root(self) -> Element | None:
        return decode(self.reply.body) if self.reply is not None and self.reply.body else None


class House:
    """Two accounts with the real outbox; ``ann`` has the phones, ``bob`` is written to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW / 1000)
        self.bus = Bus()
        self.db = make_database(self.bus.publish)
        self.ann = make_account(self.db, "ann@here.example")
        self.bob = make_account(self.db, FRIEND)
        seconds = self.clock.seconds
        chance = random.Random(7)
        submission = Submission(
            self.db,
            Directory(self.db, seconds),
            InlinePool(),
            Reporter("mx.here.example", lambda: f"{chance.getrandbits(96):x}"),
            "mx.here.example",
            self.clock,
            chance,
            lambda: 10**12,
        )
        self._submission, self._chance = submission, chance
        self._write = self.db.write
        self.db.write = self._written  # type: ignore[method-assign]
        self.breaks = False
        self.restart()

    def restart(self) -> None:
        """The process ends and begins again: what was not in the store is forgotten."""
        self.services = Services(
            db=self.db,
            bus=self.bus,
            outbox=self._submission,
            authenticator=NoAuthenticator(),  # type: ignore[arg-type]
            clock=self.clock,
            random=self._chance.randbytes,
            pool=InlinePool(),
            settings=EasSettings(policy=None),
        )
        self.pipeline = Pipeline(self.services)

    def _written(self, function: Callable[[Any], Any]) -> Deferred[Any]:
        """``breaks``: the next transaction fails after all was done in it."""
        if not self.breaks:
            return self._write(function)
        self.breaks = False

        def fails(tx: Any) -> None:
            function(tx)
            raise TryLater(cause="the disk is busy")

        return self._write(fails)

    # -- the wire

    def post(self, device: str, version: str, command: str, data: bytes) -> Exchange:
        """A request begins; most are answered when this returns."""
        exchange = Exchange(command, data)
        query = {"Cmd": command, "User": "ann", "DeviceId": device, "DeviceType": "iPhone"}
        sent = {
            "MS-ASProtocolVersion": version,
            "User-Agent": "Handset/1.0",
            "Content-Type": "application/vnd.ms-sync.wbxml",
        }

        def arrived(reply: Any) -> None:
            exchange.reply = reply

        answering = Deferred.fromCoroutine(
            self.pipeline.answer(
                self.ann,
                Incoming(
                    query=urlencode(query).encode("ascii"),
                    header=lambda name: sent.get(name, ""),
                    body=lambda: succeed(data),
                    on_gone=exchange.on_gone,
                ),
            )
        )
        answering.addCallback(arrived)
        for _ in range(50):
            if exchange.reply is not None:
                break
            self.clock.advance(0)
        return exchange

    # -- the mailbox, as another writer sees it

    def do(self, function: Callable[[Any], Any]) -> Any:
        return self.db.write_now(function)

    def folders(self) -> list[Folder]:
        found: list[Folder] = self.db.read_now(lambda tx: folders.list_folders(tx, self.ann.mailbox_id))
        return [one for one in found if hierarchy.visible(one)]

    def mail_folders(self) -> list[Folder]:
        return [one for one in self.folders() if int(one.type) in MAIL_TYPES]

    def items(self, where: Folder) -> list[Item]:
        def read(tx: Any) -> list[Item]:
            marks = items.added_since(tx, where.id, 0, 10_000)
            found = items.items(tx, where.id, [mark.number for mark in marks])
            return [found[mark.number] for mark in marks]

        return self.db.read_now(read)

    def all_items(self) -> list[Item]:
        return [item for where in self.mail_folders() for item in self.items(where)]

    def deliver(self, subject: str, where: Folder, age: int = 0) -> Item:
        data = (
            f"From: x@there.example\r\nTo: ann@here.example\r\nSubject: {subject}\r\n\r\nhello\r\n".encode()
        )
        root = scan(data)
        received = int(self.clock.seconds() * 1000) - age
        draft = draft_from(root, data[: root.body_start], lambda a, b: data[a:b], len(data), received)

        def make(tx: Any) -> Item:
            body = bodies.put_body(tx, bodies.prepare(data), received)
            number = items.add_item(tx, where, draft, body.id, received)
            return changes.items(tx, where.id, [number])[number]

        return self.do(make)

    def inside(self, where: Folder, filter_type: int) -> list[Item]:
        """What a filter shows of a folder."""
        target = folder_feed.cut_off(filter_type, int(self.clock.seconds() * 1000))
        return [item for item in self.items(where) if Arrival(item.received, item.number) >= target]

    def forget(self, device: str, folder_id: str) -> None:
        """An administrator has a device fetch a folder anew."""

        def act(tx: Any) -> int:
            row = devices.find_device(tx, self.ann.id, device, "iPhone")
            assert row is not None
            devices.forget_state(tx, row.id, folder_id)
            return row.id

        self.services.yard.release(self.do(act))

    def sweep(self) -> None:
        """What a night's housekeeping does with old tombstones."""
        for _ in range(50):
            if not self.do(lambda tx: housekeeping.housekeep(tx, int(self.clock.seconds() * 1000))):
                break

    def news(self, device: str, folder_id: str) -> bool | None:
        """Would a Sync of that folder tell this device anything?"""

        def look(tx: Any) -> bool | None:
            row = devices.find_device(tx, self.ann.id, device, "iPhone")
            where = collection.folder_named(tx, self.ann.mailbox_id, folder_id)
            assert row is not None
            if where is None:
                return True
            now = int(self.clock.seconds() * 1000)
            return collection.has_news(tx, self.ann.mailbox_id, row.id, where, now)

        return self.db.read_now(look)

    def stale(self, device: str) -> bool:
        def look(tx: Any) -> bool:
            row = devices.find_device(tx, self.ann.id, device, "iPhone")
            assert row is not None
            return hierarchy.standing(tx, self.ann.mailbox_id, row.id) != "current"

        return self.db.read_now(look)

    def words(self, account: Any, kind: FolderType) -> str:
        """The text of everything in a folder."""
        where = self.db.read_now(lambda tx: folders.folder_of_type(tx, account.mailbox_id, kind))
        found = self.items(where)
        return self.db.read_now(
            lambda tx: b"".join(bodies.read_body(tx, item.body_id) for item in found).decode(
                "utf-8", "replace"
            )
        )

    def subjects(self, account: Any, kind: FolderType) -> list[str]:
        where = self.db.read_now(lambda tx: folders.folder_of_type(tx, account.mailbox_id, kind))
        return [item.subject for item in self.items(where)]

    def queued(self) -> list[str]:
        """Subjects in the queue for elsewhere."""

        def read(tx: Any) -> list[str]:
            rows = outbox.listing(tx, 1000)
            raw = [bodies.read_body(tx, row.body_id) for row in rows]
            return [one.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode() for one in raw]

        return self.db.read_now(read)


def shown(item: Item, old: bool = False) -> dict[str, str]:
    """What a phone has to know of an item; verbs and categories came with 14.0."""
    return {
        "subject": item.subject,
        "read": "1" if item.read else "0",
        "flag": str(item.flag.status) if item.flag is not None else "",
        "verb": "0" if old else str(item.verb),
        "categories": "" if old else ",".join(item.categories),
    }


def _fields(data: Element | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for child in data.children if data is not None else ():
        if child.tag == Email.Subject:
            found["subject"] = child.value
        elif child.tag == Email.Read:
            found["read"] = child.value
        elif child.tag == Email.Flag:
            found["flag"] = child.text(Email.Status) or ""
        elif child.tag == Email2.LastVerbExecuted:
            found["verb"] = child.value
        elif child.tag == Email.Categories:
            found["categories"] = ",".join(one.value for one in child.children)
    return found


_UNTOLD = {"subject": "", "read": "0", "flag": "", "verb": "0", "categories": ""}


@define(eq=False)
class Letter:
    """What lies in the phone's outbox until the server says that it has it."""

    client_id: str
    subject: str
    mime: bytes
    original: tuple[str, str] = ("", "")
    replace: bool = False
    attempts: int = 0


class Handset:
    """One device. ``fate`` of a request: "okay", "request" (it is lost), "answer" (that is lost),
    "twice", "breaks" (the store fails inside the transaction)."""

    def __init__(self, house: House, name: str, version: str) -> None:
        self.house = house
        self.name = name
        self.version = version
        self.old = version < "14"
        self.filters: dict[str, int] = {}
        self.repeats: dict[str, str] = {}
        self.repeats_wait = 0
        self.serial = 0
        self.folder_key = "0"
        self.folders: dict[str, tuple[str, str, int]] = {}
        self.sure = False
        self.cleared = False
        self.keys: dict[str, str] = {}
        self.mirror: dict[str, dict[str, dict[str, str]]] = {}
        self.pending: dict[str, list[Element]] = {}
        self.mine: dict[str, set[str]] = {}
        self.unsure: set[str] = set()
        self.outbox: list[Letter] = []
        self.last: tuple[str, bytes] | None = None
        self.void: dict[str, str] = {}
        self.pinging: tuple[Exchange, list[str]] | None = None
        self.hanging: tuple[Exchange, list[str], str] | None = None

    # -- the line

    def ask(self, command: str, root: Element | None, fate: str = "okay") -> Exchange | None:
        """One request; None when its answer does not arrive."""
        data = encode(root) if root is not None else b""
        if fate == "request":
            return None
        self.last = (command, data)
        self.house.breaks = fate == "breaks"
        exchange = self.house.post(self.name, self.version, command, data)
        self.house.breaks = False
        assert exchange.reply is not None, f"{command} waits"
        if fate == "breaks" and exchange.reply.code == 503:
            exchange.break_off()
            return None
        assert exchange.reply.code == 200, f"{command}: HTTP {exchange.reply.code}"
        if fate == "answer":
            exchange.break_off()
            return None
        if fate == "twice":
            self.house.post(self.name, self.version, command, data)
        return exchange

    def repeat(self) -> None:
        """The line delivers the last request once more; nobody waits for that answer."""
        if self.last is not None:
            self.house.post(self.name, self.version, *self.last).break_off()

    # -- folders

    def folder_sync(self, fate: str = "okay") -> bool:
        """:return: whether something was told."""
        found = self.ask(
            "FolderSync", E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, self.folder_key)), fate
        )
        self.sure = False
        if found is None:
            return True
        root = found.root
        assert root is not None
        status = root.text(FolderHierarchy.Status)
        if status == "9":
            assert self.folder_key != "0"
            self.folder_key = "0"
            return self.folder_sync()
        assert status == "1", f"FolderSync: {status}"
        self.sure = True
        before = dict(self.folders)
        if self.folder_key == "0":
            self.folders = {}
        self.folder_key = root.text(FolderHierarchy.SyncKey) or ""
        listed = root.find(FolderHierarchy.Changes)
        told = 0
        for change in listed.children if listed is not None else ():
            number = change.text(FolderHierarchy.ServerId) or ""
            if change.tag == FolderHierarchy.Delete:
                told += 1
                self.folders.pop(number, None)
            elif change.tag in (FolderHierarchy.Add, FolderHierarchy.Update):
                told += 1
                if change.tag == FolderHierarchy.Update and not self.cleared:
                    # A device that removes a folder with all that it believes inside may have removed one that
                    # somebody had moved out of it.
                    assert number in self.folders, f"an update of the unknown folder {number}"
                self.folders[number] = (
                    change.text(FolderHierarchy.ParentId) or "",
                    change.text(FolderHierarchy.DisplayName) or "",
                    int(change.text(FolderHierarchy.Type) or 0),
                )
        self.cleared = False
        for number in [one for one in self.keys if one not in self.folders]:
            self.forget(number)
        self.unsure &= set(self.folders)
        return told > 0 and before != self.folders

    def folder_command(
        self, command: str, root: Element, fate: str, apply: Callable[[Element], None]
    ) -> None:
        """FolderCreate, FolderUpdate or FolderDelete."""
        found = self.ask(command, root, fate)
        if found is None:
            self.sure = False
            return
        answer = found.root
        assert answer is not None
        status = answer.text(FolderHierarchy.Status)
        if status == "1":
            self.folder_key = answer.text(FolderHierarchy.SyncKey) or ""
            apply(answer)
            if fate == "twice":
                self.sure = False
            return
        assert status in ("2", "4", "5", "9"), f"{command}: {status}"
        if status == "9":
            self.folder_key = "0"
        self.folder_sync()

    def mail_folders(self) -> list[str]:
        return sorted(number for number, (_, _, kind) in self.folders.items() if kind in MAIL_TYPES)

    # -- items

    def sync(
        self,
        names: list[str],
        window: int = 100,
        fate: str = "okay",
        hang: int = 0,
        changes: bool = True,
        partial: bool = False,
    ) -> bool:
        """One Sync. :return: whether anything was told or said, or may have been."""
        asked = [name for name in names if name in self.folders]
        if not asked:
            return False
        if any(self.keys.get(name, "0") == "0" or self.pending.get(name) for name in asked):
            hang = 0
        elements = []
        for name in asked:
            key = self.keys.get(name, "0")
            commands = self.pending.get(name, []) if key != "0" else []
            elements.append(
                E(
                    AirSync.Collection,
                    E(AirSync.Class, "Email") if self.old else None,
                    E(AirSync.SyncKey, key),
                    E(AirSync.CollectionId, name),
                    E(AirSync.GetChanges, "0") if not changes and key != "0" else None,
                    None if key == "0" else E(AirSync.WindowSize, window),
                    E(
                        AirSync.Options,
                        E(AirSync.FilterType, self.filters.get(name, 0)),
                        E(
                            AirSyncBase.BodyPreference,
                            E(AirSyncBase.Type, 1),
                            E(AirSyncBase.TruncationSize, 9),
                        ),
                    ),
                    E(AirSync.Commands, commands) if commands else None,
                )
            )
        root = E(
            AirSync.Sync,
            E(AirSync.Collections, elements),
            (E(AirSync.Wait, hang // 60) if self.old else E(AirSync.HeartbeatInterval, hang))
            if hang
            else None,
            E(AirSync.Partial) if partial else None,
        )
        self._give_up_waiting()
        if partial:
            asked = [*asked, *(name for name in self.repeats if name not in asked)]
            # What is not said holds, the wait, too.
            hang = hang or self.repeats_wait
            if any(self.pending.get(name) for name in asked):
                hang = 0
        if fate != "request":
            # What was asked without changes is not repeated here: it would wait for nothing.
            self.repeats = {name: self.keys.get(name, "0") for name in asked} if changes else {}
            self.repeats_wait = hang
        if hang:
            exchange = self.house.post(self.name, self.version, "Sync", encode(root))
            self.hanging = (exchange, asked, fate)
            self.settle()
            return True
        found = self.ask("Sync", root, fate)
        if found is None:
            self.unsure.update(asked)
            return True
        return self._take(found.root, asked)

    def can_repeat(self) -> bool:
        """Whether an empty or partial request would mean what this device means."""
        return bool(self.repeats) and all(
            key != "0"
            and self.keys.get(name) == key
            and not self.pending.get(name)
            and name not in self.unsure
            for name, key in self.repeats.items()
        )

    def sync_empty(self, fate: str) -> None:
        """The last request once more, in no words."""
        self._give_up_waiting()
        asked = list(self.repeats)
        if self.repeats_wait:
            self.hanging = (self.house.post(self.name, self.version, "Sync", b""), asked, fate)
            self.settle()
            return
        found = self.ask("Sync", None, fate)
        if found is None:
            self.unsure.update(asked)
        elif found.root is not None and found.root.text(AirSync.Status) == "13":
            self.repeats = {}  # the server began anew since
        else:
            self._take(found.root, asked)

    def _give_up_waiting(self) -> None:
        """A newer Sync takes the place of the one that waits; the server answers that one, or it breaks off."""
        self.settle()
        if self.hanging is not None:
            exchange, asked, fate = self.hanging
            self.hanging = None
            if fate == "answer":
                exchange.break_off()
                self.unsure.update(asked)

    def settle(self) -> None:
        """Take what arrived meanwhile."""
        if self.hanging is not None and self.hanging[0].reply is not None:
            exchange, asked, fate = self.hanging
            self.hanging = None
            if fate in ("answer", "request"):
                exchange.break_off()
                self.unsure.update(asked)
            else:
                self._take(exchange.root, asked)
        if self.pinging is not None and self.pinging[0].reply is not None:
            exchange, watched = self.pinging
            self.pinging = None
            root = exchange.root
            assert root is not None
            status = root.text(Ping.Status)
            if status == "2":
                listed = root.find(Ping.Folders)
                named = [one.value for one in listed.children] if listed is not None else []
                assert named and set(named) <= set(watched), named
            else:
                assert status in ("1", "7"), f"Ping: {status}"
                if status == "7":
                    self.sure = False

    def forget(self, name: str) -> None:
        """A folder that is gone, or to be fetched anew."""
        for known in (self.keys, self.mirror, self.pending, self.mine):
            known.pop(name, None)
        self.unsure.discard(name)

    def _take(self, root: Element | None, asked: list[str]) -> bool:
        self.unsure.difference_update(asked)
        if root is None:
            assert not any(self.pending.get(name) for name in asked), "commands without an answer"
            return False
        if root.text(AirSync.Status) == "13":
            self.repeats = {}
            return True
        assert root.text(AirSync.Status) in (None, "1"), f"Sync: {root.text(AirSync.Status)}"
        told = False
        listed = root.find(AirSync.Collections)
        for one in listed.children if listed is not None else ():
            told = self._take_collection(one) or told
        return told

    def _take_collection(self, one: Element) -> bool:
        name, status = one.text(AirSync.CollectionId) or "", one.text(AirSync.Status)
        if status == "3":
            assert self.keys.get(name, "0") != "0"
            self.forget(name)
            return True
        if status in ("8", "12"):
            assert status == "12", f"Sync of {name}: {status}"
            self.sure = False
            self.forget(name)
            self.folders.pop(name, None)
            return True
        assert status == "1", f"Sync of {name}: {status}"
        first = self.keys.get(name, "0") == "0"
        if not first:
            self.void[name] = self.keys[name]
        self.keys[name] = one.text(AirSync.SyncKey) or ""
        if first:
            self.mirror[name] = {}
            self.mine[name] = set()
            self.pending.pop(name, None)
            return True
        sent = self.pending.pop(name, [])
        held, gone = self.mirror[name], self.mine[name]
        responses = one.find(AirSync.Responses)
        for response in responses.children if responses is not None else ():
            if response.tag == AirSync.Add and response.text(AirSync.Status) == "1":
                number = response.text(AirSync.ServerId) or ""
                subject = next(
                    _fields(order.find(AirSync.ApplicationData))["subject"]
                    for order in sent
                    if order.text(AirSync.ClientId) == response.text(AirSync.ClientId)
                )
                assert number not in held, f"draft {number} was there before"
                held[number] = {**_UNTOLD, "subject": subject, "read": "1"}
        commands = one.find(AirSync.Commands)
        for command in commands.children if commands is not None else ():
            number = command.text(AirSync.ServerId) or ""
            if command.tag == AirSync.Add:
                assert number not in held, f"{self.name}: {number} was shown twice in {name}"
                assert number not in gone, f"{self.name}: {number} came back to {name}"
                held[number] = {**_UNTOLD, **_fields(command.find(AirSync.ApplicationData))}
            elif command.tag == AirSync.Change:
                if number not in gone:
                    assert number in held, f"{self.name}: a change of {number}, which was never shown"
                    held[number].update(_fields(command.find(AirSync.ApplicationData)))
            else:
                held.pop(number, None)
        return commands is not None or bool(sent) or one.find(AirSync.MoreAvailable) is not None

    # -- its user

    def holds(self) -> list[tuple[str, str]]:
        """(folder, item) of everything in the mirrors."""
        return sorted((name, number) for name, held in self.mirror.items() for number in held)

    def mark(self, name: str, number: str, what: str, value: str) -> None:
        """The user reads or flags something."""
        self.mirror[name][number][what] = value
        data: Element = E(Email.Read, value)
        if what == "flag":
            data = (
                E(Email.Flag, E(Email.Status, value), E(Email.FlagType, "Follow up"))
                if value
                else E(Email.Flag)
            )
        elif what == "subject":
            data = E(Email.Subject, value)
        # As most devices do, it keeps the value alone, not the way to it.
        kept = [
            one
            for one in self.pending.get(name, [])
            if one.text(AirSync.ServerId) != number or one.find(AirSync.ApplicationData, data.tag) is None
        ]
        change = E(AirSync.Change, E(AirSync.ServerId, number), E(AirSync.ApplicationData, data))
        self.pending[name] = [*kept, change]

    def remove(self, name: str, number: str) -> None:
        """The user deletes something; what was to be said of it before is not said any more."""
        del self.mirror[name][number]
        self.mine[name].add(number)
        before = [one for one in self.pending.get(name, []) if one.text(AirSync.ServerId) != number]
        self.pending[name] = [*before, E(AirSync.Delete, E(AirSync.ServerId, number))]

    def write_draft(self, name: str, subject: str) -> None:
        self.serial += 1
        content = (
            E(Email.To, FRIEND),
            E(Email.Subject, subject),
            E(
                AirSyncBase.Body,
                E(AirSyncBase.Type, 1),
                E(AirSyncBase.Data, f"token {self.name} {self.serial};"),
            ),
        )
        self.pending.setdefault(name, []).append(
            E(AirSync.Add, E(AirSync.ClientId, str(self.serial)), E(AirSync.ApplicationData, content))
        )

    def send_draft(self, name: str, number: str) -> None:
        """It stays where it is until the server says that it is gone."""
        kept = [one for one in self.pending.get(name, []) if one.find(Email2.Send) is None]
        kept += [one for one in self.pending.get(name, []) if one.find(Email2.Send) is not None]
        if not any(
            one.find(Email2.Send) is not None and one.text(AirSync.ServerId) == number for one in kept
        ):
            kept.append(E(AirSync.Change, E(AirSync.ServerId, number), E(Email2.Send)))
        self.pending[name] = kept

    def move(self, chosen: list[tuple[str, str]], target: str, fate: str) -> None:
        found = self.ask(
            "MoveItems",
            E(
                Move.MoveItems,
                [
                    E(Move.Move, E(Move.SrcMsgId, number), E(Move.SrcFldId, name), E(Move.DstFldId, target))
                    for name, number in chosen
                ],
            ),
            fate,
        )
        if found is None:
            return
        assert found.root is not None
        where = {number: name for name, number in chosen}
        for response in found.root.findall(Move.Response):
            number, status = response.text(Move.SrcMsgId) or "", response.text(Move.Status)
            assert status in ("1", "2", "3", "4"), f"MoveItems: {status}"
            if status == "3":
                assert response.text(Move.DstMsgId) not in (None, "", number)
                self.mirror[where[number]].pop(number, None)
                self.mine[where[number]].add(number)
                self.pending[where[number]] = [
                    one for one in self.pending.get(where[number], []) if one.text(AirSync.ServerId) != number
                ]

    def empty(self, name: str, fate: str) -> None:
        """EmptyFolderContents."""
        self.ask(
            "ItemOperations",
            E(
                IO.ItemOperations,
                E(
                    IO.EmptyFolderContents,
                    E(AirSync.CollectionId, name),
                    E(IO.Options, E(IO.DeleteSubFolders)),
                ),
            ),
            fate,
        )

    # -- its outbox

    def compose(
        self, subject: str, to: str, original: tuple[str, str] = ("", ""), replace: bool = False
    ) -> None:
        self.serial += 1
        mime = (
            f"From: ann@here.example\r\nTo: {to}\r\nSubject: {subject}\r\n"
            f"Message-ID: <{subject.replace(' ', '')}@{self.name}>\r\n\r\nHello.\r\n"
        ).encode()
        self.outbox.append(Letter(f"{self.name}-{self.serial}", subject, mime, original, replace))

    def post_letter(self, letter: Letter, fate: str) -> int | None:
        """Try to send: the status (0 for sent), None when no answer came."""
        tags = ComposeMail
        smart = letter.original[0] != ""
        letter.attempts += fate != "request"
        root = E(
            tags.SmartReply if smart else tags.SendMail,
            E(tags.ClientId, letter.client_id),
            E(tags.Source, E(tags.FolderId, letter.original[0]), E(tags.ItemId, letter.original[1]))
            if smart
            else None,
            E(tags.SaveInSentItems),
            E(tags.ReplaceMime) if smart and letter.replace else None,
            E(tags.Mime, letter.mime),
        )
        found = self.ask("SmartReply" if smart else "SendMail", root, fate)
        if found is None:
            return None
        return int(found.root.text(tags.Status) or 0) if found.root is not None else 0

    # -- waiting

    def ping(self, names: list[str]) -> None:
        """Wait for news; an earlier Ping of this device is over with that."""
        root = E(
            Ping.Ping,
            E(Ping.HeartbeatInterval, 600),
            E(Ping.Folders, [E(Ping.Folder, E(Ping.Id, name), E(Ping.Class, "Email")) for name in names]),
        )
        before = self.pinging
        exchange = self.house.post(self.name, self.version, "Ping", encode(root))
        assert before is None or before[0].reply is not None, "the older Ping was not answered"
        self.pinging = (exchange, names)
        self.settle()
