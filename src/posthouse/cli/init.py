"""``posthouse init``: a configuration and a data directory for a new server.

Everything is made with O_EXCL and taken away again when a later step fails; nothing that exists is touched.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from posthouse.config import as_toml, from_mapping, sample
from posthouse.errors import ConfigError, Exists

__all__ = ["initialise", "next_steps"]


def initialise(config_path: Path, hostname: str | None, directory: str) -> str:
    """Write the configuration and make the directory (mode 0700). Returns the host name used.

    :raises Exists: there is a configuration already. :raises ConfigError: it cannot be written.
    """
    name = hostname or socket.getfqdn()
    data = {"server": {"hostname": name, "directory": directory}}
    from_mapping(data, where="the command line")
    text = sample()
    for key, value in data["server"].items():
        lines = text.split("\n")
        index = next(number for number, line in enumerate(lines) if line.startswith(f"#{key} = "))
        lines[index] = f"{key} = {as_toml(value)}"
        text = "\n".join(lines)
    made: list[Path] = []
    try:
        _make_directories(config_path.parent, 0o755, made)
        descriptor = os.open(config_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        made.append(config_path)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        _make_directories(Path(directory), 0o700, made)
    except FileExistsError:
        _undo(made)
        raise Exists(f"There is a configuration already: {config_path}. Nothing was changed.") from None
    except OSError as problem:
        _undo(made)
        raise ConfigError(
            f"{problem.filename or config_path} cannot be made: {problem.strerror}. Nothing was changed."
        ) from None
    return name


def next_steps(config_path: Path, hostname: str, directory: str) -> str:
    """What to type next."""
    domain = hostname.partition(".")[2] if hostname.count(".") >= 2 else "example.org"
    option = "" if str(config_path) == "/etc/posthouse/mailserver.toml" else f" --config {config_path}"
    return f"""\
Made {config_path} and {directory}.

Next:
  1. Read {config_path}; every key is explained there.
  2. posthouse{option} domain add {domain}
  3. posthouse{option} user add you@{domain} --admin
  4. twistd -n mailserver --config {config_path}
     (or, as a service: see packaging/posthouse.service)
  5. In the DNS of {domain}:   {domain}.  MX 10  {hostname}.
     and an address (A, AAAA) for {hostname}.
"""


def _make_directories(path: Path, mode: int, made: list[Path]) -> None:
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for one in reversed(missing):
        one.mkdir(mode=mode)
        made.append(one)


def _undo(made: list[Path]) -> None:
    for path in reversed(made):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
