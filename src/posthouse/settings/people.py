"""The configuration of those who come in: logins and phones."""

from __future__ import annotations

from attrs import frozen

from posthouse.settings import forms
from posthouse.settings.forms import EAS_VERSIONS, setting

__all__ = ["Auth", "Eas"]


@frozen
class Auth:
    """Logins."""

    bcrypt_cost: int = setting(
        12,
        "Work factor of password hashes; one more doubles the time of a first login.",
        forms.between(4, 16),
    )
    exempt: tuple[str, ...] = setting(
        (), "Networks that are never throttled after failed logins; loopback never is.", forms.network
    )


@frozen
class Eas:
    """Exchange ActiveSync."""

    heartbeat_min: int = setting(
        60, "Shortest Ping or hanging Sync in seconds that a phone may ask for.", forms.between(1, 3540)
    )
    heartbeat_max: int = setting(
        3540,
        "Longest Ping or hanging Sync in seconds; 59 minutes is what the protocol allows.",
        forms.between(60, 3540),
    )
    highest_version: str = setting(
        "16.1",
        "Highest protocol version offered to phones.",
        forms.one_of(*EAS_VERSIONS),
    )
    request_limit: int = setting(
        60_000_000,
        "Largest request body in bytes (a phone sends mail in it).",
        forms.between(1_000_000, 1_000_000_000),
    )
    policy: str = setting(
        "default",
        "Policy of phones whose user was given none: none, default, pin, strict or one of your own "
        "(posthouse policy list).",
        forms.policy_name,
    )
    new_devices: str = setting(
        "allow",
        "A phone that connects for the first time: allow, or quarantine until an administrator allows it.",
        forms.one_of("allow", "quarantine"),
    )
    requests_per_minute: int = setting(
        1500,
        "Requests a minute of one phone; more are told to come later (503). 0: no limit. "
        "Networks in auth.exempt, and this machine, have none.",
        forms.between(0, 1_000_000),
    )
    ceilings: tuple[str, ...] = setting(
        (),
        'Highest protocol version by client, as "PART-OF-THE-USER-AGENT=VERSION", such as "OldMail/=14.0".',
        forms.ceiling,
    )
    provision_449: bool = setting(
        False, "Say HTTP 449 to every phone that has to provision; those known to need it hear it anyway."
    )
