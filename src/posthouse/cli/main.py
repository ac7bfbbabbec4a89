"""The ``posthouse`` command.

It asks the running daemon over its control socket, and does the same work under the store's lock when
the daemon is down. Exit codes: 0 done, 1 refused (one sentence on standard error), 2 wrong usage or
configuration."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from pathlib import Path

from posthouse.admin.operations import OPERATIONS
from posthouse.cli.client import call, connect
from posthouse.cli.commands import fill
from posthouse.cli.init import initialise, next_steps
from posthouse.cli.offline import call_offline
from posthouse.cli.show import as_text
from posthouse.cli.versions import versions
from posthouse.config import Config, as_toml, load, sample
from posthouse.errors import ConfigError, Malformed, PosthouseError

__all__ = ["main", "parser"]

DEFAULT_CONFIG = "/etc/posthouse/mailserver.toml"
DEFAULT_DIRECTORY = "/var/lib/posthouse"


def parser() -> argparse.ArgumentParser:
    """The whole grammar of the command line."""
    top = argparse.ArgumentParser(
        prog="posthouse",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Administer a Posthouse mail server, whether its daemon runs or not.",
        epilog="The server itself is started by: twistd -n mailserver --config FILE (or --demo).",
    )
    top.add_argument("--version", action="version", version=versions())
    top.add_argument(
        "--config", metavar="FILE", help=f"the configuration (POSTHOUSE_CONFIG, else {DEFAULT_CONFIG})"
    )
    top.add_argument(
        "--directory",
        metavar="DIR",
        help="the data directory; without --config nothing else of a configuration counts",
    )
    top.add_argument("--json", action="store_true", help="print results as JSON")
    words = top.add_subparsers(metavar="COMMAND", required=True)
    new = words.add_parser("init", help="write a configuration for a new server and make its directory")
    new.add_argument("--hostname", help="the public name of this server (default: this machine's name)")
    new.set_defaults(command="init")
    # Accepted behind the word, too, where people type them.
    new.add_argument(
        "--config", dest="config", default=argparse.SUPPRESS, metavar="FILE", help=argparse.SUPPRESS
    )
    new.add_argument("--directory", default=argparse.SUPPRESS, metavar="DIR", help=argparse.SUPPRESS)
    check = words.add_parser("config", help="check the configuration, or print a commented sample")
    check.add_argument("what", choices=("check", "sample"))
    check.set_defaults(command="config")
    fill(top, words, {name: entry.summary for name, entry in OPERATIONS.items()})
    return top


def main(argv: list[str] | None = None) -> int:
    """The console script."""
    options = parser().parse_args(argv)
    try:
        if options.command == "init":
            return _init(options)
        if options.command == "config":
            return _config(options)
        return _operate(options)
    except ConfigError as problem:
        return _complain(problem, 2)
    except PosthouseError as problem:
        return _complain(problem, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 1


def _operate(options: argparse.Namespace) -> int:
    command = options.command
    arguments = {
        name: getattr(options, name)
        for name in OPERATIONS[command.operation].parameters()
        if hasattr(options, name)
    }
    arguments = {name: value for name, value in arguments.items() if value is not None}
    if command.operation == "device trace":
        arguments["on"] = options.on == "on"
    config = _load(options)
    if command.password:
        password = _password(options)
        if password is not None:
            arguments["password"] = password
    connection = connect(config.control_path)
    if connection is not None:
        with connection:
            result = call(connection, command.operation, arguments)
    else:
        result = call_offline(config, command.operation, arguments)
    print(json.dumps(result, ensure_ascii=False) if options.json else as_text(result, command.columns))
    return 0


def _init(options: argparse.Namespace) -> int:
    path = Path(options.config or os.environ.get("POSTHOUSE_CONFIG") or DEFAULT_CONFIG).absolute()
    directory = str(Path(options.directory or DEFAULT_DIRECTORY).absolute())
    name = initialise(path, options.hostname, directory)
    if options.json:
        print(json.dumps({"config": str(path), "hostname": name, "directory": directory}))
    else:
        print(next_steps(path, name, directory), end="")
    return 0


def _config(options: argparse.Namespace) -> int:
    if options.what == "sample":
        print(sample(), end="")
        return 0
    from posthouse.daemon.preflight import check

    config = _load(options)
    check(config, ports=False)
    print("The configuration is good: " + as_toml(config.server.hostname) + " in " + str(config.directory))
    return 0


def _load(options: argparse.Namespace) -> Config:
    path = options.config or os.environ.get("POSTHOUSE_CONFIG")
    environ = dict(os.environ)
    if options.directory is not None:
        environ["POSTHOUSE_SERVER_DIRECTORY"] = str(Path(options.directory).absolute())
    if path is None and options.directory is None:
        path = DEFAULT_CONFIG
        if not Path(path).exists():
            raise ConfigError(f"There is no {path}; begin with: posthouse init (or name one with --config).")
    return load(path, environ)


def _password(options: argparse.Namespace) -> str | None:
    """The new password; None lets the server make one."""
    if options.generate:
        return None
    if options.password_stdin:
        line = sys.stdin.readline(10_000).rstrip("\r\n")
        if not line:
            raise Malformed("There is no password on standard input.")
        return line
    if not sys.stdin.isatty():
        return None
    first = getpass.getpass("New password (empty: make one): ")
    if not first:
        return None
    if getpass.getpass("Once more: ") != first:
        raise Malformed("The two passwords differ.")
    return first


def _complain(problem: PosthouseError, code: int) -> int:
    print(f"posthouse: {problem.public}", file=sys.stderr)
    return code
