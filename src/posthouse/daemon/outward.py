"""The way out, put together from the configuration: resolver, routes, relay, and what other domains ask of them.

Promise: nothing is opened here; with a smarthost, or in the demo, nobody's policies are looked up.
"""

from __future__ import annotations

from random import Random
from typing import Any

from attrs import frozen

from posthouse.config import Config
from posthouse.daemon.translate import fixed_routes, smarthost_of
from posthouse.delivery.attempt import Sender
from posthouse.delivery.fetch import Web
from posthouse.delivery.routes import Routes
from posthouse.delivery.security import Security
from posthouse.delivery.sts import StsPolicies
from posthouse.delivery.tls_reports import TlsReports
from posthouse.dns.resolver import Resolver, system_resolver
from posthouse.interfaces import IDatabase
from posthouse.smtp.client import Relay, tcp_endpoints
from posthouse.smtp.parking import Parking
from posthouse.smtp.tls import Contexts

__all__ = ["WayOut", "make_resolver", "report_delay", "tls_reports", "way_out"]

_SPREAD = 4 * 3_600_000  # ms: not everybody reports at midnight (RFC 8460 4.1)


@frozen(eq=False)
class WayOut:
    """What sends mail to elsewhere."""

    relay: Relay
    routes: Routes
    web: Web
    security: Security


def make_resolver(config: Config, reactor: Any, random: Random) -> Resolver:
    """The one resolver of the house."""
    return system_resolver(reactor, random, servers=config.dns.servers, trust_ad=config.dns.trust_ad)


def way_out(
    config: Config,
    reactor: Any,
    resolver: Resolver,
    database: IDatabase,
    addresses: frozenset[str],
    now: Any,
) -> WayOut:
    """:param addresses: those that we listen on. :param now: ms since the epoch."""
    delivery = config.delivery
    routes = Routes(
        resolver,
        frozenset([config.server.hostname.lower()]),
        lambda: addresses,
        smarthost_of(config),
        delivery.port,
        fixed_routes(config),
        delivery.inside,
    )
    contexts = Contexts()
    contexts.warm()
    name = config.server.hostname
    relay = Relay(reactor, tcp_endpoints(reactor), name, contexts, parking=Parking(reactor))
    web = Web(reactor, resolver, routes.may_reach, contexts.strict, delivery.mta_sts_port)
    policies = StsPolicies(database, resolver, web.policy, now) if delivery.mta_sts else None
    return WayOut(relay, routes, web, Security(resolver, policies, delivery.dane))


def report_delay(config: Config, random: Random) -> int | None:
    """When in the day TLS reports are due, ms; None: never."""
    return random.randrange(_SPREAD) if config.delivery.tls_reports else None


def tls_reports(
    config: Config, way: WayOut, sender: Sender, pool: Any, random: Random, now: Any
) -> TlsReports | None:
    """Who writes them, None when nobody shall. :param sender: of the queue, whose store and keys they use."""
    contact = config.delivery.tls_reports
    if not contact:
        return None
    return TlsReports(
        sender.database,
        way.routes.resolver,
        way.web.post,
        sender.reporter,
        sender.signer,
        contact,
        pool,
        random,
        now,
    )
