"""An Exim of its own, unpacked from Debian's package."""

from __future__ import annotations

import os

from tests.support.authority import Pair
from tests.support.unpacked import Unpacked, free_port, maildir

_CONFIGURATION = """\
primary_hostname = mx.{domain}
spool_directory = {directory}/spool
log_file_path = {directory}/spool/%s.log
log_selector = +pipelining +smtp_confirmation +tls_cipher +incoming_port
exim_path = {program}
exim_user = Debian-exim
exim_group = Debian-exim
never_users =
trusted_users = root
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = <; {port} ; {clear_port}
tls_advertise_hosts = ${{if eq{{$received_port}}{{{port}}}{{*}}{{}}}}
tls_certificate = {certificate}
tls_privatekey = {key}
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
chunking_advertise_hosts = *
accept_8bitmime = true
host_lookup =
rfc1413_hosts =
rfc1413_query_timeout = 0s
smtp_accept_max_per_connection = 1000
queue_run_in_order = true
message_size_limit = 50M
bounce_return_size_limit = 100K
domainlist own = {domain} : clear.{domain}
acl_smtp_rcpt = rcpt
acl_smtp_data = accept

begin acl
rcpt:
  defer  domains = +own
         condition = ${{if exists{{{directory}/closed}}}}
         message = 4.7.1 Come again later
  accept domains = +own
         local_parts = {user}
  deny   domains = +own
         message = 5.1.1 No such user here
  accept hosts = 127.0.0.1

begin routers
outside:
  driver = manualroute
  domains = ! +own
  transport = ${{if eq{{$domain}}{{clear.{there}}}{{clear}}{{secure}}}}
  route_list = * 127.0.0.1
  self = send
inside:
  driver = accept
  transport = mailbox

begin transports
secure:
  driver = smtp
  port = {relay}
  allow_localhost
  hosts_require_tls = *
  tls_verify_hosts =
  tls_try_verify_hosts =
  message_linelength_limit = 1G
clear:
  driver = smtp
  port = {relay}
  allow_localhost
  hosts_avoid_tls = *
  message_linelength_limit = 1G
mailbox:
  driver = appendfile
  directory = {directory}/mail/{user}
  maildir_format
  user = Debian-exim
  group = Debian-exim
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add

begin retry
* * F,2h,2s

begin rewrite
begin authenticators
"""


class Exim(Unpacked):
    """Takes mail for ``user`` at two domains: ``domain``, at ``port`` with STARTTLS, and "clear." and that without, at
    ``clear_port``; it refuses other names there.

    :param relay: port of this machine where mail for ``there`` goes, with TLS, and for "clear." and that, without.
    """

    def __init__(self, domain: str, user: str, relay: int, there: str, pair: Pair) -> None:
        Unpacked.__init__(self, "exim", "usr/sbin/exim4", pair, "Debian-exim")
        self.port, self.clear_port = free_port(), free_port()
        self._closed = self.directory / "closed"
        self._user = user
        (self.directory / "spool").mkdir()
        for path in (self.directory / "spool", self.directory / "mail", self.key):
            os.chown(path, self.users["Debian-exim"], -1)
        configuration = self.etc / "exim4"
        configuration.mkdir()
        (configuration / "exim4.conf").write_text(
            _CONFIGURATION.format(
                domain=domain, user=user, relay=relay, there=there, certificate=self.certificate,
                key=self.key, directory=self.directory, program=self.program, port=self.port,
                clear_port=self.clear_port,
            )
        )  # fmt: skip
        self.begin([str(self.program), "-bdf", "-q1s"], self.port, self.clear_port)

    def close(self) -> None:
        """Put off every recipient from now on."""
        self._closed.touch()

    def open(self) -> None:
        self._closed.unlink(missing_ok=True)

    def mail(self) -> list[bytes]:
        """What came for the user."""
        return maildir(self.directory / "mail" / self._user)

    def said(self) -> str:
        logs = sorted((self.directory / "spool").glob("*.log"))
        return Unpacked.said(self) + "".join(log.read_text(errors="replace") for log in logs)
