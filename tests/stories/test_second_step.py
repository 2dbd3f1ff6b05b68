"""A password, then a code: every way through, back to what was interrupted, and nobody else's way in (NIST SP 800-63B-4 §2.2)."""

from __future__ import annotations

import pytest

from tests.actors import App, Browser, Device, Page
from tests.authenticators import Authenticator, add
from tests.conftest import House
from tests.factors import Phone, first_step, second_step, set_up


@pytest.fixture
def phone(house: House, browser: Browser) -> Phone:
    """Ada's, set up in `browser`, where she is signed in."""
    house.add_user()
    browser.sign_in()
    return set_up(house, browser)


def test_the_app_s_request_goes_on(phone: Phone, house: House) -> None:
    app = App(house.url)
    app.register()
    browser = Browser(house.url)
    page = first_step(browser, browser.open(app.authorize_url()))
    assert "gh_session" not in page.text
    assert "/login" in browser.open("/account").url, "half signed in is not signed in"
    page = second_step(browser, page, code="12345")
    assert page.status == 400
    page = second_step(browser, page, code=phone.next_code())
    assert "/consent" in page.url
    assert browser.decide(page).answer["state"] == "xyz"


def test_so_does_the_device_s(phone: Phone, house: House) -> None:
    device = Device.of(App(house.url))
    browser = Browser(house.url)
    page = second_step(browser, first_step(browser, browser.open(device.complete)), code=phone.next_code())
    assert "/device?user_code=" in page.url
    assert f'value="{device.user_code}"' in page.text


def test_how_it_was_signed_in_is_on_record(phone: Phone, house: House) -> None:
    browser = Browser(house.url)
    second_step(browser, first_step(browser), code=phone.next_code())
    browser = Browser(house.url)
    second_step(browser, first_step(browser), recovery=phone.recovery[0])
    methods = [("password",), ("password+totp",), ("password+recovery",)]
    assert house.sql("SELECT method FROM browser_sessions ORDER BY created_at") == methods
    assert house.sql("SELECT detail->>'method' FROM audit_events WHERE event = 'login' ORDER BY id") == methods


# Remembered devices ----------------------------------------------------------------------------------------------------


def remembered(phone: Phone, house: House) -> Browser:
    browser = Browser(house.url)
    second_step(browser, first_step(browser), code=phone.next_code(), remember="yes")
    return browser


def again(browser: Browser) -> Page:
    """Signed out, and the password once more."""
    browser.send("/logout", csrf=browser.open("/account/security").field("csrf"))
    return browser.sign_in()


def test_a_remembered_device_is_not_asked_for_30_days(phone: Phone, house: House) -> None:
    browser = remembered(phone, house)
    assert again(browser).url.endswith("/account")
    methods = house.sql("SELECT method FROM browser_sessions ORDER BY created_at DESC LIMIT 1")
    assert methods == [("password+device",)]
    house.turn_clock(days=20)
    assert browser.sign_in().url.endswith("/account"), "signing in does not make it longer"
    house.turn_clock(days=11)
    assert "/login/second" in browser.sign_in().url
    other = Browser(house.url)
    assert "/login/second" in other.sign_in().url


def test_without_the_box_it_is_asked_each_time(phone: Phone, house: House) -> None:
    browser = Browser(house.url)
    second_step(browser, first_step(browser), code=phone.next_code())
    assert "/login/second" in again(browser).url


def test_it_is_remembered_for_its_user_only(phone: Phone, house: House) -> None:
    """Two share a browser; what Bob forgets is not Ada's."""
    browser = remembered(phone, house)
    house.add_user("bob@example.com")
    browser.send("/logout", csrf=browser.open("/account/security").field("csrf"))
    browser.sign_in(email="bob@example.com")
    house.turn_clock(seconds=1)
    theirs = set_up(house, browser)
    browser.send("/logout", csrf=browser.open("/account/security").field("csrf"))
    page = browser.sign_in(email="bob@example.com")
    assert "/login/second" in page.url
    second_step(browser, page, recovery=theirs.recovery[0])
    assert again(browser).url.endswith("/account"), "ada's password, on ada's device"


def test_its_secret_is_new_each_time(phone: Phone, house: House) -> None:
    """A copy of the cookie ends with the owner's next sign-in."""
    browser = remembered(phone, house)
    copy = dict(browser.http.cookies)
    again(browser)
    thief = Browser(house.url)
    thief.http.cookies.update({name: value for name, value in copy.items() if "device" in name})
    assert "/login/second" in thief.sign_in().url


