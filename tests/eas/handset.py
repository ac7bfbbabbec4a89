"""A phone with one collection: Sync through the whole pipeline, so that every answer is compared with its schema."""

from __future__ import annotations

from typing import Any

from posthouse.eas.services import EasSettings
from posthouse.model import FolderType, Item
from posthouse.wbxml.tags import AirSync, Email
from posthouse.wbxml.tree import E, Element
from tests.eas.room import Response, Room
from tests.support.store import NOW

LETTER = b"From: b@example.net\r\nTo: a@example.org\r\nSubject: hi\r\n\r\nhello\r\n"


def plain_room(**settings: Any) -> Room:
    """A room whose devices need no policy."""
    return Room(EasSettings(policy=None, **settings))


def letter(subject: str) -> bytes:
    return LETTER.replace(b"hi", subject.encode())


def aged(room: Room, subject: str, days: float, where: FolderType = FolderType.INBOX) -> Item:
    """A letter that came so many days ago."""
    return room.deliver(letter(subject), room.folder(where), received=NOW - int(days * 86_400_000))


class Handset:
    """:ivar answer: the last one, ``found`` its Collection, None for the empty answer."""

    def __init__(self, room: Room, type: FolderType = FolderType.INBOX, version: str = "14.1") -> None:
        self.room, self.version = room, version
        self.name = "RI" if type == FolderType.RECIPIENT_CACHE else str(room.folder(type).number)
        self.key = "0"
        self.answer: Response | None = None
        self.found: Element | None = None

    def ask(self, *children: Element | None, key: str | None = None, more: tuple[Element, ...] = ()) -> str:
        """One Sync. :return: the Status of the collection, or of the whole; "" for the empty answer."""
        asked = E(AirSync.SyncKey, key or self.key), E(AirSync.CollectionId, self.name), children
        root = E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, asked)), more)
        self.answer = self.room.post("Sync", root, self.version)
        self.found = None
        if self.answer.root is None:
            return ""
        self.found = self.answer.root.find(AirSync.Collections, AirSync.Collection)
        if self.found is None:
            return self.answer.text(AirSync.Status)
        said = self.found.text(AirSync.Status) or ""
        if said == "1":
            self.key = self.found.text(AirSync.SyncKey) or ""
        return said

    def prime(self, *children: Element | None) -> Handset:
        """Key 0, and everything that is there."""
        assert self.ask() == "1"
        self.ask(*children)
        while self.found is not None and self.found.find(AirSync.MoreAvailable) is not None:
            self.ask()
        return self

    def order(self, *orders: Element, before: tuple[Element, ...] = ()) -> str:
        """Commands of the device."""
        return self.ask(*before, E(AirSync.Commands, list(orders)))

    def commands(self, tag: str) -> list[Element]:
        """What the server said of one kind in the last answer."""
        found = self.found.find(AirSync.Commands) if self.found is not None else None
        return found.findall(tag) if found is not None else []

    def responses(self, tag: str) -> list[Element]:
        found = self.found.find(AirSync.Responses) if self.found is not None else None
        return found.findall(tag) if found is not None else []

    def subjects(self) -> list[str]:
        """Of the items that the last answer added."""
        return [deep(one, AirSync.ApplicationData, Email.Subject) for one in self.commands(AirSync.Add)]


def deep(element: Element | None, *path: str) -> str:
    """The text at the end of a path, "" when there is none."""
    found = element.find(*path) if element is not None else None
    return found.value if found is not None else ""


def options(*children: Element) -> Element:
    return E(AirSync.Options, list(children))


def filtered(value: int) -> Element:
    return options(E(AirSync.FilterType, value))


def delete(item: Item | int) -> Element:
    return E(AirSync.Delete, E(AirSync.ServerId, item if isinstance(item, int) else item.number))


def change(item: Item | int, *data: Element) -> Element:
    number = item if isinstance(item, int) else item.number
    return E(AirSync.Change, E(AirSync.ServerId, number), E(AirSync.ApplicationData, list(data)))
