"""The keys of the configuration: sections as frozen values, each key with a doc line, a default and a check.

The promise: values only. A ``Config()`` is valid and means the defaults; reading files and the environment, and
saying what is wrong with them, is ``posthouse.config``'s.
"""

from posthouse.settings.forms import (
    EAS_VERSIONS,
    SERVICES,
    split_address,
    split_ceiling,
    split_proxied,
    split_route,
    split_zone,
)
from posthouse.settings.mail import Delivery, Junk, Mailauth, Mailboxes, Smtp
from posthouse.settings.people import Auth, Eas
from posthouse.settings.place import Dns, Listen, Log, Server, Tls
from posthouse.settings.whole import SECTIONS, Config

__all__ = [
    "EAS_VERSIONS",
    "SECTIONS",
    "SERVICES",
    "Auth",
    "Config",
    "Delivery",
    "Dns",
    "Eas",
    "Junk",
    "Listen",
    "Log",
    "Mailauth",
    "Mailboxes",
    "Server",
    "Smtp",
    "Tls",
    "split_address",
    "split_ceiling",
    "split_proxied",
    "split_route",
    "split_zone",
]
