"""Rules of a user's mailbox: the same for the command line, the web and the phone.

A rule is given as its form (JSON, ``posthouse.rules.form``) or in words (``posthouse.rules.phrases``). Folders are
named by their number in a form, and by their path in words ("Work/Bills").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from posthouse.admin.addresses import leads_to_groups, require_targets
from posthouse.admin.people import account_of
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Malformed, NoSuchFolder, NoSuchItem, NotPermitted
from posthouse.mime.addresses import fold_address
from posthouse.model import Account, Arrival, Folder, FolderType, evolve
from posthouse.rules.form import form_of, rule_from
from posthouse.rules.model import Condition, Rule
from posthouse.rules.phrases import action_form, condition_from, sentence, words_of_action
from posthouse.store import folders, items, rules
from posthouse.store.rules import Kept

__all__ = ["checked", "paths"]

_ADDRESSES = ("from", "to", "cc", "recipient")


@operation("rule list")
async def rule_list(ports: Ports, address: str) -> list[dict[str, Any]]:
    """List a user's rules in their order, and why one does not work any more."""
    account = await account_of(ports, address)

    def read(tx: Any) -> list[dict[str, Any]]:
        names = paths(tx, account.mailbox_id)
        return [_shown(one, names) for one in rules.rules_of(tx, account.mailbox_id)]

    shown: list[dict[str, Any]] = await ports.db.read(read)
    return shown


@operation("rule add")
async def rule_add(
    ports: Ports,
    address: str,
    name: str = "",
    when: list[str] | None = None,
    unless: list[str] | None = None,
    do: list[str] | None = None,
    any_of: bool = False,
    stop: bool = False,
    position: int | None = None,
    form: str | None = None,
) -> dict[str, Any]:
    """Add a rule: when all of its conditions hold, do something with a message."""
    account = await account_of(ports, address)

    def add(tx: Any) -> dict[str, Any]:
        given = _form(tx, account, form, name, when, unless, do, any_of, stop)
        rule = checked(tx, account, given)
        kept = rules.add_rule(tx, account.mailbox_id, rule, ports.now(), position)
        return _shown(kept, paths(tx, account.mailbox_id))

    return dict(await ports.db.write(add))


@operation("rule edit")
async def rule_edit(
    ports: Ports,
    address: str,
    id: int,
    name: str | None = None,
    when: list[str] | None = None,
    unless: list[str] | None = None,
    do: list[str] | None = None,
    any_of: bool | None = None,
    stop: bool | None = None,
    enabled: bool | None = None,
    form: str | None = None,
) -> dict[str, Any]:
    """Change a rule; what is not named stays. Switch it off or on."""
    account = await account_of(ports, address)

    def change(tx: Any) -> dict[str, Any]:
        kept = _one(tx, account, id)
        before = form_of(kept.rule)
        if form is not None:
            given = _json(form)
        else:
            given = dict(before)
            words = _form(tx, account, None, name or "", when, unless, do, bool(any_of), bool(stop))
            for key, wanted in (
                ("name", name),
                ("conditions", when),
                ("exceptions", unless),
                ("actions", do),
                ("match", any_of),
                ("stop", stop),
            ):
                if wanted is not None:
                    given[key] = words[key]
        if given != before:
            kept = rules.replace_rule(tx, account.mailbox_id, id, checked(tx, account, given), ports.now())
        if enabled is not None:
            if enabled:
                checked(tx, account, given)
            kept = rules.enable_rule(tx, account.mailbox_id, id, enabled)
        return _shown(kept, paths(tx, account.mailbox_id))

    return dict(await ports.db.write(change))


@operation("rule move")
async def rule_move(ports: Ports, address: str, id: int, position: int) -> list[dict[str, Any]]:
    """Put a rule at another place in the order; 1 is the first."""
    account = await account_of(ports, address)
    await ports.db.write(lambda tx: rules.move_rule(tx, account.mailbox_id, id, position))
    return await rule_list(ports, address)


@operation("rule remove")
async def rule_remove(ports: Ports, address: str, id: int) -> dict[str, Any]:
    """Forget a rule."""
    account = await account_of(ports, address)
    await ports.db.write(lambda tx: rules.remove_rule(tx, account.mailbox_id, id))
    return {"id": id, "removed": True}


