"""What is done in several steps, any of which the process may die at: how each begins, and what must hold when it died."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.actors import App, Browser, Device
from tests.conftest import House


@dataclass
class Scene:
    """Ada, her browser, her app; everything is made ready at the house that stays up."""

    house: House
    browser: Browser
    app: App
    kept: dict[str, Any] = field(default_factory=dict)

    def count(self, table: str, where: str = "true") -> int:
        (row,) = self.house.sql(f"SELECT count(*) FROM {table} WHERE {where}")
        assert isinstance(row[0], int)
        return row[0]

    def noted(self, event: str) -> int:
        return self.count("audit_events", f"event = '{event}'")

    def same(self, *counts: int) -> bool:
        """Whether the deed was done: all of it or nothing of it."""
        assert set(counts) in ({0}, {1}), counts
        return counts[0] == 1


Request = tuple[str, dict[str, Any]]  # the path, and what httpx2 is to send


@dataclass(frozen=True)
class Deed:
    """`begin` makes everything ready and returns the request; `done` says by SQL whether it was done, and fails when it was
    done by halves; `go_on` is the client, who heard nothing and tries again elsewhere."""

    name: str
    begin: Callable[[Scene], Request]
    done: Callable[[Scene], bool]
    go_on: Callable[[Scene, bool], None]


def cookies(scene: Scene) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in scene.browser.http.cookies.items())}


def again(scene: Scene) -> httpx2.Response:
    """The same request, at the house that stays up."""
    path, options = scene.kept["request"]
    method = options.get("method", "POST")
    rest = {name: value for name, value in options.items() if name != "method"}
    return scene.app.http.request(method, scene.house.url + path, **rest)


def client(scene: Scene) -> dict[str, str]:
    return {"client_id": scene.app.client_id}


# Registration (RFC 7591): the same document is the same client, so trying again makes no second one.
def begin_register(scene: Scene) -> Request:
    return "/register", {"json": {"redirect_uris": ["http://127.0.0.1:7/cb"], "client_name": "Second"}}


def registered(scene: Scene) -> bool:
    return scene.same(scene.count("clients", "client_name = 'Second'"), scene.noted("client.registered") - 1)


def register_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == 201
    assert scene.count("clients", "client_name = 'Second'") <= 2, "with a secret, which is shown once, each is another"


# Consent (RFC 6749 §4.1.1).
def begin_consent(scene: Scene) -> Request:
    scene.browser.sign_in()
    page = scene.browser.open(scene.app.authorize_url())
    fields = {"csrf": page.field("csrf"), "req": page.field("req"), "decision": "allow"}
    return "/consent", {"data": fields, "headers": cookies(scene)}


def consented(scene: Scene) -> bool:
    return scene.same(scene.count("consents"), scene.noted("consent.given"))


def consent_again(scene: Scene, done: bool) -> None:
    assert again(scene).headers["location"].startswith("/authorize/continue")
    assert scene.count("consents") == 1
    assert scene.app.redeem(scene.app.code(scene.browser)).status_code == 200


# The code (RFC 6749 §4.1.2): one that never arrived opens nothing and expires.
def begin_code(scene: Scene) -> Request:
    scene.app.code(scene.browser)
    scene.house.sql("DELETE FROM codes")
    path = scene.app.authorize_url().removeprefix(scene.house.url)
    return path, {"method": "GET", "headers": cookies(scene)}


def coded(scene: Scene) -> bool:
    return scene.same(scene.count("codes"))


def code_again(scene: Scene, done: bool) -> None:
    assert scene.app.redeem(scene.app.code(scene.browser)).status_code == 200
    assert scene.count("connections") == 1


# Redeeming (OAuth 2.1 §4.1.3): whoever heard nothing tries again, which looks like theft and ends what the code gave.
def begin_redeem(scene: Scene) -> Request:
    app = scene.app
    form = {"grant_type": "authorization_code", "code": app.code(scene.browser), "code_verifier": app.code_verifier}
    return "/token", {"data": form | client(scene) | {"redirect_uri": app.redirect_uri}}


def redeemed(scene: Scene) -> bool:
    return scene.same(
        scene.count("connections"),
        scene.count("codes", "consumed_at IS NOT NULL"),
        scene.noted("token.issued"),
    )


def redeem_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    assert (answer.status_code, scene.count("connections")) == ((400 if done else 200), 1)
    if done:
        assert answer.json()["error"] == "invalid_grant"
        assert scene.count("connections", "revoked_at IS NULL") == 0
        assert scene.app.connect(scene.browser), "the person signs in once more"


# The same for a device (RFC 8628 §3.5), whose code is told used, and ends nothing.
def begin_device(scene: Scene) -> Request:
    device = Device.of(scene.app)
    device.decide(scene.browser)
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device.device_code}
    return "/token", {"data": form | client(scene)}


def device_redeemed(scene: Scene) -> bool:
    return scene.same(scene.count("connections"), scene.noted("token.issued"))


def device_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == (400 if done else 200)
    assert scene.count("connections") == 1


# Rotating (OAuth 2.1 §4.3.1): the same successor again, as long as it was not used.
def begin_rotate(scene: Scene) -> Request:
    scene.kept["token"] = scene.app.connect(scene.browser)["refresh_token"]
    # Of an earlier day, so that the log has a row for it.
    scene.house.sql("UPDATE connections SET refreshed_at = refreshed_at - interval '1 day'")
    return "/token", {"data": {"grant_type": "refresh_token", "refresh_token": scene.kept["token"]} | client(scene)}


def rotated(scene: Scene) -> bool:
    return scene.same(scene.count("connections", "refresh_counter = 1"), scene.noted("token.issued") - 1)


def rotate_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    assert answer.status_code == 200
    assert scene.house.sql("SELECT refresh_counter, revoked_at FROM connections") == [(1, None)]
    assert scene.app.refresh(answer.json()["refresh_token"]).status_code == 200


# Giving back (RFC 7009 §2.1).
def begin_revoke(scene: Scene) -> Request:
    scene.kept |= scene.app.connect(scene.browser)
    return "/revoke", {"data": {"token": scene.kept["refresh_token"]} | client(scene)}


def revoked(scene: Scene) -> bool:
    ended = scene.count("connections", "revoked_at IS NOT NULL")
    return scene.same(ended, scene.count("revocations"), scene.noted("connection.revoked"))


def revoke_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == 200
    assert revoked(scene)
    no_way_in(scene)


def no_way_in(scene: Scene) -> None:
    scene.house.catch_up()
    assert scene.app.call("whoami", scene.kept["access_token"]).status_code == 401
    assert scene.app.refresh(scene.kept["refresh_token"]).json()["error"] == "invalid_grant"


# Giving an access token back.
def begin_void(scene: Scene) -> Request:
    scene.kept |= scene.app.connect(scene.browser)
    return "/revoke", {"data": {"token": scene.kept["access_token"]} | client(scene)}


def voided(scene: Scene) -> bool:
    return scene.same(scene.count("revocations"), scene.noted("token.revoked"))


def void_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == 200
    assert scene.count("revocations") == 1
    scene.house.catch_up()
    assert scene.app.call("whoami", scene.kept["access_token"]).status_code == 401
    assert scene.app.refresh(scene.kept["refresh_token"]).status_code == 200


# A stolen refresh token (RFC 9700 §4.14.2): the family ends whole.
def begin_reuse(scene: Scene) -> Request:
    scene.kept |= scene.app.connect(scene.browser)
    old = scene.kept["refresh_token"]
    scene.kept |= scene.app.refresh(old).json()
    scene.house.sql("UPDATE connections SET refreshed_at = refreshed_at - interval '31 seconds'")
    return "/token", {"data": {"grant_type": "refresh_token", "refresh_token": old} | client(scene)}


def reuse_ended_it(scene: Scene) -> bool:
    revoked(scene)
    return scene.same(scene.noted("refresh.reused"), scene.noted("connection.revoked"))


def reuse_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == 400
    assert reuse_ended_it(scene)
    no_way_in(scene)


# A code that comes twice (OAuth 2.1 §7.5.2).
def begin_replay(scene: Scene) -> Request:
    request = begin_redeem(scene)
    scene.kept |= {"request": request}
    scene.kept |= again(scene).json()
    return request


def replay_ended_it(scene: Scene) -> bool:
    revoked(scene)
    return scene.same(scene.noted("code.replayed"), scene.noted("connection.revoked"))


def replay_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == 400
    assert replay_ended_it(scene)
    no_way_in(scene)


# One line for each deed. What is new is found by running it once: every statement that it sends is a step.
DEEDS = (
    Deed("register", begin_register, registered, register_again),
    Deed("consent", begin_consent, consented, consent_again),
    Deed("code", begin_code, coded, code_again),
    Deed("redeem", begin_redeem, redeemed, redeem_again),
    Deed("device", begin_device, device_redeemed, device_again),
    Deed("rotate", begin_rotate, rotated, rotate_again),
    Deed("revoke", begin_revoke, revoked, revoke_again),
    Deed("void", begin_void, voided, void_again),
    Deed("reuse", begin_reuse, reuse_ended_it, reuse_again),
    Deed("replay", begin_replay, replay_ended_it, replay_again),
)

# Whatever died when: none of these finds a row.
NEVER = {
    "a code that was spent for nothing": "SELECT FROM codes WHERE consumed_at IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM connections c WHERE c.id = connection_id)",
    "two families of one code": "SELECT FROM codes GROUP BY connection_id HAVING count(connection_id) > 1",
    "a connection that nobody proved": "SELECT FROM connections c WHERE NOT EXISTS (SELECT FROM audit_events"
    " WHERE event = 'token.issued' AND detail->>'connection' = c.id)",
    "tokens of nothing": "SELECT FROM audit_events WHERE event = 'token.issued' AND NOT EXISTS"
    " (SELECT FROM connections c WHERE c.id = detail->>'connection')",
    "an end of which the replicas do not hear": "SELECT FROM connections c WHERE revoked_at IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM revocations WHERE handle = c.id)",
    "an end that nobody recorded": "SELECT FROM connections c WHERE (revoked_at IS NOT NULL) <> EXISTS"
    " (SELECT FROM audit_events WHERE event = 'connection.revoked' AND detail->>'connection' = c.id)",
    "an end that was recorded twice": "SELECT FROM audit_events WHERE event = 'connection.revoked'"
    " GROUP BY detail->>'connection' HAVING count(*) > 1",
    "a transaction left open": "SELECT FROM pg_stat_activity WHERE datname = current_database()"
    " AND state = 'idle in transaction' AND now() - state_change > interval '5 seconds'",
}
