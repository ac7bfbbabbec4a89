"""The keys of the configuration: sections as frozen values, each key with a doc line, a default and a check.

The promise: values only. A ``Config()`` is valid and means the defaults; reading files and the environment, and
saying what is wrong with them, is ``posthouse.config``'s.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from posthouse.errors import Malformed
from posthouse.policy import check_name

__all__ = [
    "EAS_VERSIONS",
    "SECTIONS",
    "Auth",
    "Config",
    "Delivery",
    "Dns",
    "Eas",
    "Junk",
    "Listen",
    "Log",
    "Mailauth",
    "Mailboxes",
    "Server",
    "Smtp",
    "Tls",
    "split_address",
    "split_ceiling",
    "split_proxied",
    "split_route",
    "split_zone",
]

EAS_VERSIONS = ("12.0", "12.1", "14.0", "14.1", "16.0", "16.1")


def split_address(text: str) -> tuple[str, int]:
    """``"127.0.0.1:25"``, ``"[::]:25"`` or ``"mail.example.org:25"`` as (host, port).

    :raises ValueError: not of that form, or the port is not 0-65535.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:/]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError('must look like "127.0.0.1:25", "[::]:25" or "mail.example.org:25"')
    return match[1] or match[2], int(match[3])


def _address(text: str) -> None:
    split_address(text)


def _address_or_empty(text: str) -> None:
    if text:
        split_address(text)


def _mailbox_or_empty(text: str) -> None:
    if text and not re.fullmatch(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,253}", text):
        raise ValueError('must be an address, such as "tls-reports@example.org"')


def _name_server(text: str) -> None:
    address = text
    if text.startswith("[") or text.count(":") == 1:
        address, _ = split_address(text)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ValueError('must be an IP address, such as "127.0.0.1" or "[::1]:5353"') from None


def split_route(text: str) -> tuple[str, str, str, int]:
    """``"example.net=lmtp://127.0.0.1:24"`` as (domain, kind, host, port); kind is smtp, smtps, lmtp or mx.

    Without a kind it is smtp. The domain may be ``*.example.net``: everything below it. ``mx`` stands alone.

    :raises ValueError: not of that form.
    """
    domain, equals, target = (part.strip() for part in text.partition("="))
    if not equals or not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", domain):
        raise ValueError('must look like "example.net=smtp://192.0.2.1:25", or "example.net=mx"')
    if target == "mx":
        return domain.lower(), "mx", "", 0
    kind, slashes, place = target.rpartition("://")
    if slashes and kind not in ("smtp", "smtps", "lmtp"):
        raise ValueError('must name smtp://, smtps:// or lmtp:// before the host, or be "mx"')
    host, port = split_address(place)
    return domain.lower(), kind or "smtp", host, port


def _route(text: str) -> None:
    split_route(text)


_ZONE = re.compile(
    r"((?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63})(?:=([0-9.,-]{1,200}))?(?::(\d{1,2}(?:\.\d)?))?"
)
_CODE = re.compile(r"(?:127\.0\.0\.)?(\d{1,3})(?:-(\d{1,3}))?")


def split_zone(text: str) -> tuple[str, tuple[tuple[int, int], ...], float]:
    """``"zen.example=2-3,127.0.0.10:5"`` as (zone, ((first, last) of the last byte of 127.0.0.x, ...), points).

    :raises ValueError: not of that form.
    """
    match = _ZONE.fullmatch(text.strip()) if len(text) <= 400 else None
    if match is None:
        raise ValueError('must look like "zen.example.org", or "zen.example.org=2-11:5" (codes and points)')
    codes = []
    for one in (match[2] or "2-255").split(","):
        code = _CODE.fullmatch(one)
        if code is None or not 1 <= int(code[1]) <= int(code[2] or code[1]) <= 255:
            raise ValueError(f'names a code "{one}": write 2, 2-11 or 127.0.0.2')
        codes.append((int(code[1]), int(code[2] or code[1])))
    return match[1].lower(), tuple(codes), float(match[3] or 4)


