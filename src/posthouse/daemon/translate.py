"""The configuration in the words of the rooms: pure, so that ``tap`` only puts rooms together."""

from __future__ import annotations

from collections.abc import Callable

from posthouse.config import Config, split_address
from posthouse.delivery.routes import FixedRoute, Smarthost
from posthouse.eas.services import EasSettings
from posthouse.eas.versions import VERSIONS, parse_version
from posthouse.settings import split_ceiling, split_route

__all__ = ["eas_settings", "fixed_routes", "smarthost_of"]


def eas_settings(config: Config, unlimited: Callable[[str], bool]) -> EasSettings:
    """What ActiveSync is told. :param unlimited: whether a client's address is trusted to ask without end."""
    eas = config.eas
    highest = parse_version(eas.highest_version) or VERSIONS[-1]
    return EasSettings(
        policy_name=eas.policy,
        hold_new=eas.new_devices == "quarantine",
        requests_per_minute=eas.requests_per_minute,
        unlimited=unlimited,
        provision_449=eas.provision_449,
        ceilings=tuple(
            (part, parse_version(version) or VERSIONS[-1])
            for part, version in map(split_ceiling, eas.ceilings)
        ),
        versions=tuple(version for version in VERSIONS if version <= highest),
        max_request=eas.request_limit,
        heartbeat=(eas.heartbeat_min, eas.heartbeat_max),
        quota=config.mailboxes.quota,
    )


def smarthost_of(config: Config) -> Smarthost | None:
    """The one host that all mail for elsewhere goes through, if there is one."""
    delivery = config.delivery
    if not delivery.smarthost:
        return None
    host, port = split_address(delivery.smarthost)
    return Smarthost(
        host,
        port,
        delivery.smarthost_user,
        delivery.smarthost_password,
        delivery.smarthost_tls,
        implicit_tls=port == 465,
    )


def fixed_routes(config: Config) -> dict[str, FixedRoute]:
    """The hosts that the administrator named for some domains."""
    return {
        domain: FixedRoute(kind, host, port)
        for domain, kind, host, port in map(split_route, config.delivery.routes)
    }
