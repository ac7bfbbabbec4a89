"""MTA-STS policies of other domains: found, fetched, and remembered across restarts.

Promise: a policy that was fetched holds until it expires, whatever becomes of its record or its web server, and
a new id makes it be fetched anew. A fetch that fails stops no mail where no policy is known; it is not repeated
for five minutes. ``find`` never fails.

Specifications: RFC 8461 3.1, 3.3 (fetching), 5.1 (what to do with what was found), 10.2 (refreshing ahead).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from posthouse.delivery.fetch import FetchFailed
from posthouse.errors import Malformed, NoSuchDomain, PosthouseError, TryLater
from posthouse.interfaces import IDatabase
from posthouse.store import transport
from posthouse.store.transport import KeptPolicy
from posthouse.tlspolicy.mtasts import StsPolicy, parse_policy, policy_id

__all__ = ["StsFound", "StsPolicies"]

_PAUSE = 5 * 60_000  # ms after a failed fetch, RFC 8461 3.3
_REFRESH = 86_400_000  # ms after which a policy is looked at again, though it holds
_REMEMBERED = 10_000
_LARGE = 4096  # bytes of a policy that is read from the store each time

_log = Logger()


@frozen
class StsFound:
    """The policy to follow, None when there is none; ``result`` and ``reason`` of a fetch that failed."""

    policy: StsPolicy | None = None
    result: str = ""
    reason: str = ""


@frozen
class _Failure:
    version: str
    until: int
    result: str
    reason: str


@define(eq=False)
class StsPolicies:
    """:param resolver: with ``texts(name)``. :param fetch: ``fetch(domain)`` gives the bytes of the policy.

    :param now: ms since the epoch.
    """

    database: IDatabase
    resolver: Any
    fetch: Callable[[str], Awaitable[bytes]]
    now: Callable[[], int]
    _kept: OrderedDict[str, tuple[KeptPolicy, StsPolicy] | None] = field(factory=OrderedDict, init=False)
    _failures: OrderedDict[str, _Failure] = field(factory=OrderedDict, init=False)
    _fetching: dict[str, list[Deferred[StsFound]]] = field(factory=dict, init=False)

    async def find(self, domain: str) -> StsFound:
        """What a domain (A-labels, lower case) asks for."""
        version = ""
        try:
            version = policy_id(await self.resolver.texts(f"_mta-sts.{domain}"))
        except (TryLater, NoSuchDomain):
            pass  # what is remembered holds all the same
        now = self.now()
        kept = await self._known(domain)
        if kept is not None and now >= kept[0].expires:
            kept = None
        if not version:
            return _found(kept)
        if kept is not None and kept[0].version == version:
            age = min(_REFRESH, (kept[0].expires - kept[0].fetched) // 2)
            if now - kept[0].fetched >= age and not self._failed(domain, version):
                # RFC 8461 10.2: an attacker who blocks the fetch must block it until the policy expires.
                Deferred.fromCoroutine(self._fetch(domain, version)).addErrback(
                    lambda failure: _log.failure("a policy was not refreshed", failure, event="sts.broken")
                )
            return _found(kept)
        failure = self._failed(domain, version)
        if failure is None:
            fresh = await self._fetch(domain, version)
            if not fresh.result or kept is None:
                return fresh
            return StsFound(_found(kept).policy, fresh.result, fresh.reason)
        return StsFound(_found(kept).policy, failure.result, failure.reason)

    def _failed(self, domain: str, version: str) -> _Failure | None:
        failure = self._failures.get(domain)
        return failure if failure and failure.version == version and self.now() < failure.until else None

    async def _known(self, domain: str) -> tuple[KeptPolicy, StsPolicy] | None:
        if domain in self._kept:
            self._kept.move_to_end(domain)
            return self._kept[domain]
        found = None
        try:
            kept = await self.database.read(lambda tx: transport.kept_policy(tx, domain))
            if kept is not None:
                found = (kept, parse_policy(kept.content))
        except Malformed:
            pass  # an older version of this program understood more
        except PosthouseError as error:
            _log.warn("a policy was not read: {error}", event="sts.broken", error=str(error))
            return None
        self._remember(domain, found)
        return found

    def _remember(self, domain: str, found: tuple[KeptPolicy, StsPolicy] | None) -> None:
        if found is not None and len(found[0].content) > _LARGE:
            self._kept.pop(domain, None)
            return
        self._kept[domain] = found
        self._kept.move_to_end(domain)
        while len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)

    async def _fetch(self, domain: str, version: str) -> StsFound:
        """Fetch and keep; those who want the same wait for the same."""
        waiting: Deferred[StsFound] = Deferred()
        if domain in self._fetching:
            self._fetching[domain].append(waiting)
            return await waiting
        self._fetching[domain] = []
        found = StsFound(None, "sts-policy-fetch-error", "the fetch was interrupted")
        try:
            found = await self._fetch_now(domain, version)
        finally:
            for one in self._fetching.pop(domain):
                one.callback(found)
        return found

    async def _fetch_now(self, domain: str, version: str) -> StsFound:
        try:
            content = await self.fetch(domain)
            policy = parse_policy(content)
        except FetchFailed as failed:
            result = "sts-webpki-invalid" if failed.certificate else "sts-policy-fetch-error"
            return self._fail(domain, version, result, str(failed))
        except Malformed as error:
            return self._fail(domain, version, "sts-policy-invalid", error.cause)
        now = self.now()
        kept = KeptPolicy(domain, version, content, now, now + policy.max_age * 1000)
        self._failures.pop(domain, None)
        self._remember(domain, (kept, policy))
        try:
            await self.database.write(lambda tx: transport.keep_policy(tx, kept))
        except PosthouseError as error:
            _log.warn("a policy was not kept: {error}", event="sts.broken", error=str(error))
        _log.info(
            "MTA-STS of {domain}: {mode}",
            event="sts.fetched",
            domain=domain,
            mode=policy.mode,
            version=version,
        )
        return _found((kept, policy))

    def _fail(self, domain: str, version: str, result: str, reason: str) -> StsFound:
        self._failures[domain] = _Failure(version, self.now() + _PAUSE, result, reason[:200])
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)
        _log.warn(
            "the MTA-STS policy of {domain} was not had: {reason}",
            event="sts.failed",
            domain=domain,
            result=result,
            reason=reason[:200],
        )
        return StsFound(None, result, reason[:200])


def _found(kept: tuple[KeptPolicy, StsPolicy] | None) -> StsFound:
    # RFC 8461 5: "none" is said by a domain that takes its policy back.
    return StsFound() if kept is None or kept[1].mode == "none" else StsFound(kept[1])
