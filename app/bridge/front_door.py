"""How to get in: a server's resource metadata (RFC 9728 §3), then its authorization server's (RFC 8414 §3, OIDC Discovery §4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from app.bridge.faults import Fault
from app.bridge.faults import address as shown
from app.bridge.wire import got, is_safe
from app.checkup.answer import Challenge, texts
from app.checkup.target import appended, inserted
from app.protocol.resource import canonical

RESOURCE, SERVER, OPENID = "oauth-protected-resource", "oauth-authorization-server", "openid-configuration"


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """`resource` is what tokens are asked for (RFC 8707), `scopes` what it names, `server` the checked metadata."""

    url: str
    resource: str
    scopes: tuple[str, ...]
    issuer: str
    server: Mapping[str, Any]

    def endpoint(self, name: str) -> str:
        """Its address; empty without one. Raises Fault for one that credentials must not be sent to."""
        address = self.server.get(name)
        if address is None:
            return ""
        if not is_safe(address, self.url):
            raise Fault(f"{self.issuer} names {shown(address)} as its {name}, which is not https")
        return str(address)

    def needed(self, name: str) -> str:
        """Raises Fault without it."""
        address = self.endpoint(name)
        if not address:
            raise Fault(f"{self.issuer} has no {name}")
        return address

    def names(self, name: str) -> list[str]:
        return texts(self.server, name)

    def says(self, name: str) -> bool:
        return self.server.get(name) is True


async def discovered(http: httpx2.AsyncClient, url: str, challenge: Challenge) -> FrontDoor:
    """Raises Fault when the server does not say how to sign in, or says what must not be believed."""
    if not is_safe(url, url):
        raise Fault(f"{url} is not https, so no credentials are sent there")
    document = await _resource(http, url, challenge)
    named = texts(document, "authorization_servers")
    issuer = named[0] if named else origin(url)  # as MCP 2025-03-26 has it
    if not is_safe(issuer, url):
        raise Fault(f"{url} names {shown(issuer)} as its authorization server, which is not https")
    server = await _server(http, issuer)
    resource = str(document.get("resource") or canonical(url) or url)
    return FrontDoor(url, resource, tuple(texts(document, "scopes_supported")), str(server["issuer"]), server)


async def _resource(http: httpx2.AsyncClient, url: str, challenge: Challenge) -> Mapping[str, Any]:
    named = challenge.values.get("resource_metadata", "")
    if named and not is_safe(named, url):
        raise Fault(f"{url} has its metadata at {shown(named)}, which is not https")
    for address in dict.fromkeys(filter(None, (named, inserted(url, RESOURCE), inserted(origin(url), RESOURCE)))):
        reply = await got(http, address)
        if reply.status == 200 and reply.document:
            if not _covers(reply.document.get("resource"), url):
                said = shown(reply.document.get("resource"))
                raise Fault(f"the metadata of {url} are about another resource ({said}), so no token is asked for")
            return reply.document
    return {}


def _covers(resource: object, url: str) -> bool:
    """RFC 9728 §3.3: the same; or, as real servers and both official SDKs have it, a path above it on the same origin."""
    if not isinstance(resource, str):
        return False
    theirs, ours = canonical(resource), canonical(url)
    return theirs is not None and ours is not None and (theirs == ours or ours.startswith(f"{theirs}/"))


async def _server(http: httpx2.AsyncClient, issuer: str) -> Mapping[str, Any]:
    """The first address that has a document decides: its issuer must be the one that was looked for (RFC 8414 §3.3)."""
    for address in dict.fromkeys((inserted(issuer, SERVER), inserted(issuer, OPENID), appended(issuer, OPENID))):
        reply = await got(http, address)
        if reply.status == 200 and reply.document:
            said = reply.document.get("issuer")
            # A final slash is forgiven: the well-known address is the same, and libraries add one.
            if not isinstance(said, str) or said.rstrip("/") != issuer.rstrip("/"):
                raise Fault(f"the metadata of {issuer} are those of another issuer ({shown(said)})")
            return reply.document
    raise Fault(f"{issuer} does not say how to sign in: it has no authorization server metadata")


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
