"""The official MCP client without a person at it: a secret, a key, and an identity provider's assertion (ID-JAG)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import House
from tests.referees.test_mcp_sdk import Memory
from tests.signers import Provider, Signer, key_set
from tests.websites import Website


def made(house: House, *options: str) -> dict[str, str]:
    printed: dict[str, str] = json.loads(house.operator("client", "add", "Nightly", "--json", *options))
    return printed


async def called(house: House, auth: httpx2.Auth, tool: str = "whoami") -> dict[str, Any]:
    """What the tool says to a client that signs in by itself."""
    authorized = httpx2.AsyncClient(auth=auth, timeout=30)
    async with authorized, Client(streamable_http_client(f"{house.url}/mcp", http_client=authorized)) as client:
        found: dict[str, Any] | None = (await client.call_tool(tool, {})).structured_content
    assert found is not None
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("scope", ["read write", "read"])
async def test_a_program_with_a_secret(house: House, method: Any, scope: str) -> None:
    """It asks for what the challenge names, `read write`, whatever it was given."""
    house.add_user()
    client = made(house, "--client-credentials", "--user", "ada@example.com", "--scope", scope)
    storage = Memory()
    auth = ClientCredentialsOAuthProvider(
        f"{house.url}/mcp",
        storage,
        client["client_id"],
        client["client_secret"],
        token_endpoint_auth_method=method,
        issuer=house.url,
    )
    assert (await called(house, auth))["via"] == "client_credentials"
    assert storage.tokens is not None
    assert (storage.tokens.scope, storage.tokens.refresh_token) == (scope, None)


@pytest.mark.anyio
async def test_a_program_with_a_key(house: House, tmp_path: Path) -> None:
    """SignedJWTParameters; the audience is the issuer."""
    house.add_user()
    signer, file = Signer("RS256", kid=None), tmp_path / "jwks.json"  # it writes no kid
    file.write_bytes(key_set(signer))
    client = made(house, "--client-credentials", "--user", "ada@example.com", "--jwks", str(file))
    signed = SignedJWTParameters(
        issuer=client["client_id"], subject=client["client_id"], signing_key=signer.pem, signing_algorithm="RS256"
    )
    auth = PrivateKeyJWTOAuthProvider(
        f"{house.url}/mcp", Memory(), client["client_id"], signed.create_assertion_provider(), issuer=house.url
    )
    assert (await called(house, auth))["via"] == "client_credentials"


@pytest.fixture
def trusting(house: House, dsn: str, authority: Path, website: Website) -> Iterator[tuple[House, Provider]]:
    provider = Provider(website)
    own = House(dsn, ca_file=authority, trusted_issuers=(provider.issuer,)).start()
    own.add_user()
    yield own, provider
    own.stop()


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_an_assertion_of_the_provider(trusting: tuple[House, Provider], method: Any) -> None:
    """IdentityAssertionOAuthProvider, which asks for `read write` and is given what the assertion allows."""
    house, provider = trusting
    client, storage = made(house, "--id-jag"), Memory()

    async def id_jag(audience: str, resource: str) -> str:
        return provider.id_jag(client["client_id"], audience, house.clock(), resource=resource, scope="read")

    auth = IdentityAssertionOAuthProvider(
        f"{house.url}/mcp",
        storage,
        client["client_id"],
        client["client_secret"],
        house.url,
        id_jag,
        token_endpoint_auth_method=method,
    )
    found = await called(house, auth)
    assert (found["via"], found["scopes"]) == ("jwt-bearer", ["read"])
    assert storage.tokens is not None
    assert storage.tokens.refresh_token is None
