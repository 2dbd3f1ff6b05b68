"""Fifty at once for what may happen once: exactly one winner, and proof that they really overlapped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.protocol.metadata import JWT_BEARER
from app.users.accounts import new_link
from tests.actors import DEVICE_CODE, App, Browser, Device, http
from tests.authenticators import Authenticator, add, options
from tests.conftest import House
from tests.factors import first_step, set_up
from tests.holders import WHOAMI, Holder
from tests.signers import Provider
from tests.websites import Website

RACERS = 50


def race(house: House, attempt: Callable[[int, httpx2.Client], httpx2.Response]) -> list[httpx2.Response]:
    """All attempts leave one gate together, on open connections. Fails when they were served one after another."""
    gate = threading.Barrier(RACERS)
    spans: list[tuple[float, float]] = []

    def run(number: int) -> httpx2.Response:
        client = http()
        client.get(f"{house.url}/healthz")  # the connection is there before the race
        gate.wait()
        began = time.monotonic()
        response = attempt(number, client)
        spans.append((began, time.monotonic()))
        return response

    with ThreadPoolExecutor(RACERS) as pool:
        responses = list(pool.map(run, range(RACERS)))
    overlaps = sum(1 for a in spans for b in spans if a is not b and a[0] < b[1] and b[0] < a[1])
    assert overlaps > RACERS, "the attempts did not overlap; this was no race"
    return responses


@pytest.fixture
def blocked(house: House) -> Callable[..., Any]:
    """Holds a lock on a table until all racers wait for it in Postgres, so that every one has looked before one may act."""

    def hold(table: str, start: Callable[[], Any], mode: str = "ACCESS EXCLUSIVE") -> Any:
        async def lock_until_waiting() -> None:
            import asyncio

            from sqlalchemy import text

            async with house.world.db.begin() as db:
                await db.execute(text(f"LOCK TABLE {table} IN {mode} MODE"))
                locked.set()
                waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
                for _ in range(400):
                    if (await db.execute(waiting)).scalar_one() >= 2:
                        return
                    await asyncio.sleep(0.005)
                raise AssertionError("nobody waited: the attempts were not interleaved")

        locked = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            holder = pool.submit(house.wait_for, lock_until_waiting())
            assert locked.wait(10)
            result = start()
            holder.result(20)
        return result

    return hold


def test_one_code_is_redeemed_once(app: App, browser: Browser, house: House, blocked: Any) -> None:
    """RFC 6749 §4.1.2. The winner's tokens are taken back, since 49 valid replays followed."""
    code = app.code(browser)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.redirect_uri,
        "code_verifier": app.code_verifier,
        "client_id": app.client_id,
    }
    responses = blocked("codes", lambda: race(house, lambda _, client: client.post(f"{house.url}/token", data=form)))
    assert sorted(response.status_code for response in responses) == [200] + [400] * (RACERS - 1)
    assert {response.json()["error"] for response in responses if response.status_code == 400} == {"invalid_grant"}
    assert house.sql("SELECT count(*) FROM connections") == [(1,)]
    house.catch_up()
    winner = next(response.json() for response in responses if response.status_code == 200)
    assert app.call("whoami", winner["access_token"]).status_code == 401


def test_one_refresh_token_has_one_successor(app: App, browser: Browser, house: House, blocked: Any) -> None:
    """OAuth 2.1 §4.3.1: within the grace every racer is answered, all with the same successor, rotated once."""
    tokens = app.connect(browser)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": app.client_id}
    responses = blocked(
        "connections", lambda: race(house, lambda _, client: client.post(f"{house.url}/token", data=form))
    )
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["refresh_token"] for response in responses}) == 1
    assert house.sql("SELECT refresh_counter, revoked_at FROM connections") == [(1, None)]
    successor = responses[0].json()["refresh_token"]
    assert app.refresh(successor).status_code == 200


