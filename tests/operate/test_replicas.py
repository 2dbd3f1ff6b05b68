"""Two replicas on one database: each step of a flow on another one, single uses used once for both, changes heard within a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt
import pytest

from app.admin.clients.acts import block
from tests import factors
from tests.actors import OPENED, TRUST, App, Browser, Device, http
from tests.conftest import House
from tests.holders import Holder
from tests.operate.replicas import wait_until

HEARD_SECONDS = 1.0


@pytest.fixture(scope="module")
def served_beside(served: House, authority: Any) -> Iterator[House]:
    """A second replica of `house`: the same issuer and database, another port."""
    replica = House(served.dsn, public_url=served.url, ca_file=authority).start()
    yield replica
    replica.stop()


class Wandering(httpx2.Client):
    """Each request goes to the next replica, as behind a balancer that keeps nobody where they were."""

    def __init__(self, *urls: str) -> None:
        super().__init__(timeout=30, verify=TRUST)
        self._urls, self._next = urls, 0
        self.visited: list[str] = []
        OPENED.append(self)

    def request(self, method: str, url: Any, **options: Any) -> httpx2.Response:
        public, chosen = self._urls[0], self._urls[self._next % len(self._urls)]
        self._next += 1
        self.visited.append(chosen)
        headers = {**(options.pop("headers", None) or {}), "Host": urlsplit(public).netloc}
        return super().request(method, str(url).replace(public, chosen, 1), headers=headers, **options)


@pytest.fixture
def beside(served_beside: House) -> House:
    """With the right time, and no news that is still on its way."""
    served_beside.clock.ahead = timedelta(0)
    served_beside.catch_up()
    return served_beside


@pytest.fixture
def wandering(house: House, beside: House) -> Callable[[], Wandering]:
    return lambda: Wandering(house.url, beside.url)


@contextmanager
def heard() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < HEARD_SECONDS


def at(replica: House, token: str) -> int:
    """What a call with this token is answered by this replica."""
    host = {"Host": urlsplit(replica.settings.issuer).netloc}
    return App(replica.url).call("whoami", token, host).status_code


def test_every_step_on_another_replica(house: House, wandering: Callable[[], Wandering]) -> None:
    house.add_user()
    for _ in range(2):  # the second time every step is on the other one
        app, browser = App(house.url, http=wandering()), Browser(house.url)
        browser.http = wandering()
        app.register()
        tokens = app.connect(browser)
        for _ in range(3):
            tokens = app.refresh(tokens["refresh_token"]).json()
            assert app.call("whoami", tokens["access_token"]).status_code == 200
        page = browser.open("/account/api-keys")
        browser.send("/account/api-keys", csrf=page.field("csrf"), name="laptop", scope="read")
        gadget = Device.of(App(house.url, http=wandering()))
        gadget.decide(browser)
        assert gadget.poll().status_code == 200
        assert len(set(browser.http.visited)) == 2
        browser.http.request("GET", house.url)  # one more, so that the next round begins elsewhere
        assert wandering()


def test_what_is_used_on_one_is_used_on_the_other(house: House, beside: House) -> None:
    house.add_user()
    app, browser = App(house.url), Browser(house.url)
    app.register()
    code = app.code(browser)
    there = App(beside.url, client_id=app.client_id, code_verifier=app.code_verifier)
    assert app.redeem(code).status_code == 200
    assert there.redeem(code).json()["error"] == "invalid_grant"
    holder = Holder(app, house)
    tokens = holder.tokens(browser)
    proof = holder.proof("POST", "/mcp", tokens["access_token"])
    assert holder.call(tokens["access_token"], proof).status_code == 200
    elsewhere = Holder(App(beside.url), house, holder.signer)
    again = elsewhere.call(tokens["access_token"], proof, Host=urlsplit(house.url).netloc)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_dpop_proof")
    refreshed = holder.refresh(tokens["refresh_token"]).json()
    assert refreshed["refresh_token"] != tokens["refresh_token"]
    house.turn_clock(seconds=31)
    beside.clock.ahead = house.clock.ahead
    there.client_id = app.client_id
    reused = Holder(there, house, holder.signer)
    reused_proof = holder.proof("POST", "/token")
    assert reused.refresh(tokens["refresh_token"], reused_proof).json()["error"] == "invalid_grant"
    assert holder.refresh(refreshed["refresh_token"]).json()["error"] == "invalid_grant", "the family ended on both"


def test_a_code_from_a_phone_counts_once_for_both(house: House, beside: House) -> None:
    house.add_user()
    browser = Browser(house.url)
    browser.sign_in()
    phone = factors.set_up(house, browser)
    code = phone.next_code()
    beside.clock.ahead = house.clock.ahead
    there = Browser(beside.url)
    halfway = factors.first_step(there)
    here = Browser(house.url)
    assert "/account" in factors.second_step(here, factors.first_step(here), code=code).url
    refused = factors.second_step(there, halfway, code=code)
    assert refused.status == 400
    assert "/login" in refused.url


@pytest.mark.parametrize("how", ["revoke", "connection", "user", "client", "client blocked", "code replay"])
def test_a_revocation_on_one_is_heard_by_the_other_within_a_second(house: House, beside: House, how: str) -> None:
    house.add_user()
    app, browser = App(house.url), Browser(house.url)
    app.register()
    code = app.code(browser)
    tokens = app.redeem(code).json()
    (connection,) = house.sql("SELECT id FROM connections WHERE revoked_at IS NULL")[0]
    assert at(beside, tokens["access_token"]) == 200
    acts: dict[str, Callable[[], object]] = {
        "revoke": lambda: app.http.post(
            f"{house.url}/revoke", data={"token": tokens["refresh_token"], "client_id": app.client_id}
        ),
        "code replay": lambda: app.redeem(code),
        "connection": lambda: house.operator("connection", "revoke", str(connection)),
        "user": lambda: house.operator("user", "disable", "ada@example.com"),
        "client": lambda: house.operator("client", "revoke", app.client_id),
        "client blocked": lambda: blocked(house, app.client_id),
    }
    acts[how]()
    with heard():
        wait_until(lambda: at(beside, tokens["access_token"]) == 401, 30)


def blocked(house: House, client_id: str) -> None:
    async def work() -> None:
        await block(house.world, client_id, house.world.now())

    house.wait_for(work())


def test_an_api_key_that_is_revoked_is_heard_of(house: House, beside: House) -> None:
    house.add_user()
    key = house.operator("api-key", "add", "laptop", "--user", "ada@example.com", "--quiet").strip()
    assert at(beside, key) == 200
    (name,) = house.sql("SELECT id FROM api_keys")[0]
    house.operator("api-key", "revoke", str(name))
    with heard():
        wait_until(lambda: at(beside, key) == 401, 30)


def test_new_signing_keys_are_used_by_both_within_a_second(house: House, beside: House) -> None:
    """A leaked key is replaced at once: what one signs the other accepts, and soon signs with it itself."""
    house.add_user()
    app, browser = App(house.url), Browser(house.url)
    app.register()
    tokens = app.connect(browser)
    before = kid_of(tokens["access_token"])
    there = App(beside.url, client_id=app.client_id)
    house.operator("key", "rotate", "--now")
    with heard():
        wait_until(lambda: before != signs_with(app, tokens), 30)
    assert at(beside, tokens["access_token"]) == 200
    with heard():
        wait_until(lambda: kid_of(tokens["access_token"]) == signs_with(there, tokens), 30)
    assert at(house, tokens["access_token"]) == 200
    published = [
        {key["kid"] for key in http().get(f"{url}/.well-known/jwks.json").json()["keys"]}
        for url in (house.url, beside.url)
    ]
    assert published[0] == published[1]
    assert before in published[0], "what the old one signed is still good"


def signs_with(app: App, tokens: dict[str, Any]) -> str:
    tokens.update(app.refresh(tokens["refresh_token"]).json())
    return kid_of(tokens["access_token"])


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_changes_of_a_client_hold_on_the_other_at_once(house: House, beside: House) -> None:
    """RFC 7592: another redirect URI, another secret; and a client that is gone is gone."""
    house.add_user()
    app = App(house.url)
    given = app.register(token_endpoint_auth_method="client_secret_post")
    there, browser = App(beside.url, client_id=app.client_id, client_secret=app.client_secret), Browser(beside.url)
    page = browser.open(there.authorize_url(resource=f"{house.url}/mcp"))
    assert page.status == 200
    manage = {"Authorization": f"Bearer {given['registration_access_token']}"}
    address = given["registration_client_uri"]
    kept = {name: given[name] for name in ("client_id", "client_name", "token_endpoint_auth_method")}
    changed = http().put(address, json=kept | {"redirect_uris": ["https://new.example/callback"]}, headers=manage)
    assert changed.status_code == 200, changed.text
    assert browser.open(there.authorize_url(resource=f"{house.url}/mcp")).status == 400
    there.redirect_uri = "https://new.example/callback"
    assert browser.open(there.authorize_url(resource=f"{house.url}/mcp")).status == 200
    renewed = {
        "Authorization": f"Bearer {changed.json().get('registration_access_token') or given['registration_access_token']}"
    }
    assert http().delete(address, headers=renewed).status_code == 204
    assert there.refresh("gh_rt_any").status_code == 401
