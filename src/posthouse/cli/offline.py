"""The same operations when the daemon is down: under the store's lock, in this process, without a reactor."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from posthouse.admin.operations import Ports, run
from posthouse.auth.passwords import hash_password
from posthouse.config import Config
from posthouse.daemon.preflight import acting_as
from posthouse.delivery.sorting import trial
from posthouse.errors import NoSuchThing, TryLater
from posthouse.mailauth.dkim_sign import make_key
from posthouse.store.db import open_for_tool

__all__ = ["call_offline", "now", "wait"]


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def call_offline(config: Config, name: str, arguments: dict[str, Any]) -> Any:
    """Run one operation on the closed house.

    :raises NoSuchThing: there is no data directory. :raises ConfigError: another process has the lock.
    """
    try:
        owner = config.directory.stat()
    except OSError as problem:
        raise NoSuchThing(
            f"The directory {config.directory} cannot be used: {problem.strerror}; begin with: posthouse init"
        ) from None
    # Root must not leave files behind that the server's own user cannot open.
    with acting_as(owner.st_uid, owner.st_gid):
        return _call(config, name, arguments)


def _call(config: Config, name: str, arguments: dict[str, Any]) -> Any:
    database = open_for_tool(config.database_path)
    try:

        def hashed(password: bytes) -> Awaitable[str]:
            return succeed(hash_password(password, config.auth.bcrypt_cost))

        def made(kind: str) -> Awaitable[bytes]:
            return succeed(make_key(kind))

        ports = Ports(
            db=database,
            now=now,
            random=os.urandom,
            hash_password=hashed,
            make_key=made,
            hostname=config.server.hostname,
            default_policy=config.eas.policy,
            quota=config.mailboxes.quota,
            try_rules=trial,
        )
        return wait(run(ports, name, arguments))
    finally:
        wait_for(database.stop())


def wait(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Any:
    """The result of a coroutine whose every Deferred fires at once."""
    return wait_for(Deferred.fromCoroutine(coroutine))


def wait_for(deferred: Deferred[Any] | None) -> Any:
    """The result of a Deferred that has fired; its exception is raised."""
    if deferred is None:
        return None
    results: list[Any] = []
    deferred.addBoth(results.append)
    if not results:
        raise TryLater(cause="an operation waited for something that only the daemon has")
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]
