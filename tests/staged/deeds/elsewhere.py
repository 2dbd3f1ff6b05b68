"""An account at another service: signed in with, linked to the one here, connected for tools to act at (OIDC Core §5.7)."""

from __future__ import annotations

from typing import Any

from tests.staged.deeds.scene import Deed, Request, Scene, again, cookies
from tests.staged.deeds.signing_in import about_to_sign_in, signed_in
from tests.upstreams import ADA, answered, sent_to, signs_in

GRACE: dict[str, Any] = ADA | {"sub": "31", "email": "grace@example.com", "name": "Grace"}


def callback(scene: Scene, left_to: str) -> Request:
    """The answer of the service, on its way back through the browser."""
    path = answered(left_to).removeprefix(scene.house.url)
    return path, {"method": "GET", "headers": cookies(scene)}


def linked(scene: Scene, *counts: int) -> bool:
    return scene.same(scene.count("identities"), scene.noted("identity.bound"), *counts)


def refused_or_done(scene: Scene, wanted: str) -> None:
    """The same answer once more: its question was used up, whatever came of it; a code is good once over there, too."""
    answer = again(scene)
    assert answer.headers.get("location") == wanted or 400 <= answer.status_code < 500, answer.text


# Somebody new comes from there, and has an account from then on.
def begin_newcomer(scene: Scene) -> Request:
    scene.service.person = dict(GRACE)
    scene.mark(users=scene.count("users"))
    return callback(scene, sent_to(scene.browser))


def newcomer_done(scene: Scene) -> bool:
    return linked(scene, scene.count("users") - scene.kept["users"], scene.noted("user.created") - scene.kept["users"])


def newcomer_again(scene: Scene, done: bool) -> None:
    refused_or_done(scene, "/account")
    assert signs_in(scene.browser).url.endswith("/account")
    assert newcomer_done(scene)


# Somebody who is known already signs in from there.
def begin_known(scene: Scene) -> Request:
    scene.service.person = dict(GRACE)
    signs_in(scene.browser)
    scene.browser.http.cookies.clear()
    left = sent_to(scene.browser)
    about_to_sign_in(scene)
    return callback(scene, left)


def known_again(scene: Scene, done: bool) -> None:
    refused_or_done(scene, "/account")
    assert signs_in(scene.browser).url.endswith("/account")
    assert linked(scene)


# Ada links the one that she has there, from her account here.
def begin_link(scene: Scene) -> Request:
    return callback(scene, _left_to_link(scene))


def _left_to_link(scene: Scene) -> str:
    scene.browser.sign_in()
    page = scene.browser.open("/account/services")
    left = scene.browser.send("/account/services/link", csrf=page.field("csrf"), provider="acme").left_to
    assert left
    return left


def link_again(scene: Scene, done: bool) -> None:
    refused_or_done(scene, "/account/services?done=linked")
    assert scene.browser.open(answered(_left_to_link(scene))).url.endswith("done=linked")
    assert scene.count("identities") == 1


# She comes from there, and proves here that she is the one with this address.
def begin_prove(scene: Scene) -> Request:
    signs_in(scene.browser)
    page = scene.browser.sign_in(scene.browser.open("/login?req=~/account/link"))
    return "/account/link", {"data": {"csrf": page.field("csrf")}, "headers": cookies(scene)}


def proven(scene: Scene) -> bool:
    return linked(scene, scene.count("upstream_flows", "purpose = 'claim' AND consumed_at IS NOT NULL"))


def prove_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    assert answer.status_code == (400 if done else 303), answer.text
    assert proven(scene)


# She connects it, so that tools may act there.
def begin_connect(scene: Scene) -> Request:
    scene.browser.sign_in()
    return callback(scene, _left_to_connect(scene))


def _left_to_connect(scene: Scene) -> str:
    page = scene.browser.open("/connect/acme")
    left = scene.browser.send("/connect/acme", csrf=page.field("csrf"), scope=page.field("scope")).left_to
    assert left
    return left


def connected(scene: Scene) -> bool:
    return scene.same(scene.count("upstream_accounts"), scene.noted("upstream.connected"))


def connect_again(scene: Scene, done: bool) -> None:
    refused_or_done(scene, "/account/services?done=connected")
    assert scene.browser.open(answered(_left_to_connect(scene))).url.endswith("done=connected")
    assert scene.count("upstream_accounts") == 1


# And takes it out again: what was given back there is gone here.
def begin_disconnect(scene: Scene) -> Request:
    begun = begin_connect(scene)
    scene.browser.open(scene.house.url + begun[0])
    page = scene.browser.open("/account/services")
    fields = {"csrf": page.field("csrf"), "provider": "acme"}
    return "/account/services/disconnect", {"data": fields, "headers": cookies(scene)}


def disconnected(scene: Scene) -> bool:
    return scene.same(1 - scene.count("upstream_accounts"), scene.noted("upstream.disconnected"))


def disconnect_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == 303
    assert disconnected(scene)


DEEDS = (
    Deed("newcomer-from-elsewhere", begin_newcomer, newcomer_done, newcomer_again),
    Deed("sign-in-from-elsewhere", begin_known, signed_in, known_again),
    Deed("link", begin_link, linked, link_again),
    Deed("link-proven", begin_prove, proven, prove_again),
    Deed("connect", begin_connect, connected, connect_again),
    Deed("disconnect", begin_disconnect, disconnected, disconnect_again),
)
