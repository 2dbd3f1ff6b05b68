"""The security page: what one proves oneself with, changed by whoever proves it again, and by nobody else (OWASP)."""

from __future__ import annotations

import pytest

from tests.actors import PASSWORD, App, Browser, Page
from tests.authenticators import ADD, Authenticator, add, answer, options, sign_in
from tests.conftest import House
from tests.factors import TOTP, Phone, first_step, key_on, second_step, set_up
from tests.mailbox import Mailboxes

HERE = "/account/security"
NEW = "another four words"


@pytest.fixture
def page(house: House, browser: Browser) -> Page:
    """Ada's, just signed in."""
    house.add_user()
    browser.sign_in()
    return browser.open(HERE)


def change(browser: Browser, page: Page, current: str = PASSWORD, password: str = NEW) -> Page:
    return browser.send(f"{HERE}/password", csrf=page.field("csrf"), current=current, password=password)


def events(house: House, like: str) -> list[object]:
    return [row[0] for row in house.sql("SELECT event FROM audit_events WHERE event LIKE :like ORDER BY id", like=like)]


# The password ----------------------------------------------------------------------------------------------------------


def test_a_new_password_signs_out_every_other_browser(page: Page, browser: Browser, house: House) -> None:
    other = Browser(house.url)
    other.sign_in()
    changed = change(browser, page)
    assert "Your password is changed" in changed.text
    assert "/login" in other.open("/account").url
    assert browser.open("/account").url.endswith("/account")
    assert Browser(house.url).sign_in().status == 400
    assert Browser(house.url).sign_in(password=NEW).url.endswith("/account")
    assert events(house, "password.%") == ["password.changed"]


def test_the_current_one_must_be_right_and_the_new_one_good(page: Page, browser: Browser, house: House) -> None:
    """The reason stands beside the field; no password comes back."""
    refused = change(browser, page, current="wrong wrong wrong")
    assert refused.status == 400
    assert "That is not your current password" in refused.text
    weak = change(browser, page, password="short")
    assert weak.status == 400
    assert "at least 15 characters" in weak.text
    assert PASSWORD not in weak.text
    for one, field in ((refused, "current"), (weak, "password")):
        assert f'id="{field}" name="{field}"' in one.text
        assert one.text.count("autofocus") == one.text.count('aria-invalid="true"') == 1
    mine = change(browser, page, password="ada@example.com ada")
    assert mine.status == 400, "made of what everybody knows"
    assert events(house, "password.%") == ["password.change_refused"]
    assert Browser(house.url).sign_in().url.endswith("/account")


def test_the_current_one_cannot_be_guessed_here(page: Page, browser: Browser, house: House) -> None:
    pages = [change(browser, page, current="wrong wrong wrong") for _ in range(9)]
    assert [page.status for page in pages] == [400] * 8 + [429]
    assert 0 < int(pages[-1].headers["retry-after"]) <= 3600
    house.wait_for(house.world.traces.flush())
    assert house.sql("SELECT error FROM trace_steps WHERE status = 429") == [("too_many_requests",)]


def test_whoever_has_none_chooses_one_right_after_signing_in(page: Page, browser: Browser, house: House) -> None:
    passkey = Authenticator(house.url)
    add(browser, passkey)
    house.sql("DELETE FROM passwords")
    page = browser.open(HERE)
    assert "You have none yet" in page.text
    assert 'name="current"' not in page.text
    house.turn_clock(minutes=16)
    asked = browser.send(f"{HERE}/password", csrf=page.field("csrf"), password=NEW)
    assert "Confirm it is you" in asked.text
    page = sign_in(browser, passkey, asked)
    assert page.url.endswith(HERE)
    browser.send(f"{HERE}/password", csrf=page.field("csrf"), password=NEW)
    assert Browser(house.url).sign_in(password=NEW).url.endswith("/account")


# Proved again ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [TOTP, ADD])
def test_before_what_matters_one_signs_in_again(page: Page, browser: Browser, house: House, path: str) -> None:
    """The page says so, knows who it is, and comes back to where it was wanted."""
    assert browser.open(path).url.endswith(path)
    house.turn_clock(minutes=16)
    asked = browser.open(path)
    assert "Confirm it is you" in asked.text
    assert 'type="email" value="ada@example.com"' in asked.text
    assert "readonly" in asked.text
    assert "data-passkey" not in asked.text, "she has none"
    before = dict(browser.http.cookies)
    assert browser.sign_in(asked).url.endswith(path)
    thief = Browser(house.url)
    thief.http.cookies.update(before)
    assert "/login" in thief.open("/account").url, "a new session, and the old one ended"


def test_with_codes_on_it_takes_both_steps(page: Page, browser: Browser, house: House) -> None:
    phone = set_up(house, browser)
    house.turn_clock(minutes=16)
    asked = first_step(browser, browser.open(ADD))
    assert second_step(browser, asked, code=phone.code()).url.endswith(ADD)


