"""Which addresses lead where, asked of the store and remembered for seconds.

Promise: what was remembered is forgotten after ``lifetime`` seconds, and at once by :meth:`Directory.forget`,
even when a question is under way at that moment. Only what exists is remembered: a new account works at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed

from posthouse.delivery.srs import Srs, is_rewritten
from posthouse.errors import Malformed, NotPermitted, RelayDenied
from posthouse.interfaces import IDatabase
from posthouse.mime.addresses import fold_address, normalise_address
from posthouse.model import Account, Recipient, evolve
from posthouse.store import accounts, allowance, queue_orders

__all__ = ["Directory", "Route", "find_route", "owns"]

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
    :raises NoSuchAccount: a local domain without such a user. :raises TryLater: disabled.
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


def _look(tx: Any, address: str, now: int) -> Route:
    """The route, with what is known of an address elsewhere."""
    route = find_route(tx, address, now)
    if route.local:
        return route
    stopped = queue_orders.suppressed(tx, fold_address(address))
    return route if stopped is None else evolve(route, stopped=stopped.reason or "suppressed")


def owns(owned: frozenset[str], address: str) -> bool:
    """May somebody who owns these folded addresses write as ``address``? Plus-tags are his as well."""
    folded = fold_address(address)
    local, at, domain = folded.rpartition("@")
    return folded in owned or f"{local.partition('+')[0]}{at}{domain}" in owned


@define
class Directory:
    """:param seconds: the clock's."""

    database: IDatabase
    seconds: Callable[[], float]
    lifetime: float = 5.0
    _kept: dict[Any, tuple[float, Any]] = field(factory=dict, init=False)
    _generation: int = field(default=0, init=False)

    def forget(self) -> None:
        """Accounts, aliases or domains changed: ask again from now on."""
        self._generation += 1
        self._kept.clear()

    def route(self, address: str, account: Account | None) -> Deferred[Recipient]:
        """Route one envelope recipient.

        :raises NoSuchAccount: a local domain without such a user. :raises TryLater: disabled, busy store.
        :raises RelayDenied: elsewhere, and nobody has logged in.
        :raises NotPermitted: elsewhere, and mail to there bounced for good (``store.queue_orders``).
        """
        kept = self._kept.get(address)
        if kept is not None and self.seconds() < kept[0]:
            route: Route = kept[1]
            if route.local or (account is not None and not route.stopped):
                return succeed(route.recipient)
        return Deferred.fromCoroutine(self._route(address, account))

    def owned(self, account_id: int) -> Deferred[frozenset[str]]:
        """The folded addresses that an account may write as."""
        return Deferred.fromCoroutine(
            self._ask(account_id, lambda tx: accounts.owned_addresses(tx, account_id))
        )

    async def rewriter(self, sender: str) -> Srs | None:
        """What rewrites a sender whose mail is forwarded; None for one of ours, who needs it not."""
        domain = fold_address(sender).rpartition("@")[2]

        def ask(tx: Any) -> Srs | None:
            return None if accounts.is_local_domain(tx, domain) else Srs(allowance.secret(tx, "srs"))

        found: Srs | None = await self._ask(("srs", domain), ask)
        return found

    async def _route(self, address: str, account: Account | None) -> Recipient:
        route = await self._ask(address, lambda tx: _look(tx, address, int(self.seconds() * 1000)))
        if not route.local and account is None:
            raise RelayDenied(cause=f"relay to {address} without login")
        if route.stopped:
            raise NotPermitted(
                "Mail to this address bounced before; an administrator can allow it again.",
                cause=f"{address} is suppressed: {route.stopped}",
            )
        recipient: Recipient = route.recipient
        return recipient

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