def _zone(text: str) -> None:
    split_zone(text)


def _http_url(text: str) -> None:
    if text and not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:_-]{1,255}(/[!-~]{0,200})?", text):
        raise ValueError('must look like "http://127.0.0.1:11333"')


def _bind_address(text: str) -> None:
    host, _ = split_address(text)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError('must name an IP address, such as "0.0.0.0:25" or "[::]:25"') from None


def _network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError('must be a network, such as "192.0.2.0/24" or "2001:db8::/32"') from None


SERVICES = ("smtp", "submission", "submissions", "https")


def split_proxied(text: str) -> tuple[str, str]:
    """``"smtp=192.0.2.7"`` or ``"10.0.0.0/24"`` as (service, network); "" is every service.

    :raises ValueError: not of that form.
    """
    service, equals, network = text.rpartition("=")
    if service.strip() not in (SERVICES if equals else ("",)):
        raise ValueError(f'must name one of {", ".join(SERVICES)} before the "="')
    _network(network.strip())
    return service.strip(), network.strip()


def _proxied(text: str) -> None:
    split_proxied(text)


def _hostname(text: str) -> None:
    if not re.fullmatch(
        r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*",
        text,
    ):
        raise ValueError('must be a host name, such as "mail.example.org"')


def _between(low: float, high: float) -> Callable[[float], None]:
    def check(value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"must lie between {low} and {high}")

    return check


