"""What an SMTP listener is told once: its role and its limits. Values only."""

from __future__ import annotations

from attrs import frozen

__all__ = ["SmtpSettings"]


@frozen
class SmtpSettings:
    """One listener. Sizes are bytes, times are seconds.

    Roles: ``mx`` (25: mail from other servers, no logins), ``submission`` (587: STARTTLS, then login),
    ``submissions`` (465: TLS from the first byte, RFC 8314).
    """

    role: str
    hostname: str
    default_domain: str = ""  # where a bare "postmaster" lives; the host name when empty
    size_limit: int = 50_000_000
    max_recipients: int = 1000  # RFC 5321 4.5.3.1.8 demands 100
    idle_timeout: float = 300.0  # for the next complete command (RFC 5321 4.5.3.2.7)
    min_rate: int = 500  # bytes a second within DATA; slower ones are cut when the idle time is used up
    session_limit: float = 3600.0
    soft_errors: int = 10  # from here on each 5xx reply is delayed by error_delay
    hard_errors: int = 20  # 421
    error_delay: float = 1.0
    refused_limit: int = 100  # unknown recipients of a client that has logged in or is exempt
    unknown_limit: int = 10  # unknown recipients of a stranger, between two messages: 421
    junk_limit: int = 100  # commands that lead nowhere, between two messages
    unknown_delay: float = 5.0  # before "no such user" while no recipient was good
    auth_delay: float = 1.0
    auth_failures: int = 3
    hold_seconds: int = 60 * 86_400  # how far ahead mail may be sent off (RFC 4865); 0: not at all
    strict_pipelining: bool = True  # role mx: bytes behind EHLO or DATA before our reply are refused

    @property
    def submission(self) -> bool:
        """Whether this listener serves users who log in."""
        return self.role != "mx"