@pytest.mark.parametrize("change", ["forget one", "forget all", "password", "passkey", "set up again", "the operator"])
def test_what_ends_it(phone: Phone, house: House, browser: Browser, change: str) -> None:
    device = remembered(phone, house)
    page = device.open("/account/security")
    assert "this one" in page.text
    csrf = page.field("csrf")
    if change == "forget one":
        device.send("/account/security/devices", csrf=csrf, id=page.field("id"))
    elif change == "forget all":
        device.send("/account/security/devices", csrf=csrf)
    elif change == "password":
        words = {"current": "four words make one", "password": "four words make two"}
        device.send("/account/security/password", csrf=csrf, **words)
    elif change == "passkey":
        add(device, Authenticator(house.url))
    elif change == "set up again":
        set_up(house, device)
    else:
        house.operator("user", "reset-password", "ada@example.com", "--password-stdin", input="four words make two\n")
    assert house.sql("SELECT count(*) FROM remembered_devices") == [(0,)]
    if change != "the operator":
        device.send("/logout", csrf=csrf)
    password = "four words make two" if change in ("password", "the operator") else "four words make one"
    assert "/login/second" in device.sign_in(password=password).url


# Nobody else's way in --------------------------------------------------------------------------------------------------


def test_the_first_step_holds_ten_minutes_in_its_own_browser(phone: Phone, house: House) -> None:
    app = App(house.url)
    app.register()
    browser, other = Browser(house.url), Browser(house.url)
    page = first_step(browser, browser.open(app.authorize_url()))
    theirs = other.open("/login")
    moved = other.send(
        "/login/second", csrf=theirs.field("csrf"), half=page.field("half"), req="", code=phone.next_code()
    )
    assert moved.status == 400
    assert "Please sign in again" in moved.text
    assert other.open(page.url).status == 400
    assert browser.open(page.url).status == 200, "looked at as often as one likes"
    house.turn_clock(minutes=10)
    late = second_step(browser, page, code=phone.code())
    assert late.status == 400
    assert "/login?req=" in late.text, "the way back keeps the app's request"


@pytest.mark.parametrize("half", ["", "x", "AAAA", "é", "x" * 60000])
def test_a_made_up_first_step(phone: Phone, house: House, half: str) -> None:
    browser = Browser(house.url)
    page = first_step(browser)
    sent = browser.send("/login/second", csrf=page.field("csrf"), half=half, code=phone.next_code())
    assert sent.status in (400, 413)
    assert browser.open(f"/login/second?half={half[:2000]}").status == 400


def test_a_changed_password_or_a_disabled_account_ends_it(phone: Phone, house: House) -> None:
    browser = Browser(house.url)
    page = first_step(browser)
    house.operator("user", "reset-password", "ada@example.com", "--password-stdin", input="four words make two\n")
    assert "Please sign in again" in second_step(browser, page, code=phone.next_code()).text
    page = first_step(browser, password="four words make two")
    house.operator("user", "disable", "ada@example.com")
    assert "Please sign in again" in second_step(browser, page, code=phone.next_code()).text
    assert house.sql("SELECT count(*) FROM audit_events WHERE detail->>'method' = 'password+totp'") == [(0,)]


def test_the_form_must_be_ours(phone: Phone, house: House) -> None:
    browser = Browser(house.url)
    page = first_step(browser)
    fields = {"half": page.field("half"), "req": "", "code": phone.next_code()}
    assert browser.send("/login/second", **fields).status == 403
    assert (
        browser.send("/login/second", {"Origin": "https://evil.example"}, csrf=page.field("csrf"), **fields).status
        == 403
    )
    assert second_step(browser, page, code=phone.code()).url.endswith("/account"), "and the code was not used up"


def test_guessing_codes_is_slow(phone: Phone, house: House) -> None:
    """Eight in five minutes from one address; fifteen in six hours in all; recovery codes are not held back by the latter."""
    house.turn_clock(minutes=10)
    browser = Browser(house.url)
    page = first_step(browser)
    statuses = []
    for _ in range(9):
        page = second_step(browser, page, code="000000")
        statuses.append(page.status)
    assert statuses == [400] * 8 + [429]
    assert 0 < int(page.headers["retry-after"]) <= 300
    assert page.field("half"), "the page stays, to try again later"
    house.turn_clock(minutes=6)
    page = first_step(browser)
    pages = [second_step(browser, page, code="000000") for _ in range(8)]
    assert [one.status for one in pages] == [400] * 7 + [429]
    assert int(pages[-1].headers["retry-after"]) > 300
    house.turn_clock(minutes=6)
    page = first_step(browser)
    assert second_step(browser, page, code=phone.code()).status == 429, "the right one too, for six hours"
    assert second_step(browser, page, recovery=phone.recovery[0]).url.endswith("/account")
    assert house.sql("SELECT count(*) > 10 FROM audit_events WHERE event = 'second_step.refused'") == [(True,)]


def test_somebody_without_codes_has_no_second_step(phone: Phone, house: House) -> None:
    house.add_user("bob@example.com")
    browser = Browser(house.url)
    assert browser.sign_in(email="bob@example.com").url.endswith("/account")
    page = first_step(browser)
    assert "bob" not in page.text
