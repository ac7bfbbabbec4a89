"""TOML file and environment in, one frozen ``Config`` out.

The promise: every key of ``posthouse.settings`` is in ``etc/mailserver.toml``, which is made from them; whatever
is wrong (an unknown key, a wrong type, a port that is none) is one ``ConfigError`` with one plain sentence that
names the key and what to write instead. Nothing is opened here but the file itself: what the machine has to say
(taken ports, unreadable certificates) is asked by ``posthouse.daemon.preflight``.

Environment variables ``POSTHOUSE_<SECTION>_<KEY>`` override the file; lists are written with commas there.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from posthouse.errors import ConfigError
from posthouse.settings import SECTIONS, SERVICES, Config, split_address

__all__ = ["Config", "as_toml", "from_mapping", "load", "sample", "split_address"]

MAX_FILE = 1_000_000  # bytes; a configuration is a page, not a database


def load(path: str | Path | None, environ: Mapping[str, str] | None = None) -> Config:
    """Read a TOML file (None: defaults only), then let the environment override it.

    :raises ConfigError: with the one sentence that the administrator needs.
    """
    data: dict[str, Any] = {}
    where = "the defaults"
    if path is not None:
        where = str(path)
        data = _read(Path(path))
    return from_mapping(data, where=where, environ=environ or {})


def from_mapping(
    data: Mapping[str, Any], *, where: str = "the configuration", environ: Mapping[str, str] | None = None
) -> Config:
    """A Config from ``{"server": {"hostname": ...}}``; same checks, same sentences as ``load``."""
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for name, content in data.items():
        if name not in SECTIONS:
            raise ConfigError(_unknown(f'section "[{name}]"', where, name, list(SECTIONS), "[{}]"))
        if not isinstance(content, dict):
            raise ConfigError(f'"{name}" in {where} must be a section: write [{name}] and its keys below it.')
        known = _fields(name)
        for key, value in content.items():
            if key not in known:
                hint = _elsewhere(key, name) or ""
                raise ConfigError(
                    _unknown(f'key "{name}.{key}"', where, key, list(known), name + ".{}", hint)
                )
            sections[name][key] = _typed(f"{name}.{key}", known[key], value, where)
    for variable, name, key in _variables(environ or {}):
        text = (environ or {})[variable]
        sections[name][key] = _from_text(f"{variable}", _fields(name)[key], text)
    config = Config(**{name: SECTIONS[name](**values) for name, values in sections.items()})
    _together(config, where)
    return config


def sample() -> str:
    """The text of ``etc/mailserver.toml``: every key with its doc line, commented out at its default."""
    lines = [
        "# Posthouse: the configuration of `twistd mailserver --config THIS-FILE`.",
        "# Every key is shown with its default; remove the # to change one. An environment variable",
        "# POSTHOUSE_<SECTION>_<KEY> (such as POSTHOUSE_SERVER_HOSTNAME) overrides the file.",
    ]
    for name, section in SECTIONS.items():
        lines += ["", f"# {(section.__doc__ or '').strip()}", f"[{name}]"]
        for key, attribute in _fields(name).items():
            lines.append(f"# {attribute.metadata['doc']}")
            lines.append(f"#{key} = {as_toml(attribute.default)}")
    return "\n".join(lines) + "\n"


def as_toml(value: Any) -> str:
    """A value of one key as TOML writes it (JSON's strings are TOML's basic strings)."""
    if isinstance(value, tuple):
        return "[" + ", ".join(as_toml(part) for part in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE + 1)
    except OSError as problem:
        raise ConfigError(f"The configuration {path} cannot be read: {problem.strerror}.") from None
    if len(raw) > MAX_FILE:
        raise ConfigError(f"The configuration {path} is larger than {MAX_FILE} bytes.")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"The configuration {path} is not UTF-8 text.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise ConfigError(f"The configuration {path} is not valid TOML: {problem}.") from None


def _fields(section: str) -> dict[str, attrs.Attribute[Any]]:
    return {attribute.name: attribute for attribute in attrs.fields(SECTIONS[section])}


def _unknown(what: str, where: str, word: str, known: list[str], form: str, hint: str = "") -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.55)
    if hint:
        return f'Unknown {what} in {where}; did you mean "{hint}"?'
    if near:
        return f'Unknown {what} in {where}; did you mean "{form.format(near[0])}"?'
    return f"Unknown {what} in {where}; known are {', '.join(known)}."


def _elsewhere(key: str, section: str) -> str | None:
    """The right key in the wrong section is the commonest mistake after a typing error."""
    for name in SECTIONS:
        if name != section and key in _fields(name):
            return f"{name}.{key}"
    return None


_KINDS = {bool: "true or false", int: "a whole number", str: "a text in quotes", tuple: "a list of texts"}


def _typed(name: str, attribute: attrs.Attribute[Any], value: Any, where: str) -> Any:
    kind = type(attribute.default)
    if kind is tuple:
        good = isinstance(value, list) and all(isinstance(part, str) for part in value)
    elif kind is int:
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = isinstance(value, kind)
    if not good:
        raise ConfigError(f'"{name}" in {where} must be {_KINDS[kind]}, such as {_example(attribute)}.')
    value = tuple(value) if kind is tuple else value
    _checked(f'"{name}" in {where}', attribute, value)
    return value


def _from_text(variable: str, attribute: attrs.Attribute[Any], text: str) -> Any:
    kind = type(attribute.default)
    value: Any = text
    try:
        if kind is bool:
            value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.lower()
            ]
        elif kind is int:
            value = int(text) if len(text) < 20 else [][0]
        elif kind is tuple:
            value = tuple(part.strip() for part in text.split(",") if part.strip())
    except (KeyError, ValueError, IndexError):
        raise ConfigError(f"The environment variable {variable} must be {_KINDS[kind]}.") from None
    _checked(f"The environment variable {variable}", attribute, value)
    return value


def _checked(what: str, attribute: attrs.Attribute[Any], value: Any) -> None:
    check = attribute.metadata["check"]
    if check is None:
        return
    try:
        for part in value if isinstance(value, tuple) else (value,):
            check(part)
    except ValueError as problem:
        raise ConfigError(f"{what} {problem}.") from None


def _example(attribute: attrs.Attribute[Any]) -> str:
    return as_toml(attribute.default) if attribute.default != () else '["192.0.2.0/24"]'


def _variables(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(variable, section, key) of what belongs to us.

    A variable whose section we do not know is somebody else's: Kubernetes sets POSTHOUSE_SERVICE_HOST and
    POSTHOUSE_PORT for a service of that name. A wrong key in a known section is a mistake and is refused.
    """
    found = []
    for variable in sorted(environ):
        if not variable.startswith("POSTHOUSE_"):
            continue
        name, _, key = variable.removeprefix("POSTHOUSE_").lower().partition("_")
        if name not in SECTIONS or not key:
            continue
        known = _fields(name)
        if key not in known:
            form = f"POSTHOUSE_{name.upper()}_"
            near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.55)
            advice = f'did you mean "{form}{near[0].upper()}"' if near else f"known are {', '.join(known)}"
            raise ConfigError(f"Unknown environment variable {variable}; {advice}.")
        found.append((variable, name, key))
    return found


def _together(config: Config, where: str) -> None:
    """What no single key can tell."""
    if config.eas.heartbeat_min > config.eas.heartbeat_max:
        raise ConfigError(f'"eas.heartbeat_min" in {where} must not be greater than "eas.heartbeat_max".')
    if config.tls.key and not config.tls.certificate:
        raise ConfigError(f'"tls.key" in {where} needs "tls.certificate" beside it.')
    if not config.server.directory:
        raise ConfigError(f'"server.directory" in {where} must name a directory.')
    seen: dict[str, str] = {}
    for service in SERVICES:
        for address in getattr(config.listen, service):
            if address in seen and not address.endswith(":0"):
                raise ConfigError(
                    f'"listen.{service}" in {where} repeats {address} of "listen.{seen[address]}".'
                )
            seen[address] = service
