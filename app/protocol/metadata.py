"""The metadata documents, computed from what is really served (RFC 8414 §2, RFC 9728 §2, RFC 9207 §3, OIDC Discovery §3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.protocol import claims
from app.protocol.scope import IDENTITY

AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
SIGNING_ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
# What every OpenID provider must offer and every client takes unasked (OIDC Core §15.1, Discovery §3).
ID_TOKEN_ALGORITHM = "RS256"
# The identity assertion grant (draft-ietf-oauth-identity-assertion-authz-grant §7.2): which kind of jwt-bearer is meant.
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_JAG_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"


def authorization_server(
    issuer: str, grant_types: list[str], *, documents: bool, resources: Mapping[str, list[str]]
) -> dict[str, Any]:
    """RFC 8414 §2. `issuer` is byte for byte the one in tokens and in `iss`; `documents`: a client_id may be a URL (CIMD §5);
    `resources` are the audiences with their scopes."""
    profiles = {"authorization_grant_profiles_supported": [ID_JAG_PROFILE]} if JWT_BEARER in grant_types else {}
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "device_authorization_endpoint": f"{issuer}/device_authorization",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "registration_endpoint": f"{issuer}/register",
        "revocation_endpoint": f"{issuer}/revoke",
        "introspection_endpoint": f"{issuer}/introspect",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": list(dict.fromkeys(word for words in resources.values() for word in words)),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grant_types,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": [method for method in AUTH_METHODS if method != "none"],
        "introspection_endpoint_auth_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "ui_locales_supported": ["en", "zh-Hans"],
        "authorization_response_iss_parameter_supported": True,
        "dpop_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "client_id_metadata_document_supported": documents,
        "protected_resources": list(resources),
        **profiles,
    }


def openid_provider(
    issuer: str, grant_types: list[str], *, documents: bool, resources: Mapping[str, list[str]]
) -> dict[str, Any]:
    """OIDC Discovery §3: all of RFC 8414's, and what an OpenID client asks further.

    Its scopes stand only here: MCP clients that ask for every scope they read of should not read people's e-mail too.
    """
    document = authorization_server(issuer, grant_types, documents=documents, resources=resources)
    return document | {
        "userinfo_endpoint": f"{issuer}/userinfo",
        "scopes_supported": [*IDENTITY, *document["scopes_supported"]],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ID_TOKEN_ALGORITHM],
        "claim_types_supported": ["normal"],
        "claims_supported": list(claims.SUPPORTED),
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,  # true, where nothing is said
    }


def protected_resource(issuer: str, resource: str, title: str, scopes: tuple[str, ...]) -> dict[str, Any]:
    """RFC 9728 §2. Only the scopes of an ordinary session, never `offline_access` (MCP authorization)."""
    return {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": list(scopes),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "dpop_bound_access_tokens_required": False,
        "resource_name": title,
    }
