"""Rules in words, as the command line takes and shows them.

Promise: ``condition_from(words_of(condition))`` is the condition again. Values are parted by ``|``:
``subject contains bill | invoice``, ``from is @shop.example``, ``header X-Kind is news``, ``attachment``,
``not-me`` for ``sent is not-me``; ``size over 1000000``.
"""

from __future__ import annotations

from typing import Any

from posthouse.errors import Malformed
from posthouse.rules.form import rule_from
from posthouse.rules.model import ACTIONS, FIELDS, Action, Condition, Rule

__all__ = ["action_form", "condition_from", "sentence", "words_of", "words_of_action"]


def condition_from(text: str) -> Condition:
    """A condition from its words. :raises Malformed: they mean none."""
    field, _, rest = text.strip().partition(" ")
    field = field.lower()
    if field in FIELDS["sent"][1]:
        field, rest = "sent", f"is {field}"
    if field not in FIELDS:
        raise Malformed(f'"{text[:60]}" begins with none of: {", ".join(FIELDS)}.')
    form: dict[str, Any] = {"field": field}
    rest = rest.strip()
    if field == "header":
        name, _, rest = rest.partition(" ")
        form["name"] = name.removesuffix(":")
    first, _, after = rest.strip().partition(" ")
    if first.lower() in FIELDS[field][0]:
        form["test"], rest = first.lower(), after
    if rest.strip():
        form["values"] = [one.strip() for one in rest.split("|") if one.strip()]
    elif FIELDS[field][1] != ("yes", "no"):
        raise Malformed(f'"{text[:60]}" names no value.')
    return rule_from({"name": "one", "conditions": [form], "stop": True}).conditions[0]


def words_of(one: Condition) -> str:
    """A condition in words."""
    if one.field == "sent" and len(one.values) == 1:
        return one.values[0]
    if one.values == ("yes",) and FIELDS[one.field][1] == ("yes", "no"):
        return one.field
    name = f" {one.name}" if one.name else ""
    return f"{one.field}{name} {one.test} {' | '.join(one.values)}"


def action_form(text: str) -> dict[str, Any]:
    """The form of an action from its words, ``folder`` still a path: ``move Work/Bills``.

    :raises Malformed: they mean none.
    """
    do, _, rest = text.strip().partition(" ")
    do, rest = do.lower(), rest.strip()
    if do not in ACTIONS:
        raise Malformed(f'"{text[:60]}" begins with none of: {", ".join(ACTIONS)}.')
    needs = ACTIONS[do]
    if bool(rest) != bool(needs):
        raise Malformed(f'"{do}" needs {"a " + needs if needs else "nothing else"}.')
    if not needs:
        return {"do": do}
    return {
        "do": do,
        needs: [one.strip() for one in rest.split(",") if one.strip()] if needs == "to" else rest,
    }


def words_of_action(one: Action, folder: str = "") -> str:
    """An action in words. :param folder: the path of its folder."""
    needs = ACTIONS[one.do]
    value = {"": "", "folder": folder or f"#{one.folder}", "value": one.value, "to": ", ".join(one.to)}[needs]
    return f"{one.do} {value}".strip()


def sentence(rule: Rule) -> str:
    """When a rule applies, in one line."""
    parts = [f" {'or' if rule.any_of else 'and'} ".join(map(words_of, rule.conditions)) or "every message"]
    if rule.exceptions:
        parts.append("unless " + " or ".join(map(words_of, rule.exceptions)))
    return ", ".join(parts)
