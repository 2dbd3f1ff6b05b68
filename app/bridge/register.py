"""Who we are at an authorization server: as told, by a document's URL (CIMD), or registered (RFC 7591)."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx2

from app.bridge.faults import Fault, quoted
from app.bridge.front_door import FrontDoor
from app.bridge.options import Client, Options, Record
from app.bridge.wire import posted

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS = ("authorization_code", "refresh_token", DEVICE_CODE)
METHODS = ("none", "client_secret_basic", "client_secret_post")


def known(options: Options, door: FrontDoor, record: Record | None, redirect_uri: str) -> Client | None:
    """Without asking anybody: what the command line says, else what is kept for this very issuer and redirect."""
    if options.client_id:
        return Client(options.client_id, options.secret, _method(door, bool(options.secret)), redirect_uri)
    if options.document and door.says("client_id_metadata_document_supported"):
        return Client(options.document, redirect_uri=redirect_uri)
    kept = record.client if record is not None and record.issuer == door.issuer else None
    if kept is not None and kept.registered and redirect_uri in ("", kept.redirect_uri):
        return kept
    return None


async def registered(http: httpx2.AsyncClient, door: FrontDoor, redirect_uri: str) -> Client:
    """A new client. Raises Fault where none can be registered."""
    endpoint = door.endpoint("registration_endpoint")
    if not endpoint:
        raise Fault(f"{door.issuer} registers no clients; ask its operator for a client id and give it as --client-id")
    offered = door.names("grant_types_supported") or ["authorization_code", "refresh_token"]
    wanted = {
        "client_name": "gatehouse connect",
        "redirect_uris": [redirect_uri],
        "grant_types": [grant for grant in GRANTS if grant in offered],
        "response_types": ["code"],
        "token_endpoint_auth_method": _method(door, secret=False),
        "application_type": "native",
    }
    reply = await posted(http, endpoint, json=wanted)
    client_id, secret = reply.document.get("client_id"), reply.document.get("client_secret")
    if reply.status not in (200, 201) or not isinstance(client_id, str) or not client_id:
        why = quoted(reply.document.get("error_description")) or quoted(reply.document.get("error"))
        raise Fault(f"{door.issuer} did not register this client ({why or f'HTTP {reply.status}'})")
    held = secret if isinstance(secret, str) else ""
    method = str(reply.document.get("token_endpoint_auth_method") or ("client_secret_basic" if held else "none"))
    if method not in METHODS or (method != "none" and not held):
        raise Fault(f"{door.issuer} registered this client for {quoted(method)}, which it cannot do")
    return Client(client_id, held, method, redirect_uri, registered=True)


def _method(door: FrontDoor, secret: bool) -> str:
    """How to prove who we are; a public client where it may be."""
    offered = door.names("token_endpoint_auth_methods_supported")
    if secret:
        return "client_secret_post" if offered and "client_secret_basic" not in offered else "client_secret_basic"
    usable = [method for method in METHODS if method in offered]
    return usable[0] if usable else "none"


def port_of(redirect_uri: str) -> int:
    """0 for any. Raises Fault for what is not a loopback redirect (RFC 8252 §7.3)."""
    try:
        parts = urlsplit(redirect_uri)
        if parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1") and not parts.fragment:
            return parts.port or 0
    except ValueError:
        pass
    raise Fault("the redirect URI must be one of this computer, such as http://127.0.0.1:3030/callback")
