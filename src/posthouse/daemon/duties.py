"""What the running house does without being asked: the list of its chores, and the watch over its reactor."""

from __future__ import annotations

import os
from collections.abc import Callable

from posthouse.daemon.chores import Chore, Chores
from posthouse.daemon.ground import Ground
from posthouse.daemon.lessons import learn_some
from posthouse.daemon.mail import Mail
from posthouse.daemon.preflight import now
from posthouse.daemon.systemd import notify, watchdog_seconds
from posthouse.daemon.watch import Watchdog
from posthouse.store import housekeeping

__all__ = ["start_chores", "start_watch"]


def start_chores(ground: Ground, mail: Mail, look_at_certificate: Callable[[], None]) -> None:
    """Begin with sweeping, full text, and what else waits for nobody."""
    database = ground.database

    async def sweep() -> int:
        return int(await database.write(lambda tx: housekeeping.housekeep(tx, now())))

    async def certificate() -> int:
        look_at_certificate()
        return 0

    wanted = [
        Chore("full text", ground.text.step, every=1.0, pause=0.05),
        Chore("housekeeping", sweep, every=60.0),
        Chore("full mailboxes", lambda: mail.fullness.step(now()), every=60.0),
        Chore("junk", lambda: learn_some(database, ground.reactor, now), every=10.0, pause=0.1),
        Chore("certificate", certificate, every=3600.0),
    ]
    reports = mail.tls_reports()
    if reports is not None:
        wanted.append(Chore("TLS reports", reports.step, every=600.0))
    chores = Chores(
        ground.reactor,
        wanted,
        # A burst of mail goes first; what it left is indexed afterwards.
        busy=lambda: database.waiting > 0,
    )
    chores.start()
    ground.stages.started("chores", chores.stop)


def start_watch(ground: Ground) -> Watchdog:
    """Measure how long the reactor is held, and tell systemd that it is not."""
    watchdog = Watchdog(
        ground.reactor,
        lambda: notify(os.environ, "WATCHDOG=1"),
        watchdog_seconds(os.environ, os.getpid()),
    )
    watchdog.start()
    ground.stages.started("watchdog", watchdog.stop)
    return watchdog
