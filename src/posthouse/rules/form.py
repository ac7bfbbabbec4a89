"""The JSON form of a rule: what the store keeps, and what the web, the phone and the command line exchange.

Promise: :func:`rule_from` returns a rule within all limits or raises ``Malformed`` with a sentence that names the
place; :func:`form_of` gives the form back, and the two are each other's inverse.

::

    {"name": "Bills", "match": "all",
     "conditions": [{"field": "from", "test": "is", "values": ["@shop.example"]},
                    {"field": "header", "name": "X-Kind", "test": "contains", "values": ["bill", "invoice"]}],
     "exceptions": [{"field": "attachment", "test": "is", "values": ["no"]}],
     "actions": [{"do": "move", "folder": 12}, {"do": "category", "value": "Money"},
                 {"do": "forward", "to": ["tax@adviser.example"]}],
     "stop": true}
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from posthouse.errors import Malformed, TooLarge
from posthouse.rules.model import (
    ACTIONS,
    FIELDS,
    LEVELS,
    MAX_ACTIONS,
    MAX_CONDITIONS,
    MAX_FORWARDS,
    MAX_NAME,
    MAX_VALUE,
    MAX_VALUES,
    Action,
    Condition,
    Rule,
)

__all__ = ["MAX_FORM", "form_of", "read_form", "rule_from", "write_form"]

#: characters of a form
MAX_FORM = 16_384
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,128}@[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,255}")
_HEADER = re.compile(r"[!-9;-~]{1,76}")
_MAX_SIZE = 1 << 40
_KEYS = {"name", "match", "conditions", "exceptions", "actions", "stop"}


def rule_from(form: Any) -> Rule:
    """The rule that a form means. :raises Malformed: it is none. :raises TooLarge: beyond a limit."""
    if not isinstance(form, dict):
        raise Malformed("A rule is an object.")
    for key in form:
        if key not in _KEYS:
            raise Malformed(f'A rule has no "{str(key)[:40]}".')
    name = form.get("name", "")
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        raise Malformed(f"A rule needs a name of at most {MAX_NAME} characters.")
    match = form.get("match", "all")
    if match not in ("all", "any"):
        raise Malformed('"match" is "all" or "any".')
    stop = form.get("stop", False)
    if not isinstance(stop, bool):
        raise Malformed('"stop" is true or false.')
    actions = tuple(_action(one) for one in _list(form, "actions", MAX_ACTIONS))
    if not actions and not stop:
        raise Malformed("A rule needs something to do.")
    if sum(len(one.to) for one in actions) > MAX_FORWARDS:
        raise TooLarge(f"A rule may send a message to {MAX_FORWARDS} addresses.")
    return Rule(
        " ".join(name.split()),
        actions,
        tuple(_condition(one) for one in _list(form, "conditions", MAX_CONDITIONS)),
        tuple(_condition(one) for one in _list(form, "exceptions", MAX_CONDITIONS)),
        match == "any",
        stop,
    )


def form_of(rule: Rule) -> dict[str, Any]:
    """The form of a rule."""
    return {
        "name": rule.name,
        "match": "any" if rule.any_of else "all",
        "conditions": [_condition_form(one) for one in rule.conditions],
        "exceptions": [_condition_form(one) for one in rule.exceptions],
        "actions": [_action_form(one) for one in rule.actions],
        "stop": rule.stop,
    }


def write_form(rule: Rule) -> str:
    """The form as JSON text. :raises TooLarge: beyond ``MAX_FORM``."""
    text = json.dumps(form_of(rule), ensure_ascii=False, separators=(",", ":"))
    if len(text) > MAX_FORM:
        raise TooLarge("The rule is too long.")
    return text


@lru_cache(maxsize=2048)
def read_form(text: str) -> Rule:
    """A rule from JSON text. Remembered: the same rules are asked for each message.

    :raises Malformed: it is none.
    """
    if len(text) > MAX_FORM:
        raise TooLarge("The rule is too long.")
    try:
        form = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("The rule is no JSON.") from None
    return rule_from(form)


def _list(form: dict[str, Any], key: str, limit: int) -> list[Any]:
    found = form.get(key, [])
    if not isinstance(found, list):
        raise Malformed(f'"{key}" is a list.')
    if len(found) > limit:
        raise TooLarge(f"A rule may have {limit} {key}.")
    return found


def _condition(form: Any) -> Condition:
    if not isinstance(form, dict) or not set(form) <= {"field", "test", "values", "name"}:
        raise Malformed('A condition has "field", "test" and "values", and "name" for a header.')
    field = form.get("field")
    if not isinstance(field, str) or field not in FIELDS:
        raise Malformed(f"A condition looks at one of: {', '.join(FIELDS)}.")
    tests, choices = FIELDS[field]
    test = form.get("test", tests[0])
    if test not in tests:
        raise Malformed(f'"{field}" is asked with {" or ".join(tests)}.')
    raw = form.get("values", ["yes"] if choices == ("yes", "no") else [])
    if not isinstance(raw, list) or not raw or not all(isinstance(one, str | int) for one in raw):
        raise Malformed(f'"{field}" needs a list of values.')
    if len(raw) > MAX_VALUES:
        raise TooLarge(f"A condition may have {MAX_VALUES} values.")
    # A blank at the end may be what tells a word from the beginning of another.
    values = tuple(dict.fromkeys(str(one).casefold() for one in raw))
    if any(not one.strip() or len(one) > MAX_VALUE for one in values):
        raise Malformed(f'A value of "{field}" is empty or longer than {MAX_VALUE} characters.')
    if choices and not set(values) <= set(choices):
        raise Malformed(f'"{field}" is one of: {", ".join(choices)}.')
    if field == "size" and not all(
        one.isascii() and one.isdigit() and int(one) < _MAX_SIZE for one in values
    ):
        raise Malformed("A size is a number of bytes.")
    name = form.get("name", "")
    if field == "header":
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise Malformed("Name the header field to look at.")
    elif name:
        raise Malformed('Only a "header" condition has a name.')
    return Condition(field, test, values, name.lower())


def _condition_form(one: Condition) -> dict[str, Any]:
    form: dict[str, Any] = {"field": one.field, "test": one.test, "values": list(one.values)}
    return form | {"name": one.name} if one.name else form


def _action(form: Any) -> Action:
    if not isinstance(form, dict) or not set(form) <= {"do", "folder", "value", "to"}:
        raise Malformed('An action has "do", and "folder", "value" or "to".')
    do = form.get("do")
    if not isinstance(do, str) or do not in ACTIONS:
        raise Malformed(f"An action is one of: {', '.join(ACTIONS)}.")
    needs = ACTIONS[do]
    if set(form) - {"do"} != ({needs} if needs else set()):
        raise Malformed(f'"{do}" needs {needs or "nothing else"}.')
    given = form.get(needs)
    if needs == "folder":
        if not isinstance(given, int) or isinstance(given, bool) or not 0 < given < 1 << 48:
            raise Malformed("A folder is named by its number.")
        return Action(do, folder=given)
    if needs == "value":
        if not isinstance(given, str) or not given.strip() or len(given) > MAX_VALUE:
            raise Malformed(f'"{do}" needs a value of at most {MAX_VALUE} characters.')
        if do == "importance" and given not in LEVELS:
            raise Malformed(f"Importance is one of: {', '.join(LEVELS)}.")
        return Action(do, value=" ".join(given.split()))
    if needs == "to":
        if not isinstance(given, list) or not given:
            raise Malformed(f'"{do}" needs a list of addresses.')
        for address in given:
            if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
                raise Malformed(f'"{str(address)[:100]}" is not a mail address.')
        return Action(do, to=tuple(dict.fromkeys(given)))
    return Action(do)


def _action_form(one: Action) -> dict[str, Any]:
    needs = ACTIONS[one.do]
    if not needs:
        return {"do": one.do}
    value: Any = getattr(one, needs)
    return {"do": one.do, needs: list(value) if isinstance(value, tuple) else value}
