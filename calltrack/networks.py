"""Addresses and networks, IPv4 and IPv6.

An IPv4 address that is written as an IPv6 one, ::ffff:203.0.113.7, is taken as IPv4.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")


@lru_cache(maxsize=1024)
def network(text: str) -> Network:
    """The network, or the one address, that is written there. Raises `ValueError`."""
    found = ip_network(text.strip())
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        return IPv4Network((found.network_address.packed[-4:], found.prefixlen - _MAPPED.prefixlen))
    return found


def address(text: str) -> Address | None:
    """The address, as a socket or a proxy's header writes it, a port beside it or not; None: it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return found.ipv4_mapped or IPv6Address(found.packed)  # without the name of an interface
    return found


def within(found: Address, networks: Iterable[Network]) -> bool:
    return any(found in one for one in networks)
