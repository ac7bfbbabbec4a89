"""The demo's end of the road: mail for elsewhere is caught, shown in a folder, and never sent.

Promise: no connection leaves the machine; what would have been sent lies in the first administrator's folder
"Caught mail", with its envelope in the trace, and the queue takes it for sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from zope.interface import implementer

from posthouse.delivery.message import message_of
from posthouse.delivery.trace import delivered_to_line, return_path_line
from posthouse.errors import NoSuchAccount, PosthouseError
from posthouse.interfaces import IDatabase, IRelay
from posthouse.model import BodyRef, Folder, FolderType, ItemDraft, RecipientResult, RelayJob
from posthouse.store import accounts, delivery, folders
from posthouse.store.bodies import PreparedBody
from posthouse.store.keep import keep_body

__all__ = ["CAUGHT", "Catcher"]

CAUGHT = "Caught mail"


@implementer(IRelay)
@define(eq=False)
class Catcher:
    """An ``IRelay`` that keeps everything. Give the runner no routes beside it.

    :param seconds: the clock's.
    """

    database: IDatabase
    pool: Any
    seconds: Callable[[], float]

    def send(self, job: RelayJob) -> Deferred[list[RecipientResult]]:
        """See ``IRelay``."""
        return Deferred.fromCoroutine(self._send(job))

    async def _send(self, job: RelayJob) -> list[RecipientResult]:
        try:
            await self._keep(job)
        except PosthouseError as error:
            text = f"451 4.3.0 not caught: {error.public}"
            return [RecipientResult(one, "retry", 451, "4.3.0", text) for one in job.recipients]
        return [
            RecipientResult(one, "sent", 250, "2.0.0", "250 caught", "catcher.localhost")
            for one in job.recipients
        ]

    async def _keep(self, job: RelayJob) -> None:
        now = int(self.seconds() * 1000)
        read = job.read(0, job.size)
        message = message_of(read if isinstance(read, bytes) else await read)
        body = await keep_body(self.database, self.pool, message, now)
        draft = message.draft(now)
        trace = return_path_line(job.sender) + b"".join(map(delivered_to_line, job.recipients))
        await self.database.write(lambda tx: _store(tx, body, draft, trace, now))


def _store(tx: Any, body: PreparedBody | BodyRef, draft: ItemDraft, trace: bytes, now: int) -> None:
    everyone = accounts.accounts(tx)
    owner = next((one for one in everyone if one.admin), everyone[0] if everyone else None)
    if owner is None:
        raise NoSuchAccount(cause="nobody to catch mail for")
    folder = _folder(tx, owner.mailbox_id, now)
    copy = delivery.Copy(owner.mailbox_id, "", trace, folder_id=folder.id)
    delivery.deliver(tx, body, draft, [copy], "", [], now, dedupe=False)


def _folder(tx: Any, mailbox_id: int, now: int) -> Folder:
    for folder in folders.list_folders(tx, mailbox_id):
        if folder.name == CAUGHT and folder.parent == 0:
            return folder
    return folders.create_folder(tx, mailbox_id, 0, CAUGHT, FolderType.USER_MAIL, now)
