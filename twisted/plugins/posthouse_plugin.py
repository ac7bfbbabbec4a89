"""Makes ``twistd mailserver`` known to Twisted. Not named like the package: neither may hide the other."""

from twisted.application.service import ServiceMaker

mailserver = ServiceMaker(
    "Posthouse mail server",
    "posthouse.tap",
    "A mail server with SMTP and Exchange ActiveSync.",
    "mailserver",
)
