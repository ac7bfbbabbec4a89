"""An HTTP connection in memory: bytes into a real Site, bytes out of it."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import IResource

from posthouse.http.limits import HttpLimits
from posthouse.http.site import Site


class Transport(StringTransport):
    """Remembers whether it was aborted, and can stop taking bytes."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()


class Wire:
    """One connection to a site over one resource."""

    def __init__(
        self,
        resource: IResource,
        limits: HttpLimits | None = None,
        clock: Clock | None = None,
        peer: str = "192.0.2.9",
        hsts: int = 0,
    ) -> None:
        self.clock = clock or Clock()
        self.site = Site(resource, self.clock, limits, hsts)  # type: ignore[arg-type]
        self.transport = Transport(peerAddress=IPv4Address("TCP", peer, 4711))
        self.channel = self.site.buildProtocol(None)
        self.channel.makeConnection(self.transport)

    def send(self, data: bytes) -> Wire:
        self.channel.dataReceived(data)
        return self

    def get(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> Wire:
        lines = [f"{method} {target} HTTP/1.1", "Host: a.example", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    @property
    def out(self) -> bytes:
        value: bytes = self.transport.value()
        return value

    @property
    def status(self) -> int:
        return int(self.out.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        head = self.out.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}

    @property
    def body(self) -> bytes:
        """The body of the first answer, taken out of its chunks."""
        rest = self.out.partition(b"\r\n\r\n")[2]
        if self.headers.get("transfer-encoding") != "chunked":
            return rest
        found = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            found, rest = found + rest[:length], rest[length + 2 :]
        return found

    def lose(self) -> None:
        from twisted.internet.error import ConnectionLost
        from twisted.python.failure import Failure

        if self.transport.producer is not None:
            self.transport.producer.stopProducing()
        self.channel.connectionLost(Failure(ConnectionLost()))
