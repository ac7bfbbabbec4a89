"""The keys that sign a domain's mail, and their change: made, published, used, retired.

Promise: no mail is signed with a key that DNS does not have yet, and no record is called superfluous while mail that
was signed with its key may still be on its way. Each step is one order; the zone text (``domain dns``) says at every
moment what has to be in DNS.

Specifications: RFC 6376 3.1 and 3.6.1 (selectors, records), RFC 8463, RFC 5863 3.5 (how keys are changed).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from posthouse.admin.dkim_records import new_keys, record_line, record_name
from posthouse.admin.domains import domain_from
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Exists, Malformed, NoSuchAccount, NoSuchThing, NotPermitted
from posthouse.mailauth.dkim_sign import key_record, load_key
from posthouse.mailauth.dkim_tags import Key, parse_key
from posthouse.mailauth.lookup import failed, found
from posthouse.store import dkim_keys, domains
from posthouse.store.dkim_keys import ACTIVE, NEXT, RETIRED, DkimKey

#: ms for which the record of a retired key stays: mail waits in queues for five days, and is read a little later
_STAYS = 7 * 24 * 3600 * 1000
_STEPS = ("next", "switch", "retire")


@operation("domain dkim")
async def domain_dkim(
    ports: Ports, domain: str, step: str | None = None, unchecked: bool = False
) -> dict[str, Any]:
    """Show the keys that sign a domain's mail, or change them: next, switch, and after a week retire."""
    name = domain_from(domain)
    if step is not None and step not in _STEPS:
        raise Malformed(f"The step is one of {', '.join(_STEPS)}.")
    keys = await _keys(ports, name)
    if step == "next":
        await _make_next(ports, name, keys)
    elif step == "switch":
        await _switch(ports, name, keys, unchecked)
    elif step == "retire":
        await _retire(ports, name, unchecked)
    keys = await _keys(ports, name)
    shown = [
        {
            "selector": key.selector,
            "algorithm": key.algorithm,
            "state": key.state,
            "since": key.since or key.created,
            "published": await _published(ports, key),
        }
        for key in keys
    ]
    return {"domain": name, "keys": shown, "then": _advice(ports, name, keys, shown)}


async def _keys(ports: Ports, domain: str) -> list[DkimKey]:
    def read(tx: Any) -> list[DkimKey]:
        if not domains.is_local_domain(tx, domain):
            raise NoSuchAccount(f"The domain {domain} is not served here.")
        return dkim_keys.keys_of(tx, domain)

    found: list[DkimKey] = await ports.db.read(read)
    return found


async def _make_next(ports: Ports, domain: str, keys: Sequence[DkimKey]) -> None:
    made = await new_keys(ports, domain, keys, NEXT if keys else ACTIVE)

    def keep(tx: Any) -> None:
        # Somebody else may have been faster.
        there = dkim_keys.keys_of(tx, domain)
        if any(key.state == NEXT for key in there):
            raise Exists(f"The next keys of {domain} are there already; publish them, then switch.")
        if {key.selector for key in made} & {key.selector for key in there}:
            raise Exists(f"The keys of {domain} have just changed; look at them again.")
        for key in made:
            dkim_keys.add_key(tx, key)

    await ports.db.write(keep)


async def _switch(ports: Ports, domain: str, keys: Sequence[DkimKey], unchecked: bool) -> None:
    waiting = [key for key in keys if key.state == NEXT]
    if not waiting:
        raise NoSuchThing(f"There are no next keys; make them with: posthouse domain dkim {domain} next.")
    if not unchecked:
        for key in waiting:
            said = await _published(ports, key)
            if said != "yes":
                reason = {
                    "no": "has no such key",
                    "other": "has another key",
                    "unknown": "cannot be asked now",
                }[said]
                raise NotPermitted(
                    f"The DNS {reason} at {record_name(key)}, so nobody could verify what it signs. "
                    "Publish it and wait until all servers of the zone have it; --unchecked switches all the same."
                )
    selectors = {key.selector for key in waiting}

    def write(tx: Any) -> None:
        there = {key.selector for key in dkim_keys.keys_of(tx, domain) if key.state == NEXT}
        if there != selectors:
            raise NotPermitted(f"The keys of {domain} have just changed; look at them again.")
        dkim_keys.switch(tx, domain, ports.now())

    await ports.db.write(write)


async def _retire(ports: Ports, domain: str, unchecked: bool) -> None:
    now = ports.now()

    def write(tx: Any) -> None:
        gone = [key for key in dkim_keys.keys_of(tx, domain) if key.state == RETIRED]
        if not gone:
            raise NoSuchThing(f"{domain} has no retired keys.")
        last = max(key.since for key in gone) + _STAYS
        if now < last and not unchecked:
            raise NotPermitted(
                f"Mail that they signed may be on its way until {_day(last)}; --unchecked forgets them now."
            )
        dkim_keys.forget_retired(tx, domain)

    await ports.db.write(write)


async def _published(ports: Ports, key: DkimKey) -> str:
    """Has the DNS this key? "yes", "no", "other" (another one), or "unknown"."""
    if ports.lookup is None:
        return "unknown"
    answer = await ports.lookup(record_name(key), "TXT")
    if failed(answer):
        return "unknown"
    records = found(answer)
    own = parse_key(key_record(load_key(key.domain, key.selector, key.private)).encode())
    assert isinstance(own, Key)
    for record in records[:10]:
        other = parse_key(record)
        if isinstance(other, Key) and other.public == own.public:
            return "yes"
    return "other" if records else "no"


def _advice(ports: Ports, domain: str, keys: Sequence[DkimKey], shown: Sequence[dict[str, Any]]) -> list[str]:
    """What an administrator does next."""
    command = f"posthouse domain dkim {domain}"
    if not keys:
        return [f"Make keys: {command} next"]
    lines = []
    missing = [key for key, one in zip(keys, shown, strict=True) if one["published"] in ("no", "other")]
    lines += [f"Publish: {record_line(key)}" for key in missing if key.state != RETIRED]
    if any(key.state == NEXT for key in keys):
        if not any(key.state == NEXT for key in missing):
            lines.append(f"When the DNS has the next keys: {command} switch")
    elif any(key.state == RETIRED for key in keys):
        last = max(key.since for key in keys if key.state == RETIRED) + _STAYS
        when = f"From {_day(last)} on: " if ports.now() < last else ""
        lines.append(f"{when}{command} retire, and take their records out of the DNS.")
    elif not missing:
        lines.append(f"To change the keys, perhaps once a year: {command} next")
    return lines


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d")
