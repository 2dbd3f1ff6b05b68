"""The official MCP Python client discovers, registers, signs in through the pages, calls, and refreshes."""

from __future__ import annotations

import httpx2
import pytest
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.actors import CALLBACK, Browser
from tests.conftest import House


class Memory(TokenStorage):
    """What a client keeps on its disk."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """Opens what the client asks to be opened, and signs in and allows as a person would."""

    def __init__(self, house: House) -> None:
        self.browser = Browser(house.url)
        self.opened = 0
        self._answer: dict[str, str] = {}

    async def open(self, url: str) -> None:
        self.opened += 1
        page = self.browser.open(url)
        if "/login" in page.url:
            page = self.browser.sign_in(page)
        if "/consent" in page.url:
            page = self.browser.decide(page)
        self._answer = page.answer

    async def callback(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=self._answer["code"], state=self._answer["state"], iss=self._answer["iss"])


def provider(house: House, storage: Memory, person: Person, url: str = "") -> OAuthClientProvider:
    metadata = OAuthClientMetadata(
        redirect_uris=[AnyUrl(CALLBACK)],
        client_name="The official client",
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
    )
    return OAuthClientProvider(url or f"{house.url}/mcp", metadata, storage, person.open, person.callback)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_gets_in_and_stays_in(house: House, mode: str) -> None:
    """Discovery, registration, PKCE, pages, tokens, a tool, and a refresh once the access token ran out; in both eras."""
    house.add_user()
    person, storage = Person(house), Memory()
    async with httpx2.AsyncClient(auth=provider(house, storage, person), timeout=30) as authorized:
        transport = streamable_http_client(f"{house.url}/mcp", http_client=authorized)
        async with Client(transport, mode=mode) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} >= {"whoami", "add_note"}
            await client.call_tool("add_note", {"text": "written by the official client"})
            listed = await client.call_tool("list_notes", {})
            assert listed.structured_content is not None
            assert listed.structured_content["result"][0]["text"] == "written by the official client"
        first = storage.tokens
        assert first is not None
        house.sql("SELECT 1")
    assert person.opened == 1
    assert storage.client is not None
    assert storage.client.token_endpoint_auth_method == "client_secret_basic"

    again = provider(house, storage, person)
    async with httpx2.AsyncClient(auth=again, timeout=30) as authorized:
        transport = streamable_http_client(f"{house.url}/mcp", http_client=authorized)
        async with Client(transport, mode=mode) as client:
            await client.call_tool("whoami", {})
            again.context.token_expiry_time = 1  # the hour is over, as far as the client knows
            await client.call_tool("whoami", {})
    assert person.opened == 1, "it refreshed rather than sending its user through the browser"
    assert storage.tokens is not None
    assert storage.tokens.refresh_token != first.refresh_token


@pytest.mark.anyio
async def test_the_official_client_gets_in_by_another_name_of_this_computer(house: House) -> None:
    """RFC 9728 §3.3: it holds the metadata to the address that it was given, which people write either way."""
    house.add_user()
    person, storage, url = Person(house), Memory(), house.url.replace("localhost", "127.0.0.1") + "/mcp"
    authorized = provider(house, storage, person, url)
    async with (
        httpx2.AsyncClient(auth=authorized, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        await client.call_tool("whoami", {})
        first = storage.tokens
        authorized.context.token_expiry_time = 1
        await client.call_tool("whoami", {})
    assert person.opened == 1
    assert first is not None
    assert storage.tokens is not None
    assert storage.tokens.refresh_token != first.refresh_token


@pytest.mark.anyio
async def test_a_bearer_token_by_hand_is_enough(house: House) -> None:
    """As `claude mcp add --header` does it."""
    house.add_user()
    key = house.operator("api-key", "add", "x", "--user", "ada@example.com", "--quiet").strip()
    authorized = httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30)
    async with authorized, Client(streamable_http_client(f"{house.url}/mcp", http_client=authorized)) as client:
        called = await client.call_tool("whoami", {})
    assert called.structured_content is not None
    assert called.structured_content["via"] == "api_key"
