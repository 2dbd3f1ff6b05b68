"""The address to be checked, and its well-known addresses (RFC 9728 §3.1, RFC 8414 §3.1, MCP "Canonical Server URI")."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from app.protocol.resource import PORTS, canonical

LONGEST = 2000
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class BadAddress(ValueError):
    """One sentence about what was typed."""


@dataclass(frozen=True, slots=True)
class Target:
    """`url` is what the resource has to call itself; `path` is "/" for a server at the root of its origin."""

    url: str
    origin: str
    host: str
    port: int
    path: str

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https:")


def target(typed: str) -> Target:
    """Without a scheme: https, or http on loopback. Without a path: /mcp. Raises BadAddress."""
    text = typed.strip()
    if "://" not in text:
        is_local = text.lower().startswith(LOOPBACK)
        text = f"{'http' if is_local else 'https'}://{text}"
    try:
        if not urlsplit(text).path:
            text = text.replace("?", "/mcp?", 1) if "?" in text else f"{text}/mcp"
        normal = str(httpx2.URL(text))
    except (httpx2.InvalidURL, ValueError) as fault:
        raise BadAddress("the address is not a URL") from fault
    url = canonical(normal)
    if url is None or len(url) > LONGEST:
        raise BadAddress(
            "the address must be a http or https URL such as https://mcp.example.com/mcp, without credentials or fragment"
        )
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    return Target(
        url if parts.path or parts.query else f"{url}/",
        f"{parts.scheme}://{parts.netloc}",
        parts.hostname or "",
        port,
        parts.path or "/",
    )


def inserted(url: str, name: str) -> str:
    """The well-known address between the origin and the path, as RFC 8414 §3.1 and RFC 9728 §3.1 want it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{parts.path.rstrip('/')}"


def appended(url: str, name: str) -> str:
    """The well-known address behind the path, as OpenID Connect Discovery §4 wants it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/.well-known/{name}"


def is_web(url: object) -> bool:
    """An absolute http or https URL."""
    if not isinstance(url, str) or len(url) > LONGEST:
        return False
    try:
        return canonical(url) is not None
    except ValueError:
        return False
