"""The table of operations, and the one way to call them.

An operation is an ``async`` function of ``Ports`` and keyword arguments. ``run`` checks the arguments
against the function's own annotations, so a request from the control socket can neither name an unknown
operation nor pass a value of the wrong type; what comes back is made of dicts, lists, texts, numbers
and None (JSON)."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from types import UnionType
from typing import Any, NewType, TypeVar

from attrs import frozen

from posthouse.errors import Malformed, NoSuchThing
from posthouse.interfaces import IDatabase
from posthouse.mailauth.lookup import Lookup
from posthouse.model import Account
from posthouse.rules.decide import Outcome

__all__ = ["OPERATIONS", "Data", "Operation", "Ports", "operation", "run"]

MAX_TEXT = 10_000  # characters of one argument
MAX_DATA = 600_000  # of base64, under the length of a request

#: The bytes of a file, as base64.
Data = NewType("Data", str)


def _nothing(*_: Any) -> None:
    """The default of a port that only a running daemon has."""


def _none(_: int) -> list[tuple[int, str]]:
    """Likewise, for a list."""
    return []


@frozen
class Ports:
    """What operations need of the house around them.

    :ivar now: milliseconds since the epoch.
    :ivar random: that many unguessable bytes.
    :ivar hash_password: Deferred (or awaitable) of the stored form.
    :ivar forget: an account's remembered logins and parked requests end now (account id, mailbox id).
    :ivar changed: domains, users or aliases may be others now; what was remembered of them is stale.
    :ivar run_queue: look at the outbox now.
    :ivar release: something was decided about a device (row id): its waiting requests are answered now.
    :ivar live: the phones' requests under way.
    :ivar recent: (milliseconds, line) of a device's last requests, which the store does not keep.
    :ivar default_policy: the name of the policy of users who were given none.
    :ivar make_key: a new private key for DKIM, of that kind; None: this house makes none.
    :ivar lookup: asks DNS; None: there is nobody to ask.
    :ivar hostname: the public name of the server.
    :ivar certificate: what listeners show now (``cryptography``'s), for advice about DNS; None: not at hand.
    :ivar quota: bytes of a mailbox whose user has no quota of his own; 0 for no limit.
    :ivar try_rules: what a user's rules would do with an item: (transaction, account, number) to an outcome.
    :ivar status: what the running daemon says about itself.
    """

    db: IDatabase
    now: Callable[[], int]
    random: Callable[[int], bytes]
    hash_password: Callable[[bytes], Awaitable[str]]
    forget: Callable[[int, int], None] = _nothing
    changed: Callable[[], None] = _nothing
    run_queue: Callable[[], None] = _nothing
    status: Callable[[], dict[str, Any]] = dict
    release: Callable[[int], None] = _nothing
    live: Callable[[], list[dict[str, Any]]] = list
    recent: Callable[[int], list[tuple[int, str]]] = _none
    default_policy: str = "default"
    make_key: Callable[[str], Awaitable[bytes]] | None = None
    lookup: Lookup | None = None
    hostname: str = "localhost"
    try_rules: Callable[[Any, Account, int], Outcome | None] | None = None
    certificate: Callable[[], Any] | None = None
    quota: int = 0


@frozen
class Operation:
    """One entry of the table: ``name`` as on the command line ("user add")."""

    name: str
    function: Callable[..., Awaitable[Any]]

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]

    def parameters(self) -> dict[str, tuple[Any, bool]]:
        """Name -> (type, required) of every argument but ``ports``."""
        hints = typing.get_type_hints(self.function)
        signature = inspect.signature(self.function)
        return {
            name: (hints[name], parameter.default is inspect.Parameter.empty)
            for name, parameter in list(signature.parameters.items())[1:]
        }


OPERATIONS: dict[str, Operation] = {}
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def operation(name: str) -> Callable[[F], F]:
    """Enter a function into the table."""

    def enter(function: F) -> F:
        OPERATIONS[name] = Operation(name, function)
        return function

    return enter


async def run(ports: Ports, name: str, arguments: dict[str, Any]) -> Any:
    """Call one operation by name.

    :raises NoSuchThing: no such operation. :raises Malformed: unknown, missing or wrong arguments.
    :raises PosthouseError: what the operation itself refuses.
    """
    entry = OPERATIONS.get(name)
    if entry is None:
        raise NoSuchThing(f'There is no operation "{name[:100]}".')
    known = entry.parameters()
    for key in arguments:
        if key not in known:
            raise Malformed(f'"{name}" takes no "{key[:100]}".')
    for key, (kind, required) in known.items():
        if key not in arguments:
            if required:
                raise Malformed(f'"{name}" needs "{key}".')
        elif not _fits(arguments[key], kind):
            raise Malformed(f'"{key}" of "{name}" has the wrong type or is too long.')
    try:
        return await entry.function(ports, **arguments)
    finally:
        ports.changed()


def _fits(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) in (typing.Union, UnionType):
        return any(_fits(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is list:
        return (
            isinstance(value, list)
            and len(value) <= 1000
            and all(_fits(x, typing.get_args(kind)[0]) for x in value)
        )
    if kind is str:
        return isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value
    if kind is Data:
        return isinstance(value, str) and len(value) <= MAX_DATA
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62
    return isinstance(value, kind)
