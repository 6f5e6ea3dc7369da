"""Whose request it is, by network address, and how addresses are counted.

A forwarded address is believed only as far as it was written by a proxy that the settings trust:
read from the right, the first hop that is no trusted proxy is the client.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from litestar.types import Scope

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"
IPV6_PREFIX: Final = 64
MAX_HOPS: Final = 20
# The longest text of an address has brackets, a zone and a port.
MAX_TEXT: Final = 100
# The same clients and proxies come again and again.
_READ: Final = 4096


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks from settings such as `10.0.0.0/8` or `::1`. Raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)


def parse(text: str) -> Address | None:
    """An address as a proxy writes it, with or without port and brackets; None for anything else.

    An IPv4 address inside an IPv6 one is the IPv4 address.
    """
    bare = text.strip()
    return _read(bare) if len(bare) <= MAX_TEXT else None


@lru_cache(_READ)
def _read(bare: str) -> Address | None:
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address | None, among: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks."""
    return address is not None and any(address in network for network in among)


def client_address(
    peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """The client behind the peer that is connected to us.

    `forwarded` are the values of the `X-Forwarded-For` headers in the order they came. A hop that
    cannot be read ends the walk at the proxy that wrote it. None: the peer has no address.
    """
    client = parse(peer) if peer else None
    hops = [hop for value in forwarded for hop in value.split(",")]
    for hop in reversed(hops[-MAX_HOPS:]):
        if not is_within(client, trusted):
            break
        before = parse(hop)
        if before is None:
            break
        client = before
    return client


@lru_cache(_READ)
def counted(address: Address | None) -> str:
    """The name that limits count an address by: an IPv6 address counts as its /64."""
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def client_of(scope: Scope, trusted: Sequence[Network]) -> Address | None:
    """The client of an ASGI connection."""
    peer = scope.get("client")
    forwarded = [
        value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"
    ]
    return client_address(peer[0] if peer else None, forwarded, trusted)
