"""The doors of the house: the held ports get the protocols behind them.

Promise: the ports were opened before the fork (decision 2); from here on somebody answers. A stop closes the ports
first and then lets the sessions of mail end what they are doing.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from posthouse.daemon.ground import Ground
from posthouse.daemon.listeners import behind_balancers, exempt_networks, over_tls, stop_listening
from posthouse.delivery.intake import Intake
from posthouse.http.site import Site
from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.rates import PeerRates
from posthouse.smtp.server import SMTPFactory
from posthouse.smtp.settings import SmtpSettings

__all__ = ["open_doors", "smtp_factories"]

_ROLES = {"smtp": "mx", "submission": "submission", "submissions": "submissions"}


def smtp_factories(ground: Ground, intake: Intake) -> dict[str, SMTPFactory]:
    """What answers on the three ports of mail; limits and rates are theirs together."""
    config = ground.config
    wanted = config.smtp
    limits = ConnectionLimits(
        ground.reactor,
        per_address=wanted.connections,
        per_minute=wanted.connections_per_minute,
        exempt=exempt_networks(config),
    )
    rates = PeerRates(
        ground.reactor,
        limits,
        messages=wanted.messages_per_minute,
        recipients=wanted.recipients_per_minute,
        unknown=wanted.unknown_per_hour,
    )
    starttls = ground.certificates.server_context_factory()
    default_domain = config.server.hostname
    if ground.demo is not None:
        default_domain = ground.demo.accounts[0]["address"].partition("@")[2]
    factories = {}
    for service, role in _ROLES.items():
        settings = SmtpSettings(
            role=role,
            hostname=config.server.hostname,
            default_domain=default_domain,
            size_limit=wanted.size_limit,
            max_recipients=wanted.recipients,
            idle_timeout=float(wanted.idle_seconds),
            unknown_limit=wanted.unknown_recipients,
        )
        factories[service] = SMTPFactory(
            settings, intake, ground.authenticator, starttls, ground.reactor, limits, rates=rates
        )
    return factories


def open_doors(ground: Ground, mail: dict[str, SMTPFactory], site: Site) -> None:
    """Hand the held sockets to the reactor."""
    reactor, certificates = ground.reactor, ground.certificates
    factories: dict[str, Any] = dict(mail)
    factories["submissions"] = over_tls(
        certificates.server_context_factory(), factories["submissions"], reactor
    )
    factories["https"] = over_tls(certificates.server_context_factory([b"http/1.1"]), site, reactor)
    proxied = ground.config.listen.proxied
    ports = []
    for one in ground.held:
        factory = behind_balancers(proxied, one.service, factories[one.service], reactor)
        ports.append(reactor.adoptStreamPort(one.socket.fileno(), one.family, factory))
        one.socket.close()  # the reactor has its own copy

    def close_sessions() -> Deferred[Any]:
        return DeferredList([factory.close_all() for factory in mail.values()])

    ground.stages.started("sessions", close_sessions)
    ground.stages.started("listeners", lambda: stop_listening(ports))
