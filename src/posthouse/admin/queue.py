"""Outgoing mail: what waits, why, and what the administrator may do about it.

Promise: each order names the messages that it reached, one recipient each; ``bounce`` tells the sender, ``drop``
tells nobody. Messages are named by number, or by the recipients' domain or the sender, a thousand at a time.

Specifications: RFC 3464 (what a bounce looks like), RFC 5321 4.5.4.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from posthouse.admin.domains import DOMAIN_NAME
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Conflict, Malformed, NoSuchThing
from posthouse.mime.addresses import fold_address
from posthouse.model import OutboxRow
from posthouse.store import outbox, queue_orders

LISTED = 1000
_SLICE = 500
_STATES = (*outbox.OPEN, "sent", "failed")


@operation("queue list")
async def queue_list(
    ports: Ports, domain: str = "", sender: str = "", state: str = "", after: int = 0
) -> list[dict[str, Any]]:
    """List outgoing mail that waits, with the last answer of the other side."""
    if state and state not in _STATES:
        raise Malformed(f"A state is one of {', '.join(_STATES)}.")
    states = (state,) if state else outbox.OPEN
    name = _domain(domain) if domain else ""
    rows = await ports.db.read(
        lambda tx: queue_orders.select(tx, LISTED, states=states, domain=name, sender=sender, after=after)
    )
    return [_row(row) for row in rows]


@operation("queue show")
async def queue_show(ports: Ports, id: int) -> dict[str, Any]:
    """Show one waiting message."""

    def read(tx: Any) -> dict[str, Any]:
        row = _find(tx, id)
        stopped = queue_orders.suppressed(tx, fold_address(row.recipient))
        return _row(row) | {
            "kind": "bulk" if row.priority else "human",
            "notify": row.notify or None,
            "ret": row.ret or None,
            "envid": row.envid or None,
            "suppressed": stopped.reason if stopped is not None else None,
        }

    shown: dict[str, Any] = await ports.db.read(read)
    return shown


@operation("queue stats")
async def queue_stats(ports: Ports) -> dict[str, Any]:
    """Say how much waits, for how long, and for whom."""

    def read(tx: Any) -> tuple[queue_orders.Stats, list[queue_orders.Paused]]:
        return queue_orders.stats(tx, ports.now()), queue_orders.paused_domains(tx)

    found, paused = await ports.db.read(read)
    return {
        "states": found.states,
        "due_now": found.due,
        "bytes": found.bytes,
        "oldest": found.oldest,
        "domains": dict(found.domains),
        "paused": [one.domain for one in paused],
        "suppressed": found.suppressed,
    }


@operation("queue retry")
async def queue_retry(
    ports: Ports, id: int | None = None, domain: str = "", sender: str = ""
) -> dict[str, Any]:
    """Try one waiting message, or all of them, now."""
    reached = await _order(
        ports, id, domain, sender, ("due",), lambda tx, row: outbox.retry_now(tx, row.id, ports.now())
    )
    ports.run_queue()
    return {"retried": reached}


@operation("queue hold")
async def queue_hold(
    ports: Ports, id: int | None = None, domain: str = "", sender: str = ""
) -> dict[str, Any]:
    """Keep messages back until they are released by hand."""
    _named(id, domain, sender)
    reached = await _order(
        ports, id, domain, sender, ("due", "paused"), lambda tx, row: outbox.hold(tx, row.id)
    )
    if id is not None and not reached:
        raise Conflict(f"Message {id} is on its way just now, or held already.")
    return {"held": reached}


@operation("queue release")
async def queue_release(
    ports: Ports, id: int | None = None, domain: str = "", sender: str = ""
) -> dict[str, Any]:
    """Let held messages go."""
    _named(id, domain, sender)
    reached = await _order(
        ports, id, domain, sender, ("held",), lambda tx, row: queue_orders.release(tx, row.id, ports.now())
    )
    if id is not None and not reached:
        raise Conflict(f"Message {id} is not held.")
    ports.run_queue()
    return {"released": reached}


@operation("queue drop")
async def queue_drop(
    ports: Ports, id: int | None = None, domain: str = "", sender: str = ""
) -> dict[str, Any]:
    """Forget messages; their senders are told nothing."""
    _named(id, domain, sender)
    reached = await _order(ports, id, domain, sender, outbox.OPEN, lambda tx, row: outbox.drop(tx, row.id))
    return {"dropped": reached}


@operation("queue bounce")
async def queue_bounce(
    ports: Ports, id: int | None = None, domain: str = "", sender: str = "", reason: str = ""
) -> dict[str, Any]:
    """Give messages up and tell their senders."""
    _named(id, domain, sender)
    words = " ".join(reason.split())[:500] or "The administrator gave this message up"
    reached = await _order(
        ports, id, domain, sender, outbox.OPEN,
        lambda tx, row: queue_orders.bounce(tx, row.id, words, ports.now()),
    )  # fmt: skip
    if id is not None and not reached:
        raise Conflict(f"Message {id} was finished before.")
    ports.run_queue()
    return {"bounced": reached}


@operation("queue pause")
async def queue_pause(ports: Ports, domain: str, reason: str = "") -> dict[str, Any]:
    """Send nothing to a domain until it is resumed; its mail waits."""
    name = _domain(domain)
    await ports.db.write(lambda tx: queue_orders.pause_domain(tx, name, reason, ports.now()))
    return {"domain": name, "waiting": await _move(ports, name)}


@operation("queue resume")
async def queue_resume(ports: Ports, domain: str) -> dict[str, Any]:
    """Send to a paused domain again."""
    name = _domain(domain)
    if not await ports.db.write(lambda tx: queue_orders.resume_domain(tx, name)):
        raise NoSuchThing(f"The domain {name} is not paused.")
    moved = await _move(ports, name)
    ports.run_queue()
    return {"domain": name, "waiting": moved}


@operation("queue paused")
async def queue_paused(ports: Ports) -> list[dict[str, Any]]:
    """List the domains that nothing is sent to for now."""
    found = await ports.db.read(queue_orders.paused_domains)
    return [{"domain": one.domain, "at": one.at, "reason": one.reason} for one in found]


@operation("queue suppressed list")
async def suppressed_list(ports: Ports) -> list[dict[str, Any]]:
    """List addresses that nothing is sent to, because mail to them bounced for good."""
    found = await ports.db.read(lambda tx: queue_orders.suppressed_listing(tx, LISTED))
    return [
        {"address": one.address, "at": one.at, "reason": one.reason, "sender": one.sender} for one in found
    ]


@operation("queue suppressed remove")
async def suppressed_remove(ports: Ports, address: str) -> dict[str, Any]:
    """Write to such an address again."""
    folded = fold_address(address.strip())
    if not await ports.db.write(lambda tx: queue_orders.unsuppress(tx, folded)):
        raise NoSuchThing(f"{folded[:300]} is not on the list.")
    return {"address": folded}


async def _order(
    ports: Ports,
    id: int | None,
    domain: str,
    sender: str,
    states: tuple[str, ...],
    give: Callable[[Any, OutboxRow], bool],
) -> list[int]:
    """Give an order to the messages that are meant, in one transaction. Returns the ids that it reached."""
    name = _domain(domain) if domain else ""

    def write(tx: Any) -> list[int]:
        if id is not None:
            rows = [_find(tx, id)]
        else:
            rows = queue_orders.select(tx, LISTED, states=states, domain=name, sender=sender)
        return [row.id for row in rows if give(tx, row)]

    reached: list[int] = await ports.db.write(write)
    return reached


async def _move(ports: Ports, domain: str) -> int:
    """Carry the rows of a domain over to its new state, in slices: other writers have their turn between."""
    total = 0
    while moved := await ports.db.write(lambda tx: queue_orders.move_paused(tx, domain, _SLICE)):
        total += moved
    return total


def _named(id: int | None, domain: str, sender: str) -> None:
    if id is None and not domain and not sender:
        raise Malformed("Say which: the number of a message, a domain, or a sender.")


def _domain(text: str) -> str:
    name = fold_address("postmaster@" + text.strip().lstrip("@")).rpartition("@")[2]
    if not DOMAIN_NAME.fullmatch(name):
        raise Malformed(f'"{text[:100]}" is not a domain; write it like example.org.')
    return name


def _find(tx: Any, row_id: int) -> OutboxRow:
    row = outbox.outbox_row(tx, row_id)
    if row is None:
        raise NoSuchThing(f"The queue has no message {row_id}.")
    return row


def _row(row: OutboxRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "sender": row.sender,
        "recipient": row.recipient,
        "size": row.size,
        "state": row.state,
        "created": row.created,
        "due": row.due,
        "expires": row.expires,
        "attempts": row.attempts,
        "last_attempt": row.last_attempt,
        "last_reply": row.last_reply,
    }
