"""Known services with their peculiarities: what they answer as their documentation has it (quirks/*.json name the pages)."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.protocol.known_providers import KNOWN_PROVIDERS
from app.protocol.provider import Provider
from app.protocol.provider_definition import defined
from app.upstream.faults import Away
from app.upstream.vault import store, tokens
from app.upstream.vault.fetch import Fresh, NotConnected, fresh
from tests.actors import Browser
from tests.conftest import House
from tests.doors import Reply
from tests.upstreams import Upstream, sent_to

FIXTURES = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).parent.glob("quirks/*.json"))}
EACH = pytest.mark.parametrize("name", FIXTURES)
CODE = "a-code"
ADDRESS = re.compile(r"https://(?!www\.googleapis\.com/auth/)")  # those are names of scopes


class Replay:
    """The service, played by one server: `https://host/path` is at `/host/path` there, in its answers too."""

    def __init__(self, name: str, house: House, acme: Upstream) -> None:
        self.name, self.house, self.acme, self.fixture = name, house, acme, FIXTURES[name]
        given = {"client_id": "gatehouse", "client_secret": "s3cret"}
        house.world.providers.given[name] = self._moved(defined(name, given))
        house.world.providers.look_again()
        for path, document in self.fixture.get("metadata", {}).items():
            acme.replies[f"/{path}"] = self._reply({"json": document})

    def _moved(self, value: Any) -> Any:
        if isinstance(value, str):
            return ADDRESS.sub(f"{self.acme.url}/", value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            moved = {field.name: self._moved(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return dataclasses.replace(value, **moved)
        return value

    def _reply(self, answer: dict[str, Any]) -> Reply:
        body = json.dumps(answer["json"]) if "json" in answer else answer.get("text", "")
        headers = answer.get("headers", {"Content-Type": "application/json"})
        return answer.get("status", 200), headers, self._moved(body).encode()

    def answers(self, answers: dict[str, Any]) -> None:
        for path, answer in answers.items():
            self.acme.replies[f"/{path}"] = self._reply(answer)

    def token_endpoint(self) -> str:
        """Where tools' tokens come from."""
        return next(str(path) for path in self.fixture["connect"]["answers"] if "oauth" in path)

    def asked_for(self, url: str, step: dict[str, Any]) -> dict[str, str]:
        """What the browser was sent away with: to the right page, with PKCE and a state, and what is peculiar here."""
        parts = urlsplit(url)
        assert parts.path == f"/{step['at']}"
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert asked["client_id"] == "gatehouse"
        assert asked["code_challenge_method"] == "S256"
        assert asked["redirect_uri"] == f"{self.house.url}/callback/{self.name}"
        assert step["asks"].items() <= asked.items()
        assert not set(step.get("asks_not", [])) & set(asked)
        return asked

    def comes_back(self, browser: Browser, url: str, step: dict[str, Any]) -> str:
        """With a code; the answers to it are those of the fixture, with an id_token where there is one."""
        asked = self.asked_for(url, step)
        self.answers(step["answers"])
        if "id_token" in step:
            self._sign(step, asked["nonce"])
        page = browser.open(f"/callback/{self.name}?code={CODE}&state={asked['state']}")
        sent = [fields for path, fields in self.acme.asked if fields.get("code") == CODE]
        assert len(sent[-1]["code_verifier"]) == 43
        return page.text

    def _sign(self, step: dict[str, Any], nonce: str) -> None:
        now = int(self.house.clock().timestamp())
        self.acme.replies[f"/{self.fixture['keys']}"] = self._reply({"json": {"keys": [self.acme.signer.jwk]}})
        claims = {"iat": now, "exp": now + 120, "nonce": nonce} | step["id_token"]
        claims["iss"] = self._moved(claims["iss"])
        [path] = [path for path, answer in step["answers"].items() if "access_token" in answer.get("json", {})]
        answer = step["answers"][path]
        self.acme.replies[f"/{path}"] = self._reply(
            answer | {"json": answer["json"] | {"id_token": self.acme.signer.sign(claims)}}
        )


@pytest.fixture
def replay(name: str, house: House, acme: Upstream) -> Any:
    house.add_user("owner@example.com")
    replay = Replay(name, house, acme)
    yield replay
    house.world.providers.given.pop(name)
    house.world.providers.look_again()


def test_every_known_service_is_here() -> None:
    assert set(FIXTURES) == set(KNOWN_PROVIDERS)
    for name, fixture in FIXTURES.items():
        assert KNOWN_PROVIDERS[name].documentation in fixture["documentation"]


@EACH
def test_signing_in(name: str, replay: Replay, house: House, browser: Browser) -> None:
    step = replay.fixture["sign_in"]
    text = replay.comes_back(browser, sent_to(browser, name), step)
    issuer, subject = step["identity"]
    expected = (replay._moved(issuer), subject, name)
    assert house.sql("SELECT issuer, subject, provider FROM identities") == [expected], text
    assert house.sql(
        "SELECT email, name, email_verified_at IS NOT NULL FROM users WHERE email <> 'owner@example.com'"
    ) == [(step["email"], step["name"], True)]


