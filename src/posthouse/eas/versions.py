"""Protocol versions: what is spoken, and how they are written.

Promise: a version is a pair of numbers, (14, 1), in every other module; the text of headers stops here.
MS-ASHTTP 2.2.1.1.2.6, 2.2.4.1.2.2.
"""

from __future__ import annotations

import re

Version = tuple[int, int]

#: Ascending, because Android takes the last entry of the header that it knows.
VERSIONS: tuple[Version, ...] = ((12, 0), (12, 1), (14, 0), (14, 1), (16, 0), (16, 1))

#: For a request that names none. Clients that old neither need nor know Status elements above 100.
DEFAULT: Version = (12, 1)

_TEXT = re.compile(r"\s*(\d{1,2})(?:\.(\d))?\s*")


def parse_version(text: str) -> Version | None:
    """ "14.1" as (14, 1); None for what is no version at all."""
    found = _TEXT.fullmatch(text)
    return (int(found[1]), int(found[2] or 0)) if found else None


def write_version(version: Version) -> str:
    """In full: "12.0", because old iOS falls back to 12.1 on "12"."""
    return f"{version[0]}.{version[1]}"


def write_versions(ceiling: Version | None = None) -> str:
    """The value of MS-ASProtocolVersions, without blanks, up to ``ceiling``."""
    return ",".join(write_version(version) for version in VERSIONS if ceiling is None or version <= ceiling)
