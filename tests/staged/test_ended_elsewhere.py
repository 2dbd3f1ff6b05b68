"""What is ended at one replica is over at the other, whatever their clocks say: a second apart, which nobody corrects, or days."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from app.api_keys import keys
from app.db.engine import engine as engine_of
from app.work.solve import solve
from tests.actors import App, Browser, http
from tests.staged.conftest import Database
from tests.staged.people import EMAIL, add_ada, at, seen_at
from tests.staged.replica import Replica

pytestmark = pytest.mark.long

PUBLIC: dict[str, Any] = {"public_url": "http://localhost:8000", "lightning_url": None}
# A real clock is set right by the database's as soon as it is half a second off; one that stands is one that is nearly right.
APART = {
    "nearly a second ahead": 0.99,
    "nearly a second behind": -0.99,
    "a minute ahead": 61.0,
    "a minute behind": -61.0,
    "five minutes ahead": 300.0,
    "five minutes behind": -300.0,
    "three days ahead": 3 * 86400.0,
    "three days behind": -3 * 86400.0,
}


@dataclass
class Office:
    """Two replicas, `one` and `other`, and Ada, who runs them: with an API key of hers at each of them."""

    shared: Database
    one: Replica
    other: Replica
    key: str

    def admin(self, replica: Replica, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = http().request(method, f"{replica.url}/admin/api{path}", headers=headers, **options)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def browser(self) -> Browser:
        """Ada's, who has not signed in yet; how often she did is forgotten."""
        self.shared.sql("DELETE FROM rate_counters")
        return Browser(self.one.url)

    def app(self) -> App:
        app = App(self.one.url)
        app.register(client_name=f"Quill {time.monotonic_ns()}")
        return app

    def connected(self) -> tuple[App, dict[str, Any]]:
        app = self.app()
        return app, app.connect(self.browser())

    def is_let_in(self, token: str) -> list[bool]:
        """At each of the two, once they have heard."""
        found = []
        for replica in (self.one, self.other):
            replica.catch_up()
            status = App(replica.url).call("whoami", token).status_code
            assert status in (200, 401), status
            found.append(status == 200)
        return found


async def _key(dsn: str, user_id: str, scope: tuple[str, ...]) -> str:
    engine = engine_of(dsn, 2)
    try:
        async with engine.begin() as db:
            made = await keys.create(db, user_id, "a key", scope, None, datetime.now(UTC))
        assert made is not None
        return made[1]
    finally:
        await engine.dispose()


@pytest.fixture(scope="module")
def ada(shared: Database) -> str:
    user_id = asyncio.run(add_ada(shared.dsn))
    shared.sql("UPDATE users SET is_admin = true")
    return user_id


@pytest.fixture(scope="module", params=list(APART.values()), ids=list(APART))
def office(request: pytest.FixtureRequest, shared: Database, ada: str) -> Iterator[Office]:
    apart: float = request.param
    if abs(apart) < 1:  # to the second, so that none is cut off from when a token was issued
        second = float(int(time.time()) + (apart < 0))
        pair = [
            Replica(shared.dsn, frozen_at=second + ahead, revocation_staleness=10_000, **PUBLIC)
            for ahead in (0, -apart)
        ]
    else:
        pair = [Replica(shared.dsn, ahead=ahead, **PUBLIC) for ahead in (apart, 0)]
    yield Office(shared, pair[0], pair[1], asyncio.run(_key(shared.dsn, ada, ("read", "admin"))))
    for replica in pair:
        replica.stop()


def both_ways(office: Office) -> list[Office]:
    return [office, Office(office.shared, office.other, office.one, office.key)]


# Each gives what lets in, made at `one`, and what ends it at `other`.
def an_api_key(office: Office) -> tuple[str, Callable[[], object]]:
    ((user_id,),) = office.shared.sql("SELECT id FROM users WHERE email = $1", EMAIL)
    secret = asyncio.run(_key(office.shared.dsn, str(user_id), ("read",)))
    return secret, lambda: _end_newest_key(office)


def _end_newest_key(office: Office) -> None:
    ((key_id,),) = office.shared.sql(
        "SELECT id FROM api_keys WHERE NOT 'admin' = ANY(scope) ORDER BY created_at DESC LIMIT 1"
    )
    office.admin(office.other, "DELETE", f"/api-keys/{key_id}")


def a_token_of_an_api_key(office: Office) -> tuple[str, Callable[[], object]]:
    secret, end = an_api_key(office)
    answer = http().post(f"{office.one.url}/auth/token", json={"apiKey": secret})
    return answer.json()["token"], end


def a_connection(office: Office) -> tuple[str, Callable[[], object]]:
    app, tokens = office.connected()
    fields = {"client_id": app.client_id, "token": tokens["refresh_token"]}
    return tokens["access_token"], lambda: _well(http().post(f"{office.other.url}/revoke", data=fields))


