"""Posthouse: a mail server with Exchange ActiveSync and SMTP in one Twisted daemon."""

__version__ = "0.1.0"
