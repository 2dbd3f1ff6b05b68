"""Redirect URIs: what may be registered, exact matching, any port on loopback (OAuth 2.1 §2.3.1, RFC 8252 §7 and §8.4)."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlencode, urlsplit

from app.protocol.words import N_

LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\]|localhost)(?::([0-9]{1,5}))?(/[^#]*|\?[^#]*)?\Z")
PORT = re.compile(r":[0-9]+\Z")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")
PRINTABLE = re.compile(r"[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+\Z")  # RFC 3986's characters, without `\ " < > ^ ` { | }`
MAX_LENGTH = 1000
# A browser runs, opens or leaks these instead of starting an app.
NEVER = frozenset(
    [
        "about",
        "blob",
        "brave",
        "chrome",
        "data",
        "ddgquicklink",
        "edge",
        "file",
        "filesystem",
        "firefox",
        "firefox-focus",
        "ftp",
        "googlechrome",
        "googlechrome-x-callback",
        "googlechromes",
        "intent",
        "jar",
        "javascript",
        "mailto",
        "microsoft-edge",
        "opera",
        "sms",
        "tel",
        "vbscript",
        "view-source",
        "vivaldi",
        "ws",
        "wss",
        "x-web-search",
        "yandexbrowser-open-url",
    ]
)
# Nor are these an app's: x-safari-https, opera-http, microsoft-edge-https open any web address in that browser.
WEB_IN_DISGUISE = ("-http", "-https")


def fault(uri: str) -> str | None:
    """Why this URI may not be registered, or None. Plain http is for loopback only; private-use schemes are apps (RFC 8252 §7.1)."""
    if len(uri) > MAX_LENGTH:
        return N_("is longer than 1000 characters")  # MAX_LENGTH
    if PRINTABLE.match(uri) is None:
        return N_("has characters that a URI does not have")
    if "#" in uri:
        return N_("has a fragment")  # OAuth 2.1 §2.3
    try:
        parts = urlsplit(uri)
    except ValueError:
        return N_("is not a URI")
    try:
        port = parts.port
    except ValueError:
        return N_("has a port out of range") if PORT.search(parts.netloc) else N_("is not a URI")
    if uri.startswith(("http:", "https:")):
        return _fault_on_the_web(uri, parts) or (N_("has a port out of range") if port == 0 else None)
    scheme = uri.split(":", 1)[0] if ":" in uri else ""
    small = scheme.lower()
    is_an_apps = SCHEME.match(small) is not None and small not in NEVER and not small.endswith(WEB_IN_DISGUISE)
    if not is_an_apps or len(uri) == len(scheme) + 1:
        return N_("has a scheme that is not allowed")
    return None if scheme == small else N_("has a scheme that is not in lower case")


def _fault_on_the_web(uri: str, parts: SplitResult) -> str | None:
    if parts.scheme == "http":
        return None if LOOPBACK.match(uri) else N_("is plain http and not on loopback")
    if not uri.startswith("https://") or not parts.hostname or "@" in parts.netloc:
        return N_("is not an https URL with a host and without credentials")
    return None


def matches(registered: str, presented: str) -> bool:
    """Simple string comparison (RFC 3986 §6.2.1), but for the port of an http loopback URI (RFC 8252 §7.3)."""
    if registered == presented:
        return True
    ours, theirs = LOOPBACK.match(registered), LOOPBACK.match(presented)
    if ours is None or theirs is None or fault(presented) is not None:
        return False
    return ours[1] == theirs[1] and (ours[3] or "/") == (theirs[3] or "/")


def is_welcome(uri: str, hosts: tuple[str, ...]) -> bool:
    """Whether answers may go there at all, where the operator has named the hosts: `claude.ai`, `*.example.com` for what is
    below, `cursor` or `cursor://` for an app's own scheme. Anything may where none is named.

    Any program may claim a scheme called like a host: so a word that is a host's is none of a scheme."""
    place = shown_host(uri).lower()
    if place.endswith("://"):
        word = place.removesuffix("://")
        named = {place} if "." in word or word == "localhost" else {place, word}
    else:
        named = {place, *(f"*.{place.split('.', count)[count]}" for count in range(1, place.count(".") + 1))}
    return not hosts or not named.isdisjoint(hosts)


def is_local(uri: str) -> bool:
    """True when the answer stays on the user's own computer: loopback or an app's private scheme."""
    return not uri.startswith("https:")


def shown_host(uri: str) -> str:
    """What the consent page and the remembered consent call the place that the answer goes to."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        return parts.hostname or ""
    return f"{parts.scheme}://"


def without_query(uri: str) -> str:
    """For people who look into it: scheme, host, port and path, without what might be a secret. Takes any string."""
    place = re.split(r"[?#]", uri, maxsplit=1)[0][:200]
    scheme, separator, rest = place.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def with_parameters(uri: str, parameters: dict[str, str | None]) -> str:
    """The URI with the answer added to its query (RFC 6749 §4.1.2); absent ones are left out."""
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"{uri}{'&' if '?' in uri else '?'}{query}"
