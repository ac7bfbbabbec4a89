"""A whole room of ActiveSync without a web server: store in memory, a Clock, and requests as element trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from posthouse.bus import Bus
from posthouse.eas.call import Answer, Call
from posthouse.eas.commands.estimate import GetItemEstimate
from posthouse.eas.commands.folder_sync import FolderSync
from posthouse.eas.commands.ping import Ping
from posthouse.eas.commands.sync import Sync
from posthouse.eas.query import Query
from posthouse.eas.services import EasSettings, Services
from posthouse.eas.statuses import StatusError
from posthouse.model import FolderType, Item, ItemDraft
from posthouse.store import bodies, changes, devices, folders, items
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, FolderHierarchy
from posthouse.wbxml.tree import E, Element
from tests.support import store
from tests.support.eas_checker import check_response
from tests.support.eas_http import check_tokens

MAIL = b"From: b@example.net\r\nTo: a@example.org\r\nSubject: %s\r\n\r\nhello\r\n"


class Room:
    """One account with one device. ``Failure`` of a request is the StatusError that the endpoint answers."""

    def __init__(self, version: tuple[int, int] = (14, 1), **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(store.NOW / 1000)
        self.bus = Bus()
        self.db = store.make_database(self.bus.publish)
        self.account = store.make_account(self.db)
        self.version = version
        self.serial = 0
        self.services = Services(
            db=self.db,
            bus=self.bus,
            outbox=None,  # type: ignore[arg-type]
            authenticator=None,  # type: ignore[arg-type]
            clock=self.clock,  # type: ignore[arg-type]
            random=self._random,
            settings=EasSettings(policy=None, **settings),
        )
        self.device = self.db.write_now(
            lambda tx: devices.seen_device(tx, self.account.id, "phone", "iPhone", "", "14.1", store.NOW)
        )
        self.other = self.db.write_now(
            lambda tx: devices.seen_device(tx, self.account.id, "tablet", "iPad", "", "14.1", store.NOW)
        )
        self.gone: list[Deferred[None]] = []

    def _random(self, count: int) -> bytes:
        self.serial += 1
        return self.serial.to_bytes(count, "big")

    # the mailbox ------------------------------------------------------------------------------------
    def folder(self, type: FolderType = FolderType.INBOX) -> Any:
        return store.folder(self.db, self.account, type)

    def name(self, type: FolderType = FolderType.INBOX) -> str:
        return str(self.folder(type).number)

    def mail(self, subject: str = "hi", age_days: float = 0, type: FolderType = FolderType.INBOX) -> Item:
        data = MAIL % subject.encode()
        received = int(self.clock.seconds() * 1000 - age_days * 86_400_000)
        from posthouse.mime.draft import draft_from
        from posthouse.mime.scan import scan

        root = scan(data)
        draft: ItemDraft = draft_from(
            root, data[: root.body_start], lambda a, b: data[a:b], len(data), received
        )
        where = self.folder(type)

        def make(tx: Any) -> Item:
            body = bodies.put_body(tx, bodies.prepare(data), received)
            number = items.add_item(tx, where, draft, body.id, received)
            return changes.items(tx, where.id, [number])[number]

        return self.db.write_now(make)

    def now(self, item: Item) -> Item | None:
        return self.db.read_now(lambda tx: changes.item_by_number(tx, self.account.mailbox_id, item.number))

    def do(self, function: Callable[[Any], Any]) -> Any:
        return self.db.write_now(function)

    def read_elsewhere(self, item: Item, read: bool = True) -> None:
        fresh = self.now(item)
        self.do(lambda tx: items.set_read(tx, fresh, read))

    def delete_elsewhere(self, item: Item) -> None:
        fresh = self.now(item)
        self.do(lambda tx: items.delete_item(tx, fresh))

    # requests ------------------------------------------------------------------------------------------
    def call(self, request: Element | None, device: Any = None) -> Call:
        def on_gone() -> Deferred[None]:
            deferred: Deferred[None] = Deferred()
            self.gone.append(deferred)
            return deferred

        return Call(
            services=self.services,
            account=self.account,
            device=device or self.device,
            version=self.version,
            query=Query(),
            request=request,
            on_gone=on_gone,
        )

    def start(self, command: Any, request: Element | None, device: Any = None) -> Deferred[Any]:
        """Run a command; a StatusError becomes its number."""
        deferred: Deferred[Any] = Deferred.fromCoroutine(command.run(self.call(request, device)))
        deferred.addCallback(self._checked)
        deferred.addErrback(lambda failure: failure.value.status if failure.check(StatusError) else failure)
        return deferred

    def _checked(self, answer: Any) -> Any:
        root = answer.root if isinstance(answer, Answer) else answer
        if isinstance(root, Element):
            check_tokens(encode(root), root)
            check_response(root, self.version)
        return answer

    def run(self, command: Any, request: Element | None, device: Any = None) -> Any:
        found: list[Any] = []
        self.start(command, request, device).addBoth(found.append)
        for _ in range(200):
            if found:
                break
            self.clock.advance(0)
        assert found, "the command waits"
        if hasattr(found[0], "raiseException"):
            found[0].raiseException()
        return found[0]

    def folder_sync(self, device: Any = None) -> str:
        answer = self.run(
            FolderSync(), E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, "0")), device
        )
        assert isinstance(answer, Answer) and answer.root is not None
        return answer.root.text(FolderHierarchy.SyncKey) or ""


def collection(
    name: str,
    key: str,
    *more: Element | None,
    window: int | None = None,
    changes: bool | None = None,
    options: Element | None = None,
    commands: list[Element] | None = None,
) -> Element:
    """One Collection of a Sync request, in the order of the schema."""
    return E(
        AirSync.Collection,
        E(AirSync.SyncKey, key),
        E(AirSync.CollectionId, name),
        *more,
        E(AirSync.GetChanges, changes) if changes is not None else None,
        E(AirSync.WindowSize, window) if window is not None else None,
        options,
        E(AirSync.Commands, commands) if commands else None,
    )


def sync(*collections: Element, **more: Any) -> Element:
    """A Sync document; more: wait, heartbeat, window, partial."""
    return E(
        AirSync.Sync,
        E(AirSync.Collections, list(collections)) if collections else None,
        E(AirSync.Wait, more["wait"]) if "wait" in more else None,
        E(AirSync.HeartbeatInterval, more["heartbeat"]) if "heartbeat" in more else None,
        E(AirSync.WindowSize, more["window"]) if "window" in more else None,
        E(AirSync.Partial) if more.get("partial") else None,
    )


def options(filter_type: int | None = None, conflict: int | None = None) -> Element:
    """A mail Options block."""
    return E(
        AirSync.Options,
        E(AirSync.FilterType, filter_type) if filter_type is not None else None,
        E(AirSync.Conflict, conflict) if conflict is not None else None,
        E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1)),
    )


def change_read(item: Item, read: bool) -> Element:
    return E(
        AirSync.Change,
        E(AirSync.ServerId, item.number),
        E(AirSync.ApplicationData, E(Email.Read, read)),
    )


def delete(item: Item) -> Element:
    return E(AirSync.Delete, E(AirSync.ServerId, item.number))


class Mirror:
    """A device's side of one collection: its key, and what it holds."""

    def __init__(self, room: Room, type: FolderType = FolderType.INBOX, device: Any = None) -> None:
        self.room, self.name, self.device = room, room.name(type), device
        self.key = "0"
        self.held: dict[int, bool] = {}

    def ask(self, key: str | None = None, **more: Any) -> Any:
        """One Sync, its answer not yet taken."""
        answer = self.room.run(Sync(), sync(collection(self.name, key or self.key, **more)), self.device)
        return answer

    def take(self, answer: Any) -> Element | None:
        """Believe an answer. :return: the Collection, None for the empty answer."""
        if isinstance(answer, Answer):
            assert answer.root is None
            return None
        assert isinstance(answer, Element), answer
        found = answer.find(AirSync.Collections, AirSync.Collection)
        assert found is not None
        self.key = found.text(AirSync.SyncKey) or ""
        commands = found.find(AirSync.Commands)
        for element in commands.children if commands is not None else ():
            number = int(element.text(AirSync.ServerId) or 0)
            data = element.find(AirSync.ApplicationData)
            if element.tag == AirSync.Add:
                assert number not in self.held, "shown twice"
                assert data is not None
                self.held[number] = data.text(Email.Read) == "1"
            elif element.tag == AirSync.Change:
                assert data is not None
                if data.find(Email.Read) is not None:
                    self.held[number] = data.text(Email.Read) == "1"
            else:
                del self.held[number]
        return found

    def sync(self, **more: Any) -> Element | None:
        return self.take(self.ask(**more))

    def prime(self, **more: Any) -> Mirror:
        """Key 0 and the whole first fill."""
        self.sync()
        while True:
            found = self.sync(**more)
            if found is None or found.find(AirSync.MoreAvailable) is None:
                return self


__all__ = [
    "FolderSync",
    "GetItemEstimate",
    "Mirror",
    "Ping",
    "Room",
    "Sync",
    "change_read",
    "collection",
    "delete",
    "evolve",
    "folders",
    "options",
    "succeed",
    "sync",
]