def an_access_token(office: Office) -> tuple[str, Callable[[], object]]:
    app, tokens = office.connected()
    fields = {"client_id": app.client_id, "token": tokens["access_token"]}
    return tokens["access_token"], lambda: _well(http().post(f"{office.other.url}/revoke", data=fields))


def a_stolen_connection(office: Office) -> tuple[str, Callable[[], object]]:
    """Its code comes a second time."""
    app = office.app()
    code = app.code(office.browser())
    token = app.redeem(code).json()["access_token"]
    return token, lambda: at(app, office.other).redeem(code)


def an_app(office: Office) -> tuple[str, Callable[[], object]]:
    """It removes itself (RFC 7592 §2.3)."""
    app = App(office.one.url)
    told = app.register(token_endpoint_auth_method="client_secret_post")
    token = app.connect(office.browser())["access_token"]
    path = told["registration_client_uri"].removeprefix("http://localhost:8000")
    headers = {"Authorization": f"Bearer {told['registration_access_token']}"}
    return token, lambda: _well(http().delete(office.other.url + path, headers=headers))


def a_blocked_app(office: Office) -> tuple[str, Callable[[], object]]:
    app, tokens = office.connected()
    change = {"blocked": True}
    return tokens["access_token"], lambda: office.admin(office.other, "PATCH", f"/clients/{app.client_id}", json=change)


def a_project(office: Office) -> tuple[str, Callable[[], object]]:
    """Its agents worked for their tokens."""
    return _project(office, lambda project: office.admin(office.other, "DELETE", f"/projects/{project}"))


def a_paused_project(office: Office) -> tuple[str, Callable[[], object]]:
    return _project(
        office, lambda project: office.admin(office.other, "PATCH", f"/projects/{project}", json={"paused": True})
    )


def _project(office: Office, end: Callable[[str], object]) -> tuple[str, Callable[[], object]]:
    wish = {"name": f"Robots {time.monotonic_ns()}", "bits_floor": 6, "bits_ceiling": 10}
    made = office.admin(office.one, "POST", "/projects", json=wish)
    headers = {"X-LW-Public": made["public_key"]}
    started = http().post(f"{office.one.url}/api/mcp/start", json={}, headers=headers).json()
    asked = started["powChallenge"]
    found = solve(asked["projectPublicKey"], asked["challengeHex"], asked["targetHex"])
    assert found is not None
    body = {name: asked[name] for name in ("challengeHex", "expiresAtUnix", "difficultyBits")}
    body |= {"quoteId": started["quoteId"], "nonce": found[0], "hashHex": found[1], "sig": asked["signature"]}
    token = http().post(f"{office.one.url}/api/mcp/confirm", json=body, headers=headers).json()["jwt"]
    return token, lambda: end(made["id"])


def a_person(office: Office) -> tuple[str, Callable[[], object]]:
    """Whose account is disabled."""
    email = f"eve{time.monotonic_ns()}@example.com"
    made = office.admin(office.one, "POST", "/users", json={"email": email})
    secret = asyncio.run(_key(office.shared.dsn, made["id"], ("read",)))
    token = http().post(f"{office.one.url}/auth/token", json={"apiKey": secret}).json()["token"]
    change = {"disabled": True}
    return token, lambda: office.admin(office.other, "PATCH", f"/users/{made['id']}", json=change)


def _well(answer: httpx2.Response) -> None:
    assert answer.status_code < 300, answer.text


KINDS = (
    an_api_key,
    a_token_of_an_api_key,
    a_connection,
    an_access_token,
    a_stolen_connection,
    an_app,
    a_blocked_app,
    a_project,
    a_paused_project,
    a_person,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.replace("_", " "))
def test_what_is_ended_at_one_replica_is_over_at_both(
    office: Office, kind: Callable[[Office], tuple[str, Callable[[], object]]]
) -> None:
    for way in both_ways(office):
        token, end = kind(way)
        assert way.is_let_in(token) == [True, True]
        end()
        assert way.is_let_in(token) == [False, False]


def test_a_session_that_ended_at_one_replica_is_over_at_both(office: Office) -> None:
    """Nobody remembers a session: the database is asked each time."""
    for way in both_ways(office):
        browser = way.browser()
        browser.sign_in()
        assert seen_at(browser, way.other).open("/account").url.endswith("/account")
        page = browser.open("/account")
        token = re.search(r'name="csrf" value="([^"]*)"', page.text)
        assert token
        cookies = dict(browser.http.cookies)
        browser.send("/logout", csrf=token[1])
        for replica in (way.one, way.other):
            stolen = Browser(replica.url, cookies=cookies)
            assert "/login" in stolen.open("/account").url
