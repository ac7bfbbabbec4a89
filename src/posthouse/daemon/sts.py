"""``https://mta-sts.<domain>/.well-known/mta-sts.txt``: what the domains served here say of TLS (MTA-STS).

Promise: a domain of ours that says something is answered by its own policy, whatever else is asked by nothing;
the server's own name is always among the hosts.

Specifications: RFC 8461 3.2 and 3.3.
"""

from __future__ import annotations

from posthouse.errors import NoSuchThing
from posthouse.http.body import Pool
from posthouse.http.reply import Reply
from posthouse.http.request import Request
from posthouse.http.resource import AsyncResource
from posthouse.interfaces import IDatabase
from posthouse.store import transport
from posthouse.tlspolicy.mtasts import StsPolicy, policy_text

__all__ = ["PATH", "StsResource"]

PATH = ".well-known/mta-sts.txt"
_PREFIX = "mta-sts."


class StsResource(AsyncResource):
    """:param hostname: the server's, A-labels."""

    def __init__(self, database: IDatabase, pool: Pool, hostname: str) -> None:
        super().__init__(pool)
        self._database, self._hostname = database, hostname.lower()

    async def answer(self, request: Request) -> Reply:
        host = request.getRequestHostname().decode("latin-1").lower().rstrip(".")
        domain = host[len(_PREFIX) :]
        if request.postpath or not host.startswith(_PREFIX) or not domain or len(host) > 255:
            raise NoSuchThing()
        own = await self._database.read(lambda tx: transport.own_policy(tx, domain))
        if own is None:
            raise NoSuchThing()
        hosts = tuple(dict.fromkeys((self._hostname, *own.mx)))
        policy = StsPolicy(own.mode, own.max_age, hosts if own.mode != "none" else ())
        return Reply(policy_text(policy), content_type=b"text/plain")
