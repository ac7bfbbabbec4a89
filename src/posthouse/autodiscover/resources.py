"""The two doors of Autodiscover on the web site."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.web.resource import IResource

from posthouse.autodiscover import pox, v2
from posthouse.errors import Malformed
from posthouse.http.basic import authenticated
from posthouse.http.body import Pool, read_body
from posthouse.http.reply import Reply, json_reply
from posthouse.http.request import Request
from posthouse.http.resource import AsyncResource
from posthouse.interfaces import IAuthenticator

__all__ = ["Places", "PoxResource", "V2Resource", "routes"]

_log = Logger("posthouse.autodiscover")

Belongs = Callable[[int, str], Deferred[bool]]


@frozen
class Places:
    """What is told to clients.

    :param base: the public address of the web site without a slash: "https://mail.example.org".
    """

    base: str

    @property
    def active_sync(self) -> str:
        return f"{self.base}/Microsoft-Server-ActiveSync"

    @property
    def pox(self) -> str:
        return f"{self.base}/autodiscover/autodiscover.xml"


class PoxResource(AsyncResource):
    """``/autodiscover/autodiscover.xml``. Answers nobody without credentials, and everybody else about himself only:
    an address of ours that is another's or nobody's gets the same error; any other address, which is somewhere else
    what his is here, the same answer as his own.
    """

    methods = (b"GET", b"HEAD", b"POST")
    challenge_first = True

    def __init__(
        self,
        authenticator: IAuthenticator,
        places: Places,
        pool: Pool,
        now: Callable[[], int],
        belongs: Belongs,
    ) -> None:
        super().__init__(pool)
        self._authenticator, self._places, self._now = authenticator, places, now
        self._belongs = belongs

    async def answer(self, request: Request) -> Reply:
        account = await authenticated(request, self._authenticator)
        try:
            question = pox.parse(await read_body(request, pox.MAX_REQUEST, self.pool))
        except Malformed as error:
            _log.debug("{cid} {cause}", cid=request.cid, cause=error.cause)
            return self._refuse(pox.INVALID_REQUEST)
        if question.schema.lower() != pox.MOBILESYNC:
            return self._refuse(pox.NO_PROVIDER)
        if question.address and not await self._belongs(account.id, question.address):
            return _xml(pox.nobody(question.address))
        return _xml(pox.answer(account.address, account.name or account.address, self._places.active_sync))

    def _refuse(self, code: int) -> Reply:
        # 200 with the error inside: clients that see another status try the next address instead of reading
        # it.
        return _xml(pox.refusal(code, self._places.base, self._now()))


class V2Resource(AsyncResource):
    """``/autodiscover/autodiscover.json`` and ``/autodiscover/autodiscover.json/v1.0/<address>``."""

    def __init__(self, places: Places, pool: Pool) -> None:
        super().__init__(pool)
        self._protocols = {"ActiveSync": places.active_sync, "AutodiscoverV1": places.pox}

    async def answer(self, request: Request) -> Reply:
        finding = v2.find(request.args or {}, request.postpath or [], self._protocols)
        return json_reply(finding.body, finding.code)


def routes(
    authenticator: IAuthenticator,
    places: Places,
    pool: Pool,
    now: Callable[[], int],
    belongs: Belongs = lambda account, address: succeed(True),
) -> dict[str, IResource]:
    """Path -> resource, for the site's ``Router``.

    :param now: gives milliseconds since the epoch.
    :param belongs: whether an account (its id) may ask for an address: it is its own, or none of this house.
    """
    return {
        "autodiscover/autodiscover.xml": PoxResource(authenticator, places, pool, now, belongs),
        "autodiscover/autodiscover.json": V2Resource(places, pool),
    }


def _xml(document: bytes) -> Reply:
    return Reply(document, content_type=b"text/xml; charset=utf-8")
