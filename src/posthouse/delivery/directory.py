"""Which addresses lead where, asked of the store and remembered for seconds.

Promise: what was remembered is forgotten after ``lifetime`` seconds, and at once by :meth:`Directory.forget`,
even when a question is under way at that moment. Only what exists is remembered: a new account works at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed

from posthouse.delivery.posting import bounce_address, check_posting, check_strangers, is_guarded
from posthouse.delivery.srs import Srs, is_rewritten
from posthouse.errors import MailboxFull, Malformed, NotPermitted, RelayDenied
from posthouse.interfaces import IDatabase
from posthouse.mime.addresses import fold_address, normalise_address
from posthouse.model import Account, Recipient, evolve
from posthouse.store import accounts, allowance, preferences, queue_orders, quotas, routing, senders
from posthouse.store.preferences import Preferences

__all__ = ["Directory", "Route", "find_reader", "find_route", "owns", "roomy"]

T = TypeVar("T")
_LIMIT = 10_000


@frozen
class Route:
    """``local`` tells whether the domain is one of ours, wherever the address leads in the end.

    ``stopped``: what was said when mail to this address elsewhere bounced for good; "" when none did.
    """

    recipient: Recipient
    local: bool
    stopped: str = ""


def find_route(tx: Any, address: str, now: int = 0) -> Route:
    """Route one address inside a transaction.

    :param now: ms since the epoch, to tell rewritten senders that are too old; 0: they may be of any age.
    :raises NoSuchAccount: a local domain without such a user. :raises TryLater: a group that is too large.
    """
    folded = fold_address(address)
    if folded == "postmaster":
        # RFC 5321 4.5.1: without a domain, too
        folded += "@" + next(iter(accounts.domains(tx)), "localhost")
    local = accounts.is_local_domain(tx, folded.rpartition("@")[2])
    if not local:
        return Route(Recipient(address, (), (normalise_address(address),)), False)
    if is_rewritten(folded):
        # What comes back from where we forwarded to. The case of letters is kept: it is the sender's.
        try:
            home = Srs(allowance.secret(tx, "srs")).reverse(address.rpartition("@")[0], now)
        except Malformed:
            pass
        else:
            if not accounts.is_local_domain(tx, fold_address(home).rpartition("@")[2]):
                return Route(Recipient(address, (), (normalise_address(home),)), True)
            folded = fold_address(home)
    return Route(evolve(accounts.route(tx, folded), address=address), True)


def find_reader(tx: Any, address: str, now: int = 0) -> Recipient:
    """Where a report to an address goes: as ``find_route``, but what a group gets is for its owner alone.

    Mail from the null sender is no contribution to a discussion (RFC 5321 4.5.5).
    """
    found = find_route(tx, address, now).recipient
    if found.groups:
        owner = find_route(tx, bounce_address(found.groups[0])).recipient
        found = evolve(owner, address=address, groups=(), group=None)
    return found


def roomy(tx: Any, recipient: Recipient, quota: int, now: int) -> Recipient:
    """The same recipient without the mailboxes that have been full for too long.

    :param quota: of everybody, bytes, 0 for none. :raises OverQuota, MailboxFull: nothing else is left.
    """
    alone = len(recipient.mailbox_ids) == 1 and not recipient.remote
    taking, full = quotas.without_full(tx, recipient.mailbox_ids, alone, quota, now)
    if full and not taking and not recipient.remote:
        raise MailboxFull(cause=f"all mailboxes of {recipient.address} are full")
    return evolve(recipient, mailbox_ids=taking, full=full) if full else recipient


def _look(tx: Any, address: str, now: int, quota: int, report: bool) -> Route:
    """The route, with what is known of an address elsewhere and of full mailboxes here."""
    if report and routing.is_local_domain(tx, fold_address(address).rpartition("@")[2]):
        return Route(roomy(tx, find_reader(tx, address, now), quota, now), True)
    route = find_route(tx, address, now)
    if route.local:
        return evolve(route, recipient=roomy(tx, route.recipient, quota, now))
    stopped = queue_orders.suppressed(tx, fold_address(address))
    return route if stopped is None else evolve(route, stopped=stopped.reason or "suppressed")


def owns(owned: frozenset[str], address: str) -> bool:
    """May somebody who owns these folded addresses write as ``address``? Plus-tags are his as well.

    "@example.org" among them is a whole domain.
    """
    folded = fold_address(address)
    local, at, domain = folded.rpartition("@")
    return folded in owned or f"{local.partition('+')[0]}{at}{domain}" in owned or f"@{domain}" in owned


@define
class Directory:
    """:param seconds: the clock's. :param quota: bytes of a mailbox that has none of its own; 0: no limit."""

    database: IDatabase
    seconds: Callable[[], float]
    lifetime: float = 5.0
    quota: int = 0
    _kept: dict[Any, tuple[float, Any]] = field(factory=dict, init=False)
    _generation: int = field(default=0, init=False)

    def forget(self) -> None:
        """Accounts, aliases or domains changed: ask again from now on."""
        self._generation += 1
        self._kept.clear()

    def route(self, address: str, account: Account | None, sender: str | None = None) -> Deferred[Recipient]:
        """Route one envelope recipient.

        :param sender: the reverse path; None: it is not known, and no group is guarded.
        :raises NoSuchAccount: a local domain without such a user. :raises TryLater: busy store.
        :raises OverQuota, MailboxFull: the mailbox is full.
        :raises RelayDenied: elsewhere, and nobody has logged in.
        :raises NotPermitted: elsewhere, and mail to there bounced for good (``store.queue_orders``); a group
            that does not take mail from this sender.
        """
        kept = self._kept.get(address) if sender != "" else None
        if kept is not None and self.seconds() < kept[0]:
            route: Route = kept[1]
            known = route.local or (account is not None and not route.stopped)
            if known and not route.recipient.groups:
                return succeed(route.recipient)
        return Deferred.fromCoroutine(self._route(address, account, sender))

    def owned(self, account_id: int, wanted: Iterable[str] = ()) -> Deferred[frozenset[str]]:
        """The folded addresses that an account may write as.

        :param wanted: addresses that it wants to write as: those that its catch-all gets are among the answer.
        """
        return Deferred.fromCoroutine(self._owned(account_id, tuple(wanted)))

    async def _owned(self, account_id: int, wanted: tuple[str, ...]) -> frozenset[str]:
        def ask(tx: Any) -> tuple[frozenset[str], frozenset[str]]:
            return senders.sender_addresses(tx, account_id), senders.caught_domains(tx, account_id)

        owned, caught = await self._ask(account_id, ask)
        for folded in map(fold_address, wanted if caught else ()):
            if folded.rpartition("@")[2] in caught and not owns(owned, folded):
                taken = await self._ask(("taken", folded), partial(routing.is_taken, address=folded))
                owned = owned if taken else owned | {folded}
        found: frozenset[str] = owned
        return found

    async def rewriter(self, sender: str) -> Srs | None:
        """What rewrites a sender whose mail is forwarded; None for one of ours, who needs it not."""
        domain = fold_address(sender).rpartition("@")[2]

        def ask(tx: Any) -> Srs | None:
            return None if accounts.is_local_domain(tx, domain) else Srs(allowance.secret(tx, "srs"))

        found: Srs | None = await self._ask(("srs", domain), ask)
        return found

    async def _route(self, address: str, account: Account | None, sender: str | None) -> Recipient:
        report = sender == ""
        route = await self._ask(
            (address, "report") if report else address,
            lambda tx: _look(tx, address, int(self.seconds() * 1000), self.quota, report),
        )
        if not route.local and account is None:
            raise RelayDenied(cause=f"relay to {address} without login")
        if route.stopped:
            raise NotPermitted(
                "Mail to this address bounced before; an administrator can allow it again.",
                cause=f"{address} is suppressed: {route.stopped}",
            )
        recipient: Recipient = route.recipient
        if recipient.groups and sender is not None and is_guarded(recipient):
            owned = await self._owned(account.id, ()) if account is not None else frozenset()
            if account is None and sender and await self._is_ours(sender):
                sender = ""
            check_posting(recipient, account, owned, sender)
        return recipient

    async def check_authors(self, recipients: Sequence[Recipient], authors: Sequence[str]) -> None:
        """May the (folded) authors of a message from outside write to the groups among its recipients?

        :raises NotPermitted: no. One of ours who has not logged in may not.
        """
        if any(map(is_guarded, recipients)):
            ours = [author for author in authors if await self._is_ours(author)]
            check_strangers(recipients, () if ours else authors)

    async def preferences(self, account_id: int) -> Preferences:
        """What an account wants done with its mail. :raises NoSuchAccount: gone."""
        found: Preferences = await self._ask(
            ("preferences", account_id), lambda tx: preferences.preferences(tx, account_id)
        )
        return found

    def belongs(self, account_id: int, address: str) -> Deferred[bool]:
        """Whether an address is an account's own, or at a domain that is not ours at all."""
        return Deferred.fromCoroutine(self._belongs(account_id, address))

    async def _belongs(self, account_id: int, address: str) -> bool:
        return not await self._is_ours(address) or owns(await self._owned(account_id, (address,)), address)

    async def _is_ours(self, address: str) -> bool:
        domain = fold_address(address).rpartition("@")[2]
        found: bool = await self._ask(("ours", domain), lambda tx: accounts.is_local_domain(tx, domain))
        return found

    async def _ask(self, key: Any, question: Callable[[Any], T]) -> T:
        kept = self._kept.get(key)
        now = self.seconds()
        if kept is not None and now < kept[0]:
            known: T = kept[1]
            return known
        generation = self._generation
        found = await self.database.read(question)
        if generation == self._generation:
            if len(self._kept) >= _LIMIT:
                self._kept.clear()
            self._kept[key] = (now + self.lifetime, found)
        answer: T = found
        return answer
