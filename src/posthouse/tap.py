"""``twistd mailserver``: the composition root, the only module that sees every room and the only one that
knows the global reactor.

The promise: ``makeService`` opens nothing; ``startService`` opens the store first and the listeners
last, and only then says that the server is ready; ``stopService`` goes the other way round: listeners,
queue, pools, store."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from random import SystemRandom
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import ILogObserver, Logger

from posthouse.admin.control import ControlFactory
from posthouse.admin.operations import Ports
from posthouse.auth.login import Authenticator, LoginSettings
from posthouse.auth.passwords import hash_password
from posthouse.auth.throttle import Throttle
from posthouse.autodiscover.resources import Places
from posthouse.autodiscover.resources import routes as autodiscover_routes
from posthouse.bus import Bus
from posthouse.config import Config
from posthouse.daemon.chores import Chore, Chores
from posthouse.daemon.front import Front
from posthouse.daemon.inward import sifter_of
from posthouse.daemon.lessons import learn_some
from posthouse.daemon.limits import raise_file_limit
from posthouse.daemon.listeners import (
    behind_balancers,
    exempt_networks,
    over_tls,
    own_addresses,
    stop_listening,
)
from posthouse.daemon.logs import LineObserver
from posthouse.daemon.options import Options
from posthouse.daemon.outward import WayOut, make_resolver, report_delay, tls_reports, way_out
from posthouse.daemon.preflight import HeldPort, contexts, now
from posthouse.daemon.stages import Stages
from posthouse.daemon.sts import PATH as STS_PATH
from posthouse.daemon.sts import StsResource
from posthouse.daemon.systemd import notify, watchdog_seconds
from posthouse.daemon.text import CatchUp
from posthouse.daemon.translate import eas_settings
from posthouse.daemon.watch import Watchdog
from posthouse.delivery.absence import AutoReply
from posthouse.delivery.attempt import Sender
from posthouse.delivery.authentication import Verifier
from posthouse.delivery.bounce import Reporter
from posthouse.delivery.catcher import Catcher
from posthouse.delivery.directory import Directory
from posthouse.delivery.fullness import Fullness
from posthouse.delivery.holding import Holding
from posthouse.delivery.intake import Intake, reserve_of
from posthouse.delivery.lanes import Lanes
from posthouse.delivery.routes import Routes
from posthouse.delivery.runner import Runner
from posthouse.delivery.signing import Signer
from posthouse.delivery.sorting import trial
from posthouse.delivery.submission import Submission
from posthouse.demo.greeting import facts, greeting, withdraw, write_facts
from posthouse.eas.endpoint import PATH as EAS_PATH
from posthouse.eas.endpoint import Endpoint
from posthouse.eas.live import live_view, recent_view
from posthouse.eas.services import Services
from posthouse.errors import ConfigError, PosthouseError
from posthouse.http.limits import HttpLimits
from posthouse.http.site import Router, Site
from posthouse.mailauth.dkim_sign import make_key
from posthouse.mime.scan import Scanner
from posthouse.model import News
from posthouse.policy import PRESETS
from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.rates import PeerRates
from posthouse.smtp.server import SMTPFactory
from posthouse.smtp.settings import SmtpSettings
from posthouse.store import accounts, housekeeping, policies
from posthouse.store.allowance import Allowance
from posthouse.store.bodies import CHUNK, prepare_chunk
from posthouse.store.db import Database
from posthouse.store.outbox import QUEUE
from posthouse.work.memory import Memory
from posthouse.work.pool import Pool
from posthouse.work.spool import RESERVE, SHARED_MEMORY, Packing, Spool

__all__ = ["MailServer", "Options", "makeService"]

_log = Logger("posthouse.daemon")
_HALF_YEAR = 15_552_000  # seconds, for Strict-Transport-Security


def makeService(options: Options) -> Service:
    """What twistd calls after the options were checked; opens nothing."""
    from twisted.internet import reactor

    return MailServer(options, reactor)


class MailServer(Service):
    """The whole house. ``stages`` knows how to stop what was started."""

    name = "posthouse"

    def __init__(self, options: Options, reactor: Any) -> None:
        self.options = options
        self.config: Config = options.config
        self.reactor = reactor
        self.stages = Stages()
        self.random = SystemRandom()
        self.way: WayOut | None = None

    def setServiceParent(self, parent: Any) -> None:
        """Give twistd our log observer before it begins to log, unless it was told of another one."""
        chosen: Any = self.options.parent or {}
        if not any(chosen.get(name) for name in ("logger", "syslog")):
            log = self.config.log
            file = chosen.get("logfile") or log.file
            if file == "-" and not chosen.get("nodaemon", True):
                # A daemon has no standard output; what it says must not be lost.
                file = str(self.config.directory / "posthouse.log")
            parent.setComponent(ILogObserver, LineObserver.to_file(file, log.level, log.format))
        super().setServiceParent(parent)

    # -- starting ------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Start everything in order. SystemExit(2) after one sentence when something cannot be opened."""
        super().startService()
        # A thread that computes must give the reactor its turn quickly.
        sys.setswitchinterval(0.0001)
        # What is there now stays until the end: the collector need not look at it again and again. What mail
        # leaves behind in cycles is little.
        gc.collect()
        gc.freeze()
        # Ten times the usual, and no more: a round over 50,000 young objects took 28 ms of the reactor.
        gc.set_threshold(10_000, 10, 100)
        raise_file_limit()
        try:
            self._start()
        except ConfigError as problem:
            print(f"posthouse: {problem.public}", file=sys.__stderr__)  # sys.stderr is the log by now
            raise SystemExit(2) from None

    def _start(self) -> None:
        config, reactor, stages = self.config, self.reactor, self.stages
        self.certificates = contexts(config)
        self.bus = Bus()
        self.database = Database(
            config.database_path, publish=self._publish, to_reactor=reactor.callFromThread
        )
        self.text = CatchUp(self.database, reactor)
        self.database.open()
        self.database.start()
        stages.started("store", self.database.stop)
        self.hashing = self._pool("bcrypt", max(1, (os.cpu_count() or 2) - 1), 200)
        self.pool = self._pool("work", 4, 1000)
        self._people()
        self._mail()
        self._phones()
        self._control()
        self._chores()
        self._listen(self.options.held)
        self._signals()
        self._ready()

    def _publish(self, news: News) -> None:
        """A change is committed: wake who waits for it."""
        if news.mailbox_id == QUEUE:
            self.runner.hear()
            self.holding.poke()
            return
        self.text.heard()
        self.bus.publish(news)

    def _pool(self, name: str, threads: int, queue: int) -> Pool:
        pool = Pool(name, threads, queue, self.reactor.callFromThread)
        pool.start()
        self.stages.started(f"pool {name}", pool.stop)
        return pool

    def _people(self) -> None:
        config = self.config
        self.throttle = Throttle(self.reactor, config.auth.exempt)
        self.authenticator = Authenticator(
            self.database,
            accounts,
            self.hashing,
            self.throttle,
            self.reactor,
            os.urandom(32),
            LoginSettings(cost=config.auth.bcrypt_cost),
        )
        self.directory = Directory(self.database, self.reactor.seconds, quota=config.mailboxes.quota)

    def _mail(self) -> None:
        """The way in and the way out."""
        config, hostname = self.config, self.config.server.hostname
        self.resolver = make_resolver(config, self.reactor, self.random)
        spool_directory = config.directory / "spool"
        spool_directory.mkdir(mode=0o700, exist_ok=True)

        def free_space() -> int:
            return shutil.disk_usage(config.directory).free

        min_free = reserve_of(shutil.disk_usage(config.directory).total)

        memory = Memory(SHARED_MEMORY)
        packing = Packing(CHUNK, prepare_chunk)

        def new_spool() -> Spool:
            return Spool(
                spool_directory,
                self.pool,
                reserve=min(RESERVE, min_free),
                scanner=Scanner(),
                memory=memory,
                packing=packing,
            )

        self.intake = Intake(
            database=self.database,
            directory=self.directory,
            pool=self.pool,
            new_spool=new_spool,
            hostname=hostname,
            seconds=self.reactor.seconds,
            random=self.random,
            free_space=free_space,
            min_free=min_free,
        )
        reporter = Reporter(hostname, lambda: f"{self.random.getrandbits(96):x}")
        self.intake.auto_reply = auto_reply = AutoReply(reporter)
        self.intake.reporter = reporter
        self.intake.allowance = allowance = Allowance(
            config.delivery.daily_recipients, config.delivery.daily_new_recipients
        )
        self.outbox = Submission(
            database=self.database,
            directory=self.directory,
            pool=self.pool,
            reporter=reporter,
            hostname=hostname,
            clock=self.reactor,
            random=self.random,
            free_space=free_space,
            min_free=min_free,
            size_limit=config.smtp.size_limit,
            auto_reply=auto_reply,
            allowance=allowance,
        )
        sender = Sender(self.database, *self._way_out(), reporter, self.random, now, self.pool)
        if self.way is not None:
            sender.security = self.way.security
            sender.report_delay = report_delay(config, self.random)
        lanes = Lanes(
            config.delivery.concurrency,
            first=min(2, config.delivery.per_destination),
            most=config.delivery.per_destination,
        )
        self.runner = Runner(self.database, sender, self.reactor, lanes)
        self.holding = Holding(self.outbox, self.reactor)
        self.fullness = Fullness(self.database, reporter, config.mailboxes.quota)
        self.sifter = self.intake.sifter = self.outbox.sifter = sifter_of(
            config, self.reactor, self.resolver, self.database, self.pool, reporter, allowance
        )
        self._mail_authentication()

    def _mail_authentication(self) -> None:
        """Who looks at mail from outside, and who signs ours."""
        wanted = self.config.mailauth
        if wanted.verify:
            self.intake.verifier = Verifier(
                self.resolver.lookup,
                self.reactor,
                self.pool,
                self.config.server.hostname,
                enforce=wanted.dmarc == "enforce",
                trusted=wanted.trusted,
                sealers=frozenset(name.lower() for name in wanted.sealers),
                known=self.resolver.known,
            )
        self.signer = Signer(self.database, self.pool)
        if wanted.sign:
            self.intake.signer = self.outbox.signer = self.runner.sender.signer = self.signer

    def _way_out(self) -> tuple[Any, Routes | None]:
        """The relay and the routes; the demo catches mail for elsewhere unless a smarthost is named."""
        delivery = self.config.delivery
        if self.options.demo is not None and not delivery.smarthost:
            return Catcher(self.database, self.pool, self.reactor.seconds), None
        addresses = frozenset(own_addresses(self.options.held))
        self.way = way_out(self.config, self.reactor, self.resolver, self.database, addresses, now)
        self.stages.started("connections", self.way.relay.close)
        return self.way.relay, self.way.routes

    def _phones(self) -> None:
        """Everything behind HTTPS."""
        config, eas = self.config, self.config.eas
        self.phones = services = Services(
            db=self.database,
            bus=self.bus,
            outbox=self.outbox,
            authenticator=self.authenticator,
            clock=self.reactor,
            random=os.urandom,
            pool=self.pool,
            settings=eas_settings(config, self.throttle.is_exempt),
        )
        self._check_policy(eas.policy)
        router = Router({"": Front(), EAS_PATH: Endpoint(services)})
        router.add(STS_PATH, StsResource(self.database, self.pool, config.server.hostname))
        places = Places(self._base())
        found = autodiscover_routes(self.authenticator, places, self.pool, now, self.directory.belongs)
        for prefix, resource in found.items():
            router.add(prefix, resource)
        limits = HttpLimits(bodies={EAS_PATH: eas.request_limit}, protected=frozenset([EAS_PATH]))
        hsts = _HALF_YEAR if config.tls.certificate else 0
        doors = ConnectionLimits(
            self.reactor,
            per_address=config.listen.https_connections,
            per_minute=10 * config.listen.https_connections,
            total=100 * config.listen.https_connections,
            exempt=exempt_networks(config),
        )
        self.site = Site(router, self.reactor, limits, hsts, doors)

    def _check_policy(self, name: str) -> None:
        """A name that means nothing is served as the default; whoever wrote it should hear so."""

        def tell(row: Any) -> None:
            if row is None:
                _log.error('there is no policy "{name}" (eas.policy); phones get the default', name=name)

        if name not in PRESETS:
            asked = self.database.read(lambda tx: policies.policy_named(tx, name))
            asked.addCallbacks(tell, lambda failure: _log.failure("the policy was not looked up", failure))

    def _base(self) -> str:
        """The address of the web site. The demo's phones know the machine by its number only."""
        if self.options.demo is not None:
            port = next(one.port for one in self.options.held if one.service == "https")
            return f"https://127.0.0.1:{port}"
        return f"https://{self.config.server.hostname}"

    def _control(self) -> None:
        path = self.config.control_path
        ports = Ports(
            db=self.database,
            now=now,
            random=os.urandom,
            hash_password=lambda password: self.hashing.run(
                hash_password, password, self.config.auth.bcrypt_cost
            ),
            forget=self._turn_out,
            changed=self._forget_routes,
            run_queue=self.runner.poke,
            status=self._status,
            release=self.phones.yard.release,
            live=lambda: live_view(self.phones),
            recent=lambda device: recent_view(self.phones, device),
            default_policy=self.config.eas.policy,
            make_key=lambda kind: self.hashing.run(make_key, kind),
            lookup=self.resolver.lookup,
            hostname=self.config.server.hostname,
            certificate=lambda: self.certificates.pair.certificate,
            quota=self.config.mailboxes.quota,
            try_rules=trial,
        )
        # We hold the database's lock: whatever lies there was left by a process that is dead.
        path.unlink(missing_ok=True)
        port = self.reactor.listenUNIX(str(path), ControlFactory(ports), backlog=50, mode=0o600)
        self.stages.started("control", port.stopListening)

    def _forget_routes(self) -> None:
        """Domains, users, aliases or keys may be others now."""
        self.directory.forget()
        self.sifter.traits.forget()
        self.signer.forget()

    def _turn_out(self, account_id: int, mailbox_id: int) -> None:
        """An account's credentials changed: nothing that was opened with the old ones goes on."""
        self.authenticator.forget(account_id)
        self.site.turn_out(account_id)
        for factory in self.smtp_factories:
            for session in list(factory.sessions):
                if session.account is not None and session.account.id == account_id:
                    session.shut_down()

    def _status(self) -> dict[str, Any]:
        return {
            "running": True,
            "pid": os.getpid(),
            "hostname": self.config.server.hostname,
            "started": self.started,
            "smtp_sessions": sum(len(factory.sessions) for factory in self.smtp_factories),
            "waiting_requests": self.bus.listening,
            "waiting_writes": self.database.waiting,
            "wal_bytes": self.database.wal_size,
            "deliveries": self.runner.busy,
            "reactor_held_ms": round(self.watchdog.worst * 1000),
        }

    def _chores(self) -> None:
        async def sweep() -> int:
            return int(await self.database.write(lambda tx: housekeeping.housekeep(tx, now())))

        async def certificate() -> int:
            self._say_warnings(self.certificates.reload_if_changed())
            return 0

        chores = [
            Chore("full text", self.text.step, every=1.0, pause=0.05),
            Chore("housekeeping", sweep, every=60.0),
            Chore("full mailboxes", lambda: self.fullness.step(now()), every=60.0),
            Chore("junk", lambda: learn_some(self.database, self.reactor, now), every=10.0, pause=0.1),
            Chore("certificate", certificate, every=3600.0),
        ]
        if self.way is not None:
            reports = tls_reports(self.config, self.way, self.runner.sender, self.pool, self.random, now)
            if reports is not None:
                chores.append(Chore("TLS reports", reports.step, every=600.0))
        self.chores = Chores(
            self.reactor,
            chores,
            # A burst of mail goes first; what it left is indexed afterwards.
            busy=lambda: self.database.waiting > 0,
        )
        self.chores.start()
        self.stages.started("chores", self.chores.stop)
        started = self.runner.start()
        started.addErrback(lambda failure: _log.failure("the queue did not start", failure))
        self.stages.started("queue", self.runner.stop)
        self.holding.start()
        self.stages.started("held mail", self.holding.stop)
        self.watchdog = Watchdog(
            self.reactor,
            lambda: notify(os.environ, "WATCHDOG=1"),
            watchdog_seconds(os.environ, os.getpid()),
        )
        self.watchdog.start()
        self.stages.started("watchdog", self.watchdog.stop)

    # -- listeners -----------------------------------------------------------------------------------------

    def _listen(self, held: list[HeldPort]) -> None:
        wanted = self.config.smtp
        limits = ConnectionLimits(
            self.reactor,
            per_address=wanted.connections,
            per_minute=wanted.connections_per_minute,
            exempt=exempt_networks(self.config),
        )
        rates = PeerRates(
            self.reactor,
            limits,
            messages=wanted.messages_per_minute,
            recipients=wanted.recipients_per_minute,
            unknown=wanted.unknown_per_hour,
        )
        starttls = self.certificates.server_context_factory()
        default_domain = self.config.server.hostname
        if self.options.demo is not None:
            default_domain = self.options.demo.accounts[0]["address"].partition("@")[2]
        factories: dict[str, Any] = {}
        self.smtp_factories: list[SMTPFactory] = []
        for service, role in (("smtp", "mx"), ("submission", "submission"), ("submissions", "submissions")):
            settings = SmtpSettings(
                role=role,
                hostname=self.config.server.hostname,
                default_domain=default_domain,
                size_limit=wanted.size_limit,
                max_recipients=wanted.recipients,
                idle_timeout=float(wanted.idle_seconds),
                unknown_limit=wanted.unknown_recipients,
            )
            factory = SMTPFactory(
                settings, self.intake, self.authenticator, starttls, self.reactor, limits, rates=rates
            )
            self.smtp_factories.append(factory)
            factories[service] = factory
        factories["submissions"] = over_tls(starttls, factories["submissions"], self.reactor)
        web = self.certificates.server_context_factory([b"http/1.1"])
        factories["https"] = over_tls(web, self.site, self.reactor)
        for service in factories:
            factories[service] = behind_balancers(
                self.config.listen.proxied, service, factories[service], self.reactor
            )
        ports = []
        for one in held:
            ports.append(
                self.reactor.adoptStreamPort(one.socket.fileno(), one.family, factories[one.service])
            )
            one.socket.close()  # the reactor has its own copy
        self.stages.started("sessions", self._close_sessions)
        self.stages.started("listeners", lambda: stop_listening(ports))

    def _close_sessions(self) -> Deferred[Any]:
        return DeferredList([factory.close_all() for factory in self.smtp_factories])

    # -- signals and systemd -------------------------------------------------------------------------------

    def _signals(self) -> None:
        def reload(*_: Any) -> None:
            self.reactor.callFromThread(self.reload)

        # Before the reactor runs; it leaves SIGHUP alone.
        signal.signal(signal.SIGHUP, reload)

    def reload(self) -> None:
        """Take a renewed certificate; a broken one is reported and the old one stays."""
        try:
            self._say_warnings(self.certificates.reload())
            _log.info("the certificate was read again", event="daemon.reload")
        except PosthouseError as problem:
            _log.error(
                "the certificate was not taken: {problem}", event="daemon.reload", problem=problem.public
            )

    def _say_warnings(self, pair: Any) -> None:
        for warning in pair.warnings if pair is not None else ():
            _log.warn("{warning}", event="daemon.certificate", warning=warning)

    def _ready(self) -> None:
        self.started = now()
        self._say_warnings(self.certificates.pair)
        self.reactor.callWhenRunning(self._say_ready)

    def _say_ready(self) -> None:
        ports = {one.service: one.port for one in self.options.held}
        listening = ", ".join(f"{service} {port}" for service, port in ports.items())
        _log.info("ready: {listening}", event="daemon.ready", listening=listening)
        notify(os.environ, "READY=1", f"STATUS=listening: {listening}")
        demo = self.options.demo
        if demo is not None:
            content = facts(self.config, demo, ports)
            self.stages.started("demo.json", lambda: withdraw(self.config))
            # To the terminal itself: twistd has made sys.stdout a part of the log.
            print(greeting(content, self.config.delivery.smarthost), file=sys.__stdout__, flush=True)
            write_facts(self.config, content)

    # -- stopping ------------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Stop in reverse order; fires when the store is closed."""
        super().stopService()
        notify(os.environ, "STOPPING=1", "STATUS=finishing what is under way")
        return self.stages.stop()
