"""RFC 8628: a device without a browser shows a code, its user types it elsewhere, and the device's polls end in tokens."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.actors import CALLBACK, DEVICE_CODE, PASSWORD, App, Browser, Device, device_authorization, http
from tests.conftest import House


@pytest.fixture
def device(app: App) -> Device:
    return Device.of(app)


def test_the_codes(app: App, house: House) -> None:
    """§3.2: everything a device needs; of the device_code only a fingerprint is kept."""
    app.register(grant_types=[DEVICE_CODE], redirect_uris=[])
    response = device_authorization(app)
    answer = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert answer["device_code"].startswith("gh_dc_")
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", answer["user_code"])
    assert answer["verification_uri"] == f"{house.url}/device"
    assert answer["verification_uri_complete"] == f"{house.url}/device?user_code={answer['user_code']}"
    assert (answer["expires_in"], answer["interval"]) == (600, 5)
    assert answer["device_code"] not in str(house.sql("SELECT * FROM device_codes"))


def test_from_the_code_to_tokens(app: App, browser: Browser, house: House) -> None:
    """§3.4, §3.5: pending, then tokens for the scopes and the resource that were asked for, with a refresh token."""
    device = Device.of(app, scope="read", resource=f"{house.url}/mcp/")
    assert device.word() == "authorization_pending"
    page = device.entered(browser)
    for words in (
        "Quill",
        device.user_code,
        "See what the tools can show you",
        f"{house.url}/mcp",
        "on your own device",
    ):
        assert words in page.text
    assert "Change and delete" not in page.text
    assert "is connected" in device.decide(browser).text
    house.turn_clock(seconds=5)
    response = device.poll()
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    tokens = response.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert tokens["scope"] == "read"
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert app.refresh(tokens["refresh_token"]).status_code == 200


def test_the_connection_is_on_the_account_page_and_ends_there(
    device: Device, browser: Browser, house: House, app: App
) -> None:
    device.decide(browser)
    tokens = device.poll().json()
    page = browser.open("/account")
    assert "Quill" in page.text
    assert "a device with a code" in page.text
    browser.send("/account/connections/revoke", csrf=page.field("csrf"), id=page.field("id"))
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_denied(device: Device, browser: Browser) -> None:
    """§3.5 access_denied."""
    assert "was refused" in device.decide(browser, "deny").text
    response = device.poll()
    assert (response.status_code, response.json()["error"]) == (400, "access_denied")
    assert device.word() == "access_denied"


def test_a_code_gives_tokens_once(device: Device, browser: Browser) -> None:
    device.decide(browser)
    assert device.poll().status_code == 200
    assert device.word() == "invalid_grant"


def test_the_code_ends_after_ten_minutes(device: Device, browser: Browser, house: House) -> None:
    """§3.5 expired_token, for the device and for the person."""
    page = device.entered(browser)
    house.turn_clock(seconds=601)
    assert device.word() == "expired_token"
    fields = {name: page.field(name) for name in ("csrf", "entered")}
    assert "too old" in browser.send("/device/decision", decision="allow", **fields).text
    assert "No device waits" in device.entered(browser).text
    assert device.word() == "expired_token"


def test_an_allowed_code_ends_too(device: Device, browser: Browser, house: House) -> None:
    device.decide(browser)
    house.turn_clock(seconds=601)
    assert device.word() == "expired_token"


def test_polling_too_fast_costs_five_seconds_each_time(device: Device, house: House) -> None:
    """§3.5 slow_down: the interval grows by five seconds, for this and all later polls."""
    assert device.word() == "authorization_pending"
    assert device.word() == "slow_down"
    house.turn_clock(seconds=5)
    assert device.word() == "slow_down", "ten seconds by now, fifteen from here"
    house.turn_clock(seconds=15)
    assert device.word() == "authorization_pending"
    house.turn_clock(seconds=13)
    assert device.word() == "slow_down"


def test_a_device_that_keeps_the_interval_is_never_slowed(device: Device, house: House) -> None:
    for _ in range(5):
        assert device.word() == "authorization_pending"
        house.turn_clock(seconds=5)


def test_impatience_does_not_cost_the_tokens(device: Device, browser: Browser) -> None:
    """§3.5: slow_down is a way to say that nothing is decided."""
    assert [device.word() for _ in range(3)] == ["authorization_pending", "slow_down", "slow_down"]
    device.decide(browser)
    assert device.poll().status_code == 200


def test_only_clients_that_asked_for_the_grant_have_it(app: App, browser: Browser) -> None:
    """VS Code registers for both; others are told unauthorized_client."""
    refused = device_authorization(app)
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
    assert app.token(grant_type=DEVICE_CODE, device_code="gh_dc_x").json()["error"] == "unauthorized_client"
    uris = ["https://vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"]
    grants = ["authorization_code", "refresh_token", DEVICE_CODE]
    assert app.register(grant_types=grants, redirect_uris=uris)["grant_types"] == grants
    assert device_authorization(app).status_code == 200
    app.redirect_uri = "http://127.0.0.1:33419/"
    assert "access_token" in app.connect(browser)


def test_a_client_for_this_grant_alone_needs_no_redirect(app: App, browser: Browser) -> None:
    """RFC 7591 §2: redirect URIs are for flows with redirects."""
    answer = app.register(grant_types=[DEVICE_CODE], redirect_uris=None, response_types=[])
    assert answer["grant_types"] == ["refresh_token", DEVICE_CODE]
    assert (answer["redirect_uris"], answer["response_types"]) == ([], [])
    assert browser.open(app.authorize_url()).status == 400
    assert browser.open(app.authorize_url(redirect_uri=None)).status == 400
    document = {"grant_types": [DEVICE_CODE], "redirect_uris": ["http://evil.example/"]}
    assert http().post(f"{app.url}/register", json=document).json()["error"] == "invalid_redirect_uri"
    app.register(grant_types=[DEVICE_CODE], redirect_uris=[CALLBACK])
    assert browser.open(app.authorize_url()).answer["error"] == "unauthorized_client"


def test_an_operator_registers_one(house: House, browser: Browser) -> None:
    house.add_user()
    made = json.loads(house.operator("client", "add", "TV", "--device", "--json"))
    app = App(house.url, client_id=made["client_id"], client_secret=made["client_secret"])
    assert device_authorization(app, client_secret=None).json()["error"] == "invalid_client"
    codes = device_authorization(app).json()
    device = Device(app, codes["device_code"], codes["user_code"], codes["verification_uri_complete"])
    device.decide(browser)
    assert device.poll(client_secret=None).json()["error"] == "invalid_client"
    assert "access_token" in device.poll().json()


def test_another_client_gets_nothing(device: Device, browser: Browser, house: House) -> None:
    """§3.4: the code is bound to its client; a wrong one does not spend it."""
    device.decide(browser)
    other = App(house.url)
    other.register(grant_types=[DEVICE_CODE], redirect_uris=[], client_name="Other")
    assert device.poll(client_id=other.client_id).json()["error"] == "invalid_grant"
    assert device.poll(resource="https://elsewhere.example/mcp").json()["error"] == "invalid_target"
    assert device.poll().status_code == 200


def test_a_user_disabled_meanwhile_opens_nothing(device: Device, browser: Browser, house: House) -> None:
    device.decide(browser)
    house.operator("user", "disable", "ada@example.com")
    assert device.word() == "invalid_grant"
    assert house.sql("SELECT count(*) FROM connections") == [(0,)]


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"client_id": None, "scope": "read"}, 401, "invalid_client"),
        ({"client_id": "client_gone"}, 401, "invalid_client"),
        ({"resource": "https://elsewhere.example/mcp"}, 400, "invalid_target"),
        ({"scope": "x\0"}, 400, "invalid_request"),
    ],
)
def test_what_is_wrong_is_told(device: Device, fields: dict[str, str | None], status: int, error: str) -> None:
    """§3.1: errors as at the token endpoint."""
    response = device_authorization(device.app, **fields)
    assert (response.status_code, response.json()["error"]) == (status, error)


@pytest.mark.parametrize("device_code", [None, "", "x", "gh_dc_", "gh_dc_" + "x" * 5000, "é", "💥"])
def test_an_unknown_device_code(device: Device, device_code: str | None) -> None:
    word = "invalid_grant" if device_code else "invalid_request"
    assert device.poll(device_code=device_code).json()["error"] == word


@pytest.mark.parametrize("spelling", ["{0}", "{1}", "  {2} ", "{1}-", "{3}"])
def test_people_type_codes_their_own_way(device: Device, browser: Browser, spelling: str) -> None:
    """§6.1: case, dashes and spaces do not matter."""
    code = device.user_code
    typed = spelling.format(code, code.replace("-", ""), code.lower(), " ".join(code.lower()))
    assert "Allow" in device.entered(browser, typed).text


@pytest.mark.parametrize(
    "typed", ["BBBB-BBBB", "AEIO-UAEI", "x", "💥", "<script>alert(1)</script>", "B" * 500, "é" * 90]
)
def test_a_wrong_code_is_a_page_that_says_so(device: Device, browser: Browser, typed: str) -> None:
    page = device.entered(browser, typed)
    assert page.status == 400
    assert "No device waits for this code" in page.text
    assert "<script>alert" not in page.text


def test_the_complete_address_fills_the_code_in_and_decides_nothing(device: Device, browser: Browser) -> None:
    """§3.3.1: the person still compares the code and presses the buttons; the address survives the sign-in."""
    page = browser.open(device.complete)
    assert "to connect a device" in page.text
    page = browser.sign_in(page)
    assert page.url == device.complete
    assert page.field("csrf")
    assert f'value="{device.user_code}"' in page.text
    assert device.word() == "authorization_pending"
    page = browser.send("/device", csrf=page.field("csrf"), user_code=device.user_code)
    assert device.user_code in page.text


def test_sign_in_returns_nowhere_else(house: House) -> None:
    """No open redirect: what is no code of ours leads to the bare page."""
    house.add_user()
    for req in ("@https://evil.example/", "@//evil.example", "@", "@\\evil", "@/evil?user_code=WDJBMJHT"):
        browser = Browser(house.url)
        page = browser.open("/login")
        done = browser.send("/login", csrf=page.field("csrf"), req=req, email="ada@example.com", password=PASSWORD)
        assert urlsplit(done.url).path == "/device"
        assert set(parse_qs(urlsplit(done.url).query)) <= {"user_code"}


def test_switching_the_account_comes_back(device: Device, browser: Browser, house: House) -> None:
    house.add_user("eve@example.com")
    page = device.entered(browser)
    page = browser.send("/logout", csrf=page.field("csrf"), req=page.field("req"))
    page = browser.sign_in(page, "eve@example.com")
    assert page.url == device.complete
    assert "eve@example.com" in page.text


def test_guesses_are_limited(device: Device, browser: Browser, house: House) -> None:
    """§5.1: ten codes in five minutes for an account, right or wrong, whatever browser it uses."""
    for _ in range(9):
        assert device.entered(browser, "BBBB-BBBB").status == 400
    assert "Allow" in device.entered(browser).text
    elsewhere = Browser(house.url)
    page = device.entered(elsewhere)
    assert page.status == 429
    assert 0 < int(page.headers["retry-after"]) <= 300
    assert "Try again in 5 minutes" in page.text
    house.turn_clock(seconds=301)
    assert "Allow" in device.entered(browser).text


def test_an_address_cannot_guess_with_many_accounts(device: Device, house: House) -> None:
    statuses = []
    for number in range(4):
        email = f"user{number}@example.com"
        house.add_user(email)
        browser = Browser(house.url)
        browser.sign_in(email=email)
        statuses += [device.entered(browser, "BBBB-BBBB").status for _ in range(9)]
    assert statuses == [400] * 30 + [429] * 6


def test_codes_cannot_be_asked_for_without_end(device: Device) -> None:
    """Public clients may ask, so an address is limited."""
    answers = [device_authorization(device.app) for _ in range(30)]
    assert [answer.status_code for answer in answers] == [200] * 29 + [429]
    assert answers[-1].json()["error"] == "too_many_requests"


def test_nobody_decides_without_having_entered_the_code(device: Device, browser: Browser, house: House) -> None:
    """§5.1: the decision carries what only the right code gives, so it is no way around the limit."""
    page = device.entered(browser)
    csrf, entered = page.field("csrf"), page.field("entered")
    req = browser.open(App(house.url, client_id=device.app.client_id).authorize_url()).text
    for wrong in ("", device.user_code, entered[:-4] + "AAAA", req[:50], "é"):
        assert browser.send("/device/decision", csrf=csrf, entered=wrong, decision="allow").status == 400
    for decision in ("", "yes"):
        assert browser.send("/device/decision", csrf=csrf, entered=entered, decision=decision).status == 400
    assert browser.send("/device/decision", csrf="x", entered=entered, decision="allow").status == 403
    assert http().post(f"{house.url}/device/decision", data={"csrf": csrf, "entered": entered}).status_code == 403
    assert device.word() == "authorization_pending"
    browser.send("/logout", csrf=csrf)
    assert device.word() == "slow_down"


def test_a_decision_stands(device: Device, browser: Browser) -> None:
    page = device.entered(browser)
    fields = {name: page.field(name) for name in ("csrf", "entered")}
    browser.send("/device/decision", decision="deny", **fields)
    again = browser.send("/device/decision", decision="allow", **fields)
    assert (again.status, "had its answer already" in again.text) == (400, True)
    assert device.word() == "access_denied"
    assert "No device waits" in device.entered(browser).text


def test_decisions_are_audited(device: Device, browser: Browser, house: House) -> None:
    device.decide(browser)
    found = house.sql("SELECT client_id, detail->>'scope' FROM audit_events WHERE event = 'device.allowed'")
    assert found == [(device.app.client_id, "read write")]


def test_a_removed_client_gets_nothing(device: Device, browser: Browser, house: House) -> None:
    house.operator("client", "revoke", device.app.client_id)
    assert "No device waits" in device.entered(browser).text
    assert device.word() == "invalid_client"


def test_it_is_advertised(app: App) -> None:
    """§4."""
    found: dict[str, Any] = app.http.get(f"{app.url}/.well-known/oauth-authorization-server").json()
    assert found["device_authorization_endpoint"] == f"{app.url}/device_authorization"
    assert DEVICE_CODE in found["grant_types_supported"]


def test_what_is_over_is_swept(device: Device, house: House) -> None:
    from app.operate.sweep import sweep

    house.turn_clock(seconds=600 + 3601)
    house.wait_for(sweep(house.world, house.world.now()))
    assert house.sql("SELECT count(*) FROM device_codes") == [(0,)]
