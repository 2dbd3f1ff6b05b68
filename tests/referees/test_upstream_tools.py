"""Two Gatehouses in a row: the tools of a second one behind the guard of ours, each caller with their own account there, driven
by the official MCP Python client in both eras."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio.to_thread
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp.types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult

from tests.actors import App, Browser
from tests.conftest import House
from tests.providers import SecondGatehouse, configured, second_gatehouse
from tests.referees.test_upstreams import at_second
from tests.remote_house import in_front_of

SCOPES = ["openid", "profile", "email", "read", "write"]


@pytest.fixture(scope="module")
def second() -> Iterator[SecondGatehouse]:
    with second_gatehouse() as running:
        yield running


@pytest.fixture
def house(dsn: str, second: SecondGatehouse) -> Iterator[House]:
    keys = {"credentials": "upstream:second", "other_tools": "read"}
    with in_front_of(dsn, f"{second.url}/mcp", **keys) as house:
        second.client_id = ""  # registered with this house's address
        configured(house, second=second.definition(house) | {"connect_scopes": SCOPES})
        yield house


class Ada:
    """Sits at a browser, and opens what her app asks her to open."""

    def __init__(self, house: House, second: SecondGatehouse) -> None:
        self.house, self.second = house, second
        house.add_user()
        self.browser = Browser(house.url)
        self.browser.sign_in()
        app = App(house.url)
        app.register()
        self.token = app.connect(self.browser)["access_token"]
        self.opened: list[str] = []

    def connects(self, url: str) -> None:
        self.opened.append(url)
        page = self.browser.open(url.removeprefix(self.house.url))
        path = url.removeprefix(self.house.url).split("?")[0]
        left = self.browser.send(path, csrf=page.field("csrf"), scope=page.field("scope")).left_to
        assert "Connected" in self.browser.open(at_second(self.second, left or "")).text

    async def asked(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        await anyio.to_thread.run_sync(self.connects, params.url)
        return ElicitResult(action="accept")


@pytest.fixture
def ada(house: House, second: SecondGatehouse) -> Ada:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(Ada, house, second).result()


@pytest.mark.anyio
async def test_the_newest_era_asks_connects_and_goes_on_in_one_call(ada: Ada, house: House) -> None:
    """One `call_tool`: the client opens the address, and the answer is that of the second Gatehouse, about Ada there."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {ada.token}"}, timeout=30) as http,
        Client(streamable_http_client(f"{house.url}/mcp", http_client=http), elicitation_callback=ada.asked) as client,
    ):
        assert [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools] == ["connect_account"]
        result = await client.call_tool("whoami", {})
        assert not result.is_error, result
        assert result.structured_content["sub"] == ada.second.sql("SELECT id FROM users")[0]["id"]
        assert ada.opened == [f"{house.url}/connect/second"]
        listed = {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}
        assert {"whoami", "service_profile"} <= listed


@pytest.mark.anyio
async def test_a_handshake_client_is_asked_and_comes_again(ada: Ada, house: House) -> None:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {ada.token}"}, timeout=30) as http:

        def client() -> Client:
            transport = streamable_http_client(f"{house.url}/mcp", http_client=http)
            return Client(transport, mode="legacy", elicitation_callback=ada.asked)

        async with client() as before:
            assert before.instructions is not None
            assert f"open {house.url}/connect/second" in before.instructions
            with pytest.raises(MCPError) as told:
                await before.call_tool("whoami", {})
            [asked] = UrlElicitationRequiredError.from_error(told.value.error).elicitations
        await anyio.to_thread.run_sync(ada.connects, asked.url)
        async with client() as after:
            result = await after.call_tool("whoami", {})
            assert not result.is_error, result
