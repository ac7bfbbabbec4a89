"""All sections together, in the order in which the file shows them."""

from __future__ import annotations

from pathlib import Path

import attrs
from attrs import frozen

from posthouse.settings.mail import Delivery, Junk, Mailauth, Mailboxes, Smtp
from posthouse.settings.people import Auth, Eas
from posthouse.settings.place import Dns, Listen, Log, Server, Tls

__all__ = ["SECTIONS", "Config"]


@frozen
class Config:
    """The whole configuration. Sections and keys are exactly the TOML file's."""

    server: Server = attrs.field(factory=Server)
    listen: Listen = attrs.field(factory=Listen)
    tls: Tls = attrs.field(factory=Tls)
    smtp: Smtp = attrs.field(factory=Smtp)
    mailboxes: Mailboxes = attrs.field(factory=Mailboxes)
    delivery: Delivery = attrs.field(factory=Delivery)
    dns: Dns = attrs.field(factory=Dns)
    mailauth: Mailauth = attrs.field(factory=Mailauth)
    junk: Junk = attrs.field(factory=Junk)
    auth: Auth = attrs.field(factory=Auth)
    eas: Eas = attrs.field(factory=Eas)
    log: Log = attrs.field(factory=Log)

    @property
    def directory(self) -> Path:
        """The data directory."""
        return Path(self.server.directory)

    @property
    def database_path(self) -> Path:
        """The one SQLite file."""
        return self.directory / "posthouse.db"

    @property
    def control_path(self) -> Path:
        """The unix socket of the ``posthouse`` command."""
        return self.directory / "control.sock"

    @property
    def certificate_path(self) -> Path:
        """The PEM file with the certificate: configured, or self-made in the directory."""
        return Path(self.tls.certificate) if self.tls.certificate else self.directory / "selfsigned.pem"

    @property
    def key_path(self) -> Path:
        """The PEM file with the private key."""
        if self.tls.key:
            return Path(self.tls.key)
        return Path(self.tls.certificate) if self.tls.certificate else self.directory / "selfsigned.key"


SECTIONS: dict[str, type] = {
    "server": Server,
    "listen": Listen,
    "tls": Tls,
    "smtp": Smtp,
    "mailboxes": Mailboxes,
    "delivery": Delivery,
    "dns": Dns,
    "mailauth": Mailauth,
    "junk": Junk,
    "auth": Auth,
    "eas": Eas,
    "log": Log,
}