def test_reuse_by_many_ends_the_family_once(app: App, browser: Browser, house: House) -> None:
    tokens = app.connect(browser)
    app.refresh(tokens["refresh_token"])
    house.turn_clock(seconds=31)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": app.client_id}
    responses = race(house, lambda _, client: client.post(f"{house.url}/token", data=form))
    assert {response.status_code for response in responses} == {400}
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'connection.revoked'") == [(1,)]


def test_one_key_is_revoked_once(house: House, browser: Browser, blocked: Any) -> None:
    house.add_user()
    browser.sign_in()
    key = browser.http.post(f"{house.url}/api-keys", json={"name": "laptop"}).json()["id"]
    cookies = dict(browser.http.cookies)

    def attempt(_: int, client: httpx2.Client) -> httpx2.Response:
        client.cookies.update(cookies)
        return client.delete(f"{house.url}/api-keys/{key}")

    responses = blocked("api_keys", lambda: race(house, attempt))
    assert sorted(response.status_code for response in responses) == [204] + [404] * (RACERS - 1)
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'api_key.revoked'") == [(1,)]


def test_one_set_up_link_makes_one_owner(house: House) -> None:
    async def link() -> str:
        async with house.world.db.begin() as db:
            return await new_link(db, "setup", None, house.world.now())

    code = str(house.wait_for(link()))

    def attempt(number: int) -> int:
        browser = Browser(house.url)
        page = browser.open(f"/setup?code={code}")
        gate.wait()
        fields = {"email": f"owner{number}@example.com", "name": "", "password": "four words make one"}
        return browser.send("/setup", csrf=page.field("csrf"), code=code, **fields).status

    gate = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(attempt, range(8)))
    assert statuses == [200] + [410] * 7
    assert house.sql("SELECT count(*), bool_and(is_admin) FROM users") == [(1, True)]


def test_one_password_link_sets_one_password(house: House) -> None:
    user_id = house.add_user()

    async def link() -> str:
        async with house.world.db.begin() as db:
            return await new_link(db, "password", user_id, house.world.now())

    code = str(house.wait_for(link()))

    def attempt(number: int) -> int:
        browser = Browser(house.url)
        page = browser.open(f"/password?code={code}")
        gate.wait()
        return browser.send("/password", csrf=page.field("csrf"), code=code, password=f"attempt number {number}").status

    gate = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(attempt, range(8)))
    assert statuses == [200] + [410] * 7
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'password.changed'") == [(1,)]


def test_one_allowed_device_code_is_consumed_once(app: App, browser: Browser, house: House, blocked: Any) -> None:
    """RFC 8628 §3.5: fifty polls, one connection; the others find the code used."""
    device = Device.of(app)
    device.decide(browser)
    form = {"grant_type": DEVICE_CODE, "device_code": device.device_code, "client_id": app.client_id}
    responses = blocked(
        "device_codes", lambda: race(house, lambda _, client: client.post(f"{house.url}/token", data=form))
    )
    assert sorted(response.status_code for response in responses) == [200] + [400] * (RACERS - 1)
    assert {response.json()["error"] for response in responses if response.status_code == 400} == {"invalid_grant"}
    assert house.sql("SELECT count(*) FROM connections") == [(1,)]
    winner = next(response.json() for response in responses if response.status_code == 200)
    assert app.call("whoami", winner["access_token"]).status_code == 200


def test_of_many_polls_at_once_one_was_in_time(app: App, browser: Browser, house: House) -> None:
    """RFC 8628 §3.5: each of the others is told to slow down, and each costs five seconds."""
    device = Device.of(app)
    form = {"grant_type": DEVICE_CODE, "device_code": device.device_code, "client_id": app.client_id}
    responses = race(house, lambda _, client: client.post(f"{house.url}/token", data=form))
    words = [response.json()["error"] for response in responses]
    assert (words.count("authorization_pending"), words.count("slow_down")) == (1, RACERS - 1)
    assert house.sql("SELECT poll_interval FROM device_codes") == [(5 * RACERS,)]


