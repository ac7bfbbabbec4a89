"""What every part of the running house stands on: store, bus, pools, certificate, and who is who.

Promise: ``lay`` opens and starts in this order, and has each thing stopped in the opposite one. What is put on it is
made by ``daemon.mail``, ``daemon.web``, ``daemon.control`` and ``daemon.doors``; none of these knows another's parts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random, SystemRandom
from typing import Any

from attrs import define, field

from posthouse.auth.login import Authenticator, LoginSettings
from posthouse.auth.throttle import Throttle
from posthouse.bus import Bus
from posthouse.certs.context import ContextSource
from posthouse.config import Config
from posthouse.daemon.preflight import HeldPort, contexts
from posthouse.daemon.stages import Stages
from posthouse.daemon.text import CatchUp
from posthouse.delivery.directory import Directory
from posthouse.demo.setup import Demo
from posthouse.model import News
from posthouse.store import accounts
from posthouse.store.db import Database
from posthouse.work.pool import Pool

__all__ = ["Ground", "lay"]


@define(eq=False)
class Ground:
    """:ivar demo: set when this is the server to try. :ivar held: the open ports. :ivar hashing: the pool for bcrypt.

    :ivar reactor: IReactorTime, IReactorThreads, IReactorTCP, IReactorUDP, IReactorUNIX and IReactorSocket.
    """

    config: Config
    demo: Demo | None
    held: list[HeldPort]
    reactor: Any
    certificates: ContextSource
    bus: Bus
    database: Database
    text: CatchUp
    hashing: Pool
    pool: Pool
    throttle: Throttle
    authenticator: Authenticator
    directory: Directory
    stages: Stages = field(factory=Stages)
    random: Random = field(factory=SystemRandom)


def lay(
    config: Config,
    demo: Demo | None,
    held: list[HeldPort],
    reactor: Any,
    stages: Stages,
    publish: Callable[[News], None],
) -> Ground:
    """Open the store and start the pools. :param publish: hears of every change once it is committed.

    :raises ConfigError: the certificate cannot be read, or the store not be opened.
    """
    certificates = contexts(config)
    database = Database(config.database_path, publish=publish, to_reactor=reactor.callFromThread)
    text = CatchUp(database, reactor)
    database.open()
    database.start()
    stages.started("store", database.stop)

    def pool(name: str, threads: int, queue: int) -> Pool:
        made = Pool(name, threads, queue, reactor.callFromThread)
        made.start()
        stages.started(f"pool {name}", made.stop)
        return made

    hashing = pool("bcrypt", max(1, (os.cpu_count() or 2) - 1), 200)
    work = pool("work", 4, 1000)
    throttle = Throttle(reactor, config.auth.exempt)
    login = LoginSettings(cost=config.auth.bcrypt_cost)
    return Ground(
        config=config,
        demo=demo,
        held=held,
        reactor=reactor,
        certificates=certificates,
        bus=Bus(),
        database=database,
        text=text,
        hashing=hashing,
        pool=work,
        throttle=throttle,
        authenticator=Authenticator(database, accounts, hashing, throttle, reactor, os.urandom(32), login),
        directory=Directory(database, reactor.seconds, quota=config.mailboxes.quota),
        stages=stages,
    )
