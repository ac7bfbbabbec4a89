"""What looks at mail on its way in, put together from the configuration: rules for everybody, junk as it is wanted."""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.web.client import Agent, HTTPConnectionPool

from posthouse.config import Config
from posthouse.delivery.blocklists import BlockLists
from posthouse.delivery.bounce import Reporter
from posthouse.delivery.greylist import Greylist
from posthouse.delivery.judging import Judge
from posthouse.delivery.scanner import Scanner
from posthouse.delivery.sending_on import SendingOn
from posthouse.delivery.sifting import Sifter
from posthouse.delivery.sorting import Sorter
from posthouse.delivery.traits import KnownTraits
from posthouse.junk.lists import parse_zone
from posthouse.store.allowance import Allowance

__all__ = ["sifter_of"]

_CONNECT = 2.0  # seconds; the filter is near


def sifter_of(
    config: Config,
    reactor: Any,
    resolver: Any,
    database: Any,
    pool: Any,
    reporter: Reporter,
    allowance: Allowance,
) -> Sifter:
    """The sifter of the intake and of submissions."""
    wanted = config.junk
    lists = None
    if wanted.blocklists:
        lists = BlockLists(
            tuple(map(parse_zone, wanted.blocklists)), resolver.lookup, reactor, resolver.known
        )
    scanner = None
    if wanted.rspamd:
        connections = HTTPConnectionPool(reactor)
        connections.maxPersistentPerHost = 8
        agent = Agent(reactor, connectTimeout=_CONNECT, pool=connections)
        scanner = Scanner(HTTPClient(agent), wanted.rspamd, reactor, pool)
    judge = Judge(
        database,
        pool,
        lists,
        scanner,
        words=wanted.words,
        enough=wanted.learn_from,
        threshold=float(wanted.threshold),
        reject=wanted.rspamd_reject,
    )
    greylist = Greylist(database, wanted.greylist_seconds) if wanted.greylist_seconds else None
    return Sifter(
        KnownTraits(database, reactor.seconds),
        Sorter(SendingOn(reporter, allowance, config.mailboxes.quota)),
        pool,
        judge,
        greylist,
    )
