"""What an app was given ends: given back, stolen, or replayed."""

from __future__ import annotations

from tests.staged.deeds.apps import begin_redeem
from tests.staged.deeds.scene import Deed, Request, Scene, again, client


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


DEEDS = (
    Deed("revoke", begin_revoke, revoked, revoke_again),
    Deed("void", begin_void, voided, void_again),
    Deed("reuse", begin_reuse, reuse_ended_it, reuse_again),
    Deed("replay", begin_replay, replay_ended_it, replay_again),
)
