"""The two metadata documents, computed from what is really served (RFC 8414 §2, RFC 9728 §2, RFC 9207 §3)."""

from __future__ import annotations

from typing import Any

from app.protocol.scope import DEFAULT, SCOPES

AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post")


def authorization_server(issuer: str, grant_types: list[str]) -> dict[str, Any]:
    """RFC 8414 §2. `issuer` is byte for byte the one in tokens and in `iss`."""
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
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grant_types,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "introspection_endpoint_auth_methods_supported": [method for method in AUTH_METHODS if method != "none"],
        "authorization_response_iss_parameter_supported": True,
        "protected_resources": [f"{issuer}/mcp"],
    }


def protected_resource(issuer: str, resource: str) -> dict[str, Any]:
    """RFC 9728 §2. Only the scopes of an ordinary session, never `offline_access` (MCP authorization)."""
    return {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": list(DEFAULT),
        "bearer_methods_supported": ["header"],
        "resource_name": "Gatehouse MCP",
    }
