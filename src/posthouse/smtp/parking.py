"""Open connections that wait a moment for the next message to the same host.

Promise: a connection carries at most ``most`` messages and waits at most ``idle`` seconds; one that was closed, or on
which the server spoke unasked, is never given out. Nothing waits once the parking is closed.

Specifications: RFC 5321 3.3 (several transactions in a session), 4.1.1.5 (RSET).
"""

from __future__ import annotations

from typing import Any

from posthouse.smtp.conversation import Clock, Conversation

__all__ = ["Parking"]


class Parking:
    """Conversations by the place where they lead; the key says everything that a message must agree on."""

    def __init__(self, clock: Clock, most: int = 50, idle: float = 15.0, room: int = 100) -> None:
        self._clock = clock
        self._most = most
        self._idle = idle
        self._room = room
        self._open = True
        self._places: dict[Any, list[tuple[Conversation, int, Any]]] = {}

    @property
    def count(self) -> int:
        """How many wait."""
        return sum(len(line) for line in self._places.values())

    def put(self, key: Any, talk: Conversation, used: int) -> None:
        """Keep a conversation whose transaction is over. ``used``: the messages that it has carried."""
        if not talk.usable:
            talk.hang_up()
        elif not self._open or used >= self._most or self.count >= self._room:
            talk.quit()
        else:
            timer = self._clock.callLater(self._idle, self._leave, key, talk)
            self._places.setdefault(key, []).append((talk, used, timer))

    def take(self, key: Any) -> tuple[Conversation, int] | None:
        """A conversation that leads there, and how many messages it has carried."""
        while line := self._places.get(key):
            talk, used, timer = line.pop()
            if not line:
                del self._places[key]
            timer.cancel()
            if talk.usable:
                return talk, used
            talk.hang_up()
        return None

    def close(self) -> None:
        """Take leave of everybody, now and from now on."""
        self._open = False
        for key in list(self._places):
            for talk, _, timer in self._places.pop(key):
                timer.cancel()
                talk.quit()

    def _leave(self, key: Any, talk: Conversation) -> None:
        line = [one for one in self._places.get(key, ()) if one[0] is not talk]
        if line:
            self._places[key] = line
        else:
            self._places.pop(key, None)
        talk.quit()
