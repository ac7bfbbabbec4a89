"""Autodiscover V2: a query in, JSON out. Pure.

Microsoft documents it in pages for administrators only; the shapes are those that Outlook's proxy and iOS
expect. It is asked without credentials, so the answer never depends on whether an address, or its domain,
exists here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

__all__ = ["Finding", "find"]

_MAX_ADDRESS = 320  # RFC 3696 errata 1690 leaves 254; some clients send a display form
#: Protocols that Microsoft's own servers know and this one has not.
_ELSEWHERE = frozenset(
    {"autodiscoverv2", "ews", "mapihttp", "oab", "rest", "substratesearchservice", "webdav", "zap"}
)


@frozen
class Finding:
    """An HTTP status and what becomes the JSON."""

    code: int
    body: dict[str, str]


def find(
    query: Mapping[bytes, Sequence[bytes]], path: Sequence[bytes], protocols: Mapping[str, str]
) -> Finding:
    """Answer one query.

    :param query: parameters as decoded by the server; their names in any letter case.
    :param path: what follows ``autodiscover.json`` in the path: [], or ``[b"v1.0", address]``.
    :param protocols: protocol -> URL, the names as they are to be answered.
    """
    values = {name.lower(): list_[0] for name, list_ in reversed(list(query.items())) if list_}
    address = values.get(b"email", b"")
    if len(path) >= 2 and path[0].lower() in (b"v1.0", b"v2.0"):
        address = path[1]
    elif path and path != [b""]:
        return Finding(404, _error("NotFound", "There is no such version of this service."))
    if not _is_address(address):
        return Finding(400, _error("MandatoryParameterMissing", "A valid smtp address must be provided"))
    wanted = values.get(b"protocol", b"").strip().decode("latin-1").lower()
    if not wanted:
        return Finding(
            400,
            _error(
                "MandatoryParameterMissing",
                "A valid value must be provided for the query parameter 'Protocol'",
            ),
        )
    for name, url in protocols.items():
        if name.lower() == wanted:
            return Finding(200, {"Protocol": name, "Url": url})
    supported = ",".join(protocols)
    if wanted in _ELSEWHERE:
        return Finding(
            400,
            _error(
                "ProtocolNotSupported", f"The given protocol is not supported. Supported are '{supported}'"
            ),
        )
    # The value is not repeated: whoever made the link would choose what the answer says.
    return Finding(
        400,
        _error("InvalidProtocol", f"The given protocol value is invalid. Supported values are '{supported}'"),
    )


def _is_address(address: bytes) -> bool:
    local, at, domain = address.strip().rpartition(b"@")
    return bool(local and at and domain) and len(address) <= _MAX_ADDRESS


def _error(code: str, message: str) -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}
