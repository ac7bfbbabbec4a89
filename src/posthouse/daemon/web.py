"""The web side, put together: ActiveSync, Autodiscover, the policy of MTA-STS and the page at ``/`` behind one port.

Promise: who asks what is decided by the rooms; here they only get their places.
"""

from __future__ import annotations

import os
from typing import Any

from attrs import frozen
from twisted.logger import Logger

from posthouse.autodiscover.resources import Places
from posthouse.autodiscover.resources import routes as autodiscover_routes
from posthouse.daemon.front import Front
from posthouse.daemon.ground import Ground
from posthouse.daemon.listeners import exempt_networks
from posthouse.daemon.preflight import now
from posthouse.daemon.sts import PATH as STS_PATH
from posthouse.daemon.sts import StsResource
from posthouse.daemon.translate import eas_settings
from posthouse.delivery.submission import Submission
from posthouse.eas.endpoint import PATH as EAS_PATH
from posthouse.eas.endpoint import Endpoint
from posthouse.eas.services import Services
from posthouse.http.limits import HttpLimits
from posthouse.http.site import Router, Site
from posthouse.policy import PRESETS
from posthouse.smtp.limits import ConnectionLimits
from posthouse.store import policies

__all__ = ["Web", "build_web"]

_log = Logger("posthouse.daemon")
_HALF_YEAR = 15_552_000  # seconds, for Strict-Transport-Security


@frozen(eq=False)
class Web:
    """:ivar phones: what ActiveSync knows, and who is connected with it."""

    phones: Services
    site: Site


def build_web(ground: Ground, outbox: Submission) -> Web:
    """Everything behind HTTPS. :param outbox: takes what phones send."""
    config = ground.config
    phones = Services(
        db=ground.database,
        bus=ground.bus,
        outbox=outbox,
        authenticator=ground.authenticator,
        clock=ground.reactor,
        random=os.urandom,
        pool=ground.pool,
        settings=eas_settings(config, ground.throttle.is_exempt),
    )
    _check_policy(ground, config.eas.policy)
    router = Router({"": Front(), EAS_PATH: Endpoint(phones)})
    router.add(STS_PATH, StsResource(ground.database, ground.pool, config.server.hostname))
    places = Places(_base(ground))
    found = autodiscover_routes(ground.authenticator, places, ground.pool, now, ground.directory.belongs)
    for prefix, resource in found.items():
        router.add(prefix, resource)
    limits = HttpLimits(bodies={EAS_PATH: config.eas.request_limit}, protected=frozenset([EAS_PATH]))
    hsts = _HALF_YEAR if config.tls.certificate else 0
    doors = ConnectionLimits(
        ground.reactor,
        per_address=config.listen.https_connections,
        per_minute=10 * config.listen.https_connections,
        total=100 * config.listen.https_connections,
        exempt=exempt_networks(config),
    )
    return Web(phones, Site(router, ground.reactor, limits, hsts, doors))


def _check_policy(ground: Ground, name: str) -> None:
    """A name that means nothing is served as the default; whoever wrote it should hear so."""

    def tell(row: Any) -> None:
        if row is None:
            _log.error('there is no policy "{name}" (eas.policy); phones get the default', name=name)

    if name not in PRESETS:
        asked = ground.database.read(lambda tx: policies.policy_named(tx, name))
        asked.addCallbacks(tell, lambda failure: _log.failure("the policy was not looked up", failure))


def _base(ground: Ground) -> str:
    """The address of the web site. The demo's phones know the machine by its number only."""
    if ground.demo is not None:
        port = next(one.port for one in ground.held if one.service == "https")
        return f"https://127.0.0.1:{port}"
    return f"https://{ground.config.server.hostname}"
