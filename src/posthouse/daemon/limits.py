"""Room for connections: two thousand parked phones are two thousand open files, and the usual limit is 1,024."""

from __future__ import annotations

import resource

__all__ = ["WANTED", "raise_file_limit"]

WANTED = 65_536


def raise_file_limit(wanted: int = WANTED) -> int:
    """Raise the soft limit of open files as far as the hard one allows. Returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        except (OSError, ValueError):
            return soft  # a sandbox forbids it; the server runs with what it has
        return target
    return soft
