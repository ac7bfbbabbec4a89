"""A connection to the room over HTTP whose answers are looked at by the checker."""

from __future__ import annotations

from typing import Any

from posthouse.wbxml.decode import decode
from tests.http.wire import Wire
from tests.support.eas import WBXML
from tests.support.eas_checker import check_response
from tests.support.eas_http import check_headers, check_tokens


class CheckedWire(Wire):
    """Every whole answer goes through the rules for headers and, when it is a document, through all the others."""

    def get(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> Wire:
        found = super().get(target, *headers, method=method, body=body)
        if not self.out.partition(b"\r\n\r\n")[1]:
            return found  # it waits
        named: dict[str, Any] = self.headers
        check_headers(method, self.status, named, self.body)
        if self.body and named.get("content-type") == WBXML and "content-encoding" not in named:
            root = decode(self.body)
            check_tokens(self.body, root)
            check_response(root, None)
        return found
