"""The mail side, put together: what takes mail in, what sends it out, and what waits in between.

Promise: nothing of it moves before ``start``; in the demo mail for elsewhere is caught, unless a smarthost is named.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.logger import Logger

from posthouse.daemon.ground import Ground
from posthouse.daemon.inward import sifter_of
from posthouse.daemon.listeners import own_addresses
from posthouse.daemon.outward import WayOut, make_resolver, report_delay, tls_reports, way_out
from posthouse.daemon.preflight import now
from posthouse.delivery.absence import AutoReply
from posthouse.delivery.attempt import Sender
from posthouse.delivery.authentication import Verifier
from posthouse.delivery.bounce import Reporter
from posthouse.delivery.catcher import Catcher
from posthouse.delivery.fullness import Fullness
from posthouse.delivery.holding import Holding
from posthouse.delivery.intake import Intake, reserve_of
from posthouse.delivery.lanes import Lanes
from posthouse.delivery.routes import Routes
from posthouse.delivery.runner import Runner
from posthouse.delivery.sifting import Sifter
from posthouse.delivery.signing import Signer
from posthouse.delivery.submission import Submission
from posthouse.delivery.tls_reports import TlsReports
from posthouse.dns.resolver import Resolver
from posthouse.mime.scan import Scanner
from posthouse.store.allowance import Allowance
from posthouse.store.bodies import CHUNK, prepare_chunk
from posthouse.work.memory import Memory
from posthouse.work.spool import RESERVE, SHARED_MEMORY, Packing, Spool

__all__ = ["Mail", "build_mail"]

_log = Logger("posthouse.daemon")


@define(eq=False)
class Mail:
    """:ivar way: None in the demo, which catches what is for elsewhere."""

    ground: Ground
    resolver: Resolver
    way: WayOut | None
    intake: Intake
    outbox: Submission
    runner: Runner
    holding: Holding
    fullness: Fullness
    sifter: Sifter
    signer: Signer

    def hear(self) -> None:
        """Something was queued or held. Cheap, at any time."""
        self.runner.hear()
        self.holding.poke()

    def forget(self) -> None:
        """Domains, users, aliases or keys may be others now."""
        self.ground.directory.forget()
        self.sifter.traits.forget()
        self.signer.forget()

    def start(self) -> None:
        """Begin with what lies in the queue, and with what waits for its time."""
        stages = self.ground.stages
        started = self.runner.start()
        started.addErrback(lambda failure: _log.failure("the queue did not start", failure))
        stages.started("queue", self.runner.stop)
        self.holding.start()
        stages.started("held mail", self.holding.stop)

    def tls_reports(self) -> TlsReports | None:
        """Who tells other domains how TLS with them went; None when nobody shall."""
        if self.way is None:
            return None
        ground = self.ground
        return tls_reports(ground.config, self.way, self.runner.sender, ground.pool, ground.random, now)


def build_mail(ground: Ground) -> Mail:
    """The way in and the way out."""
    config, reactor, database, pool = ground.config, ground.reactor, ground.database, ground.pool
    random, hostname = ground.random, config.server.hostname
    resolver = make_resolver(config, reactor, random)

    def free_space() -> int:
        return shutil.disk_usage(config.directory).free

    min_free = reserve_of(shutil.disk_usage(config.directory).total)
    reporter = Reporter(hostname, lambda: f"{random.getrandbits(96):x}")
    auto_reply = AutoReply(reporter)
    allowance = Allowance(config.delivery.daily_recipients, config.delivery.daily_new_recipients)
    intake = Intake(
        database=database,
        directory=ground.directory,
        pool=pool,
        new_spool=_spools(ground, min_free),
        hostname=hostname,
        seconds=reactor.seconds,
        random=random,
        free_space=free_space,
        min_free=min_free,
    )
    intake.auto_reply, intake.reporter, intake.allowance = auto_reply, reporter, allowance
    outbox = Submission(
        database=database,
        directory=ground.directory,
        pool=pool,
        reporter=reporter,
        hostname=hostname,
        clock=reactor,
        random=random,
        free_space=free_space,
        min_free=min_free,
        size_limit=config.smtp.size_limit,
        auto_reply=auto_reply,
        allowance=allowance,
    )
    way, relay, routes = _way_out(ground, resolver)
    sender = Sender(database, relay, routes, reporter, random, now, pool)
    if way is not None:
        sender.security = way.security
        sender.report_delay = report_delay(config, random)
    most = config.delivery.per_destination
    lanes = Lanes(config.delivery.concurrency, first=min(2, most), most=most)
    sifter = sifter_of(config, reactor, resolver, database, pool, reporter, allowance)
    intake.sifter = outbox.sifter = sifter
    intake.verifier = _verifier(ground, resolver)
    signer = Signer(database, pool)
    if config.mailauth.sign:
        intake.signer = outbox.signer = sender.signer = signer
    return Mail(
        ground=ground,
        resolver=resolver,
        way=way,
        intake=intake,
        outbox=outbox,
        runner=Runner(database, sender, reactor, lanes),
        holding=Holding(outbox, reactor),
        fullness=Fullness(database, reporter, config.mailboxes.quota),
        sifter=sifter,
        signer=signer,
    )


def _spools(ground: Ground, min_free: int) -> Callable[[], Spool]:
    """Where a message lies on its way in; all of them share one measure of memory."""
    directory = ground.config.directory / "spool"
    directory.mkdir(mode=0o700, exist_ok=True)
    memory = Memory(SHARED_MEMORY)
    packing = Packing(CHUNK, prepare_chunk)

    def new_spool() -> Spool:
        return Spool(
            directory,
            ground.pool,
            reserve=min(RESERVE, min_free),
            scanner=Scanner(),
            memory=memory,
            packing=packing,
        )

    return new_spool


def _way_out(ground: Ground, resolver: Resolver) -> tuple[WayOut | None, Any, Routes | None]:
    """The way, its relay and its routes; the demo catches mail for elsewhere unless a smarthost is named."""
    config = ground.config
    if ground.demo is not None and not config.delivery.smarthost:
        return None, Catcher(ground.database, ground.pool, ground.reactor.seconds), None
    addresses = frozenset(own_addresses(ground.held))
    way = way_out(config, ground.reactor, resolver, ground.database, addresses, now)
    ground.stages.started("connections", way.relay.close)
    return way, way.relay, way.routes


def _verifier(ground: Ground, resolver: Resolver) -> Verifier | None:
    """Who looks at mail from outside, if somebody shall."""
    wanted = ground.config.mailauth
    if not wanted.verify:
        return None
    return Verifier(
        resolver.lookup,
        ground.reactor,
        ground.pool,
        ground.config.server.hostname,
        enforce=wanted.dmarc == "enforce",
        trusted=wanted.trusted,
        sealers=frozenset(name.lower() for name in wanted.sealers),
        known=resolver.known,
    )
