"""Sync: the client's changes in, the server's changes out, and the wait for both.

Promise: an answer with a new key leaves only when the state behind that key is durable; a request without news and
without commands writes nothing; a waiting one holds nothing but its place. MS-ASCMD 2.2.1.21, 3.1.5.3, 3.1.5.4.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from twisted.internet.defer import Deferred

from posthouse.eas import collection, drafting
from posthouse.eas.asked import Ask, Desk
from posthouse.eas.call import Answer, Call, Result
from posthouse.eas.collection import Outcome, Record
from posthouse.eas.drafting import DraftAuthor, Stale
from posthouse.eas.ids import RECIPIENT_CACHE
from posthouse.eas.parking import NEWS
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import StatusError
from posthouse.eas.sync_answer import collection_element
from posthouse.eas.sync_request import BAD_WAIT, INCOMPLETE, TOO_MANY, SyncRequest, read_request
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSync
from posthouse.wbxml.tree import E, Element

#: How often drafts are prepared anew because somebody else saved them meanwhile.
_ATTEMPTS = 3


@command("Sync")
class Sync(Command):
    """Synchronises collections; also the empty request that repeats the one before."""

    may_be_empty = True

    async def run(self, call: Call) -> Result:
        request = self._request(call)
        limit = self._limit(call, request)
        if limit is not None:
            return limit
        if request.wait is not None and not any(ask.orders or ask.key == "0" for ask in request.asks):
            return await self._hang(call, request)
        return await self._answer(call, await self._round(call, request))

    def _request(self, call: Call) -> SyncRequest:
        yard, device = call.services.yard, call.device.id
        cached = yard.recall(device)
        if call.request is None:
            if cached is None or call.version < (12, 1):
                raise StatusError(INCOMPLETE, "an empty request, and nothing to repeat")  # R4456
            call.notes["empty"] = True
            return cached
        request, unknown = read_request(call.request)
        if unknown:
            call.notes["unknown"] = unknown
        if request.partial:
            if cached is None:
                raise StatusError(INCOMPLETE, "a partial request, and nothing to add to")
            request = request.over(cached)
        # R674: the cached request goes with every request that has a body.
        kept = request.cached()
        if kept is None:
            yard.forget(device)
        else:
            yard.remember(device, kept)
        return request

    def _limit(self, call: Call, request: SyncRequest) -> Element | None:
        """R3229, R3230, R4459-4465: out of range, with the nearest value that is in it."""
        settings = call.services.settings
        if len(request.asks) > settings.max_ping_folders:
            call.services.yard.forget(call.device.id)
            return _limited(TOO_MANY, settings.max_ping_folders)
        if request.wait is None:
            return None
        # Not below a minute, whatever Ping allows (R3229).
        least, most = max(60, settings.heartbeat[0]), settings.heartbeat[1]
        if request.minutes:
            most = most // 60 * 60
        if least <= request.wait <= most:
            return None
        call.services.yard.forget(call.device.id)
        nearest = least if request.wait < least else most
        return _limited(BAD_WAIT, max(1, nearest // 60) if request.minutes else nearest)

    # One look at every collection ------------------------------------------------------------------

    async def _round(self, call: Call, request: SyncRequest) -> list[Outcome]:
        """Every collection once, in the order received, within the global window."""
        outcomes: list[Outcome] = []
        room, budget = request.window, call.services.settings.max_response
        for ask in request.asks:
            if room <= 0 and not ask.orders and ask.key != "0":
                continue  # R4782: picked up by the next request
            if ask.collection_id == RECIPIENT_CACHE and call.version < (14, 0):
                # It is never listed there, and its elements are unknown (MS-ASCNTC 3.1.4.4).
                outcomes.append(Outcome(ask, collection.HIERARCHY_CHANGED, ask.key))
                continue
            outcome = await self._one(call, ask, room, budget)
            outcomes.append(outcome)
            room -= outcome.batch.size
            budget -= sum(
                collection.expected_size(outcome.items[number], outcome.options)
                for number in outcome.batch.adds
                if number in outcome.items
            )
        return outcomes

    async def _one(self, call: Call, ask: Ask, room: int, budget: int) -> Outcome:
        yard, device = call.services.yard, call.device.id
        desk = Desk(
            mailbox_id=call.account.mailbox_id,
            device=device,
            now=call.now(),
            fresh=call.services.random_key,
            room=room,
            budget=budget,
        )
        await yard.enter(device, ask.collection_id)
        try:
            # Known only now: the request before may just have been answered.
            desk = evolve(desk, written=yard.was_written(device, ask.collection_id))
            if ask.orders or ask.key == "0":
                outcome = await self._written(call, desk, ask)
            else:
                outcome = await call.read(lambda tx: collection.evaluate(tx, desk, ask))
                if outcome.record is not None:
                    outcome = await self._keep(call, outcome, outcome.record)
        finally:
            yard.depart(device, ask.collection_id)
        return outcome

    async def _written(self, call: Call, desk: Desk, ask: Ask) -> Outcome:
        """One look with commands of the client: all that they do, mail that they send included, is one transaction.

        :raises TryLater: again and again somebody else saved the same draft at the same time.
        """
        author: DraftAuthor | None = None

        def evaluate(tx: Transaction) -> Outcome:
            nonlocal author
            # A fresh one each time: a transaction may be run again.
            quota = call.services.settings.quota
            author = DraftAuthor(prepared, desk.device, desk.now, quota) if prepared is not None else None
            return collection.evaluate(tx, evolve(desk, author=author), ask)

        for _ in range(_ATTEMPTS):
            prepared = await drafting.prepare(call, ask)
            try:
                outcome: Outcome = await call.write(evaluate)
            except Stale as error:
                stale = error
                continue
            for parcel in author.sent if author is not None else ():
                parcel.departed()
            return outcome
        raise stale

    async def _keep(self, call: Call, outcome: Outcome, record: Record) -> Outcome:
        """Write down what a look decided. What an administrator reset since then stays reset: the key is void."""
        ask, folder, device, now = outcome.ask, outcome.folder, call.device.id, call.now()
        assert folder is not None
        outcome.record = None

        def keep(tx: Transaction) -> bool:
            row = collection.devices.load_state(tx, device, str(folder.number))
            if row is None or ask.key not in (row.old_key, row.new_key):
                return False
            collection.keep(tx, device, folder, record, now)
            return True

        return outcome if await call.write(keep) else Outcome(ask, collection.BAD_KEY, "0", folder)

    # The wait ----------------------------------------------------------------------------------------

    async def _hang(self, call: Call, request: SyncRequest) -> Result:
        """R5595-5599: answer when there is news, or when the interval is over, then with nothing."""
        assert request.wait is not None
        yard = call.services.yard
        mailbox = call.account.mailbox_id
        names = [ask.collection_id for ask in request.asks]

        def rows(tx: Transaction) -> frozenset[int]:
            found = (collection.folder_named(tx, mailbox, name) for name in names)
            return frozenset(folder.id for folder in found if folder is not None)

        watched = await call.read(rows) | {0}
        # From here to the try nothing may wait: who is cancelled leaves neither place nor subscription behind.
        parked = yard.park(call, "Sync", request.wait)
        subscription = call.services.bus.subscribe(mailbox, watched)
        try:
            while True:
                outcomes = await self._round(call, request)
                if any(outcome.says or outcome.failed for outcome in outcomes):
                    return await self._answer(call, outcomes)
                if await parked.wait(subscription) != NEWS:
                    return await self._answer(call, outcomes)
        finally:
            subscription.close()
            yard.leave(parked)

    # The answer ----------------------------------------------------------------------------------------

    async def _answer(self, call: Call, outcomes: Sequence[Outcome]) -> Result:
        telling = [outcome for outcome in outcomes if outcome.says or outcome.failed]
        call.notes["collections"] = {
            outcome.ask.collection_id: _summary(outcome)
            for outcome in outcomes
            if outcome.says or outcome.failed
        }
        if not telling:
            if call.version >= (12, 1):
                return Answer()  # R667, R679: the empty answer; the key stays
            telling = list(outcomes)
        elements = [await collection_element(call, outcome) for outcome in telling]
        self._note_written(call, telling)
        return E(AirSync.Sync, E(AirSync.Collections, elements))

    def _note_written(self, call: Call, outcomes: Sequence[Outcome]) -> None:
        """Rule 16: an answer that broke off on the line says nothing about the items in it."""
        yard, device = call.services.yard, call.device.id
        collections = [outcome.ask.collection_id for outcome in outcomes if outcome.says]
        for outcome in outcomes:
            if outcome.says:
                yard.answered(device, outcome.ask.collection_id, outcome.key)

        def broke_off(_: object) -> None:
            for name in collections:
                yard.broke_off(device, name)

        gone: Deferred[None] = call.disconnected()
        gone.addCallbacks(broke_off, lambda failure: None)


def _limited(status: int, limit: int) -> Element:
    return E(AirSync.Sync, E(AirSync.Status, status), E(AirSync.Limit, limit))


def _summary(outcome: Outcome) -> dict[str, int]:
    batch = outcome.batch
    counts = {
        "status": outcome.status,
        "add": len(batch.adds),
        "change": len(batch.changes),
        "delete": len(batch.deletes) + len(batch.soft_deletes),
        "more": int(batch.more),
        "orders": len(outcome.ask.orders),
    }
    return {name: count for name, count in counts.items() if count}