def test_one_device_is_decided_about_once(app: App, browser: Browser, house: House) -> None:
    device = Device.of(app)
    entered = device.entered(browser)
    fields = {name: entered.field(name) for name in ("csrf", "entered")}
    cookies = dict(browser.http.cookies)

    def attempt(number: int, client: httpx2.Client) -> httpx2.Response:
        client.cookies.update(cookies)
        decision = "allow" if number % 2 else "deny"
        return client.post(f"{house.url}/device/decision", data=fields | {"decision": decision})

    statuses = sorted(response.status_code for response in race(house, attempt))
    assert statuses == [200] + [400] * (RACERS - 1)
    assert house.sql("SELECT count(*) FROM audit_events WHERE event LIKE 'device.%'") == [(1,)]


def test_identical_registrations_at_once_are_one_client(house: House) -> None:
    document = {
        "redirect_uris": ["http://127.0.0.1:1/cb"],
        "token_endpoint_auth_method": "none",
        "client_name": "Quill",
    }
    responses = race(house, lambda _, client: client.post(f"{house.url}/register", json=document))
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["client_id"] for response in responses}) == 1


def test_one_proof_is_used_once(app: App, browser: Browser, house: House) -> None:
    """RFC 9449 §11.1: whoever copies a request in flight gains nothing, however fast they are."""
    holder = Holder(app, house)
    token = holder.tokens(browser)["access_token"]
    proof = holder.proof("POST", "/mcp", token)
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof, "Accept": "application/json, text/event-stream"}
    responses = race(house, lambda _, client: client.post(f"{house.url}/mcp", json=WHOAMI, headers=headers))
    assert sorted(response.status_code for response in responses) == [200] + [401] * (RACERS - 1)
    assert {r.json()["error"] for r in responses if r.status_code == 401} == {"invalid_dpop_proof"}


@pytest.fixture
def assertion(house: House, dsn: str, authority: Path, website: Website) -> Iterator[tuple[House, dict[str, str]]]:
    """A server that trusts a provider, and the request of a client with an ID-JAG about Ada, whom nobody was bound to yet."""
    provider = Provider(website)
    trusting = House(dsn, ca_file=authority, trusted_issuers=(provider.issuer,)).start()
    trusting.add_user()
    app = App(trusting.url)
    app.register(grant_types=[JWT_BEARER], redirect_uris=[], token_endpoint_auth_method="client_secret_post")
    made = provider.id_jag(app.client_id, trusting.url, trusting.clock())
    assert app.client_secret is not None
    yield (
        trusting,
        {
            "grant_type": JWT_BEARER,
            "assertion": made,
            "client_id": app.client_id,
            "client_secret": app.client_secret,
        },
    )
    trusting.stop()


@pytest.mark.parametrize("table", ["used_once", "identities"])
def test_one_assertion_is_used_once(house: House, assertion: Any, blocked: Any, table: str) -> None:
    """EMA §7.4.2: fifty at once with one `jti`; and their account is bound once."""
    trusting, form = assertion
    responses = blocked(
        table, lambda: race(trusting, lambda _, client: client.post(f"{trusting.url}/token", data=form))
    )
    assert sorted(response.status_code for response in responses) == [200] + [400] * (RACERS - 1)
    assert {response.json()["error"] for response in responses if response.status_code == 400} == {"invalid_grant"}
    assert house.sql("SELECT count(*) FROM identities") == [(1,)]
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'identity.bound'") == [(1,)]


def test_one_key_is_rotated_once(house: House, browser: Browser, blocked: Any) -> None:
    """Every racer holds a right form; one gets the new secret, and the old key has one successor."""
    house.add_user()
    browser.sign_in()
    key = browser.http.post(f"{house.url}/api-keys", json={"name": "laptop"}).json()["id"]
    form = {"csrf": browser.open("/account/api-keys").field("csrf"), "id": key, "grace": "1d"}
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())}
    url = f"{house.url}/account/api-keys/rotate"
    responses = blocked("api_keys", lambda: race(house, lambda _, client: client.post(url, data=form, headers=cookie)))
    places = [response.headers["location"] for response in responses]
    assert sorted(places) == ["/account/api-keys"] + ["/account/api-keys?done=nothing"] * (RACERS - 1)
    assert house.sql("SELECT count(*) FROM api_keys") == [(2,)]


