"""Resource indicators become the audience (RFC 8707 §2, MCP authorization "Canonical Server URI")."""

from __future__ import annotations

from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


def canonical(uri: str) -> str | None:
    """One spelling: scheme and host in lower case, no default port, no trailing slash. None when it is no resource URI."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in PORTS or not parts.hostname or "#" in uri or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = "" if port in (None, PORTS[parts.scheme.lower()]) else f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme.lower()}://{host}{suffix}{parts.path.rstrip('/')}{query}"
