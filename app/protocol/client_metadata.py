"""Client metadata: what a registration may say and what is made of it (RFC 7591 §2, OAuth 2.1 §2)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import urlsplit

from app.protocol import redirect_uri
from app.protocol.errors import InvalidClientMetadata, InvalidRedirectUri
from app.protocol.metadata import AUTH_METHODS, ID_TOKEN_ALGORITHM, JWT_BEARER

MAX_REDIRECT_URIS = 10
MAX_NAME = 100
MAX_TEXT = 2000
DEFAULT_NAME = "MCP Client"  # the seed's
GRANT_TYPES = ("authorization_code", "refresh_token")
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
CLIENT_CREDENTIALS = "client_credentials"  # never on request: it needs an owner, whom only the operator can name
PAYMENT = "urn:gatehouse:grant-type:payment"  # for nobody who registered: whoever pays is no client
ON_REQUEST = (DEVICE_CODE, TOKEN_EXCHANGE, JWT_BEARER)  # for a client that names them
PROVEN = frozenset({JWT_BEARER, CLIENT_CREDENTIALS})  # for clients that prove themselves only (RFC 6749 §4.4)
# Ours to say, never the client's (RFC 7591 §3.2.1).
ASSIGNED = frozenset(
    [
        "client_id",
        "client_secret",
        "client_id_issued_at",
        "client_secret_expires_at",
        "registration_access_token",
        "registration_client_uri",
    ]
)
# What OpenID clients may ask for (OIDC Registration §2) and get in one way only: the answer says so (RFC 7591 §3.2.1).
OPENID = {"subject_type": "public", "id_token_signed_response_alg": ID_TOKEN_ALGORITHM}
NOT_DONE = frozenset(
    [
        "default_max_age",
        "id_token_encrypted_response_alg",
        "id_token_encrypted_response_enc",
        "userinfo_signed_response_alg",
        "userinfo_encrypted_response_alg",
        "userinfo_encrypted_response_enc",
    ]
)
DROPPED = ASSIGNED | NOT_DONE
SWITCHES = ("require_pushed_authorization_requests", "dpop_bound_access_tokens")  # RFC 9126 §6, RFC 9449 §5.2
LINKS = ("client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri")
AUTHORITY = re.compile(r"https://[A-Za-z0-9.\[\]:_-]+(?:[/?]|\Z)")  # without credentials


def checked(document: object) -> dict[str, Any]:
    """The metadata as it will be registered and echoed: defaults filled in, what is not supported here dropped.

    Raises InvalidRedirectUri and InvalidClientMetadata (RFC 7591 §3.2.2).
    """
    if not isinstance(document, dict):
        raise InvalidClientMetadata("the client metadata is not a JSON object")
    metadata = {name: value for name, value in document.items() if value is not None and name not in DROPPED}
    for name in LINKS:
        if metadata.get(name) == "":  # a field of a form that was left empty
            del metadata[name]
    metadata |= {name: value for name, value in OPENID.items() if name in metadata}
    metadata["client_name"] = _client_name(metadata.get("client_name", DEFAULT_NAME))
    metadata["grant_types"] = grant_types = _grant_types(metadata.get("grant_types"))
    method = metadata.setdefault("token_endpoint_auth_method", "client_secret_basic")  # RFC 7591 §2
    if method == "none":
        metadata["grant_types"] = grant_types = _for_public(grant_types)
    metadata["response_types"] = _response_types(metadata.get("response_types"), grant_types)
    if "authorization_code" in grant_types or metadata.get("redirect_uris"):
        metadata["redirect_uris"] = _redirect_uris(metadata.get("redirect_uris"))
    else:
        metadata["redirect_uris"] = []
    if method not in AUTH_METHODS:
        raise InvalidClientMetadata(
            "{name} must be one of {values}", name="token_endpoint_auth_method", values=", ".join(AUTH_METHODS)
        )
    if method == "private_key_jwt":
        _check_keys(metadata)
    if not isinstance(metadata.get("scope", ""), str):
        raise InvalidClientMetadata("scope must be a string of words")
    for name in SWITCHES:
        if not isinstance(metadata.get(name, False), bool):
            raise InvalidClientMetadata("{name} must be true or false", name=name)
    for name in LINKS:
        link = metadata.get(name, "https://")
        if not isinstance(link, str) or len(link) > MAX_TEXT or not link.startswith(("https://", "http://")):
            raise InvalidClientMetadata("{name} must be a web address", name=name)
    return metadata


def _check_keys(metadata: dict[str, Any]) -> None:
    """RFC 7591 §2: `jwks` or `jwks_uri`, never both, and public keys only."""
    if ("jwks" in metadata) == ("jwks_uri" in metadata):
        raise InvalidClientMetadata("private_key_jwt needs either jwks or jwks_uri")
    if "jwks_uri" in metadata:
        if not _can_be_fetched(metadata["jwks_uri"]):
            raise InvalidClientMetadata("jwks_uri must be an https address")
        return
    jwks = metadata["jwks"]
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        raise InvalidClientMetadata("jwks must be a JWK set with at least one key")
    if any("d" in key or "k" in key for key in keys):
        raise InvalidClientMetadata("jwks has a private or symmetric key in it; send public keys only")


def _can_be_fetched(url: object) -> bool:
    """Whether this is an https address whose host could be looked up (RFC 3986 §2, RFC 5891 §4.4)."""
    if not isinstance(url, str) or AUTHORITY.match(url) is None or redirect_uri.PRINTABLE.match(url) is None:
        return False
    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool((parts.hostname or "").encode("idna"))
    except ValueError:  # UnicodeError is one: a label that is empty or too long
        return False


def resource_server(client_name: str) -> dict[str, Any]:
    """The metadata of an API that is no app: it gets no tokens, it asks about those that it receives (RFC 7662 §2.1)."""
    return {
        "client_name": _client_name(client_name),
        "redirect_uris": [],
        "grant_types": [],
        "response_types": [],
        "token_endpoint_auth_method": "client_secret_basic",
    }


def machine(client_name: str, scope: str, keys: dict[str, Any] | None) -> dict[str, Any]:
    """The metadata of a program that acts without a person (RFC 6749 §4.4). `keys` is its `jwks` or `jwks_uri`; without,
    it shares a secret. Raises InvalidClientMetadata."""
    method = "client_secret_basic" if keys is None else "private_key_jwt"
    metadata = {**resource_server(client_name), "grant_types": [CLIENT_CREDENTIALS], "scope": scope, **(keys or {})}
    metadata["token_endpoint_auth_method"] = method
    if keys is not None:
        _check_keys(metadata)
    return metadata


def registration_key(metadata: dict[str, Any]) -> bytes:
    """The same for identical registrations, so that a public client that registers daily stays one client."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode()).digest()


