"""An OpenSMTPD of its own, unpacked from Debian's package."""

from __future__ import annotations

import os

from tests.support.authority import Pair
from tests.support.unpacked import Unpacked, free_port, maildir

_CONFIGURATION = """\
pki own cert "{certificate}"
pki own key "{key}"
table own {{ "{domain}", "clear.{domain}" }}
table known {{ "{user}@{domain}", "{user}@clear.{domain}" }}
table users {{ "{user}@{domain}" = "{user}", "{user}@clear.{domain}" = "{user}" }}
{filter}
listen on 127.0.0.1 port {port} tls pki own hostname mx.{domain} {filtered}
listen on 127.0.0.1 port {clear_port} hostname mx.{domain} {filtered}
smtp max-message-size 50M
action inside maildir "{directory}/mail/{user}" virtual <users>
action secure relay helo mx.{domain} host smtp+tls://127.0.0.1:{relay} tls no-verify
action clear relay helo mx.{domain} host smtp+notls://127.0.0.1:{relay}
match from any for rcpt-to <known> action inside
match from any for domain <own> reject
match from any for domain "clear.{there}" action clear
match from any for any action secure
"""
_CLOSED = 'filter closed phase rcpt-to match rcpt-to <known> reject "451 4.7.1 Come again later"'


class OpenSmtpd(Unpacked):
    """Two doors and two domains, as ``Exim`` has them.

    Debian 12's breaks off every handshake that others begin (its OpenSSL is too new for it); as a client it does TLS.
    """

    def __init__(self, domain: str, user: str, relay: int, there: str, pair: Pair) -> None:
        Unpacked.__init__(self, "opensmtpd", "usr/sbin/smtpd", pair, "opensmtpd", "opensmtpq", user)
        self.port, self.clear_port = free_port(), free_port()
        self._user = user
        self.key.chmod(0o600)
        os.chown(self.directory / "mail", self.users[user], -1)
        self.place("/run")
        (self.place("/var/spool") / "smtpd").mkdir(mode=0o711)
        (self.place("/var/lib") / "opensmtpd" / "empty").mkdir(parents=True)
        self.place("/usr/libexec", self.folder / "usr/libexec")
        self._values = {
            "domain": domain, "user": user, "relay": relay, "there": there,
            "certificate": self.certificate, "key": self.key, "directory": self.directory,
            "port": self.port, "clear_port": self.clear_port,
        }  # fmt: skip
        self.open()

    def close(self) -> None:
        """Put off every recipient from now on."""
        self._restart(_CLOSED)

    def open(self) -> None:
        self._restart("")

    def _restart(self, filter: str) -> None:
        self.end()
        configuration = self.etc / "smtpd.conf"
        filtered = "filter closed" if filter else ""
        configuration.write_text(_CONFIGURATION.format(filter=filter, filtered=filtered, **self._values))
        self.begin([str(self.program), "-d", "-f", "/etc/smtpd.conf"], self.port, self.clear_port)

    def mail(self) -> list[bytes]:
        """What came for the user."""
        return maildir(self.directory / "mail" / self._user)
