"""An answer as a value: what a resource returns and ``respond`` sends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from attrs import frozen

__all__ = ["Reply", "json_reply"]


@frozen
class Reply:
    """:param body: bytes, or an asynchronous iterator of blocks that is closed in any case.
    :param content_type: "" sends none, for bodies of no bytes.
    """

    body: bytes | AsyncIterator[bytes] = b""
    code: int = 200
    content_type: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


def json_reply(value: Any, code: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    """A value as JSON in UTF-8."""
    return Reply(json.dumps(value, ensure_ascii=False).encode(), code, b"application/json", headers)
