"""What is signed for one request, fifty times at once when all have been read: a client assertion, a DPoP proof (their `jti`)."""

from __future__ import annotations

from typing import Any

import httpx2

from app.clients.assertion import JWT_BEARER
from tests.actors import DEVICE_CODE, App, Browser
from tests.conftest import House
from tests.holders import Holder
from tests.races.test_one_winner import RACERS, blocked, race
from tests.signers import Signer

__all__ = ["blocked"]  # a fixture: nobody's use is written before others wait to write theirs


def test_one_client_assertion_lets_in_once(house: House, blocked: Any) -> None:
    """RFC 7523 §3: who copies it gets nothing of what the client is given, here a code for a device."""
    signer, app = Signer(), App(house.url)
    app.register(
        redirect_uris=[],
        grant_types=[DEVICE_CODE],
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [signer.jwk]},
    )
    form = {
        "client_assertion_type": JWT_BEARER,
        "client_assertion": signer.assertion(app.client_id, house.url, house.clock()),
    }

    def attempt(_: int, client: httpx2.Client) -> httpx2.Response:
        return client.post(f"{house.url}/device_authorization", data=form)

    responses = blocked("used_once", lambda: race(house, attempt))
    assert sorted(response.status_code for response in responses) == [200] + [401] * (RACERS - 1)
    assert {response.json()["error"] for response in responses if response.status_code == 401} == {"invalid_client"}
    assert house.sql("SELECT count(*) FROM device_codes") == [(1,)]


def test_one_proof_refreshes_once(app: App, browser: Browser, house: House, blocked: Any) -> None:
    """RFC 9449 §11.1: the refresh token itself may come twice within its grace; the proof of its key may not."""
    holder = Holder(app, house)
    token = holder.tokens(browser)["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": app.client_id}
    headers = {"DPoP": holder.proof("POST", "/token")}

    def attempt(_: int, client: httpx2.Client) -> httpx2.Response:
        return client.post(f"{house.url}/token", data=form, headers=headers)

    responses = blocked("used_once", lambda: race(house, attempt))
    assert sorted(response.status_code for response in responses) == [200] + [400] * (RACERS - 1)
    refusals = {response.json()["error"] for response in responses if response.status_code == 400}
    assert refusals == {"invalid_dpop_proof"}
    winner = next(response.json() for response in responses if response.status_code == 200)
    assert holder.refresh(winner["refresh_token"]).status_code == 200