def connected(replay: Replay, house: House, browser: Browser) -> str:
    """The user's id."""
    browser.sign_in(email="owner@example.com")
    path = f"/connect/{replay.name}"
    page = browser.open(path)
    left = browser.send(path, csrf=page.field("csrf"), scope="").left_to
    assert left
    assert "Connected. Go back" in replay.comes_back(browser, left, replay.fixture["connect"])
    return str(house.sql("SELECT id FROM users")[0][0])


def held(house: House, user_id: str, name: str) -> Fresh:
    found = house.wait_for(fresh(house.world, user_id, name))
    assert isinstance(found, Fresh)
    return found


@EACH
def test_connecting_and_refreshing(name: str, replay: Replay, house: House, browser: Browser) -> None:
    step = replay.fixture["connect"]
    user_id = connected(replay, house, browser)
    found = held(house, user_id, name)
    assert (found.access_token, list(found.account.scope)) == (step["access_token"], step["scope"])
    assert found.account.expires_at is not None
    assert (found.account.expires_at - found.account.refreshed_at).total_seconds() == step["lasts"]
    replay.answers({replay.token_endpoint(): replay.fixture["refresh"]["answer"]})
    house.turn_clock(seconds=step["lasts"] - 60)
    assert held(house, user_id, name).access_token == replay.fixture["refresh"]["access_token"]
    account = house.wait_for(store.find(house.world.pool, user_id, name))
    assert isinstance(account, store.Account)
    assert tokens.opened(account, house.world.secrets.upstream_tokens).refresh_token


@EACH
def test_a_grant_that_is_gone(name: str, replay: Replay, house: House, browser: Browser) -> None:
    """Whatever the service calls it, its user is asked again; an outage is none."""
    user_id = connected(replay, house, browser)
    house.turn_clock(seconds=replay.fixture["connect"]["lasts"] + 60)
    replay.answers({replay.token_endpoint(): {"status": 503, "text": "<html>"}})
    with pytest.raises(Away):
        held(house, user_id, name)
    house.turn_clock(seconds=10)
    replay.answers({replay.token_endpoint(): replay.fixture["gone"]["answer"]})
    with pytest.raises(NotConnected):
        held(house, user_id, name)
    assert house.sql("SELECT broken_at IS NOT NULL FROM upstream_accounts") == [(True,)]


@EACH
def test_disconnecting(name: str, replay: Replay, house: House, browser: Browser) -> None:
    connected(replay, house, browser)
    revoke = replay.fixture.get("revoke")
    if revoke:
        replay.answers({revoke["path"]: revoke["answer"]})
    page = browser.open("/account/services")
    page = browser.send("/account/services/disconnect", csrf=page.field("csrf"), provider=name)
    assert ("the service was told" if revoke else "could not be told") in page.text
    if revoke:
        assert f"/{revoke['path']}" in [path for path, _ in replay.acme.asked]


# What is dangerous about them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["microsoft"])
@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"xms_edov": None}, "not verified at Microsoft"),
        ({"xms_edov": False}, "not verified at Microsoft"),
        ({"tid": "../evil"}, "does not hold"),
        ({"tid": None}, "does not hold"),
        ({"tid": "11111111-2222-3333-4444-555555555555"}, "does not hold"),
    ],
)
def test_a_tenant_says_what_it_likes(
    replay: Replay, house: House, browser: Browser, claims: dict[str, Any], words: str
) -> None:
    """An address that a tenant's admin wrote there opens nobody's account; and each tenant has its own issuer."""
    step = replay.fixture["sign_in"]
    step = step | {"id_token": step["id_token"] | claims}
    assert words in replay.comes_back(browser, sent_to(browser, "microsoft"), step)
    assert house.sql("SELECT count(*) FROM identities") == [(0,)]


@pytest.mark.parametrize("name", ["github"])
@pytest.mark.parametrize(
    "emails",
    [
        [{"email": "octocat@example.com", "primary": True, "verified": False}],
        [{"email": "octocat@example.com", "primary": False, "verified": True}],
        [],
        {"message": "Not Found"},
    ],
)
def test_an_address_that_github_does_not_vouch_for(replay: Replay, house: House, browser: Browser, emails: Any) -> None:
    step = replay.fixture["sign_in"]
    answers = step["answers"] | {"api.github.com/user/emails": {"json": emails}}
    assert "not verified at GitHub" in replay.comes_back(
        browser, sent_to(browser, "github"), step | {"answers": answers}
    )
    assert house.sql("SELECT count(*) FROM identities") == [(0,)]


def test_nothing_known_is_asked_over_plain_http() -> None:
    for provider in KNOWN_PROVIDERS.values():
        for value in texts(provider):
            assert not value.startswith("http://"), value


def texts(value: Any) -> list[str]:
    if isinstance(value, (str, tuple)):
        return [value] if isinstance(value, str) else [text for one in value for text in texts(one)]
    if isinstance(value, Provider) or dataclasses.is_dataclass(value):
        return [text for field in dataclasses.fields(value) for text in texts(getattr(value, field.name))]
    return []
