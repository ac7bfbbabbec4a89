"""``twistd mailserver``: the composition root, and the only module that knows the global reactor.

The promise: ``makeService`` opens nothing; ``startService`` opens the store first and the listeners
last, and only then says that the server is ready; ``stopService`` goes the other way round: listeners,
queue, pools, store. What is made of which rooms is said in ``daemon.ground``, ``daemon.mail``, ``daemon.web``,
``daemon.control``, ``daemon.duties`` and ``daemon.doors``, in the order in which they are called here."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger

from posthouse.config import Config
from posthouse.daemon.control import open_control
from posthouse.daemon.doors import open_doors, smtp_factories
from posthouse.daemon.duties import start_chores, start_watch
from posthouse.daemon.ground import lay
from posthouse.daemon.limits import raise_file_limit
from posthouse.daemon.logs import LineObserver
from posthouse.daemon.mail import build_mail
from posthouse.daemon.options import Options
from posthouse.daemon.preflight import now
from posthouse.daemon.stages import Stages
from posthouse.daemon.systemd import notify
from posthouse.daemon.web import build_web
from posthouse.demo.greeting import facts, greeting, withdraw, write_facts
from posthouse.errors import ConfigError, PosthouseError
from posthouse.model import News
from posthouse.store.outbox import QUEUE

__all__ = ["MailServer", "Options", "makeService"]

_log = Logger("posthouse.daemon")


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
        options = self.options
        self.ground = ground = lay(
            self.config, options.demo, options.held, self.reactor, self.stages, self._publish
        )
        self.mail = build_mail(ground)
        self.web = build_web(ground, self.mail.outbox)
        open_control(ground, self.mail, self.web, self._turn_out, self._status)
        start_chores(ground, self.mail, self._look_at_certificate)
        self.mail.start()
        self.watchdog = start_watch(ground)
        self.smtp_factories = smtp_factories(ground, self.mail.intake)
        open_doors(ground, self.smtp_factories, self.web.site)
        self._signals()
        self._ready()

    def _publish(self, news: News) -> None:
        """A change is committed: wake who waits for it."""
        if news.mailbox_id == QUEUE:
            self.mail.hear()
            return
        self.ground.text.heard()
        self.ground.bus.publish(news)

    # -- what an administrator asks --------------------------------------------------------------------------

    def _turn_out(self, account_id: int, mailbox_id: int) -> None:
        """An account's credentials changed: nothing that was opened with the old ones goes on."""
        self.ground.authenticator.forget(account_id)
        self.web.site.turn_out(account_id)
        for factory in self.smtp_factories.values():
            for session in list(factory.sessions):
                if session.account is not None and session.account.id == account_id:
                    session.shut_down()

    def _status(self) -> dict[str, Any]:
        database = self.ground.database
        return {
            "running": True,
            "pid": os.getpid(),
            "hostname": self.config.server.hostname,
            "started": self.started,
            "smtp_sessions": sum(len(factory.sessions) for factory in self.smtp_factories.values()),
            "waiting_requests": self.ground.bus.listening,
            "waiting_writes": database.waiting,
            "wal_bytes": database.wal_size,
            "deliveries": self.mail.runner.busy,
            "reactor_held_ms": round(self.watchdog.worst * 1000),
        }

    # -- signals and systemd -------------------------------------------------------------------------------

    def _signals(self) -> None:
        def reload(*_: Any) -> None:
            self.reactor.callFromThread(self.reload)

        # Before the reactor runs; it leaves SIGHUP alone.
        signal.signal(signal.SIGHUP, reload)

    def reload(self) -> None:
        """Take a renewed certificate; a broken one is reported and the old one stays."""
        try:
            self._say_warnings(self.ground.certificates.reload())
            _log.info("the certificate was read again", event="daemon.reload")
        except PosthouseError as problem:
            _log.error(
                "the certificate was not taken: {problem}", event="daemon.reload", problem=problem.public
            )

    def _look_at_certificate(self) -> None:
        """Take it when its files are others now."""
        self._say_warnings(self.ground.certificates.reload_if_changed())

    def _say_warnings(self, pair: Any) -> None:
        for warning in pair.warnings if pair is not None else ():
            _log.warn("{warning}", event="daemon.certificate", warning=warning)

    def _ready(self) -> None:
        self.started = now()
        self._say_warnings(self.ground.certificates.pair)
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