def _one_of(*choices: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value not in choices:
            raise ValueError("must be one of " + ", ".join(f'"{choice}"' for choice in choices))

    return check


def split_ceiling(text: str) -> tuple[str, str]:
    """``"OldMail/=14.0"`` as (part of the User-Agent, version).

    :raises ValueError: not of that form.
    """
    part, _, version = text.rpartition("=")
    if not part.strip() or version.strip() not in EAS_VERSIONS:
        raise ValueError(f'must look like "OldMail/=14.0", with a version of {", ".join(EAS_VERSIONS)}')
    return part.strip(), version.strip()


def _ceiling(text: str) -> None:
    split_ceiling(text)


def _policy_name(text: str) -> None:
    try:
        check_name(text)
    except Malformed as problem:
        raise ValueError(f"is no name of a policy: {problem.public.rstrip('.')}") from None


def _key(default: Any, doc: str, check: Callable[[Any], None] | None = None) -> Any:
    """One key: its default (whose type is the key's type), its doc line, and a check of (each) value."""
    return attrs.field(default=default, metadata={"doc": doc, "check": check})


@frozen
class Server:
    """Who this server is and where it keeps its data."""

    hostname: str = _key(
        "localhost", "The public name of this server: greeting, EHLO, Received, certificate.", _hostname
    )
    directory: str = _key(
        "/var/lib/posthouse",
        "Everything lives here: database, spool, control socket, certificate (mode 0700).",
    )


@frozen
class Listen:
    """Addresses to listen on, as "IP:port" ("[::]:25" for IPv6). An empty list switches a service off."""

    smtp: tuple[str, ...] = _key(
        ("0.0.0.0:25", "[::]:25"), "Mail from other servers (STARTTLS, no logins).", _bind_address
    )
    submission: tuple[str, ...] = _key(
        ("0.0.0.0:587", "[::]:587"), "Mail from this server's users (STARTTLS, then login).", _bind_address
    )
    submissions: tuple[str, ...] = _key(
        ("0.0.0.0:465", "[::]:465"), "Mail from this server's users, TLS from the first byte.", _bind_address
    )
    https: tuple[str, ...] = _key(
        ("0.0.0.0:443", "[::]:443"), "ActiveSync and Autodiscover (HTTPS only).", _bind_address
    )
    https_connections: int = _key(
        1000,
        "Open HTTPS connections of one address, most of which wait for news; its /24 (IPv6: /64) may have three "
        "times as many, its /16 (/48) nine times. Networks in smtp.exempt and auth.exempt have no limit.",
        _between(10, 100_000),
    )
    proxied: tuple[str, ...] = _key(
        (),
        "Networks of balancers in front of this server: their connections must begin with a PROXY header (version "
        '1 or 2), which names the client. "smtp=192.0.2.7" is for one service only.',
        _proxied,
    )


@frozen
class Tls:
    """The certificate of all listeners; reloaded by SIGHUP, without a restart."""

    certificate: str = _key(
        "", "PEM file with the certificate and its chain. Empty: a self-signed one is made in the directory."
    )
    key: str = _key("", "PEM file with the private key. Empty: it is in the certificate's file.")
    names: tuple[str, ...] = _key(
        (), "More host names and IP addresses for the self-signed certificate, when it is made."
    )


@frozen
class Smtp:
    """Limits of mail coming in, on all three ports."""

    size_limit: int = _key(
        50_000_000, "Largest message in bytes, announced as SIZE.", _between(65_536, 1_000_000_000)
    )
    recipients: int = _key(
        1000, "Most recipients of one message (RFC 5321 demands 100 at least).", _between(100, 10_000)
    )
    idle_seconds: int = _key(
        300,
        "A client that says nothing for so long is disconnected (RFC 5321 4.5.3.2.7).",
        _between(10, 3600),
    )
    connections: int = _key(
        30,
        "Open connections of one address; its /24 (IPv6: /64) may have three times as many, its /16 (/48) nine "
        "times, and so with the four keys that follow. This machine has no such limit.",
        _between(1, 10_000),
    )
    connections_per_minute: int = _key(300, "New connections in a minute.", _between(1, 100_000))
    messages_per_minute: int = _key(
        500, "Messages of strangers in a minute. 0: no limit.", _between(0, 100_000)
    )
    recipients_per_minute: int = _key(
        5000, "Recipients of strangers in a minute. 0: no limit.", _between(0, 1_000_000)
    )
    unknown_per_hour: int = _key(
        200,
        "Recipients that do not exist in an hour: nobody guesses addresses for long. 0: no limit.",
        _between(0, 1_000_000),
    )
    unknown_recipients: int = _key(
        10, "So many of them on one connection end it, when no message came between.", _between(1, 1000)
    )
    exempt: tuple[str, ...] = _key(
        (), "Networks without these limits, as those in auth.exempt are.", _network
    )


@frozen
class Mailboxes:
    """What one user may keep."""

    quota: int = _key(
        0,
        "Bytes of a mailbox, unless its user has a quota of his own (posthouse user quota). 0: no limit.",
        _between(0, 1 << 50),
    )


@frozen
class Delivery:
    """Mail going elsewhere."""

    smarthost: str = _key(
        "",
        'Hand all outgoing mail to this server, "host:port". Empty: by the MX of each domain.',
        _address_or_empty,
    )
    smarthost_tls: str = _key(
        "verified",
        "TLS to the smarthost: verified (right certificate), required (any), opportunistic or none.",
        _one_of("verified", "required", "opportunistic", "none"),
    )
    smarthost_user: str = _key("", "Login at the smarthost; empty: none.")
    smarthost_password: str = attrs.field(
        default="",
        repr=False,
        metadata={
            "doc": "Its password. Better set POSTHOUSE_DELIVERY_SMARTHOST_PASSWORD in the environment.",
            "check": None,
        },
    )
    port: int = _key(25, "Port of other mail servers, when no smarthost is set.", _between(1, 65535))
    routes: tuple[str, ...] = _key(
        (),
        'Where mail for some domains goes instead, as "example.net=smtp://10.0.0.5:25" (or smtps://, lmtp://, '
        '"=mx"; "*.example.net" is all below). Private addresses are delivered to only when named here.',
        _route,
    )
    daily_recipients: int = _key(
        1000,
        "Recipients elsewhere of one user in 24 hours; more are told to come later. 0: no limit.",
        _between(0, 1_000_000),
    )
    daily_new_recipients: int = _key(
        200,
        "Among them those that the user never wrote to before: what a stolen password is worth. 0: no limit.",
        _between(0, 1_000_000),
    )
    concurrency: int = _key(50, "Outgoing connections at one time, altogether.", _between(1, 500))
    per_destination: int = _key(
        10,
        "Among them those to one destination, once it has shown that it takes mail.",
        _between(1, 100),
    )
    inside: tuple[str, ...] = _key(
        (),
        "Private networks that MX records and policy hosts of other domains may lead to; otherwise nobody's DNS "
        "reaches your machines inside.",
        _network,
    )
    dane: bool = _key(
        True,
        "Servers whose domain publishes TLSA records have to prove themselves by them (needs dns.trust_ad).",
    )
    mta_sts: bool = _key(True, "Servers whose domain has an MTA-STS policy have to keep to it.")
    mta_sts_port: int = _key(
        443, "Port of other domains' policy hosts; only tests have another.", _between(1, 65535)
    )
    tls_reports: str = _key(
        "",
        "Tell other domains once a day how TLS with their servers went, from this address of yours, such as "
        '"tls-reports@example.org". Empty: never, and nothing is counted.',
        _mailbox_or_empty,
    )


@frozen
class Dns:
    """Questions to the domain name system."""

    servers: tuple[str, ...] = _key(
        (), "Resolvers to ask, with or without a port; empty: those of /etc/resolv.conf.", _name_server
    )
    trust_ad: bool = _key(
        False,
        "Believe the resolvers that an answer was validated (DNSSEC), though they are on another machine; one on "
        "this machine always is believed.",
    )


@frozen
class Mailauth:
    """Who really sent it: SPF, DKIM and DMARC."""

    verify: bool = _key(True, "Check mail from other servers and write what was found into its header.")
    dmarc: str = _key(
        "enforce",
        "What a domain's DMARC policy does: enforce (reject, or the Junk folder) or report-only.",
        _one_of("enforce", "report-only"),
    )
    sign: bool = _key(True, "Sign our users' mail with the DKIM keys of their domains.")
    trusted: tuple[str, ...] = _key(
        (), "Networks whose mail is not checked, such as a relay of your own; loopback never is.", _network
    )
    sealers: tuple[str, ...] = _key(
        (),
        "Domains of forwarders and mailing lists that are believed when their chain (ARC) says that a message was "
        "authentic: what DMARC would refuse goes to Junk, what would go to Junk to the Inbox.",
        _hostname,
    )


@frozen
class Junk:
    """What goes to the Junk folder, beside what DMARC puts there."""

    words: bool = _key(
        True, "Learn from what each user moves into Junk and out of it, and judge by its words."
    )
    learn_from: int = _key(
        30,
        "So many messages of each kind must have been learned before their words count.",
        _between(5, 10_000),
    )
    threshold: int = _key(5, "Points from which a message is junk; more lets more through.", _between(2, 50))
    blocklists: tuple[str, ...] = _key(
        (),
        'DNS block lists, as "zen.example.org", or with the last bytes of the codes that count and the points that '
        'a listing is worth: "zen.example.org=2-11:5".',
        _zone,
    )
    rspamd: str = _key("", 'Ask an rspamd, such as "http://127.0.0.1:11333"; empty: none.', _http_url)
    rspamd_reject: bool = _key(
        False, "Refuse what rspamd rejects; otherwise it goes to the Junk folder, too."
    )
    greylist_seconds: int = _key(
        0,
        "Ask strangers to come again after so many seconds (240 is usual). 0: nobody waits.",
        _between(0, 3600),
    )


@frozen
class Auth:
    """Logins."""

    bcrypt_cost: int = _key(
        12, "Work factor of password hashes; one more doubles the time of a first login.", _between(4, 16)
    )
    exempt: tuple[str, ...] = _key(
        (), "Networks that are never throttled after failed logins; loopback never is.", _network
    )


@frozen
class Eas:
    """Exchange ActiveSync."""

    heartbeat_min: int = _key(
        60, "Shortest Ping or hanging Sync in seconds that a phone may ask for.", _between(1, 3540)
    )
    heartbeat_max: int = _key(
        3540,
        "Longest Ping or hanging Sync in seconds; 59 minutes is what the protocol allows.",
        _between(60, 3540),
    )
    highest_version: str = _key(
        "16.1",
        "Highest protocol version offered to phones.",
        _one_of(*EAS_VERSIONS),
    )
    request_limit: int = _key(
        60_000_000,
        "Largest request body in bytes (a phone sends mail in it).",
        _between(1_000_000, 1_000_000_000),
    )
    policy: str = _key(
        "default",
        "Policy of phones whose user was given none: none, default, pin, strict or one of your own "
        "(posthouse policy list).",
        _policy_name,
    )
    new_devices: str = _key(
        "allow",
        "A phone that connects for the first time: allow, or quarantine until an administrator allows it.",
        _one_of("allow", "quarantine"),
    )
    requests_per_minute: int = _key(
        1500,
        "Requests a minute of one phone; more are told to come later (503). 0: no limit. "
        "Networks in auth.exempt, and this machine, have none.",
        _between(0, 1_000_000),
    )
    ceilings: tuple[str, ...] = _key(
        (),
        'Highest protocol version by client, as "PART-OF-THE-USER-AGENT=VERSION", such as "OldMail/=14.0".',
        _ceiling,
    )
    provision_449: bool = _key(
        False, "Say HTTP 449 to every phone that has to provision; those known to need it hear it anyway."
    )


@frozen
class Log:
    """What is written about what happens: one JSON object a line, never a secret."""

    file: str = _key(
        "-", 'A file, or "-" for standard output (in the background: posthouse.log in the directory).'
    )
    level: str = _key("info", "Least important level written.", _one_of("debug", "info", "warn", "error"))
    format: str = _key("json", '"json" for machines, "text" for people.', _one_of("json", "text"))


@frozen
class Config:
    """The whole configuration. Sections and keys are exactly the TOML file's."""

    server: Server = attrs.field(factory=Server)
    listen: Listen = attrs.field(factory=Listen)
    tls: Tls = attrs.field(factory=Tls)
    smtp: Smtp = attrs.field(factory=Smtp)
    mailboxes: Mailboxes = attrs.field(factory=Mailboxes)
    delivery: Delivery = attrs.field(factory=Delivery)
    dns: Dns = attrs.field(factory=Dns)
    mailauth: Mailauth = attrs.field(factory=Mailauth)
    junk: Junk = attrs.field(factory=Junk)
    auth: Auth = attrs.field(factory=Auth)
    eas: Eas = attrs.field(factory=Eas)
    log: Log = attrs.field(factory=Log)

    @property
    def directory(self) -> Path:
        """The data directory."""
        return Path(self.server.directory)

    @property
    def database_path(self) -> Path:
        """The one SQLite file."""
        return self.directory / "posthouse.db"

    @property
    def control_path(self) -> Path:
        """The unix socket of the ``posthouse`` command."""
        return self.directory / "control.sock"

    @property
    def certificate_path(self) -> Path:
        """The PEM file with the certificate: configured, or self-made in the directory."""
        return Path(self.tls.certificate) if self.tls.certificate else self.directory / "selfsigned.pem"

    @property
    def key_path(self) -> Path:
        """The PEM file with the private key."""
        if self.tls.key:
            return Path(self.tls.key)
        return Path(self.tls.certificate) if self.tls.certificate else self.directory / "selfsigned.key"


SECTIONS: dict[str, type] = {
    "server": Server,
    "listen": Listen,
    "tls": Tls,
    "smtp": Smtp,
    "mailboxes": Mailboxes,
    "delivery": Delivery,
    "dns": Dns,
    "mailauth": Mailauth,
    "junk": Junk,
    "auth": Auth,
    "eas": Eas,
    "log": Log,
}
