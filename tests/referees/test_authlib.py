"""Authlib's client, which knows nothing of us: code with PKCE, refresh, revocation, introspection of our errors."""

from __future__ import annotations

import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from tests.actors import CALLBACK, App, Browser
from tests.conftest import House


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_authlib_gets_tokens_refreshes_and_gives_them_back(
    house: House, browser: Browser, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # it knows no loopback exception
    house.add_user()
    app = App(house.url)
    app.register(token_endpoint_auth_method=method)
    async with AsyncOAuth2Client(
        app.client_id,
        app.client_secret,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        redirect_uri=CALLBACK,
        scope="read write",
        code_challenge_method="S256",
        token_endpoint=f"{house.url}/token",
    ) as client:
        url, state = client.create_authorization_url(f"{house.url}/authorize", code_verifier=app.code_verifier)
        answer = browser.decide(browser.sign_in(browser.open(url))).left_to
        token = await client.fetch_token(authorization_response=answer, state=state, code_verifier=app.code_verifier)
        assert token["token_type"] == "Bearer"
        called = await client.post(
            f"{house.url}/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}},
            headers={"Accept": "application/json, text/event-stream"},
        )
        assert called.status_code == 200
        renewed = await client.refresh_token(f"{house.url}/token")
        assert renewed["refresh_token"] != token["refresh_token"]
        revoked = await client.revoke_token(f"{house.url}/revoke", token=renewed["refresh_token"])
        assert revoked.status_code == 200
        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(f"{house.url}/token", refresh_token=renewed["refresh_token"])
