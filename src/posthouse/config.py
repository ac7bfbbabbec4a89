"""TOML file and environment in, one frozen ``Config`` out.

The promise: every key has one doc line and one default, from which ``etc/mailserver.toml`` is made;
whatever is wrong (an unknown key, a wrong type, a port that is none) is one ``ConfigError`` with one
plain sentence that names the key and what to write instead. Nothing is opened here but the file itself:
what the machine has to say (taken ports, unreadable certificates) is asked by ``posthouse.daemon.preflight``.

Environment variables ``POSTHOUSE_<SECTION>_<KEY>`` override the file; lists are written with commas there.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from posthouse.errors import ConfigError

__all__ = [
    "Auth",
    "Config",
    "Delivery",
    "Eas",
    "Listen",
    "Log",
    "Server",
    "Smtp",
    "Tls",
    "from_mapping",
    "load",
    "sample",
    "split_address",
]

MAX_FILE = 1_000_000  # bytes; a configuration is a page, not a database


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
    concurrency: int = _key(50, "Outgoing connections at one time, altogether.", _between(1, 500))


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
        _one_of("12.0", "12.1", "14.0", "14.1", "16.0", "16.1"),
    )
    request_limit: int = _key(
        60_000_000,
        "Largest request body in bytes (a phone sends mail in it).",
        _between(1_000_000, 1_000_000_000),
    )
    require_policy: bool = _key(True, "Phones must accept the server's policy before they see anything.")
    require_password: bool = _key(False, "The policy demands a device password (PIN).")


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
    delivery: Delivery = attrs.field(factory=Delivery)
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


_SECTIONS: dict[str, type] = {
    "server": Server,
    "listen": Listen,
    "tls": Tls,
    "smtp": Smtp,
    "delivery": Delivery,
    "auth": Auth,
    "eas": Eas,
    "log": Log,
}


def load(path: str | Path | None, environ: Mapping[str, str] | None = None) -> Config:
    """Read a TOML file (None: defaults only), then let the environment override it.

    :raises ConfigError: with the one sentence that the administrator needs.
    """
    data: dict[str, Any] = {}
    where = "the defaults"
    if path is not None:
        where = str(path)
        data = _read(Path(path))
    return from_mapping(data, where=where, environ=environ or {})


def from_mapping(
    data: Mapping[str, Any], *, where: str = "the configuration", environ: Mapping[str, str] | None = None
) -> Config:
    """A Config from ``{"server": {"hostname": ...}}``; same checks, same sentences as ``load``."""
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for name, content in data.items():
        if name not in _SECTIONS:
            raise ConfigError(_unknown(f'section "[{name}]"', where, name, list(_SECTIONS), "[{}]"))
        if not isinstance(content, dict):
            raise ConfigError(f'"{name}" in {where} must be a section: write [{name}] and its keys below it.')
        known = _fields(name)
        for key, value in content.items():
            if key not in known:
                hint = _elsewhere(key, name) or ""
                raise ConfigError(
                    _unknown(f'key "{name}.{key}"', where, key, list(known), name + ".{}", hint)
                )
            sections[name][key] = _typed(f"{name}.{key}", known[key], value, where)
    for variable, name, key in _variables(environ or {}):
        text = (environ or {})[variable]
        sections[name][key] = _from_text(f"{variable}", _fields(name)[key], text)
    config = Config(**{name: _SECTIONS[name](**values) for name, values in sections.items()})
    _together(config, where)
    return config


def sample() -> str:
    """The text of ``etc/mailserver.toml``: every key with its doc line, commented out at its default."""
    lines = [
        "# Posthouse: the configuration of `twistd mailserver --config THIS-FILE`.",
        "# Every key is shown with its default; remove the # to change one. An environment variable",
        "# POSTHOUSE_<SECTION>_<KEY> (such as POSTHOUSE_SERVER_HOSTNAME) overrides the file.",
    ]
    for name, section in _SECTIONS.items():
        lines += ["", f"# {(section.__doc__ or '').strip()}", f"[{name}]"]
        for key, attribute in _fields(name).items():
            lines.append(f"# {attribute.metadata['doc']}")
            lines.append(f"#{key} = {as_toml(attribute.default)}")
    return "\n".join(lines) + "\n"


def as_toml(value: Any) -> str:
    """A value of one key as TOML writes it (JSON's strings are TOML's basic strings)."""
    if isinstance(value, tuple):
        return "[" + ", ".join(as_toml(part) for part in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE + 1)
    except OSError as problem:
        raise ConfigError(f"The configuration {path} cannot be read: {problem.strerror}.") from None
    if len(raw) > MAX_FILE:
        raise ConfigError(f"The configuration {path} is larger than {MAX_FILE} bytes.")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"The configuration {path} is not UTF-8 text.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise ConfigError(f"The configuration {path} is not valid TOML: {problem}.") from None


def _fields(section: str) -> dict[str, attrs.Attribute[Any]]:
    return {attribute.name: attribute for attribute in attrs.fields(_SECTIONS[section])}


def _unknown(what: str, where: str, word: str, known: list[str], form: str, hint: str = "") -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.55)
    if hint:
        return f'Unknown {what} in {where}; did you mean "{hint}"?'
    if near:
        return f'Unknown {what} in {where}; did you mean "{form.format(near[0])}"?'
    return f"Unknown {what} in {where}; known are {', '.join(known)}."


def _elsewhere(key: str, section: str) -> str | None:
    """The right key in the wrong section is the commonest mistake after a typing error."""
    for name in _SECTIONS:
        if name != section and key in _fields(name):
            return f"{name}.{key}"
    return None


_KINDS = {bool: "true or false", int: "a whole number", str: "a text in quotes", tuple: "a list of texts"}


def _typed(name: str, attribute: attrs.Attribute[Any], value: Any, where: str) -> Any:
    kind = type(attribute.default)
    if kind is tuple:
        good = isinstance(value, list) and all(isinstance(part, str) for part in value)
    elif kind is int:
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = isinstance(value, kind)
    if not good:
        raise ConfigError(f'"{name}" in {where} must be {_KINDS[kind]}, such as {_example(attribute)}.')
    value = tuple(value) if kind is tuple else value
    _checked(f'"{name}" in {where}', attribute, value)
    return value


def _from_text(variable: str, attribute: attrs.Attribute[Any], text: str) -> Any:
    kind = type(attribute.default)
    value: Any = text
    try:
        if kind is bool:
            value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.lower()
            ]
        elif kind is int:
            value = int(text) if len(text) < 20 else [][0]
        elif kind is tuple:
            value = tuple(part.strip() for part in text.split(",") if part.strip())
    except (KeyError, ValueError, IndexError):
        raise ConfigError(f"The environment variable {variable} must be {_KINDS[kind]}.") from None
    _checked(f"The environment variable {variable}", attribute, value)
    return value


def _checked(what: str, attribute: attrs.Attribute[Any], value: Any) -> None:
    check = attribute.metadata["check"]
    if check is None:
        return
    try:
        for part in value if isinstance(value, tuple) else (value,):
            check(part)
    except ValueError as problem:
        raise ConfigError(f"{what} {problem}.") from None


def _example(attribute: attrs.Attribute[Any]) -> str:
    return as_toml(attribute.default) if attribute.default != () else '["192.0.2.0/24"]'


def _variables(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(variable, section, key) of what belongs to us.

    A variable whose section we do not know is somebody else's: Kubernetes sets POSTHOUSE_SERVICE_HOST and
    POSTHOUSE_PORT for a service of that name. A wrong key in a known section is a mistake and is refused.
    """
    found = []
    for variable in sorted(environ):
        if not variable.startswith("POSTHOUSE_"):
            continue
        name, _, key = variable.removeprefix("POSTHOUSE_").lower().partition("_")
        if name not in _SECTIONS or not key:
            continue
        known = _fields(name)
        if key not in known:
            form = f"POSTHOUSE_{name.upper()}_"
            near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.55)
            advice = f'did you mean "{form}{near[0].upper()}"' if near else f"known are {', '.join(known)}"
            raise ConfigError(f"Unknown environment variable {variable}; {advice}.")
        found.append((variable, name, key))
    return found


def _together(config: Config, where: str) -> None:
    """What no single key can tell."""
    if config.eas.heartbeat_min > config.eas.heartbeat_max:
        raise ConfigError(f'"eas.heartbeat_min" in {where} must not be greater than "eas.heartbeat_max".')
    if config.tls.key and not config.tls.certificate:
        raise ConfigError(f'"tls.key" in {where} needs "tls.certificate" beside it.')
    if not config.server.directory:
        raise ConfigError(f'"server.directory" in {where} must name a directory.')
    seen: dict[str, str] = {}
    for service in _fields("listen"):
        for address in getattr(config.listen, service):
            if address in seen and not address.endswith(":0"):
                raise ConfigError(
                    f'"listen.{service}" in {where} repeats {address} of "listen.{seen[address]}".'
                )
            seen[address] = service
