"""Policies by name: what they demand of phones, and who has which.

The promise: a change holds from the next request of every phone concerned, and a phone that waits is answered at
once, so that it asks for the new policy now.
"""

from __future__ import annotations

from typing import Any

from posthouse.admin.people import account_of
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Conflict, Malformed, NoSuchThing, NotPermitted
from posthouse.policy import FIXED, PRESETS, SETTINGS, check_name, check_setting, trimmed
from posthouse.store import accounts, devices, policies


@operation("policy list")
async def policy_list(ports: Ports) -> list[dict[str, Any]]:
    """List the policies, and who has which."""

    def read(tx: Any) -> list[dict[str, Any]]:
        stored = {row.name: row for row in policies.policies(tx)}
        given = policies.assignments(tx)
        owners: dict[str, list[str]] = {}
        for account in accounts.accounts(tx):
            rule = given.get(account.id)
            owners.setdefault((rule.policy if rule else "") or ports.default_policy, []).append(
                account.address
            )
        return [
            {
                "policy": name,
                "default": name == ports.default_policy,
                "kind": "your own"
                if name in stored and name not in PRESETS
                else "changed by you"
                if name in stored
                else "ready-made",
                "demands": _demands(stored[name].settings if name in stored else PRESETS[name], name),
                "users": owners.get(name, []),
            }
            for name in [*PRESETS, *(name for name in stored if name not in PRESETS)]
        ]

    result: list[dict[str, Any]] = await ports.db.read(read)
    return result


@operation("policy show")
async def policy_show(ports: Ports, name: str, all: bool = False) -> dict[str, Any]:
    """Show what a policy demands; with --all every setting there is."""
    settings = await _settings(ports, name)
    if not all:
        return dict(settings)
    return {
        setting: settings.get(setting, "" if one.nothing is None else one.nothing)
        for setting, one in SETTINGS.items()
    }


@operation("policy set")
async def policy_set(ports: Ports, name: str, settings: list[str], like: str | None = None) -> dict[str, Any]:
    """Make or change a policy: settings as NAME=VALUE, nothing behind the sign takes one back."""
    folded = check_name(name)
    if folded in FIXED:
        raise NotPermitted(f'The policy "{folded}" stays as it is; make one of your own.')
    changes = dict(check_setting(text) for text in settings)
    if not changes and like is None:
        raise Malformed("Name at least one setting, such as DevicePasswordEnabled=1.")
    base = await _settings(ports, like) if like is not None else None

    def save(tx: Any) -> tuple[dict[str, Any], list[int]]:
        kept = policies.policy_named(tx, folded)
        before = base if base is not None else kept.settings if kept is not None else PRESETS.get(folded, {})
        after = trimmed({**before, **changes})
        policies.save_policy(tx, folded, after, ports.now())
        return after, _phones(tx, ports, folded)

    after, concerned = await ports.db.write(save)
    _release(ports, concerned)
    return {"policy": folded, **after}


@operation("policy delete")
async def policy_delete(ports: Ports, name: str) -> dict[str, Any]:
    """Delete a policy that nobody has; a changed ready-made one becomes what it was."""
    folded = check_name(name)
    if folded == ports.default_policy and folded not in PRESETS:
        raise Conflict(f'The configuration names "{folded}" as the policy of everybody else (eas.policy).')

    def delete(tx: Any) -> list[int]:
        if folded in PRESETS:
            concerned = _phones(tx, ports, folded)
            if policies.policy_named(tx, folded) is None:
                raise NotPermitted(f'The ready-made policy "{folded}" cannot be deleted.')
            # Its users have the ready-made one again.
            policies.delete_policy(tx, folded, given=True)
            return concerned
        policies.delete_policy(tx, folded)
        return []

    _release(ports, await ports.db.write(delete))
    return {"policy": folded}


@operation("policy assign")
async def policy_assign(ports: Ports, name: str, address: str) -> dict[str, Any]:
    """Give a user a policy; "server" gives back the one of the configuration."""
    account = await account_of(ports, address)
    folded: str | None = check_name(name)
    if folded == "server":
        folded = None
    else:
        await _settings(ports, name)

    def assign(tx: Any) -> list[int]:
        policies.assign_policy(tx, account.id, folded)
        return [device.id for device in devices.devices(tx, account.id)]

    _release(ports, await ports.db.write(assign))
    return {"address": account.address, "policy": folded or ports.default_policy}


async def _settings(ports: Ports, name: str) -> dict[str, Any]:
    """What a policy of that name demands. :raises NoSuchThing: there is none."""
    folded = check_name(name)
    row = await ports.db.read(lambda tx: policies.policy_named(tx, folded))
    if row is not None and folded not in FIXED:
        return dict(row.settings)
    if folded in PRESETS:
        return dict(PRESETS[folded])
    raise NoSuchThing(f'There is no policy "{folded}".')


def _phones(tx: Any, ports: Ports, name: str) -> list[int]:
    """The phones for which a policy holds."""
    given = policies.assignments(tx)
    found = []
    for device in devices.devices(tx):
        rule = given.get(device.account_id)
        if ((rule.policy if rule else "") or ports.default_policy) == name:
            found.append(device.id)
    return found


def _release(ports: Ports, concerned: list[int]) -> None:
    for device in concerned:
        ports.release(device)


def _demands(settings: Any, name: str) -> str:
    if name == "none":
        return "nothing, not even to be asked for"
    if not settings:
        return "nothing, but to be asked for"
    return ", ".join(
        f"{key}={','.join(value) if isinstance(value, list | tuple) else value}"
        for key, value in settings.items()
    )
