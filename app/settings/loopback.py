"""Which URLs are of this very computer."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.hostname in ("localhost", "127.0.0.1", "::1") and parts.port != 0
    except ValueError:  # asking for the port raises for `localhost:80.evil.example`
        return False


def renamed(url: str, netloc: str) -> str:
    """The same address of this computer by another of its names, which `netloc` is, in lower case; any other URL as it is."""
    return urlsplit(url)._replace(netloc=netloc).geturl() if netloc in loopback_names(url) else url


def loopback_names(url: str) -> set[str]:
    """Every name of this computer with the port of this URL; none for a URL of elsewhere."""
    if not is_loopback(url):
        return set()
    port = urlsplit(url).port
    return {f"{name}:{port}" if port else name for name in LOOPBACK_HOSTS}
