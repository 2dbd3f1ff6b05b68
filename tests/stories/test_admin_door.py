"""Nobody but admins gets in, by page or by JSON, at any address; and deeds want our own form and a recent sign-in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.api_keys.callers import Callers
from app.urls import admin_table, patterns
from tests.actors import App, Browser, Device, http
from tests.admins import AdminBrowser, Api, admin_key
from tests.conftest import House

NOT_SERVED = "Nothing is served at this address."


@pytest.fixture
def owner(house: House) -> str:
    return house.add_user(admin=True)


def page_addresses(house: House) -> Iterator[tuple[str, str]]:
    """Every method and address of the URL table that is for admins."""
    doors = dict(admin_table(house.world))
    doors |= {route.path: route.app for route in patterns(house.world, Callers(house.world))}
    for path, door in doors.items():
        if path.startswith("/admin") or path in ("/docs", "/openapi.json"):
            for method in door._methods:  # type: ignore[attr-defined]
                yield method, re.sub(r"\{\w+\}", "somebody", path)


def api_addresses(house: House) -> list[tuple[str, str]]:
    document = http().get(f"{house.url}/openapi.json", headers={"Authorization": f"Bearer {admin_key(house)}"}).json()
    return [
        (method.upper(), re.sub(r"\{\w+\}", "somebody", path))
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/admin")
    ]


def test_every_page_is_for_admins(house: House, owner: str) -> None:
    """The table itself is asked, so an address that is added later is tested too."""
    house.add_user("bob@example.com")
    bob, stranger = Browser(house.url), Browser(house.url)
    csrf = bob.sign_in(email="bob@example.com").field("csrf")
    addresses = list(page_addresses(house))
    assert len(addresses) > 40
    absent = bob.http.get(f"{house.url}/nowhere", headers={"Accept": "text/html"})
    for method, path in addresses:
        answer = stranger.http.request(method, house.url + path)
        assert (answer.status_code, answer.headers["location"][:12]) == (303, "/login?req=~"), (method, path)
        data: dict[str, Any] = {"data": {"csrf": csrf}} if method == "POST" else {}
        told = bob.http.request(method, house.url + path, headers={"Accept": "text/html"}, **data)
        assert told.status_code == 404, (method, path)
        assert without_reference(told.text) == (without_reference(absent.text) if method != "HEAD" else ""), path
        assert told.headers["content-security-policy"] == absent.headers["content-security-policy"]


def without_reference(text: str) -> str:
    return re.sub(r"<code>[0-9a-f]{16}</code>", "", text)


def test_every_address_of_the_api_is_for_admins(house: House, owner: str) -> None:
    house.add_user("bob@example.com")
    bob, stranger = Browser(house.url), http()
    bob.sign_in(email="bob@example.com")
    key = house.operator("api-key", "add", "k", "--user", "bob@example.com", "--scope", "read", "--quiet").strip()
    plain = house.operator(
        "api-key", "add", "k", "--user", "ada@example.com", "--scope", "read write api_keys", "--quiet"
    )
    addresses = api_addresses(house)
    assert len(addresses) > 25
    for method, path in addresses:
        send: dict[str, Any] = {"json": {}} if method in ("POST", "PATCH") else {}
        assert stranger.request(method, house.url + path, **send).status_code == 401, (method, path)
        assert bob.http.request(method, house.url + path, **send).status_code == 404, (method, path)
        for token in (key, plain.strip()):
            headers = {"Authorization": f"Bearer {token}"}
            refused = stranger.request(method, house.url + path, headers=headers, **send)
            assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope"), (method, path)


def test_who_is_no_admin_any_more_is_out_at_once(house: House, owner: str) -> None:
    house.add_user("bob@example.com", admin=True)
    api, bob = Api(house, admin_key(house, "bob@example.com")), AdminBrowser(house, "bob@example.com")
    assert api("GET", "/overview")["numbers"]["admins"] == 2
    assert bob.open("/admin").status == 200
    house.sql("UPDATE users SET is_admin = false WHERE email = 'bob@example.com'")
    api("GET", "/overview", 404)
    assert bob.open("/admin").status == 404


def test_signing_in_leads_back_to_the_page(house: House, owner: str) -> None:
    browser = Browser(house.url)
    page = browser.open("/admin/signing-keys")
    assert "/login" in page.url
    page = browser.sign_in(page)
    assert page.url == f"{house.url}/admin/signing-keys"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_a_form_of_another_page_or_browser_is_refused(house: House, owner: str) -> None:
    bob = house.add_user("bob@example.com")
    ada, other = AdminBrowser(house), AdminBrowser(house)
    path = f"/admin/users/{bob}/disable"
    csrf = ada.open("/admin/users").field("csrf")
    assert ada.send(path, csrf="").status == 403
    assert other.send(path, csrf=csrf).status == 403, "the token is bound to a browser"
    assert ada.send(path, {"Origin": "https://evil.example"}, csrf=csrf).status == 403
    assert ada.send(path, {"Sec-Fetch-Site": "cross-site"}, csrf=csrf).status == 403
    assert house.sql("SELECT disabled_at FROM users WHERE id = :id", id=bob) == [(None,)]


def test_json_with_a_session_comes_from_our_own_pages_only(house: House, owner: str) -> None:
    ada = AdminBrowser(house)
    url = f"{house.url}/admin/api/signing-keys"
    assert ada.http.post(url, json={}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert ada.http.post(url, json={}, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert ada.http.get(url, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert "access-control-allow-origin" not in ada.http.get(url, headers={"Origin": house.url}).headers
    assert ada.http.post(url, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400


def test_deeds_want_a_recent_sign_in_and_reading_does_not(house: House, owner: str) -> None:
    bob = house.add_user("bob@example.com")
    ada = AdminBrowser(house)
    house.turn_clock(minutes=16)
    assert ada.open(f"/admin/users/{bob}").status == 200
    page = ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/disable")
    assert "/login" in page.url
    assert house.sql("SELECT disabled_at FROM users WHERE id = :id", id=bob) == [(None,)]
    assert ada.sign_in(page).url == f"{house.url}/admin/users/{bob}"
    assert "is disabled" in ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/disable").text
    house.turn_clock(minutes=16)
    refused = ada.http.patch(f"{house.url}/admin/api/users/{bob}", json={"disabled": False})
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_user_authentication")
    assert ada.http.get(f"{house.url}/admin/api/users/{bob}").status_code == 200


def test_the_scope_admin_is_for_admins_and_asked_for_by_name(house: House, owner: str) -> None:
    app, ada = App(house.url), AdminBrowser(house)
    app.register(scope="read write api_keys admin")
    for document in ("oauth-authorization-server", "openid-configuration", "oauth-protected-resource"):
        assert "admin" not in http().get(f"{house.url}/.well-known/{document}").json()["scopes_supported"]
    page = ada.open(app.authorize_url())
    assert "Administer this server" not in page.text
    page = ada.open(app.authorize_url(scope="read admin"))
    assert re.search(r'class="sensitive">\s*Administer this server', page.text)
    tokens = app.redeem(ada.decide(page).answer["code"]).json()
    assert tokens["scope"] == "read admin"
    assert Api(house, tokens["access_token"])("GET", "/settings")["rows"]


def test_who_is_no_admin_cannot_give_the_scope_admin(house: House, owner: str) -> None:
    house.add_user("bob@example.com")
    app, bob = App(house.url), Browser(house.url)
    app.register()
    bob.sign_in(email="bob@example.com")
    page = bob.open(app.authorize_url(scope="read admin"))
    assert "Administer" not in page.text
    assert app.redeem(bob.decide(page).answer["code"]).json()["scope"] == "read"
    assert bob.open(app.authorize_url(scope="admin")).answer["error"] == "invalid_scope"
    made = bob.http.post(f"{house.url}/api-keys", json={"name": "k", "scopes": ["admin"]})
    assert (made.status_code, made.json()["error"]) == (400, "invalid_scope")
    assert "is no admin" in house.operator(
        "api-key", "add", "k", "--user", "bob@example.com", "--scope", "admin", code=1
    )


def test_an_admin_makes_a_key_with_the_scope_admin_after_a_recent_sign_in(house: House, owner: str) -> None:
    ada = AdminBrowser(house)
    made = ada.http.post(f"{house.url}/api-keys", json={"name": "k", "scopes": ["admin"]})
    assert made.status_code == 201
    assert Api(house, made.json()["apiKey"])("GET", "/users")["rows"][0]["email"] == "ada@example.com"
    house.turn_clock(minutes=16)
    late = ada.http.post(f"{house.url}/api-keys", json={"name": "k", "scopes": ["admin"]})
    assert late.status_code == 403
    narrow = admin_key(house, scope="api_keys")
    wider = http().post(
        f"{house.url}/api-keys", json={"name": "k", "scopes": ["admin"]}, headers={"Authorization": f"Bearer {narrow}"}
    )
    assert wider.json()["error"] == "invalid_scope"


@pytest.mark.parametrize("scope", ["admin", "read api_keys"])
def test_an_app_gets_no_power_over_accounts_by_an_old_sign_in(house: House, owner: str, scope: str) -> None:
    """RFC 9470 §1: what the session itself may not do any more, no token may be given for; asked anew, or allowed before."""
    app, ada = App(house.url), AdminBrowser(house)
    app.register()
    house.turn_clock(minutes=16)
    page = ada.open(app.authorize_url(scope=scope))
    assert "/login" in page.url
    page = ada.sign_in(page)
    assert "/consent" in page.url
    house.turn_clock(minutes=16)
    page = ada.decide(page)
    assert "/login" in page.url, "the page was left open"
    assert house.sql("SELECT count(*) FROM consents") == [(0,)]
    page = ada.decide(ada.sign_in(page))
    assert app.redeem(page.answer["code"]).json()["scope"] == scope
    assert ada.open(app.authorize_url(scope=scope)).left_to
    house.turn_clock(minutes=16)
    assert ada.open(app.authorize_url(scope=scope, prompt="none")).answer["error"] == "login_required"
    page = ada.open(app.authorize_url(scope=scope))
    assert "/login" in page.url
    assert ada.sign_in(page).answer["code"]


def test_an_app_is_denied_by_an_old_sign_in_too(house: House, owner: str) -> None:
    app, ada = App(house.url), AdminBrowser(house)
    app.register()
    page = ada.open(app.authorize_url(scope="admin"))
    house.turn_clock(minutes=16)
    assert ada.decide(page, "deny").answer["error"] == "access_denied"


@pytest.mark.parametrize("scope", ["admin", "read api_keys"])
def test_a_device_gets_no_power_over_accounts_by_an_old_sign_in(house: House, owner: str, scope: str) -> None:
    """RFC 8628 §3.3, RFC 9470 §1."""
    device, ada = Device.of(App(house.url), scope=scope), AdminBrowser(house)
    entered = device.entered(ada)
    assert "/device" in entered.url
    fields = {name: entered.field(name) for name in ("csrf", "entered")}
    house.sql("UPDATE browser_sessions SET authenticated_at = authenticated_at - interval '16 minutes'")
    page = device.entered(ada)
    assert "/login" in page.url
    assert "/login" in ada.send("/device/decision", decision="allow", **fields).url
    assert device.word() == "authorization_pending"
    assert f'value="{device.user_code}"' in ada.sign_in(page).text, "the code is still there"
    assert "/login" not in device.decide(ada).url
    house.turn_clock(seconds=10)
    assert device.poll().json()["scope"] == scope


def test_a_device_is_denied_by_an_old_sign_in_too(house: House, owner: str) -> None:
    device, ada = Device.of(App(house.url), scope="admin"), AdminBrowser(house)
    entered = device.entered(ada)
    house.sql("UPDATE browser_sessions SET authenticated_at = authenticated_at - interval '16 minutes'")
    ada.send("/device/decision", decision="deny", **{name: entered.field(name) for name in ("csrf", "entered")})
    assert device.word() == "access_denied"


def test_whoever_is_no_admin_is_not_asked_again_for_what_they_cannot_give(house: House, owner: str) -> None:
    house.add_user("bob@example.com")
    app, bob = App(house.url), Browser(house.url)
    app.register()
    bob.sign_in(email="bob@example.com")
    device = Device.of(App(house.url), scope="read admin")
    house.sql("UPDATE browser_sessions SET authenticated_at = authenticated_at - interval '16 minutes'")
    assert "/consent" in bob.open(app.authorize_url(scope="read admin")).url
    device.decide(bob)
    assert device.poll().json()["scope"] == "read"