def test_of_many_admins_who_all_leave_at_once_one_stays(house: House) -> None:
    """Each sees all others as they look; they take turns."""
    from app.users.remove import remove

    people = [house.add_user(f"admin{number}@example.com", admin=True) for number in range(8)]

    async def all_at_once() -> list[bool]:
        import asyncio

        async def leave(user_id: str) -> bool:
            async with house.world.db.begin() as db:
                return await remove(db, user_id, user_id, house.clock(), lifetime=house.world.token_lifetime)

        return list(await asyncio.gather(*(leave(user_id) for user_id in people)))

    gone = house.wait_for(all_at_once())
    assert sorted(gone) == [False] + [True] * 7  # type: ignore[call-overload]
    assert house.sql("SELECT count(*) FROM users WHERE is_admin") == [(1,)]


@pytest.mark.parametrize("kind", ["code", "recovery"])
def test_one_second_step_lets_one_in(house: House, blocked: Any, kind: str) -> None:
    """RFC 6238 §5.2, NIST SP 800-63B-4 §3.1.2: whoever looks over a shoulder and types as fast comes too late."""
    user_id = house.add_user()
    browser = Browser(house.url)
    browser.sign_in()
    phone = set_up(house, browser)
    typed = {"code": phone.next_code()} if kind == "code" else {"recovery": phone.recovery[0]}
    table = "totp" if kind == "code" else "recovery_codes"
    other = Browser(house.url)
    page = first_step(other)
    fields = {name: page.field(name) for name in ("csrf", "half", "req")} | typed
    for counter in (
        f"second-step:{user_id}:127.0.0.1",
        f"second-step-account:{user_id}",
        "second-step-address:127.0.0.1",
    ):
        house.sql("INSERT INTO rate_counters VALUES (:key, -100, now() + '1 h')", key=counter)

    def attempt(_: int, client: httpx2.Client) -> httpx2.Response:
        client.cookies.update(dict(other.http.cookies))
        return client.post(f"{house.url}/login/second", data=fields)

    responses = blocked(table, lambda: race(house, attempt))
    statuses = [response.status_code for response in responses]
    assert (statuses.count(303), set(statuses) - {303}) in [(1, {400}), (1, {400, 429})], (
        "counted anew after the winner"
    )
    assert house.sql("SELECT count(*) FROM browser_sessions WHERE method LIKE 'password+%'") == [(1,)]
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'second_step.refused'") == [
        (statuses.count(400),)
    ]


def test_one_passkey_answer_lets_one_in(house: House) -> None:
    """WebAuthn §13.4.3: a challenge is used once, even by those who hold the cookie and the answer."""
    house.add_user()
    browser = Browser(house.url)
    browser.sign_in()
    passkey = Authenticator(house.url, steps=0)
    add(browser, passkey)
    other = Browser(house.url)
    page = other.open("/login")
    fields = {name: page.field(name) for name in ("csrf", "challenge", "req")} | {
        "credential": passkey.get(options(page))
    }
    cookies = dict(other.http.cookies)
    house.sql("INSERT INTO rate_counters VALUES ('passkey-address:127.0.0.1', -100, now() + '1 h')")

    def attempt(_: int, client: httpx2.Client) -> httpx2.Response:
        client.cookies.update(cookies)
        return client.post(f"{house.url}/login/passkey", data=fields)

    assert sorted(response.status_code for response in race(house, attempt)) == [303] + [400] * (RACERS - 1)
    assert house.sql("SELECT count(*) FROM browser_sessions WHERE method = 'passkey'") == [(1,)]