@pytest.mark.parametrize("path", ["totp/remove", "recovery", "passkeys/remove"])
def test_nothing_is_taken_away_by_an_old_sign_in(page: Page, browser: Browser, house: House, path: str) -> None:
    set_up(house, browser)
    add(browser, Authenticator(house.url))
    page = browser.open(HERE)
    house.turn_clock(minutes=16)
    asked = browser.send(f"{HERE}/{path}", csrf=page.field("csrf"), id=page.field("id"))
    assert "Confirm it is you" in asked.text
    assert house.sql("SELECT (SELECT count(*) FROM totp), (SELECT count(*) FROM passkeys)") == [(1, 1)]
    assert house.sql("SELECT count(*) FROM recovery_codes") == [(10,)]
    assert "recovery_codes.made" not in events(house, "%")


def test_a_ceremony_that_began_in_time_may_end_late(page: Page, browser: Browser, house: House) -> None:
    """Else a passkey would be made that nobody knows of."""
    house.turn_clock(minutes=14)
    making = browser.open(ADD)
    house.turn_clock(minutes=5)
    made = Authenticator(house.url).create(options(making))
    assert answer(browser, ADD, making, made).url.endswith("#passkeys")


# Codes -----------------------------------------------------------------------------------------------------------------


def test_turning_codes_on_and_off(page: Page, browser: Browser, house: House) -> None:
    other = Browser(house.url)
    other.sign_in()
    assert "Set up codes" in page.text
    set_up(house, browser)
    assert "/login" in other.open("/account").url, "others are signed out"
    page = browser.open(HERE)
    assert "10 of 10 are left" in page.text
    off = browser.send(f"{HERE}/totp/remove", csrf=page.field("csrf"))
    assert "Set up codes" in off.text
    assert Browser(house.url).sign_in().url.endswith("/account")
    assert house.sql("SELECT count(*) FROM recovery_codes") == [(0,)]
    assert events(house, "totp.%") == ["totp.added", "totp.removed"]


def test_a_wrong_code_keeps_the_key(page: Page, browser: Browser, house: House) -> None:
    page = browser.open(TOTP)
    key = key_on(page)
    wrong = browser.send(TOTP, csrf=page.field("csrf"), key=page.field("key"), code="000000")
    assert wrong.status == 400
    assert "does not match this key" in wrong.text
    assert key_on(wrong) == key
    code = Phone(house, key, []).code()
    assert "recovery codes" in browser.send(TOTP, csrf=wrong.field("csrf"), key=wrong.field("key"), code=code).text


def test_a_key_is_of_one_session_and_half_an_hour(page: Page, browser: Browser, house: House) -> None:
    """Nobody else's form puts a key of theirs into an account."""
    house.add_user("mallory@example.com")
    mallory = Browser(house.url)
    mallory.sign_in(email="mallory@example.com")
    theirs = mallory.open(TOTP)
    phone = Phone(house, key_on(theirs), [])
    planted = browser.send(TOTP, csrf=page.field("csrf"), key=theirs.field("key"), code=phone.code())
    assert planted.status == 400
    assert "Please start again" in planted.text
    house.turn_clock(minutes=31)
    late = mallory.send(TOTP, csrf=theirs.field("csrf"), key=theirs.field("key"), code=phone.code())
    assert "Please start again" in late.text
    assert house.sql("SELECT count(*) FROM totp") == [(0,)]


def test_a_lost_phone_is_the_operator_s_to_mend(page: Page, browser: Browser, house: House) -> None:
    set_up(house, browser)
    passkey = Authenticator(house.url)
    add(browser, passkey)
    said = house.operator("user", "reset-factors", "ada@example.com")
    assert "codes from an app, 1 passkey." in said
    assert "/login" in browser.open("/account").url
    assert sign_in(Browser(house.url), passkey).status == 400
    assert browser.sign_in().url.endswith("/account")
    assert house.sql("SELECT detail FROM audit_events WHERE event = 'factors.reset'") == [
        ({"totp": True, "passkeys": 1},)
    ]
    assert "has no account" in house.operator("user", "reset-factors", "nobody@example.com", code=1)


# Strangers and nonsense ------------------------------------------------------------------------------------------------

POSTS = ["password", "devices", "totp", "totp/remove", "recovery", "passkeys", "passkeys/remove"]


@pytest.mark.parametrize("path", POSTS)
def test_forms_are_ours_and_the_visitor_is_signed_in(page: Page, browser: Browser, house: House, path: str) -> None:
    stranger = Browser(house.url)
    csrf = stranger.open("/login").field("csrf")
    asked = stranger.send(f"{HERE}/{path}", csrf=csrf)
    assert "/login" in asked.url
    assert browser.send(f"{HERE}/{path}", id="x").status == 403
    assert browser.send(f"{HERE}/{path}", csrf=csrf).status == 403
    evil = browser.send(f"{HERE}/{path}", {"Origin": "https://evil.example"}, csrf=page.field("csrf"))
    assert evil.status == 403


