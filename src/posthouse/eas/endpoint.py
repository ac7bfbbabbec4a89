"""``/Microsoft-Server-ActiveSync``: the web resource of the room.

Promise: credentials first, whatever else is wrong with a request (Outlook's proxy gives up on anything but
401); OPTIONS says what is spoken here, also on its 401, since some devices ask without credentials.
MS-ASHTTP 2.2.3, 2.2.4, 3.2.5.2; RFC 7617.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from posthouse.eas.pipeline import SERVER_VERSION, Incoming, Pipeline
from posthouse.eas.query import parse_query
from posthouse.eas.services import Services
from posthouse.eas.versions import VERSIONS, Version, parse_version, write_versions
from posthouse.errors import PosthouseError
from posthouse.http.basic import authenticated
from posthouse.http.body import read_body
from posthouse.http.errors import reply_for
from posthouse.http.reply import Reply
from posthouse.http.request import Request
from posthouse.http.resource import AsyncResource
from posthouse.model import Account
from posthouse.store import devices

__all__ = ["PATH", "Endpoint"]

#: Where the room hangs in the site; found in any letter case.
PATH = "microsoft-server-activesync"

_METHODS = b"OPTIONS,POST"


class Endpoint(AsyncResource):
    """The room as a resource."""

    methods = (b"OPTIONS", b"POST")
    challenge_first = True

    def __init__(self, services: Services) -> None:
        super().__init__(services.pool)
        self._services = services
        self._pipeline = Pipeline(services)

    async def answer(self, request: Request) -> Reply:
        if request.method == b"OPTIONS":
            return await self._options(request)
        account = await authenticated(request, self._services.authenticator)
        limit = self._services.settings.max_request
        return await self._pipeline.answer(
            account,
            Incoming(
                query=_query(request),
                header=lambda name: request.getHeader(name) or "",
                body=lambda: read_body(request, limit, self.pool),
                peer=request.peer,
                cid=request.cid,
                on_gone=lambda: _gone(request),
                shed=request.shed,
            ),
        )

    async def _options(self, request: Request) -> Reply:
        """What is spoken here; up to the ceiling of the device that asks, when it says who it is."""
        try:
            account = await authenticated(request, self._services.authenticator)
        except PosthouseError as error:
            refused = reply_for(error)
            return Reply(
                refused.body, refused.code, refused.content_type, (*refused.headers, *self._offer(None))
            )
        ceiling = await self._ceiling(request, account)
        more = ((b"Public", _METHODS), (b"Allow", _METHODS))
        return Reply(headers=(*self._offer(ceiling), *more))

    def _offer(self, ceiling: Version | None) -> tuple[tuple[bytes, bytes], ...]:
        highest = self._services.settings.versions[-1]
        versions = write_versions(min(ceiling, highest) if ceiling is not None else highest)
        return (
            (b"MS-Server-ActiveSync", SERVER_VERSION),
            (b"MS-ASProtocolVersions", versions.encode("ascii")),
            (b"MS-ASProtocolCommands", self._pipeline.command_list.encode("ascii")),
        )

    async def _ceiling(self, request: Request, account: Account) -> Version | None:
        ceiling = self._pipeline.deviation(request.getHeader("User-Agent") or "").ceiling
        try:
            query = parse_query(_query(request))
        except PosthouseError:
            # OPTIONS needs no query string (MS-ASHTTP 2.2.3).
            return ceiling
        device = await self._services.db.read(
            lambda tx: devices.find_device(tx, account.id, query.device_id, query.device_type)
        )
        own = parse_version(device.version_ceiling) if device is not None else None
        return own if own in VERSIONS else ceiling


def _query(request: Request) -> bytes:
    return request.uri.partition(b"?")[2]


def _gone(request: Request) -> Deferred[None]:
    """A Deferred that fires when the client has left; silent when it is answered."""
    left: Deferred[None] = Deferred()
    request.notifyFinish().addErrback(lambda failure: None if left.called else left.callback(None))
    return left
