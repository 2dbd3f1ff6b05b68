"""Somebody signs in: what they prove is used up with the session that it opens, or not at all."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.users import accounts
from app.users.store import Link
from tests.actors import PASSWORD, Browser
from tests.authenticators import Authenticator, add, options
from tests.factors import Phone, first_step, set_up
from tests.staged.deeds.scene import Deed, Request, Scene, again, cookies

NEW = "a new one, quite long"


def about_to_sign_in(scene: Scene) -> None:
    """Whoever was signed in for the sake of the preparation is so no longer."""
    scene.house.sql("DELETE FROM browser_sessions")
    scene.mark(logins=scene.noted("login"))


def signed_in(scene: Scene, *counts: int) -> bool:
    sessions = scene.count("browser_sessions")
    return scene.same(sessions, scene.noted("login") - scene.kept["logins"], *counts)


def nobody_waits(scene: Scene) -> None:
    """What died counts against nobody: the next one is let in at once, on a browser that was never seen."""
    assert Browser(scene.house.url).sign_in().url.endswith("/account")


# By password.
def begin_password(scene: Scene) -> Request:
    page = scene.browser.open("/login")
    about_to_sign_in(scene)
    fields = {"csrf": page.field("csrf"), "req": page.field("req"), "email": "ada@example.com", "password": PASSWORD}
    return "/login", {"data": fields, "headers": cookies(scene)}


def password_done(scene: Scene) -> bool:
    return signed_in(scene, scene.count("remembered_devices"))


def password_again(scene: Scene, done: bool) -> None:
    assert again(scene).headers["location"] == "/account"
    assert scene.count("browser_sessions") == 1 + done, (
        "that of the answer that was lost is nobody's, and ends by itself"
    )
    nobody_waits(scene)


# The second step (RFC 6238): a code is good once.
def begin_second(scene: Scene) -> Request:
    return _second(scene, "code")


def _second(scene: Scene, kind: str) -> Request:
    scene.browser.sign_in()
    phone = set_up(scene.house, scene.browser)
    scene.house.sql("UPDATE totp SET last_step = 0")
    scene.browser.http.cookies.clear()
    page = first_step(scene.browser)
    about_to_sign_in(scene)
    scene.kept["phone"] = phone
    typed = {"code": phone.code()} if kind == "code" else {"recovery": phone.recovery[0]}
    fields = {name: page.field(name) for name in ("csrf", "half", "req")} | typed
    return "/login/second", {"data": fields, "headers": cookies(scene)}


def second_done(scene: Scene) -> bool:
    return signed_in(scene, scene.count("totp", "last_step > 0"))


def second_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    if done:
        assert answer.status_code == 400, "it was used, and is no use to whoever looked over the shoulder"
        phone: Phone = scene.kept["phone"]
        path, options = scene.kept["request"]
        scene.kept["request"] = path, options | {"data": options["data"] | {"code": phone.next_code()}}
        answer = again(scene)
    assert answer.headers["location"] == "/account"


def begin_recovery(scene: Scene) -> Request:
    return _second(scene, "recovery")


def recovery_done(scene: Scene) -> bool:
    used = scene.count("recovery_codes", "used_at IS NOT NULL")
    return signed_in(scene, used, scene.noted("recovery_code.used"))


def recovery_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    if done:
        assert answer.status_code == 400
        path, options = scene.kept["request"]
        phone: Phone = scene.kept["phone"]
        scene.kept["request"] = path, options | {"data": options["data"] | {"recovery": phone.recovery[1]}}
        answer = again(scene)
    assert answer.headers["location"] == "/account"


# By passkey (WebAuthn §7.2): the challenge is used first, and another is a page away.
def begin_passkey(scene: Scene) -> Request:
    scene.browser.sign_in()
    passkey = scene.kept["passkey"] = Authenticator(scene.house.url)
    add(scene.browser, passkey)
    scene.browser.http.cookies.clear()
    return _shown(scene, passkey)


def _shown(scene: Scene, passkey: Authenticator) -> Request:
    page = scene.browser.open("/login")
    about_to_sign_in(scene)
    fields = {name: page.field(name) for name in ("csrf", "challenge", "req")}
    return "/login/passkey", {"data": fields | {"credential": passkey.get(options(page))}, "headers": cookies(scene)}


def passkey_done(scene: Scene) -> bool:
    return signed_in(scene, scene.count("passkeys", "sign_count > 0"))


def passkey_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code in ((400,) if done else (400, 303)), "a challenge is good once"
    scene.kept["request"] = _shown(scene, scene.kept["passkey"])
    assert again(scene).headers["location"] == "/account"


# By a link that came by mail.
def _mailed(scene: Scene, purpose: str) -> str:
    house = scene.house

    async def mail() -> str:
        ((user_id,),) = await _ada(house)
        link = Link(purpose, user_id, "ada@example.com")
        async with house.world.db.begin() as db:
            return await accounts.mailed_link(db, link, house.world.now())

    code = house.wait_for(mail())
    assert isinstance(code, str)
    return code


async def _ada(house: Any) -> Any:
    return await house.world.pool.fetch("SELECT id FROM users WHERE email = 'ada@example.com'")


def begin_link(scene: Scene) -> Request:
    code = _mailed(scene, "login")
    page = scene.browser.open(f"/login/link/open?code={code}")
    about_to_sign_in(scene)
    return "/login/link/open", {"data": {"csrf": page.field("csrf"), "code": code}, "headers": cookies(scene)}


def link_done(scene: Scene) -> bool:
    return signed_in(
        scene,
        scene.count("one_time_links", "used_at IS NOT NULL"),
        scene.count("users", "email_verified_at IS NOT NULL"),
    )


def link_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    assert answer.status_code == (410 if done else 303), "it signs in once"
    nobody_waits(scene)


# The same of somebody with a second step: half of the way is all that the link opens.
def begin_half_link(scene: Scene) -> Request:
    scene.browser.sign_in()
    scene.kept["phone"] = set_up(scene.house, scene.browser)
    scene.browser.http.cookies.clear()
    return begin_link(scene)


def half_link_done(scene: Scene) -> bool:
    assert not signed_in(scene)
    return scene.same(scene.count("one_time_links", "used_at IS NOT NULL"))


def half_link_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    assert answer.status_code == (410 if done else 303)
    if not done:
        assert "half" in parse_qs(urlsplit(answer.headers["location"]).query)
    assert not signed_in(scene)


# A forgotten password: with the link everything that hung from the old one ends; a session comes after, or by signing in.
def begin_reset(scene: Scene) -> Request:
    scene.browser.sign_in()
    ((scene.kept["session"],),) = scene.house.sql("SELECT id FROM browser_sessions")
    scene.browser.http.cookies.clear()
    code = _mailed(scene, "password")
    page = scene.browser.open(f"/password?code={code}")
    fields = {"csrf": page.field("csrf"), "code": code, "password": NEW}
    return "/password", {"data": fields, "headers": cookies(scene)}


def reset_done(scene: Scene) -> bool:
    old = scene.count("browser_sessions", f"id = '{scene.kept['session']}'")
    return scene.same(1 - old, 1 - scene.count("one_time_links", "used_at IS NULL"), scene.noted("password.changed"))


def reset_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == (410 if done else 303)
    assert Browser(scene.house.url).sign_in(password=NEW).url.endswith("/account")
    assert Browser(scene.house.url).sign_in().status == 400


DEEDS = (
    Deed("password", begin_password, password_done, password_again),
    Deed("second-step", begin_second, second_done, second_again),
    Deed("recovery-code", begin_recovery, recovery_done, recovery_again),
    Deed("passkey", begin_passkey, passkey_done, passkey_again),
    Deed("mailed-link", begin_link, link_done, link_again),
    Deed("mailed-link-and-phone", begin_half_link, half_link_done, half_link_again),
    Deed("new-password", begin_reset, reset_done, reset_again),
)