@pytest.mark.parametrize("path", ["", "/totp", "/passkeys"])
def test_the_pages_are_for_whoever_is_signed_in(house: House, browser: Browser, path: str) -> None:
    house.add_user()
    asked = browser.open(HERE + path)
    assert "/login" in asked.url
    assert browser.sign_in(asked).url.endswith(HERE + path)


@pytest.mark.parametrize("path", [f"{HERE}/{path}" for path in POSTS] + ["/login", "/login/second", "/login/passkey"])
def test_nonsense_never_breaks_a_form(page: Page, browser: Browser, house: House, path: str) -> None:
    csrf = page.field("csrf")
    names = (
        "current",
        "password",
        "id",
        "key",
        "code",
        "credential",
        "challenge",
        "name",
        "half",
        "recovery",
        "email",
        "req",
    )
    for value in (
        "\0",
        "é\ud83d".encode("utf-8", "surrogatepass").decode("latin-1"),
        "x" * 5000,
        "💥",
        "' OR 1=1",
        "%00",
    ):
        sent = browser.send(path, csrf=csrf, **{name: value for name in names if name != "req"})
        assert sent.status < 500, (value, sent.text)
    raw = [
        f"csrf={csrf}&csrf={csrf}",
        f"csrf={csrf}&" + "&".join(f"{name}=a&{name}=b" for name in names),
        f"csrf={csrf}&code=%ff%fe&password=%ff&credential=%ff",
        "&".join(f"a{number}=1" for number in range(100)),
        "",
    ]
    for body in raw:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = browser.http.post(house.url + path, content=body, headers=headers)
        assert response.status_code < 500, body[:80]
    huge = browser.http.post(house.url + path, data={"csrf": csrf, "credential": "x" * 100_000})
    assert huge.status_code == 413
    assert browser.http.post(house.url + path, json={}).status_code == 400


def test_a_hostile_name_stays_text(page: Page, browser: Browser, house: House) -> None:
    shown = add(browser, Authenticator(house.url), "<script>x</script>\u202e{{7*7}}" + "W" * 90)
    assert "&lt;script&gt;x&lt;/script&gt;{{7*7}}" in shown.text
    assert "<script>x" not in shown.text
    assert house.sql("SELECT length(name) FROM passkeys") == [(60,)]


def test_another_s_device_cannot_be_forgotten(page: Page, browser: Browser, house: House) -> None:
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    csrf = bob.sign_in(email="bob@example.com").field("csrf")
    ((device,),) = house.sql(
        "SELECT d.id FROM remembered_devices d JOIN users u ON u.id = user_id WHERE email LIKE 'ada%'"
    )
    bob.send(f"{HERE}/devices", csrf=csrf, id=str(device))
    assert house.sql("SELECT count(*) FROM remembered_devices WHERE id = :id", id=device) == [(1,)]


def test_no_passkeys_on_a_bare_address(dsn: str) -> None:
    """WebAuthn §4: an RP ID is a domain; then nothing is offered, and everything else works."""
    bare = House(dsn, public_url="http://127.0.0.1:8000").start()
    try:
        browser = Browser(bare.url)
        assert "data-passkey" not in browser.open("/login").text
    finally:
        bare.stop()


def test_an_app_that_wants_a_fresh_sign_in_finds_the_e_mail_there(app: App, browser: Browser, house: House) -> None:
    """OIDC Core §3.1.2.1 `prompt=login`, `max_age`."""
    browser.sign_in()
    asked = browser.open(app.authorize_url(prompt="login"))
    assert 'type="email" value="ada@example.com"' in asked.text
    assert "to continue to" in asked.text


def test_the_owner_is_told_by_mail(mailing: House, mailboxes: Mailboxes) -> None:
    """NIST SP 800-63B-4 §4.6: so that they know when it was not they."""
    mailing.add_user()
    browser = Browser(mailing.url)
    browser.sign_in()
    told = []

    def subject() -> None:
        told.append(str(mailboxes.one(mailing, "ada@example.com").message["subject"]))

    phone = set_up(mailing, browser)
    subject()
    add(browser, Authenticator(mailing.url))
    subject()
    page = browser.open(HERE)
    browser.send(f"{ADD}/remove", csrf=page.field("csrf"), id=page.field("id"))
    subject()
    browser.send(f"{HERE}/recovery", csrf=page.field("csrf"))
    subject()
    other = Browser(mailing.url)
    second_step(other, first_step(other), recovery=phone.recovery[0])
    browser.send(f"{HERE}/totp/remove", csrf=page.field("csrf"))
    subject()
    change(browser, page)
    subject()
    assert told == [
        "Codes from your phone are asked for",
        "A passkey was added",
        "A passkey was removed",
        "New recovery codes were made",
        "Codes from your phone are not asked for any more",
        "Your password was changed",
    ]
