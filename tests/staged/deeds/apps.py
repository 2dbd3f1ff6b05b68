"""An app comes in: it registers, is allowed, redeems its code, refreshes."""

from __future__ import annotations

from tests.actors import Device
from tests.staged.deeds.scene import Deed, Request, Scene, again, client, cookies


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


DEEDS = (
    Deed("register", begin_register, registered, register_again),
    Deed("consent", begin_consent, consented, consent_again),
    Deed("code", begin_code, coded, code_again),
    Deed("redeem", begin_redeem, redeemed, redeem_again),
    Deed("device", begin_device, device_redeemed, device_again),
    Deed("rotate", begin_rotate, rotated, rotate_again),
)
