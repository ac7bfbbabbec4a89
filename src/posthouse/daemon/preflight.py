"""Everything that can be known to be wrong before the reactor runs, each as one sentence.

The promise: when ``check`` returns, the directory, the database, the certificate and all ports are
good; the ports are *held*, since a test that lets go again proves nothing. Nothing runs yet and no
thread was started, so the process may still become a daemon."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AddressFamily

from attrs import field, frozen

from posthouse.certs.context import ContextSource
from posthouse.certs.selfsigned import ensure_selfsigned
from posthouse.config import Config, split_address
from posthouse.errors import ConfigError
from posthouse.settings import SERVICES
from posthouse.store.inline import InlineDatabase

__all__ = [
    "BACKLOG",
    "HeldPort",
    "acting_as",
    "check",
    "check_database",
    "contexts",
    "hold_ports",
    "now",
    "release",
]

BACKLOG = 1024
# sun_path has 108 bytes, one of them a NUL (unix(7)).
MAX_SOCKET_PATH = 107


@frozen
class HeldPort:
    """A listening socket that nobody accepts from yet."""

    service: str
    socket: socket.socket = field(repr=False)
    port: int

    @property
    def address(self) -> str:
        """The IP address that it is bound to."""
        return str(self.socket.getsockname()[0])

    @property
    def family(self) -> AddressFamily:
        """AF_INET or AF_INET6."""
        return self.socket.family


def check(
    config: Config,
    *,
    ports: bool = True,
    database: bool = True,
    uid: int | None = None,
    gid: int | None = None,
) -> list[HeldPort]:
    """Look at everything, hold the ports.

    :param uid: the user that the daemon will become after the ports are open; files are made as that user.
    :raises ConfigError: the first thing that is wrong; nothing is held then.
    """
    with acting_as(uid, gid):
        _directory(config.directory)
        if len(os.fsencode(config.control_path)) > MAX_SOCKET_PATH:
            raise ConfigError(
                f"The directory {config.directory} has too long a name for the control socket in it; "
                f"{MAX_SOCKET_PATH - len('/control.sock')} bytes are possible."
            )
        _log_file(config.log.file)
    held = hold_ports(config) if ports else []
    try:
        with acting_as(uid, gid):
            contexts(config)
            if database and ports:
                check_database(config.database_path)
    except BaseException:
        release(held)
        raise
    return held


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def contexts(config: Config) -> ContextSource:
    """The certificate that is configured, or the self-signed one, made when it is missing.

    :raises ConfigError: it cannot be read, or not be made.
    """
    if not config.tls.certificate:
        names = [config.server.hostname, *config.tls.names]
        ips = [name for name in names if _is_ip(name)]
        names = [name for name in names if not _is_ip(name)]
        ensure_selfsigned(config.certificate_path, config.key_path, names, ips, now())
    source = ContextSource(config.certificate_path, config.key_path, now)
    source.reload()
    return source


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_database(path: Path) -> None:
    """Lock, upgrade, unlock. Connections of SQLite must not live through the fork of a daemon."""
    try:
        database = InlineDatabase(path).open()
    except ConfigError as problem:
        if "in use" in problem.public:
            raise ConfigError(f"{problem.public[:-1]}; stop it first.") from problem
        raise
    database.close()


def _directory(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as problem:
        raise ConfigError(
            f"The directory {path} cannot be used: {problem.strerror}; posthouse init makes it."
        ) from None
    if not path.is_dir():
        raise ConfigError(f"{path} must be a directory.")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise ConfigError(f"The directory {path} cannot be written by this user.")
    if status.st_mode & 0o077:
        try:
            path.chmod(0o700)
        except OSError:
            raise ConfigError(
                f"The directory {path} can be read by others and belongs to another user; chmod it to 0700."
            ) from None


def _log_file(name: str) -> None:
    if name == "-":
        return
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as problem:
        raise ConfigError(f"The log file {name} cannot be written: {problem.strerror}.") from None


def hold_ports(config: Config) -> list[HeldPort]:
    """Open all listening sockets.

    :raises ConfigError: one cannot be opened; none stays open then.
    """
    held: list[HeldPort] = []
    try:
        for service in SERVICES:
            for address in getattr(config.listen, service):
                one = _hold(service, address)
                if one is not None:
                    held.append(one)
    except BaseException:
        release(held)
        raise
    if not held:
        raise ConfigError("No listener is configured; set at least one address in the section [listen].")
    return held


def release(held: list[HeldPort]) -> None:
    """Close them again."""
    for one in held:
        one.socket.close()


def _hold(service: str, address: str) -> HeldPort | None:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as problem:
        if family == socket.AF_INET6 and host == "::" and problem.errno == errno.EAFNOSUPPORT:
            return None  # a machine without IPv6: the default "[::]" must not keep it from starting
        raise ConfigError(f"Cannot listen on {address} ({service}): {problem.strerror}.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Beside 0.0.0.0, and so that IPv4 peers keep their own form of address.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        return HeldPort(service, listener, listener.getsockname()[1])
    except OSError as problem:
        listener.close()
        if host == "::" and problem.errno == errno.EADDRNOTAVAIL:
            return None
        raise ConfigError(_why(service, address, port, problem)) from None


def _why(service: str, address: str, port: int, problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"The port of {address} ({service}) is taken by another program."
    if problem.errno == errno.EACCES and port < 1024:
        return f"Listening on {address} ({service}) needs the capability CAP_NET_BIND_SERVICE or root."
    return f"Cannot listen on {address} ({service}): {problem.strerror}."


@contextmanager
def acting_as(uid: int | None, gid: int | None) -> Iterator[None]:
    """Make files as the user that ``twistd --uid`` will become; nothing when that is ourselves or unset."""
    if uid is None or os.geteuid() != 0:
        yield
        return
    group = os.getegid()
    os.setegid(gid if gid is not None else group)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
