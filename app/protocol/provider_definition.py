"""What an operator writes about a provider, checked and made a value: a known service, an issuer's URL, or endpoints (RFC 6749 §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from app.protocol.known_providers import KNOWN_PROVIDERS, OPENID
from app.protocol.provider import BASIC, NONE, POST, Provider, Way

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}\Z")
TENANT = re.compile(r"[A-Za-z0-9.-]{1,100}\Z")
TEXTS = frozenset({"title", "client_id", "client_secret", "tenant", "token_endpoint_auth_method", "kind"})
ADDRESSES = frozenset(
    {
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "connect_authorization_endpoint",
        "connect_token_endpoint",
        "userinfo_endpoint",
        "emails_endpoint",
        "revocation_endpoint",
    }
)
WORDS = frozenset({"scopes", "connect_scopes"})
FLAGS = frozenset({"sign_in", "connect", "trust_email", "pkce"})
MEMBERS = frozenset({"subject", "email", "email_verified", "shown_name"})
MAX_TITLE = 60
KEYS = TEXTS | ADDRESSES | WORDS | FLAGS | MEMBERS
METHODS = (BASIC, POST, NONE)
Given = Mapping[str, Any]


class BadDefinition(Exception):
    """Every fault of one definition, in words for its operator."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def defined(name: str, given: Given) -> Provider:
    """The provider of this name. `kind` is that of a known one, by default the name itself; else `issuer` or the endpoints tell.

    Raises BadDefinition.
    """
    faults = _faults(name, given)
    if faults:
        raise BadDefinition(faults)
    kind = given.get("kind", name if name in KNOWN_PROVIDERS else "")
    plain = Provider(name, given.get("title") or name, sign_in=Way(), connect=Way(), realm=_realm(given))
    base = KNOWN_PROVIDERS.get(kind, plain)
    provider = _told(replace(base, name=name), given)
    if not provider.is_openid:
        for way in (provider.sign_in, provider.connect):
            if way is not None and not (way.authorization_endpoint and way.token_endpoint):
                raise BadDefinition(["needs an issuer, or authorization_endpoint and token_endpoint"])
        if provider.sign_in is not None and not provider.profile.url:
            raise BadDefinition(["needs userinfo_endpoint, or sign_in = false: nothing else says who somebody is"])
    if provider.sign_in is None and provider.connect is None:
        raise BadDefinition(["is for nothing: sign_in and connect are both false"])
    return provider


def address_fault(url: object) -> str | None:
    """Why tokens may not go there: https, or this very computer."""
    if not isinstance(url, str) or len(url) > 1000 or any(c <= " " or c > "~" for c in url):
        return "is not a URL"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not (parts.scheme == "https" or local) or not parts.hostname or "@" in parts.netloc or "#" in url or port == 0:
        return "must be an https URL without credentials or fragment"
    return None


def _faults(name: str, given: Given) -> list[str]:
    faults = [] if NAME.match(name) else ["must be named in small letters, digits and dashes"]
    faults += [f"{key} is not known here" for key in given if key not in KEYS]
    faults += [f"{key} must be a text" for key in (TEXTS | MEMBERS) & given.keys() if not isinstance(given[key], str)]
    faults += [f"{key} must be true or false" for key in FLAGS & given.keys() if not isinstance(given[key], bool)]
    faults += [f"{key} {fault}" for key in ADDRESSES & given.keys() if (fault := address_fault(given[key]))]
    faults += [f"{key} must be a list of scopes" for key in WORDS & given.keys() if not _are_scopes(given[key])]
    if isinstance(given.get("title"), str) and not (len(given["title"]) <= MAX_TITLE and given["title"].isprintable()):
        faults.append(f"title must have at most {MAX_TITLE} characters, on one line")
    if not given.get("client_id"):
        faults.append("client_id is missing")
    if given.get("token_endpoint_auth_method", BASIC) not in METHODS:
        faults.append(f"token_endpoint_auth_method must be one of {', '.join(METHODS)}")
    if given.get("kind", "oidc") not in {*KNOWN_PROVIDERS, "oidc", "oauth2"}:
        faults.append(f"kind must be one of {', '.join(KNOWN_PROVIDERS)}, oidc or oauth2")
    if "tenant" in given and isinstance(given["tenant"], str) and not TENANT.match(given["tenant"]):
        faults.append("tenant must be a tenant's id or domain")
    return sorted(faults)


def _are_scopes(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(word, str) and SCOPE.match(word) for word in value)


def _realm(given: Given) -> str:
    """Whose names the identities are, where there is no issuer: the origin of whoever says them."""
    parts = urlsplit(given.get("userinfo_endpoint") or given.get("token_endpoint") or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _told(base: Provider, given: Given) -> Provider:
    """The base, with what this definition says otherwise."""
    issuer = given.get("issuer", base.issuer)
    if base.issuer_template and given.get("tenant"):
        issuer = base.issuer_template.replace("{tenantid}", given["tenant"])
    usual = OPENID if issuer else ()
    secret = given.get("client_secret", "")
    revocation = replace(base.revocation, url=given.get("revocation_endpoint", base.revocation.url))
    profile = replace(
        base.profile,
        url=given.get("userinfo_endpoint", base.profile.url),
        subject=given.get("subject", base.profile.subject),
        email=given.get("email", base.profile.email),
        verified=given.get("email_verified", base.profile.verified),
        names=(given["shown_name"],) if "shown_name" in given else base.profile.names,
        emails_url=given.get("emails_endpoint", base.profile.emails_url),
    )
    return replace(
        base,
        title=given.get("title") or base.title,
        client_id=given["client_id"],
        client_secret=secret,
        token_endpoint_auth_method=given.get(
            "token_endpoint_auth_method", base.token_endpoint_auth_method if secret else NONE
        ),
        issuer=issuer,
        sign_in=_way(base.sign_in, given, "", "scopes", usual) if given.get("sign_in", True) else None,
        connect=_way(base.connect, given, "connect_", "connect_scopes", usual) if given.get("connect", True) else None,
        profile=profile,
        revocation=revocation,
        trusts_email=given.get("trust_email", base.trusts_email),
        pkce=given.get("pkce", base.pkce),
    )


def _way(way: Way | None, given: Given, prefix: str, scopes: str, usual: tuple[str, ...]) -> Way | None:
    if way is None:
        return None
    asked = tuple(given[scopes]) if scopes in given else way.scopes or usual

    def endpoint(name: str, before: str) -> str:
        address: str = given.get(prefix + name) or given.get(name) or before
        return address

    return replace(
        way,
        scopes=asked,
        authorization_endpoint=endpoint("authorization_endpoint", way.authorization_endpoint),
        token_endpoint=endpoint("token_endpoint", way.token_endpoint),
    )
