"""A Postfix of its own: a configuration, a queue and a port that no other one has."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from tests.support.authority import Pair
from tests.support.unpacked import free_port, maildir

_SERVICES = """\
{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Takes mail for ``user@domain`` into a file, and refuses other names there.

    :param relay: port of this machine where everything else goes. :param settings: more lines of main.cf.
    :param services: more lines of master.cf.
    :raises SkipTest: Postfix is not installed, or the tests do not run as root.
    """

    def __init__(self, domain: str, user: str, relay: int, *settings: str, services: str = "") -> None:
        program = shutil.which("postfix", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None or not Path("/usr/lib/postfix/sbin/master").exists():
            raise SkipTest("postfix is not installed")
        if os.geteuid() != 0:
            raise SkipTest("postfix is started by root only")
        self._program = program
        self.directory = Path(tempfile.mkdtemp(prefix="posthouse-postfix-"))
        self.directory.chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for name in ("etc", "queue", "data", "mail"):
            (self.directory / name).mkdir()
        for name in ("data", "mail"):
            shutil.chown(self.directory / name, "postfix")
        self.mailbox = self.directory / "mail" / user
        self._log = self.directory / "log"
        lines = [
            "compatibility_level = 3.6",
            f"queue_directory = {self.directory}/queue",
            f"data_directory = {self.directory}/data",
            "command_directory = /usr/sbin",
            "daemon_directory = /usr/lib/postfix/sbin",
            f"maillog_file = {self._log}",
            f"maillog_file_prefixes = {self.directory}",
            f"myhostname = mx.{domain}",
            "mydestination =",
            "alias_maps =",
            "alias_database =",
            "inet_interfaces = 127.0.0.1",
            "inet_protocols = ipv4",
            "mynetworks = 127.0.0.0/8",
            "smtp_dns_support_level = disabled",
            f"relayhost = [127.0.0.1]:{relay}",
            f"virtual_mailbox_domains = {domain}",
            f"virtual_mailbox_base = {self.directory}/mail",
            f"virtual_mailbox_maps = inline:{{ {user}@{domain}={user} }}",
            "virtual_minimum_uid = 1",
            f"virtual_uid_maps = static:{self.mailbox.parent.stat().st_uid}",
            f"virtual_gid_maps = static:{self.mailbox.parent.stat().st_gid or 100}",
            "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
            "smtpd_client_connection_count_limit = 0",
            *settings,
        ]
        (self.directory / "etc" / "main.cf").write_text("\n".join(lines) + "\n")
        (self.directory / "etc" / "master.cf").write_text(
            _SERVICES.format(port=f"127.0.0.1:{self.port}") + services
        )
        self.start()

    def start(self) -> None:
        """Start it, once more perhaps, and wait until it answers."""
        self._postfix("start")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
                    if line.recv(3) == b"220":
                        return
            except OSError:
                time.sleep(0.1)
        said = self.said()
        self.clean()
        raise AssertionError(f"postfix does not answer:\n{said}")

    def said(self) -> str:
        """What it wrote to its log."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def mail(self) -> str:
        """What came for the user, one message after the other."""
        return self.mailbox.read_text(errors="replace") if self.mailbox.exists() else ""

    def stop(self) -> None:
        self._postfix("stop")

    def clean(self) -> None:
        """Stop it and remove all that was its own."""
        self._postfix("stop")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _postfix(self, order: str) -> None:
        subprocess.run(
            [self._program, "-c", str(self.directory / "etc"), order],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )


class TwoDoors:
    """A Postfix with two doors and two domains, as ``Exim`` has them."""

    def __init__(self, domain: str, user: str, relay: int, there: str, pair: Pair) -> None:
        self.clear_port = free_port()
        self._secret = Path(tempfile.mkdtemp(prefix="posthouse-"))
        chain = self._secret / "chain.pem"
        chain.write_bytes(pair.key_pem + pair.pem)
        self._user = user
        self._closed = (
            "smtpd_recipient_restrictions = check_recipient_access static:{451 4.7.1 Come again later}\n"
        )
        self._postfix = Postfix(
            domain,
            user,
            relay,
            f"smtpd_tls_chain_files = {chain}",
            "smtpd_tls_security_level = may",
            "smtpd_tls_loglevel = 1",
            "smtp_tls_loglevel = 1",
            "message_size_limit = 50000000",
            "virtual_mailbox_limit = 0",
            "default_transport = secure",
            f"transport_maps = inline:{{ {{clear.{there} = clear:[127.0.0.1]:{relay}}} }}",
            f"virtual_mailbox_domains = {domain}, clear.{domain}",
            f"virtual_mailbox_maps = inline:{{ {user}@{domain}={user}/, {user}@clear.{domain}={user}/ }}",
            services=f"127.0.0.1:{self.clear_port} inet n - n - - smtpd -o smtpd_tls_security_level=none\n"
            "secure unix - - n - - smtp -o smtp_tls_security_level=encrypt\n"
            "clear unix - - n - - smtp -o smtp_tls_security_level=none\n",
        )
        self.port = self._postfix.port
        self._main = self._postfix.directory / "etc" / "main.cf"
        self._open = self._main.read_text()

    def close(self) -> None:
        """Put off every recipient from now on."""
        self._again(self._open + self._closed)

    def open(self) -> None:
        self._again(self._open)

    def _again(self, configuration: str) -> None:
        self._postfix.stop()
        self._main.write_text(configuration)
        self._postfix.start()

    def begin(self) -> None:
        self._postfix.start()

    def end(self) -> None:
        self._postfix.stop()

    def mail(self) -> list[bytes]:
        """What came for the user."""
        return maildir(self._postfix.mailbox)

    def said(self) -> str:
        return self._postfix.said()

    def clean(self) -> None:
        self._postfix.clean()
        shutil.rmtree(self._secret)
