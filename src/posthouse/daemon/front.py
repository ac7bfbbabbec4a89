"""The page at ``/``: says what answers here, and nothing about whom it serves."""

from __future__ import annotations

from typing import Any

from posthouse.http.site import Leaf

__all__ = ["Front"]

_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Posthouse</title></head>
<body><h1>Posthouse</h1>
<p>This is a mail server. Phones connect to it by Exchange ActiveSync under this host name.</p>
</body></html>
"""


class Front(Leaf):
    """A static page without scripts, pictures or links."""

    def render(self, request: Any) -> bytes:
        """The page, for GET and HEAD."""
        if request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(405)
            request.setHeader(b"allow", b"GET, HEAD")
            return b""
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
        request.setHeader(b"content-length", b"%d" % len(_PAGE))
        return b"" if request.method == b"HEAD" else _PAGE
