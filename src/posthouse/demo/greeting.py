"""What the demo says when it is ready: ``demo.json`` for scripts, ready-to-paste lines for people."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from posthouse.certs.selfsigned import write_private
from posthouse.config import Config
from posthouse.demo.setup import DOMAIN, Demo

__all__ = ["facts", "greeting", "withdraw", "write_facts"]

_V2 = "/autodiscover/autodiscover.json"


def facts(config: Config, demo: Demo, ports: dict[str, int]) -> dict[str, Any]:
    """The content of ``demo.json``."""
    return {
        "https": f"https://127.0.0.1:{ports['https']}",
        "smtp": ports["smtp"],
        "submission": ports["submission"],
        "submissions": ports["submissions"],
        "certificate": str(config.certificate_path.absolute()),
        "directory": str(config.directory.absolute()),
        "accounts": [
            {key: account[key] for key in ("address", "password", "admin", "name")}
            for account in demo.accounts
        ],
    }


def write_facts(config: Config, content: dict[str, Any]) -> Path:
    """Write ``demo.json`` (mode 0600), as a whole or not at all."""
    path = config.directory / "demo.json"
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")
    return path


def withdraw(config: Config) -> None:
    """The demo is no longer ready."""
    (config.directory / "demo.json").unlink(missing_ok=True)


def _command() -> str:
    """The ``posthouse`` command beside the program that runs, which may not be on the PATH."""
    beside = Path(sys.argv[0]).absolute().with_name("posthouse")
    return shlex.quote(str(beside)) if beside.exists() else "posthouse"


def greeting(content: dict[str, Any], smarthost: str) -> str:
    """The lines to print."""
    first, second = content["accounts"][:2]
    url, certificate = content["https"], shlex.quote(content["certificate"])
    directory = shlex.quote(content["directory"])
    host, _, port = url.removeprefix("https://").partition(":")
    away = f"goes to {smarthost}" if smarthost else "is caught in this machine and never sent"
    login = f"--user '{first['address']}:{first['password']}'"
    swaks = f"swaks --server 127.0.0.1 --from {second['address']} --to {first['address']}"
    auth = f"--auth PLAIN --auth-user {second['address']} --auth-password '{second['password']}'"
    return f"""
Posthouse is ready. Everything is in {content["directory"]}; mail for other domains {away}.

  User                   Password
  {first["address"]:<22} {first["password"]}   (about 300 messages)
  {second["address"]:<22} {second["password"]}
  everybody@{DOMAIN} means both.

curl (what the server offers to phones, then Autodiscover):
  curl --cacert {certificate} {login} -X OPTIONS -i {url}/Microsoft-Server-ActiveSync
  curl --cacert {certificate} '{url}{_V2}?Email={first["address"]}&Protocol=ActiveSync'

swaks (mail from outside, from a user by STARTTLS, from a user by TLS):
  {swaks} --port {content["smtp"]} --header 'Subject: Hello by {content["smtp"]}'
  {swaks} --port {content["submission"]} --tls {auth}
  {swaks} --port {content["submissions"]} --tlsc {auth}

Phone (on this machine's emulator; Android: adb reverse tcp:{port} tcp:{port}):
  account type  Exchange (ActiveSync)      server    {host}:{port}
  user          {first["address"]}      password  {first["password"]}
  the certificate to trust: {certificate}

Browser:
  {url}/

Administration, while this runs:
  {_command()} --directory {directory} status

Stop it with Ctrl-C; the same command starts it again with the same data.
"""
