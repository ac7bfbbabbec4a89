"""One request on its way through the room: what a command is given, and what it gives back.

Promise: a command sees protocol values only, never the web server; it can wait, breathe and learn that its
client went away, and whatever it notes for the log is numbers and names, no mail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from posthouse.model import Account, Device
from posthouse.wbxml.tree import Element

if TYPE_CHECKING:
    from posthouse.eas.policy import Policy
    from posthouse.eas.query import Query
    from posthouse.eas.services import Services
    from posthouse.eas.versions import Version

T = TypeVar("T")

#: How long a command may compute before it lets others have the reactor, in seconds.
SLICE = 0.005


@frozen
class Answer:
    """A response that is more than an element tree.

    :ivar root: the document, encoded as WBXML; None for none.
    :ivar body: in place of ``root``: bytes as they go out.
    :ivar status: the HTTP status; with a root, too, where a client needs the line to change.
    """

    root: Element | None = None
    body: bytes = b""
    content_type: str = ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


#: What `Command.run` returns. None is the empty 200.
Result = Element | Answer | None


@define(eq=False)
class Call:
    """One request.

    :ivar version: what the request is written in and the answer has to be.
    :ivar request: the decoded document; None when the body was empty or is no WBXML (then it is in ``raw``).
    :ivar accept_multipart: MS-ASHTTP 2.2.1.1.2.5, in either form of the query.
    :ivar policy: what the device has to accept; None: nothing.
    :ivar policy_key: of the header or the base64 query; 0 for none.
    :ivar shed: lets go of what only reading the request needed, in the web server.
    :ivar notes: what the command adds to the log line of this request: numbers, ids, keys.
    """

    services: Services
    account: Account
    device: Device
    version: Version
    query: Query
    request: Element | None = None
    raw: bytes = b""
    user_agent: str = ""
    peer: str = ""
    cid: str = ""
    policy: Policy | None = None
    policy_key: int = 0
    accept_multipart: bool = False
    on_gone: Callable[[], Deferred[None]] = field(default=Factory(lambda: lambda: Deferred()))
    shed: Callable[[], None] = field(default=Factory(lambda: lambda: None))
    notes: dict[str, Any] = field(factory=dict)
    _since: float = -1.0

    @property
    def clock(self) -> IReactorTime:
        """The reactor's."""
        return self.services.clock

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.services.clock.seconds() * 1000)

    def disconnected(self) -> Deferred[None]:
        """A new Deferred that fires when the client goes away before it is answered; it may be cancelled."""
        return self.on_gone()

    def rest(self) -> None:
        """The command has understood its request and will wait: for thousands that wait, each kilobyte counts."""
        if not self.device.trace:
            self.request, self.raw = None, b""
        self.shed()

    def read(self, function: Callable[..., T]) -> Deferred[T]:
        """Run ``function(tx)`` on a snapshot."""
        return self.services.db.read(function)

    def write(self, function: Callable[..., T]) -> Deferred[T]:
        """Run ``function(tx)`` in the next group commit; fires when it is durable."""
        return self.services.db.write(function)

    async def breathe(self) -> None:
        """Let the reactor serve others when this call has computed for `SLICE` or longer since the last
        pause.

        Costs a microsecond when it has not. To be awaited between items.
        """
        clock = self.services.clock
        now = clock.seconds()
        if self._since < 0 or now - self._since > 1.0:
            # The first breath, or the first one after a wait for something else.
            self._since = now
        elif now - self._since >= SLICE:
            pause: Deferred[None] = Deferred()
            clock.callLater(0, pause.callback, None)
            await pause
            self._since = clock.seconds()
