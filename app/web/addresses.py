"""Where a request comes from: the socket's other end, or what trusted proxies say of it (RFC 7239 has no better header in use)."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request


def client_address(request: Request, trusted: tuple[IPv4Network | IPv6Network, ...]) -> str:
    """The caller's address for limits: IPv4 whole, IPv6 as its /64. X-Forwarded-For counts only from trusted proxies,
    and of it the rightmost hop that is not one of them."""
    peer = request.client.host if request.client else "unknown"
    forwarded = [value for name, value in request.scope["headers"] if name == b"x-forwarded-for"] if trusted else []
    return _seen(peer, b",".join(forwarded).decode("latin-1"), trusted) if forwarded else _seen(peer, "", ())


def is_from(request: Request, trusted: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether one of the trusted proxies is at the other end of this connection."""
    return request.client is not None and _in(request.client.host, trusted)


@lru_cache(maxsize=4096)
def _seen(peer: str, forwarded: str, trusted: tuple[IPv4Network | IPv6Network, ...]) -> str:
    """Remembered, since one request asks several times."""
    hops = [*(hop.strip() for hop in forwarded.split(",") if hop.strip()), peer]
    while len(hops) > 1 and _in(hops[-1], trusted):
        hops.pop()
    return _shown(hops[-1]) or peer


def _shown(hop: str) -> str | None:
    """None for what is no address."""
    try:
        address = ip_address(hop)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)


def _in(hop: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        address = ip_address(hop)
    except ValueError:
        return False
    return any(address in network for network in networks)
