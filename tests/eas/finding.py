"""A room with people in it and mail that can be found."""

from __future__ import annotations

from typing import Any

from posthouse.eas.services import EasSettings
from posthouse.mime.scan import load_structure
from posthouse.mime.summary import index_text
from posthouse.model import Folder, FolderType, Item
from posthouse.store import bodies, folders, people, search
from posthouse.store.people import Person, Picture
from tests.eas.room import Room
from tests.support.store import NOW, make_account

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(200)) + b"\xff\xd9"


def letter(
    subject: str,
    text: str = "hello",
    *,
    sender: str = "b@example.net",
    to: str = "a@example.org",
    cc: str = "",
) -> bytes:
    copy = f"Cc: {cc}\r\n" if cc else ""
    return (
        f"From: {sender}\r\nTo: {to}\r\n{copy}Subject: {subject}\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()


class FindingRoom(Room):
    """One account and its directory. `mail` delivers and puts the words into the index at once."""

    def __init__(self) -> None:
        super().__init__(EasSettings(policy=None))

    def mail(
        self,
        subject: str,
        text: str = "hello",
        where: Folder | None = None,
        *,
        received: int = NOW,
        read: bool = False,
        **people: str,
    ) -> Item:
        item = self.deliver(letter(subject, text, **people), where, received=received, read=read)
        self.index()
        return item

    def index(self) -> None:
        """Put the words of everything that was delivered into the index."""
        rows = self.db.read_now(lambda tx: search.to_index(tx, 100))

        def words(tx: Any, row: search.ToIndex) -> str:
            structure = load_structure(row.structure)
            return index_text(structure, lambda a, b: bodies.read_body(tx, row.body_id, a, b))

        texts = self.db.read_now(lambda tx: [(row, words(tx, row)) for row in rows])
        self.db.write_now(lambda tx: search.index(tx, texts))

    def make_folder(self, name: str, parent: int = 0) -> Folder:
        return self.db.write_now(
            lambda tx: folders.create_folder(
                tx, self.account.mailbox_id, parent, name, FolderType.USER_MAIL, NOW
            )
        )

    def person(self, address: str, *, photo: bytes = b"", hidden: bool = False, **fields: str) -> Person:
        make_account(self.db, address)

        def make(tx: Any) -> Person:
            found = people.set_person(tx, address, fields, hidden)
            if photo:
                people.set_picture(tx, found, Picture("image/jpeg", photo))
            return found

        return self.db.write_now(make)
