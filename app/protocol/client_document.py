"""Client ID Metadata Documents: which URL may be a client_id, and what its document must say (CIMD draft §3 and §4)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from app.protocol.client_metadata import checked
from app.protocol.errors import InvalidClientMetadata
from app.protocol.words import N_

LIMIT = 5 * 1024  # bytes, §6.6
MAX_URL = 500
STALE = timedelta(days=7)  # how long a document outlives the failure to fetch it anew
URL = re.compile(r"https://[A-Za-z0-9.\[\]:_-]+/[!$&'()*+,./0-9:;=?@A-Z_a-z~%-]*\Z")
SECRETS = ("client_secret", "client_secret_expires_at")


def is_url(client_id: str) -> bool:
    """Ours never look so (§5)."""
    return client_id.lower().startswith(("https://", "http://"))


def fault(url: str) -> str | None:
    """Why this URL cannot be a client_id, or None (§3)."""
    if len(url) > MAX_URL or URL.match(url) is None:
        return N_("must be an https URL with a path, without credentials, fragment or unusual characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return N_("is not a URL")
    if not parts.hostname or (port is not None and port == 0):
        return N_("names no host")
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in parts.path.split("/")):
        return N_("has a dot segment in its path")
    return None


def host_of(url: str) -> str:
    """Empty for what is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def checked_document(document: object, url: str) -> dict[str, Any]:
    """The metadata that the document stands for. Raises InvalidClientMetadata and InvalidRedirectUri.

    Without a `token_endpoint_auth_method` the client is public, unless it publishes keys; RFC 7591's default is a shared secret,
    which a public document cannot have (§4.1).
    """
    if not isinstance(document, dict):
        raise InvalidClientMetadata("the document is not a JSON object")
    if document.get("client_id") != url:
        raise InvalidClientMetadata("the document's client_id is not the URL it was fetched from")
    if not isinstance(document.get("client_name"), str) or "redirect_uris" not in document:
        raise InvalidClientMetadata("the document has no client_name or no redirect_uris")
    for name in SECRETS:
        if name in document:
            raise InvalidClientMetadata("the document has a {name}", name=name)
    has_keys = "jwks" in document or "jwks_uri" in document
    method = document.get("token_endpoint_auth_method") or ("private_key_jwt" if has_keys else "none")
    if method not in ("none", "private_key_jwt"):
        raise InvalidClientMetadata("the document's token_endpoint_auth_method must be none or private_key_jwt")
    return checked({**document, "token_endpoint_auth_method": method})
