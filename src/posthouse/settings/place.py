"""The configuration of the house itself: its name and directory, listeners, certificate, resolvers, log."""

from __future__ import annotations

from attrs import frozen

from posthouse.settings import forms
from posthouse.settings.forms import setting

__all__ = ["Dns", "Listen", "Log", "Server", "Tls"]


@frozen
class Server:
    """Who this server is and where it keeps its data."""

    hostname: str = setting(
        "localhost", "The public name of this server: greeting, EHLO, Received, certificate.", forms.hostname
    )
    directory: str = setting(
        "/var/lib/posthouse",
        "Everything lives here: database, spool, control socket, certificate (mode 0700).",
    )


@frozen
class Listen:
    """Addresses to listen on, as "IP:port" ("[::]:25" for IPv6). An empty list switches a service off."""

    smtp: tuple[str, ...] = setting(
        ("0.0.0.0:25", "[::]:25"), "Mail from other servers (STARTTLS, no logins).", forms.bind_address
    )
    submission: tuple[str, ...] = setting(
        ("0.0.0.0:587", "[::]:587"),
        "Mail from this server's users (STARTTLS, then login).",
        forms.bind_address,
    )
    submissions: tuple[str, ...] = setting(
        ("0.0.0.0:465", "[::]:465"),
        "Mail from this server's users, TLS from the first byte.",
        forms.bind_address,
    )
    https: tuple[str, ...] = setting(
        ("0.0.0.0:443", "[::]:443"), "ActiveSync and Autodiscover (HTTPS only).", forms.bind_address
    )
    https_connections: int = setting(
        1000,
        "Open HTTPS connections of one address, most of which wait for news; its /24 (IPv6: /64) may have three "
        "times as many, its /16 (/48) nine times. Networks in smtp.exempt and auth.exempt have no limit.",
        forms.between(10, 100_000),
    )
    proxied: tuple[str, ...] = setting(
        (),
        "Networks of balancers in front of this server: their connections must begin with a PROXY header (version "
        '1 or 2), which names the client. "smtp=192.0.2.7" is for one service only.',
        forms.proxied,
    )


@frozen
class Tls:
    """The certificate of all listeners; reloaded by SIGHUP, without a restart."""

    certificate: str = setting(
        "", "PEM file with the certificate and its chain. Empty: a self-signed one is made in the directory."
    )
    key: str = setting("", "PEM file with the private key. Empty: it is in the certificate's file.")
    names: tuple[str, ...] = setting(
        (), "More host names and IP addresses for the self-signed certificate, when it is made."
    )


@frozen
class Dns:
    """Questions to the domain name system."""

    servers: tuple[str, ...] = setting(
        (), "Resolvers to ask, with or without a port; empty: those of /etc/resolv.conf.", forms.name_server
    )
    trust_ad: bool = setting(
        False,
        "Believe the resolvers that an answer was validated (DNSSEC), though they are on another machine; one on "
        "this machine always is believed.",
    )


@frozen
class Log:
    """What is written about what happens: one JSON object a line, never a secret."""

    file: str = setting(
        "-", 'A file, or "-" for standard output (in the background: posthouse.log in the directory).'
    )
    level: str = setting(
        "info", "Least important level written.", forms.one_of("debug", "info", "warn", "error")
    )
    format: str = setting("json", '"json" for machines, "text" for people.', forms.one_of("json", "text"))
