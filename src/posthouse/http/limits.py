"""What an HTTP client may ask of the server before anything is known of it."""

from __future__ import annotations

from attrs import field, frozen

__all__ = ["HttpLimits"]


@frozen
class HttpLimits:
    """Sizes in bytes, times in seconds.

    :param body: the largest body of a request, where ``bodies`` names no other.
    :param bodies: lower-cased path prefix ("microsoft-server-activesync") -> the largest body there.
    :param unauthenticated: beyond this a body without an ``Authorization`` header is not waited for, under
        the prefixes in ``protected``: the answer is 401 at once.
    :param in_memory: what is larger lies in an unnamed temporary file.
    :param slowest: bytes per second below which a client is cut off in the middle of its body.
    :param linger: how long the rest of a refused body is read and thrown away, so that the answer gets
        through.
    """

    line: int = 16_384
    headers: int = 32_768
    header_count: int = 100
    body: int = 1 << 20
    bodies: dict[str, int] = field(factory=dict)
    protected: frozenset[str] = frozenset()
    unauthenticated: int = 1 << 16
    in_memory: int = 1 << 20
    idle: float = 120.0
    header_time: float = 30.0
    body_time: float = 30.0
    slowest: int = 1024
    chunked_time: float = 300.0
    linger: float = 5.0
    stalled: float = 120.0

    def body_limit(self, path: bytes) -> int:
        """The largest body for a request target."""
        return self.bodies.get(first_segment(path), self.body)

    def is_protected(self, path: bytes) -> bool:
        """Does nothing below this path answer without credentials?"""
        return first_segment(path) in self.protected


def first_segment(path: bytes) -> str:
    """The first segment of a request target, lower-cased."""
    return path.partition(b"?")[0].lstrip(b"/").partition(b"/")[0].decode("latin-1").lower()
