"""What this server is made of, and whether that is new enough."""

from __future__ import annotations

import platform
import sqlite3
import sys

__all__ = ["too_old", "versions"]

MIN_PYTHON = (3, 11)
MIN_SQLITE = (3, 40)  # Debian 12's


def versions() -> str:
    """One line each: Posthouse, Python, Twisted, OpenSSL, SQLite."""
    from cryptography.hazmat.backends.openssl import backend
    from twisted import __version__ as twisted

    from posthouse import __version__

    return "\n".join(
        [
            f"posthouse {__version__}",
            f"Python {platform.python_version()}",
            f"Twisted {twisted}",
            backend.openssl_version_text(),
            f"SQLite {sqlite3.sqlite_version}",
        ]
    )


def too_old() -> str | None:
    """A sentence when Python or SQLite are too old, else None."""
    if sys.version_info < MIN_PYTHON:
        return f"Python {platform.python_version()} is too old; 3.11 is needed."
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        return f"SQLite {sqlite3.sqlite_version} is too old; 3.40 is needed."
    return None
