"""One JSON object a line for machines, or one short line for people; a secret in neither.

Fields: ``time`` (UTC), ``level``, ``system`` (who says it), ``event`` (its name, for machines; "-" for none),
``message`` (the sentence), ``cid`` (the connection, where there is one), and whatever scalar values the
event carries. Fields whose name sounds like a secret are left out, as are objects, whose ``repr`` may hold
anything.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Any

from twisted.logger import ILogObserver, LogLevel, formatEvent
from zope.interface import implementer

__all__ = ["LineObserver", "json_line", "text_line"]

MAX_VALUE = 4000  # characters of one field
MAX_TRACE = 20_000
_SECRET = re.compile(r"passw|secret|authoriz|token|cookie|credential|\bkey\b", re.IGNORECASE)
_LEVELS = {"debug": 0, "info": 1, "warn": 2, "error": 3, "critical": 4}


_encode = json.JSONEncoder(ensure_ascii=False).encode
# Formats with names of fields alone, which ``str.format_map`` renders as ``formatEvent`` does, at a tenth
# of its price.
_SIMPLE = re.compile(r"(?:[^{}]|\{[A-Za-z_][A-Za-z0-9_]*\})*+")


@lru_cache(maxsize=1000)
def _is_simple(form: str) -> bool:
    return _SIMPLE.fullmatch(form) is not None


@lru_cache(maxsize=1000)
def _is_told(key: str) -> bool:
    return not (key.startswith("log_") or key in _LEGACY or _SECRET.search(key))


def json_line(event: dict[str, Any]) -> str:
    """The event as one line of JSON, with its line end."""
    line: dict[str, Any] = {
        "time": _time(event).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _level(event),
        "system": str(event.get("log_namespace", "-")),
        "event": str(event.get("event", "-")),
        "message": _sentence(event),
    }
    for key, value in event.items():
        if not _is_told(key) or key in line:
            continue
        if isinstance(value, str):
            line[key] = value[:MAX_VALUE]
        elif value is None or isinstance(value, bool | int | float):
            line[key] = value
    failure = event.get("log_failure")
    if failure is not None:
        line["trace"] = failure.getTraceback()[-MAX_TRACE:]
    return _encode(line) + "\n"


def text_line(event: dict[str, Any]) -> str:
    """The event as people read it; control characters are shown, not sent to the terminal."""
    cid = event.get("cid")
    system = str(event.get("log_namespace", "-")).removeprefix("posthouse.")
    level = _level(event)
    mark = "" if level in ("info", "debug") else level.upper() + " "
    sentence = _printable(_sentence(event))
    who = f"{system} {_printable(str(cid))}" if cid and not sentence.startswith(str(cid)) else system
    line = f"{_clock(int(event.get('log_time', 0.0)))} {who}: {mark}{sentence}\n"
    failure = event.get("log_failure")
    if failure is not None:
        line += failure.getTraceback()[-MAX_TRACE:]
    return line


# What the old twisted.python.log puts into every event.
_LEGACY = {"isError", "message", "time", "system", "format", "failure", "why", "logLevel"}


def _sentence(event: dict[str, Any]) -> str:
    try:
        form = event.get("log_format")
        if isinstance(form, str) and _is_simple(form):
            try:
                return form.format_map(event)[:MAX_VALUE]
            except KeyError:
                pass  # formatEvent says which field is missing
        text = formatEvent(event)
    except Exception:  # an argument whose repr raises must not stop the log
        text = str(event.get("log_format", "?"))
    return text[:MAX_VALUE]


def _time(event: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(float(event.get("log_time", 0.0)), UTC)


@lru_cache(maxsize=4)
def _clock(second: int) -> str:
    """The local time of day, made once a second."""
    return f"{datetime.fromtimestamp(second):%H:%M:%S}"


def _is_chatter(event: dict[str, Any]) -> bool:
    """Twisted tells of every UDP socket that opens and closes: two lines for each question to DNS."""
    if event.get("log_namespace") != "log_legacy":
        return False
    text = " ".join(map(str, event.get("message") or ()))
    return text.startswith(("(UDP Port ", "_Datagrams starting on "))


def _level(event: dict[str, Any]) -> str:
    level = event.get("log_level")
    return level.name if level is not None else "info"


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


@implementer(ILogObserver)
class LineObserver:
    """Writes events at or above a level to a stream, one line each.

    :param level: "debug", "info", "warn" or "error". :param form: "json" or "text".
    """

    def __init__(self, stream: IO[str], level: str = "info", form: str = "json") -> None:
        self._stream = stream
        self._least = _LEVELS[level]
        self._line = json_line if form == "json" else text_line

    def __call__(self, event: dict[str, Any]) -> None:
        level = event.get("log_level") or LogLevel.info
        if _LEVELS.get(level.name, 1) < self._least or (self._least and _is_chatter(event)):
            return
        try:
            self._stream.write(self._line(event))
            self._stream.flush()
        except (OSError, ValueError):
            pass  # a full disk or a closed terminal must not stop the mail

    @classmethod
    def to_file(cls, name: str, level: str, form: str) -> LineObserver:
        """Observe into a file (appended, mode 0600 when new), or standard output for "-"."""
        if name == "-":
            return cls(sys.stdout, level, form)
        descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return cls(os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace"), level, form)