def _redirect_uris(uris: object) -> list[str]:
    if not isinstance(uris, list) or not uris or not all(isinstance(uri, str) for uri in uris):
        raise InvalidRedirectUri("redirect_uris must be a list with at least one URI")
    if len(uris) > MAX_REDIRECT_URIS:
        raise InvalidRedirectUri("redirect_uris has more than {most} entries", most=MAX_REDIRECT_URIS)
    for uri in uris:
        why = redirect_uri.fault(uri)
        if why:
            shown = uri if len(uri) <= 100 else uri[:100] + "..."
            raise InvalidRedirectUri(
                "{uri} {why}; use https, http on loopback, or the scheme of an app", uri=shown, why=why
            )
    return uris


def _client_name(name: object) -> str:
    """Shown to people, so without characters that hide, reverse or break what stands beside it."""
    if not isinstance(name, str):
        raise InvalidClientMetadata("client_name must be a string")
    visible = "".join(c for c in name if c.isprintable()).strip()
    return visible[:MAX_NAME] or DEFAULT_NAME


def _grant_types(asked: object) -> list[str]:
    """Always with `refresh_token`: a client that did not think of it would send its user through the browser every hour.

    What is not supported is dropped; a client that asks only for grants without a redirect gets no authorization_code.
    """
    if asked is None:
        return list(GRANT_TYPES)
    if not isinstance(asked, list) or not all(isinstance(word, str) for word in asked):
        raise InvalidClientMetadata("grant_types must be a list of strings")
    extra = [word for word in ON_REQUEST if word in asked]
    if "authorization_code" in asked or not asked:
        return [*GRANT_TYPES, *extra]
    if not extra:
        raise InvalidClientMetadata(
            "grant_types must contain one of {values}", values=", ".join(("authorization_code", *ON_REQUEST))
        )
    return ["refresh_token"] * (extra != [JWT_BEARER]) + extra


def _for_public(grant_types: list[str]) -> list[str]:
    """What is left for a client that anybody can pretend to be. Dropped rather than refused: a document lists all it can."""
    left = [word for word in grant_types if word not in PROVEN]
    if not left:
        raise InvalidClientMetadata("{grant} is for clients that authenticate themselves", grant=" ".join(grant_types))
    return left


def _response_types(asked: object, grant_types: list[str]) -> list[str]:
    if asked is not None and not isinstance(asked, list):
        raise InvalidClientMetadata("response_types must be a list of strings")
    if "authorization_code" not in grant_types:
        return []
    if asked is not None and "code" not in asked:
        raise InvalidClientMetadata("response_types must contain code")
    return ["code"]
