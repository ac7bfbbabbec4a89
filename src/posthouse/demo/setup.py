"""Making the demo: configuration, domain, two users, a filled mailbox; and starting again from what is
there.

The promise: whatever interrupts the first start, the next one works: ``demo-secrets.json`` says whether
the mailbox was filled to the end; if not, the half-made database is thrown away. ``demo.json`` is there
only while the demo is ready for mail, so a script may wait for it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import succeed

from posthouse.admin.operations import Ports, run
from posthouse.admin.people import make_password
from posthouse.auth.passwords import hash_password
from posthouse.certs.selfsigned import write_private
from posthouse.cli.offline import now, wait
from posthouse.config import Config, from_mapping
from posthouse.daemon.preflight import check_database
from posthouse.demo.cast import Person
from posthouse.demo.directory import fill_directory
from posthouse.demo.fill import fill
from posthouse.errors import ConfigError
from posthouse.store.inline import InlineDatabase

__all__ = ["DEFAULT_PORTS", "Demo", "demo_config", "prepare"]

DOMAIN = "posthouse.test"  # RFC 6761 6.2: never a real domain
OWNER = Person("Ida Holm", f"ida@{DOMAIN}")
OTHER = Person("Bruno Salt", f"bruno@{DOMAIN}")
DEFAULT_PORTS = {"https": 8443, "smtp": 2525, "submission": 2587, "submissions": 2465}
_COST = 10  # of bcrypt; the passwords are random, and a demo should answer at once


@frozen
class Demo:
    """The demo's users, and whether it has just been made."""

    accounts: tuple[dict[str, Any], ...]
    fresh: bool


def demo_config(directory: Path, ports: dict[str, int], smarthost: str = "") -> Config:
    """The configuration of a demo on loopback.

    :param ports: as ``DEFAULT_PORTS``; 0 takes any free one.
    :raises ConfigError: a wrong port or smarthost.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigError(f"The directory {directory} cannot be made: {problem.strerror}.") from None
    return from_mapping(
        {
            "server": {"hostname": "localhost", "directory": str(directory)},
            "listen": {service: [f"127.0.0.1:{port}"] for service, port in ports.items()},
            "tls": {"names": ["127.0.0.1", "::1", DOMAIN, f"autodiscover.{DOMAIN}"]},
            "delivery": {
                "smarthost": smarthost,
                "smarthost_tls": "opportunistic",
                # Scripts try a lot in a day, and nobody's password is at stake.
                "daily_recipients": 0,
                "daily_new_recipients": 0,
            },
            "mailauth": {"verify": False},
            "auth": {"bcrypt_cost": _COST},
            "log": {"format": "text", "level": "info"},
        },
        where="the demo's options",
    )


def prepare(config: Config) -> Demo:
    """Make the demo's data unless they are there. Blocks for a few seconds the first time.

    :raises ConfigError: another process uses the directory, or its disk is full.
    """
    secrets = _path(config, "demo-secrets.json")
    known = _read(secrets)
    if known is None and config.database_path.exists():
        raise ConfigError(
            f"The directory {config.directory} holds the data of another server; name another one."
        )
    # Refuses while another process is at work here, so nothing below disturbs one.
    check_database(config.database_path)
    _path(config, "demo.json").unlink(missing_ok=True)
    if known is not None and known.get("filled"):
        return Demo(tuple(known["accounts"]), False)
    for name in _database_files(config):
        name.unlink(missing_ok=True)
    accounts = [
        {
            "address": person.address,
            "name": person.name,
            "password": make_password(os.urandom),
            "admin": admin,
        }
        for person, admin in ((OWNER, True), (OTHER, False))
    ]
    write_private(secrets, json.dumps({"filled": False, "accounts": accounts}, indent=1).encode())
    _make(config, accounts)
    write_private(secrets, json.dumps({"filled": True, "accounts": accounts}, indent=1).encode())
    return Demo(tuple(accounts), True)


def _make(config: Config, accounts: list[dict[str, Any]]) -> None:
    database = InlineDatabase(config.database_path).open()
    try:
        ports = Ports(
            db=database,
            now=now,
            random=os.urandom,
            hash_password=lambda password: succeed(hash_password(password, _COST)),
        )
        wait(run(ports, "domain add", {"domain": DOMAIN}))
        for account in accounts:
            wait(run(ports, "user add", account))
        wait(
            run(
                ports,
                "alias add",
                {"address": f"everybody@{DOMAIN}", "targets": [OWNER.address, OTHER.address]},
            )
        )
        fill_directory(ports, OWNER, OTHER)
        fill(database, OWNER, OTHER, now())
    finally:
        database.close()


def _database_files(config: Config) -> Iterator[Path]:
    for ending in ("", "-wal", "-shm"):
        yield Path(f"{config.database_path}{ending}")


def _path(config: Config, name: str) -> Path:
    return config.directory / name


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise ConfigError(f"{path} cannot be read; remove its directory to make the demo anew.") from None
    return found if isinstance(found, dict) else None