@operation("rule test")
async def rule_test(ports: Ports, address: str, item: int | None = None) -> dict[str, Any]:
    """Say what a user's rules would do with a message, without one named the newest in the Inbox; nothing is done."""
    account = await account_of(ports, address)
    decide = ports.try_rules
    if decide is None:
        raise Malformed("Rules cannot be tried here.")

    def tell(tx: Any) -> dict[str, Any]:
        number = _newest(tx, account) if item is None else item
        outcome = decide(tx, account, number)
        if outcome is None:
            raise NoSuchItem("There is no such message.")
        names = paths(tx, account.mailbox_id)
        kept = {one.id: one.rule.name for one in rules.rules_of(tx, account.mailbox_id)}
        found = items.item_by_number(tx, account.mailbox_id, number)
        return {
            "item": number,
            "subject": found.subject if found is not None else "",
            "rules": [kept.get(one, str(one)) for one in outcome.applied],
            "folder": "Deleted Items" if outcome.delete else names.get(outcome.folder, None),
            "copies": [names.get(one, f"#{one}") for one in outcome.copies],
            "read": outcome.read,
            "flag": outcome.flag,
            "categories": list(outcome.categories),
            "importance": None
            if outcome.importance is None
            else ("low", "normal", "high")[outcome.importance],
            "forward": [to for _, to in outcome.forward],
            "redirect": [to for _, to in outcome.redirect],
        }

    return dict(await ports.db.read(tell))


def _newest(tx: Any, account: Account) -> int:
    inbox = folders.folder_of_type(tx, account.mailbox_id, FolderType.INBOX)
    above = Arrival(1 << 62, 1 << 62)
    return next((mark.number for mark in items.filling(tx, inbox.id, above, Arrival(0, 0), 1)), 0)


def paths(tx: Any, mailbox_id: int) -> dict[int, str]:
    """Number -> path ("Work/Bills") of every folder of a mailbox."""
    listed = {one.number: one for one in folders.list_folders(tx, mailbox_id)}

    def path(folder: Folder, depth: int = 0) -> str:
        parent = listed.get(folder.parent)
        return (
            f"{path(parent, depth + 1)}/{folder.name}" if parent is not None and depth < 50 else folder.name
        )

    return {number: path(folder) for number, folder in listed.items()}


def checked(tx: Any, account: Account, form: Any) -> Rule:
    """The rule that a form means, its addresses folded and its folders there.

    :raises Malformed, TooLarge: it is none. :raises NoSuchFolder: a folder is missing, or is not for mail.
    :raises NotPermitted: it sends mail to a group. :raises NoSuchAccount: it sends mail to nobody of ours.
    """
    rule = rule_from(form)
    for number in sorted(rule.folders):
        folder = folders.folder_by_number(tx, account.mailbox_id, number)
        if folder is None or folder.type.item_class != "Email":
            raise NoSuchFolder("A rule needs a folder for mail that is there.")
    to = [fold_address(address) for action in rule.actions for address in action.to]
    require_targets(tx, to)
    for address in to:
        if leads_to_groups(tx, address):
            raise NotPermitted(f"{address} is a group; rules send mail to people only.")
    return evolve(
        rule,
        conditions=tuple(map(_folded, rule.conditions)),
        exceptions=tuple(map(_folded, rule.exceptions)),
    )


def _folded(one: Condition) -> Condition:
    if one.field not in _ADDRESSES or one.test != "is":
        return one
    values = tuple(fold_address(value) if "@" in value else fold_address("@" + value) for value in one.values)
    return evolve(one, values=values)


def _form(
    tx: Any,
    account: Account,
    form: str | None,
    name: str,
    when: Sequence[str] | None,
    unless: Sequence[str] | None,
    do: Sequence[str] | None,
    any_of: bool,
    stop: bool,
) -> Any:
    if form is not None:
        return _json(form)
    actions = []
    for text in do or ():
        action = action_form(text)
        if "folder" in action:
            action["folder"] = _number(tx, account, action["folder"])
        actions.append(action)
    made = Rule("words", (), tuple(map(condition_from, when or ())), tuple(map(condition_from, unless or ())))
    words = form_of(made)
    return words | {
        "name": name or " and ".join(when or ["every message"])[:200],
        "match": "any" if any_of else "all",
        "actions": actions,
        "stop": stop,
    }


def _number(tx: Any, account: Account, path: str) -> int:
    wanted = path.strip().strip("/").casefold()
    for number, name in paths(tx, account.mailbox_id).items():
        if wanted in (name.casefold(), f"#{number}"):
            return number
    raise NoSuchFolder(f'There is no folder "{path[:100]}" in the mailbox; the user has to make it first.')


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("The form of a rule is JSON.") from None


def _one(tx: Any, account: Account, rule_id: int) -> Kept:
    found = next((one for one in rules.rules_of(tx, account.mailbox_id) if one.id == rule_id), None)
    if found is None:
        raise NoSuchItem("There is no such rule.")
    return found


def _shown(kept: Kept, names: dict[int, str]) -> dict[str, Any]:
    rule = kept.rule
    return {
        "id": kept.id,
        "position": kept.position,
        "name": rule.name,
        "enabled": kept.enabled,
        "problem": kept.problem,
        "when": sentence(rule),
        "do": "; ".join(
            [words_of_action(one, names.get(one.folder, "")) for one in rule.actions]
            + (["stop"] if rule.stop else [])
        ),
        "form": form_of(rule),
        "changed": kept.changed,
    }
