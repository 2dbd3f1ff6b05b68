"""What an issuer publishes about itself, checked (OIDC Discovery §3 and §4.3, RFC 8414 §3.3, RFC 9207 §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.outside.fetch import Unfetchable
from app.protocol.provider import Provider
from app.protocol.provider_definition import address_fault


@dataclass(frozen=True, slots=True)
class Published:
    """`sends_iss`: its answers name it (RFC 9207). Empty addresses are not offered."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    revocation_endpoint: str = ""
    sends_iss: bool = False


def checked(document: object, provider: Provider) -> Published:
    """Raises Unfetchable for the metadata of somebody else, and for addresses that tokens may not go to."""
    metadata: dict[str, Any] = document if isinstance(document, dict) else {}
    if metadata.get("issuer") not in {provider.issuer, provider.issuer_template} - {""}:
        raise Unfetchable("its metadata names another issuer")
    return Published(
        issuer=metadata["issuer"],
        authorization_endpoint=_address(metadata, "authorization_endpoint"),
        token_endpoint=_address(metadata, "token_endpoint"),
        jwks_uri=_address(metadata, "jwks_uri"),
        userinfo_endpoint=_address(metadata, "userinfo_endpoint", optional=True),
        revocation_endpoint=_address(metadata, "revocation_endpoint", optional=True),
        sends_iss=metadata.get("authorization_response_iss_parameter_supported") is True,
    )


def _address(metadata: dict[str, Any], name: str, *, optional: bool = False) -> str:
    url = metadata.get(name)
    if optional and url is None:
        return ""
    if fault := address_fault(url):
        raise Unfetchable(f"its {name} {fault}")
    return str(url)
