"""FolderSync: the folders of a mailbox, and what became of them (MS-ASCMD 2.2.1.5)."""

from __future__ import annotations

from posthouse.eas import hierarchy
from posthouse.eas.call import Answer, Call
from posthouse.eas.grammar import Child, Rule
from posthouse.eas.ids import folder_name
from posthouse.eas.registry import Command, command, write_commands
from posthouse.eas.statuses import Status, StatusError
from posthouse.eas.versions import write_versions
from posthouse.errors import BadSyncKey
from posthouse.model import Folder
from posthouse.wbxml.tags import FolderHierarchy
from posthouse.wbxml.tree import E, Element

#: MS-ASCMD 2.2.3.177.5
BAD_KEY = 9
MALFORMED = 10


@command("FolderSync")
class FolderSync(Command):
    """Answers with what changed since a key, or with everything for key 0."""

    grammar = Rule(
        # An empty key is a wrong one (R4083).
        {FolderHierarchy.SyncKey: Child()},
        status=MALFORMED,
    )

    async def run(self, call: Call) -> Answer:
        assert call.request is not None
        if call.request.find(FolderHierarchy.SyncKey) is None:
            # R4086; a document of foreign elements alone is one that cannot be decoded (R4815).
            raise StatusError(Status.INVALID_WBXML if call.request.children else MALFORMED, "no SyncKey")
        key = call.request.text(FolderHierarchy.SyncKey) or ""
        fresh, now = call.services.random_key(), call.now()
        mailbox, row = call.account.mailbox_id, call.device.id
        try:
            answered = await call.write(
                lambda tx: hierarchy.synchronise(
                    tx, mailbox, row, key, fresh, now, recipient_cache=call.version >= (14, 0)
                )
            )
        except BadSyncKey as error:
            raise StatusError(BAD_KEY, error.cause) from error
        delta = answered.delta
        call.notes.update(
            added=len(delta.added), updated=len(delta.updated), deleted=len(delta.deleted), key=key
        )
        root = E(
            FolderHierarchy.FolderSync,
            E(FolderHierarchy.Status, 1),
            E(FolderHierarchy.SyncKey, answered.key),
            E(
                FolderHierarchy.Changes,
                E(FolderHierarchy.Count, delta.count),
                [_shown(FolderHierarchy.Update, folder) for folder in delta.updated],
                [E(FolderHierarchy.Delete, E(FolderHierarchy.ServerId, number)) for number in delta.deleted],
                [_shown(FolderHierarchy.Add, folder) for folder in delta.added],
            ),
        )
        return Answer(root=root, headers=_versions(call) if answered.first else ())


def _shown(tag: str, folder: Folder) -> Element:
    return E(
        tag,
        E(FolderHierarchy.ServerId, folder_name(folder)),
        E(FolderHierarchy.ParentId, folder.parent),
        E(FolderHierarchy.DisplayName, folder.name),
        E(FolderHierarchy.Type, int(folder.type)),
    )


def _versions(call: Call) -> tuple[tuple[str, str], ...]:
    # MS-ASHTTP R1104, R1202: on the answer to key 0, and nowhere else, since elsewhere it forces a resync
    # (MS-ASHTTP R263).
    versions = write_versions(call.services.settings.versions[-1])
    return (
        ("X-MS-RP", versions),
        ("MS-ASProtocolVersions", versions),
        ("MS-ASProtocolCommands", write_commands()),
    )
