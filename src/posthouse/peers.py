"""The address of a peer, read in one way by every room that judges, counts or looks it up."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["PeerAddress", "peer_address"]

PeerAddress = IPv4Address | IPv6Address


# Asked several times for each message, and those who send come again.
@lru_cache(maxsize=4096)
def peer_address(text: str) -> PeerAddress | None:
    """An address, without its zone; IPv4 seen through an IPv6 socket is IPv4 (RFC 4291 2.5.5.2).

    None for what is no address, as the peer of a unix socket.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
