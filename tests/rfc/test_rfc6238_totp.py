"""RFC 6238: codes by time, with the RFC's own numbers, one step early or late, each step good once (§5.2); RFC 4226 keys."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from app.tokens.secrets import Secrets
from app.users.totp import codes, recovery
from tests.actors import Browser
from tests.conftest import House
from tests.factors import TOTP, Phone, first_step, key_on, recovery_on, second_step, set_up

RFC_KEY = base64.b32encode(b"12345678901234567890").decode()
# Appendix B, SHA1, the last six of its eight digits.
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_vectors_of_appendix_b(seconds: int, code: str) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    assert codes.matching_step(RFC_KEY, code, now) == seconds // 30


def test_one_step_early_or_late_and_no_more() -> None:
    """§5.2: the window is for clocks that are off."""
    begins = 1111111111 // 30 * 30
    for off, found in [(-31, None), (-30, True), (0, True), (29, True), (59, True), (60, None)]:
        step = codes.matching_step(RFC_KEY, "050471", datetime.fromtimestamp(begins + off, UTC))
        assert step == (begins // 30 if found else None), off


@pytest.mark.parametrize("typed", ["287082", " 287 082 ", "287-082", "２８７０８２"])
def test_how_it_is_typed_does_not_matter(typed: str) -> None:
    assert codes.matching_step(RFC_KEY, typed, datetime.fromtimestamp(59, UTC)) == 1


@pytest.mark.parametrize("typed", ["", "28708", "2870820", "abcdef", "２８７０８", "²87082x", "💥" * 6, "a" * 50000])
def test_what_is_no_code(typed: str) -> None:
    assert codes.matching_step(RFC_KEY, typed, datetime.fromtimestamp(59, UTC)) is None


def test_the_key_is_new_long_and_in_the_picture(house: House, browser: Browser) -> None:
    """RFC 4226 §4 R6: 160 bits; the URI as apps read it."""
    house.add_user()
    browser.sign_in()
    page = browser.open(TOTP)
    key = key_on(page)
    assert len(base64.b32decode(key)) == 20
    assert codes.spaced(key) in page.text
    assert 'src="data:image/svg+xml' in page.text
    uri = codes.uri(key, "ada@example.com", "localhost")
    assert parse_qs(urlsplit(uri).query)["issuer"] == ["Gatehouse localhost"]
    assert "Gatehouse%20localhost:ada%40example.com" in uri
    assert key_on(browser.open(TOTP)) != key, "nothing is kept before it is proved"
    assert house.sql("SELECT count(*) FROM totp") == [(0,)]


def test_the_key_is_sealed_for_its_user(house: House, browser: Browser) -> None:
    user_id = house.add_user()
    browser.sign_in()
    phone = set_up(house, browser)
    ((sealed,),) = house.sql("SELECT sealed FROM totp")
    assert isinstance(sealed, bytes)
    assert phone.key.encode() not in sealed
    assert house.world.secrets.totp.open(sealed, user_id.encode()).decode() == phone.key
    assert phone.key not in str(house.sql("SELECT detail FROM audit_events")), "no secret in the audit log"


def test_the_key_outlives_a_change_of_the_secret_key(house: House, browser: Browser, dsn: str) -> None:
    """`new,old` for a while: whoever signs in meanwhile is sealed with the new one."""
    user_id = house.add_user()
    browser.sign_in()
    phone = set_up(house, browser)
    new = "a new key that is long enough to seal with"
    changed = House(dsn, secret_key=(SecretStr(new), *house.settings.secret_key)).start()
    try:
        changed.turn_clock(seconds=60)
        other = Browser(changed.url)
        assert second_step(other, first_step(other), code=Phone(changed, phone.key, []).code()).url.endswith("/account")
    finally:
        changed.stop()
    ((sealed,),) = house.sql("SELECT sealed FROM totp")
    assert isinstance(sealed, bytes)
    assert Secrets.of((new,)).totp.open(sealed, user_id.encode()).decode() == phone.key


def test_a_key_that_cannot_be_opened_leaves_the_recovery_codes(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    phone = set_up(house, browser)
    house.sql("UPDATE totp SET sealed = 'sealed with a key that is gone'")
    other = Browser(house.url)
    page = second_step(other, first_step(other), code=phone.next_code())
    assert page.status == 400
    assert second_step(other, page, recovery=phone.recovery[0]).url.endswith("/account")


def test_each_step_is_good_once(house: House, browser: Browser) -> None:
    """§5.2: also the one that turned codes on, and earlier ones once a later one was used."""
    house.add_user()
    browser.sign_in()
    phone = set_up(house, browser)
    other = Browser(house.url)
    page = second_step(other, first_step(other), code=phone.code())
    assert page.status == 400
    assert "used already" in page.text
    assert second_step(other, page, code=phone.code(1)).url.endswith("/account"), "the next one, from a fast clock"
    third = Browser(house.url)
    assert "used already" in second_step(third, first_step(third), code=phone.code(1)).text
    assert "used already" in second_step(third, first_step(third), code=phone.code()).text
    house.turn_clock(seconds=60)
    assert second_step(third, first_step(third), code=phone.code()).url.endswith("/account")


def test_codes_two_steps_off_and_of_others_are_wrong(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    phone = set_up(house, browser)
    house.turn_clock(minutes=5)
    other = Browser(house.url)
    stranger = Phone(house, codes.new_key(), [])
    for code in (phone.code(-2), phone.code(2), stranger.code(), "000000x", ""):
        page = second_step(other, first_step(other), code=code)
        assert page.status == 400
        assert "not right" in page.text
        house.turn_clock(minutes=5)


def test_recovery_codes_are_good_once_each(house: House, browser: Browser) -> None:
    """NIST SP 800-63B-4 §3.1.2: look-up secrets; only fingerprints are kept."""
    user_id = house.add_user()
    browser.sign_in()
    phone = set_up(house, browser)
    assert len(set(phone.recovery)) == 10
    kept = {row[0] for row in house.sql("SELECT fingerprint FROM recovery_codes")}
    assert kept == set(recovery.keys(user_id, phone.recovery))
    other = Browser(house.url)
    typed = phone.recovery[0].lower().replace("-", " ")
    assert second_step(other, first_step(other), recovery=typed).url.endswith("/account")
    assert "9 of 10 are left" in other.open("/account/security").text
    again = Browser(house.url)
    page = second_step(again, first_step(again), recovery=phone.recovery[0])
    assert page.status == 400
    assert "used already" in page.text
    assert second_step(again, page, recovery=phone.recovery[1]).url.endswith("/account")
    assert house.sql("SELECT detail->>'left' FROM audit_events WHERE event = 'recovery_code.used' ORDER BY id") == [
        ("9",),
        ("8",),
    ]


def test_somebody_else_s_recovery_codes_are_worth_nothing(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    set_up(house, browser)
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    theirs = set_up(house, bob).recovery
    other = Browser(house.url)
    for code in [theirs[0], "", "0000-0000-0000-0000", "é" * 40]:
        assert second_step(other, first_step(other), recovery=code or "x").status == 400


def test_ten_new_recovery_codes_end_the_old_ones(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    phone = set_up(house, browser)
    page = browser.open("/account/security")
    shown = browser.send("/account/security/recovery", csrf=page.field("csrf"))
    assert "shown this once" in shown.text
    other = Browser(house.url)
    page = second_step(other, first_step(other), recovery=phone.recovery[5])
    assert page.status == 400
    assert second_step(other, page, recovery=recovery_on(shown)[5]).url.endswith("/account")
