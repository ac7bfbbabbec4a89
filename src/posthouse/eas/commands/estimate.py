"""GetItemEstimate: how much a Sync would bring, by the same decision (MS-ASCMD 2.2.1.9)."""

from __future__ import annotations

from posthouse.eas import collection
from posthouse.eas.call import Call
from posthouse.eas.content.options import MailOptions, filter_fits, read_options
from posthouse.eas.grammar import MANY, Child, Rule, flag
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import Status, StatusError
from posthouse.model import FolderType
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSync
from posthouse.wbxml.tags import GetItemEstimate as G
from posthouse.wbxml.tree import E, Element

INVALID_COLLECTION = 2
BAD_KEY = 4

#: R5646, R5647
MOST_COLLECTIONS = 1000
#: R3543: without Options there is no filter, and no more than so many are counted.
UNFILTERED = 512

_GRAMMAR = Rule(
    {
        G.Collections: Child(
            least=1,
            kind="container",
            rule=Rule(
                {
                    G.Collection: Child(
                        least=1,
                        most=MANY,
                        kind="container",
                        rule=Rule(
                            {
                                # Missing is looked at below: an error of the collection alone (R4130).
                                AirSync.SyncKey: Child(),
                                G.CollectionId: Child(least=1, least_length=1, length=64),
                                G.Class: Child(length=40),
                                AirSync.Class: Child(length=40),
                                AirSync.ConversationMode: Child(kind="flag"),
                                AirSync.FilterType: Child(kind="number"),
                                AirSync.Options: Child(most=2, kind="any"),
                            }
                        ),
                    )
                }
            ),
        )
    }
)


@command("GetItemEstimate")
class GetItemEstimate(Command):
    """Counts what the next Syncs of some collections will carry."""

    grammar = _GRAMMAR

    async def run(self, call: Call) -> Element:
        assert call.request is not None
        asked = call.request.find(G.Collections)
        assert asked is not None
        wanted = list(asked.findall(G.Collection))
        if len(wanted) > MOST_COLLECTIONS:
            raise StatusError(Status.INVALID_XML, f"{len(wanted)} collections")
        for element in wanted:
            _check_classes(element)
        return E(G.GetItemEstimate, [await self._one(call, element) for element in wanted])

    async def _one(self, call: Call, element: Element) -> Element:
        name = element.text(G.CollectionId) or ""
        key = element.text(AirSync.SyncKey)
        options, cap = self._options(element)
        filter_type = options.filter_type
        # R2096, R2097: only what this request says.
        together = flag(element.find(AirSync.ConversationMode))
        mailbox, device, now = call.account.mailbox_id, call.device.id, call.now()

        def count(tx: Transaction) -> int:
            folder = collection.folder_named(tx, mailbox, name)
            if folder is None:
                raise StatusError(INVALID_COLLECTION)
            item_class = folder.type.item_class
            if element.find(AirSync.ConversationMode) is not None and item_class != "Email":
                raise StatusError(Status.INVALID_XML, f"ConversationMode for {item_class}")  # R2100
            if filter_type > 8 or key is None:
                raise StatusError(Status.INVALID_XML, f"key {key!r}, FilterType {filter_type}")  # R2984
            if not filter_fits(item_class, filter_type):
                # R3005-3024: strange, but so it is written, and of the whole command.
                raise StatusError(Status.SERVER_ERROR, f"FilterType {filter_type} for {item_class}")
            if options.max_items and folder.type != FolderType.RECIPIENT_CACHE:
                raise StatusError(INVALID_COLLECTION, "MaxItems is for the recipient cache")  # R3265, R3269
            return collection.count_news(
                tx, mailbox, device, folder, key, filter_type, now, together, options.max_items
            )

        try:
            counted: int = await call.read(count)
        except StatusError as error:
            if error.status == Status.SERVER_ERROR:
                raise
            return E(
                G.Response,
                E(G.Status, error.status),
                E(G.Collection, E(G.CollectionId, name)) if error.status != INVALID_COLLECTION else None,
            )
        return E(
            G.Response,
            E(G.Status, 1),
            E(G.Collection, E(G.CollectionId, name), E(G.Estimate, min(counted, cap))),
        )

    def _options(self, element: Element) -> tuple[MailOptions, int]:
        """Rule 15: only its own Options count here; at 12.1 and below FilterType may stand by itself."""
        for block in element.findall(AirSync.Options):
            options = read_options(block)
            if options.class_name != "SMS":
                return options, 1 << 30
        bare = element.text(AirSync.FilterType)
        if bare is not None:
            return MailOptions(filter_type=int(bare)), 1 << 30
        return MailOptions(), UNFILTERED


def _check_classes(element: Element) -> None:
    """:raises StatusError: 4 of the whole command, for two classes other than mail and SMS (R907, R908)."""
    classes = [block.text(AirSync.Class) or "Email" for block in element.findall(AirSync.Options)]
    if len(classes) > 1 and set(classes) != {"Email", "SMS"}:
        raise StatusError(BAD_KEY, f"Options for {' and '.join(one[:40] for one in classes)}")
