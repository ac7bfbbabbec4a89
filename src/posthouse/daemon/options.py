"""The options of ``twistd mailserver``.

The promise: after ``postOptions`` everything that could be wrong is known to be right (see
``posthouse.daemon.preflight``); otherwise one sentence is on standard error and the exit code is 2.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from twisted.python import usage

from posthouse.cli.versions import too_old, versions
from posthouse.config import Config, load
from posthouse.daemon.preflight import HeldPort, check
from posthouse.demo.setup import DEFAULT_PORTS, Demo, demo_config, prepare
from posthouse.errors import ConfigError, PosthouseError

__all__ = ["Options"]

DEFAULT_CONFIG = "/etc/posthouse/mailserver.toml"
DEMO_DIRECTORY = "posthouse-demo"


class Options(usage.Options):
    """``config``, ``held`` and ``demo`` are there after ``postOptions``."""

    synopsis = "[--config FILE | --demo]"
    longdesc = "A mail server: SMTP, Exchange ActiveSync and Autodiscover on one SQLite file."

    optParameters = [
        ["config", "c", None, f"the configuration (POSTHOUSE_CONFIG, else {DEFAULT_CONFIG})"],
        [
            "directory",
            "d",
            None,
            f"the data directory (demo: ./{DEMO_DIRECTORY})",
        ],
        ["smarthost", None, "", "demo: hand mail for elsewhere to this HOST:PORT instead of catching it"],
        *[
            [
                f"{service}-port",
                None,
                None,
                f"demo: port of {service} ({port}); 0 takes any free one",
            ]
            for service, port in DEFAULT_PORTS.items()
        ],
    ]
    optFlags = [["demo", None, "a server to try: loopback only, two users, a full mailbox"]]

    config: Config
    held: list[HeldPort]
    demo: Demo | None = None

    def opt_version(self) -> NoReturn:
        """Print the versions of everything that matters."""
        print(versions())
        raise SystemExit(0)

    def parseOptions(self, options: Any = None) -> None:
        """Read the command line; SystemExit(2) after one sentence for what is no option."""
        try:
            super().parseOptions(options)
        except usage.UsageError as problem:
            # Twisted would print the whole help, and exit with 1.
            print(f"posthouse: {str(problem).rstrip('.')}; see twistd mailserver --help.", file=sys.stderr)
            raise SystemExit(2) from None

    def postOptions(self) -> None:
        """Check everything; SystemExit(2) after one sentence when something is wrong."""
        try:
            self._prepare()
        except PosthouseError as problem:
            # Raised as UsageError this would print the whole help and exit with 1.
            print(f"posthouse: {problem.public}", file=sys.stderr)
            raise SystemExit(2) from None

    def _prepare(self) -> None:
        old = too_old()
        if old is not None:
            raise ConfigError(old)
        self.config = self._demo_config() if self["demo"] else self._real_config()
        self.held = check(self.config, database=not self["demo"], **self._owner())
        if self["demo"]:
            try:
                self.demo = prepare(self.config)
            except BaseException:
                for one in self.held:
                    one.socket.close()
                raise

    def _real_config(self) -> Config:
        given = [name for name in ("smarthost", *_port_options()) if self[name] not in (None, "")]
        if given:
            raise ConfigError(f"--{given[0]} belongs to --demo; the configuration file has a key for it.")
        path = self["config"] or os.environ.get("POSTHOUSE_CONFIG") or DEFAULT_CONFIG
        if self["config"] is None and not Path(path).exists():
            raise ConfigError(f"There is no {path}; begin with posthouse init, or try --demo.")
        environ = dict(os.environ)
        if self["directory"]:
            environ["POSTHOUSE_SERVER_DIRECTORY"] = str(Path(self["directory"]).absolute())
        return load(path, environ)

    def _demo_config(self) -> Config:
        if self["config"]:
            raise ConfigError("--demo makes its own configuration; leave --config away.")
        ports = {}
        for service, default in DEFAULT_PORTS.items():
            text = self[f"{service}-port"]
            if text is not None and not (text.isascii() and text.isdigit() and int(text) < 65536):
                raise ConfigError(f"--{service}-port must be a number from 0 to 65535.")
            ports[service] = int(text) if text is not None else default
        directory = Path(self["directory"] or DEMO_DIRECTORY).absolute()
        return demo_config(directory, ports, self["smarthost"])

    def _owner(self) -> dict[str, Any]:
        """The user that ``twistd --uid`` will become."""
        parent: Any = self.parent or {}
        return {"uid": parent.get("uid"), "gid": parent.get("gid")}


def _port_options() -> list[str]:
    return [f"{service}-port" for service in DEFAULT_PORTS]
