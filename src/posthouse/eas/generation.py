"""Two generations of a collection's state on one device: the one proved, and the one just answered.

A request with the newer key proves that its answer arrived; one with the older key rolls the collection back and
is evaluated anew (MS-ASCMD 2.2.3.181.4, R2066-2069, R5556). A key is opaque and random, so a key of another
folder, device or reset never fits. Pure: keys are given by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from posthouse.eas import knowledge
from posthouse.eas.knowledge import State
from posthouse.eas.window import Batch


@frozen
class AddResult:
    """What became of one Add, rewriting or sending of the client, kept until the next key is used (rule 3).

    :ivar number: of the item, 0 for none. :ivar change: the number of a Change, 0 when it is none.
    :ivar files: (ClientId, MIME part) of the attachments that it added.
    """

    number: int
    status: int
    digest: str
    change: int = 0
    files: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> list[Any]:
        found: list[Any] = [self.number, self.status, self.digest]
        if self.change or self.files:
            found += [self.change, [list(pair) for pair in self.files]]
        return found

    @classmethod
    def from_json(cls, value: list[Any]) -> AddResult:
        number, status, digest, *more = value
        if not more:
            return cls(number, status, digest)
        return cls(number, status, digest, more[0], tuple((one, path) for one, path in more[1]))


@frozen
class Generation:
    """The state under one key.

    :ivar conversations: whether ConversationMode is on, which holds until it is said anew.
    :ivar options: the sticky Options block of the last request that had one, as JSON, or None.
    :ivar results: what `posthouse.eas.orders.memory_key` says -> result, of the request that made this generation.
    :ivar carried: items that the device may hold if it got this answer, beyond what the generation before knew.
    :ivar dropped: items that it may have soft-deleted.
    :ivar attempts: how often the same key was answered in full and yet came back.
    :ivar at: when it was written, in milliseconds.
    """

    state: State = field(factory=State)
    options: Any = None
    supported: tuple[str, ...] | None = None
    filter_type: int = 0
    conversations: bool = False
    results: Mapping[str, AddResult] = field(factory=dict)
    carried: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    attempts: int = 0
    at: int = 0

    def dump(self) -> bytes:
        value = {
            "s": self.state.to_json(),
            "o": self.options,
            "u": self.supported,
            "f": self.filter_type,
            "v": self.conversations,
            "r": {key: result.to_json() for key, result in self.results.items()},
            "c": self.carried,
            "d": self.dropped,
            "n": self.attempts,
            "t": self.at,
        }
        return json.dumps({k: v for k, v in value.items() if v}, separators=(",", ":")).encode()

    @classmethod
    def load(cls, data: bytes) -> Generation:
        value = json.loads(data)
        supported = value.get("u")
        return cls(
            state=State.from_json(value["s"]),
            options=value.get("o"),
            supported=tuple(supported) if supported is not None else None,
            filter_type=value.get("f", 0),
            conversations=bool(value.get("v")),
            results={key: AddResult.from_json(r) for key, r in value.get("r", {}).items()},
            carried=tuple(value.get("c", ())),
            dropped=tuple(value.get("d", ())),
            attempts=value.get("n", 0),
            at=value.get("t", 0),
        )


@frozen
class Base:
    """From where a request goes on.

    :ivar key: the key that the request proved: it names the older generation of the next pair.
    :ivar proved: what stays on record under that key.
    :ivar start: the same with what a lost answer may have changed; the decision starts here.
    :ivar repeats: results of commands that the client may send again.
    :ivar replay: the request came with the older key.
    """

    key: str
    proved: Generation
    start: State
    repeats: Mapping[str, AddResult]
    attempts: int
    replay: bool


def base_for(
    key: str, old_key: str, old: Generation | None, new_key: str, new: Generation, written: bool
) -> Base | None:
    """The base for a request with ``key``, or None when the key fits neither generation (status 3).

    :param written: whether the answer that carried ``new_key`` was written to the end. A bad line is not a
        broken item (rule 16): only complete answers count as attempts.
    """
    if key == new_key:
        proved = evolve(
            new, state=knowledge.proved(new.state), results={}, carried=(), dropped=(), attempts=0
        )
        return Base(key, proved, proved.state, {}, 0, False)
    if old is None or not old_key or key != old_key:
        return None
    start = knowledge.rolled_back(old.state, new.state, new.carried, new.dropped)
    attempts = new.attempts + 1 if written else new.attempts
    return Base(key, old, start, new.results, attempts, True)


def next_generation(
    base: Base,
    state: State,
    batch: Batch,
    *,
    options: Any,
    supported: tuple[str, ...] | None,
    filter_type: int,
    conversations: bool = False,
    results: Mapping[str, AddResult],
    at: int = 0,
) -> Generation:
    """What goes on record under the fresh key."""
    return Generation(
        state=state,
        options=options,
        supported=supported,
        filter_type=filter_type,
        conversations=conversations,
        results=results,
        carried=tuple(sorted(set(batch.adds) | base.start.maybe)),
        dropped=tuple(sorted(set(batch.soft_deletes) | base.start.lacking)),
        attempts=base.attempts,
        at=at,
    )


def shrunk(window_size: int, attempts: int) -> int:
    """A response that never takes root: 25 items, then one, to find the item that breaks the device."""
    if attempts >= 4:
        return 1
    if attempts >= 2:
        return min(window_size, 25)
    return window_size


GIVE_UP = 7
"""Attempts after which the one item that is left in the window is set aside."""
