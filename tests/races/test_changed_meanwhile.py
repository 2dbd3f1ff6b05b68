"""A sign-in under way while the password changes or codes are switched on: whichever is first, it opens nothing afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher

from tests.actors import Browser, Page
from tests.conftest import House
from tests.factors import TOTP, Phone, first_step, key_on, second_step, set_up
from tests.races.test_one_winner import blocked

__all__ = ["blocked"]  # a fixture: holds the devices, which both write when all else is done, until both wait

NEW = "four quite different words"
FIRST = pytest.mark.parametrize("first", ["sign-in", "change"])
Deed = Callable[[], Page]


def both(house: House, blocked: Any, first: Deed, then: Deed) -> tuple[Page, Page]:
    """`first` has done all but what follows of devices when `then` begins; neither has ended before both wait."""

    def start() -> tuple[Page, Page]:
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(first)
            deadline = time.monotonic() + 2
            while house.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
                assert time.monotonic() < deadline, "the first did not get as far as the devices"
            two = pool.submit(then)
            return one.result(20), two.result(20)

    answers: tuple[Page, Page] = blocked("remembered_devices", start, "EXCLUSIVE")
    return answers


def in_order(house: House, blocked: Any, first: str, sign_in: Deed, change: Deed) -> tuple[Page, Page]:
    """What the sign-in and the change are answered."""
    if first == "sign-in":
        return both(house, blocked, sign_in, change)
    changed, signed_in = both(house, blocked, change, sign_in)
    return signed_in, changed


def new_password(browser: Browser, current: str) -> Deed:
    csrf = browser.open("/account/security").field("csrf")
    return lambda: browser.send("/account/security/password", csrf=csrf, current=current, password=NEW)


def is_in(browser: Browser) -> bool:
    return "/login" not in browser.open("/account").url


@FIRST
def test_a_password_that_changes_lets_nobody_in(house: House, browser: Browser, blocked: Any, first: str) -> None:
    house.add_user()
    browser.sign_in()
    other = Browser(house.url)
    page = other.open("/login")
    change = new_password(browser, "four words make one")
    signed_in, changed = in_order(house, blocked, first, lambda: other.sign_in(page), change)
    assert "changed=password" in changed.url
    assert first == "sign-in" or signed_in.status == 400
    assert (is_in(browser), is_in(other)) == (True, False)
    assert is_in_with(house, NEW)


def is_in_with(house: House, password: str) -> bool:
    browser = Browser(house.url)
    browser.sign_in(password=password)
    return is_in(browser)


def test_an_old_hash_made_anew_does_not_bring_the_old_password_back(
    house: House, browser: Browser, blocked: Any
) -> None:
    house.add_user()
    browser.sign_in()
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("four words make one")
    house.sql("UPDATE passwords SET hash = :weak", weak=weak)
    other = Browser(house.url)
    page = other.open("/login")
    both(house, blocked, new_password(browser, "four words make one"), lambda: other.sign_in(page))
    assert [is_in_with(house, password) for password in ("four words make one", NEW)] == [False, True]


def test_an_old_hash_is_made_anew_and_stays_the_same_password(house: House, browser: Browser) -> None:
    house.add_user()
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("four words make one")
    house.sql("UPDATE passwords SET hash = :weak", weak=weak)
    before = house.sql("SELECT changed_at FROM passwords")
    browser.sign_in()
    assert is_in(browser)
    assert house.sql("SELECT changed_at FROM passwords") == before
    assert house.sql("SELECT hash = :weak FROM passwords", weak=weak) == [(False,)]


@FIRST
def test_codes_switched_on_meanwhile_are_asked_for(house: House, browser: Browser, blocked: Any, first: str) -> None:
    house.add_user()
    browser.sign_in()
    page = browser.open(TOTP)
    phone = Phone(house, key_on(page), [])
    fields = {name: page.field(name) for name in ("csrf", "key")}
    other = Browser(house.url)
    form = other.open("/login")
    in_order(
        house, blocked, first, lambda: other.sign_in(form), lambda: browser.send(TOTP, code=phone.code(), **fields)
    )
    assert (is_in(browser), is_in(other)) == (True, False)


@FIRST
@pytest.mark.parametrize("way", ["code", "recovery"])
def test_a_second_step_after_an_old_password_lets_nobody_in(
    house: House, browser: Browser, blocked: Any, first: str, way: str
) -> None:
    house.add_user()
    browser.sign_in()
    phone = set_up(house, browser)
    other = Browser(house.url)
    page = first_step(other)
    typed = {"code": phone.next_code()} if way == "code" else {"recovery": phone.recovery[0]}
    change = new_password(browser, "four words make one")
    in_order(house, blocked, first, lambda: second_step(other, page, **typed), change)
    assert (is_in(browser), is_in(other)) == (True, False)
    used = "SELECT count(*) FROM recovery_codes WHERE used_at IS NOT NULL"
    assert house.sql(used) == [(int(way == "recovery" and first == "sign-in"),)], "none is lost for nothing"


def test_a_first_step_by_an_old_password_is_none(house: House, browser: Browser, blocked: Any) -> None:
    """It was taken after the change began, and before it was there for others to see."""
    house.add_user()
    browser.sign_in()
    set_up(house, browser)
    other = Browser(house.url)
    page = other.open("/login")
    _, signed_in = both(house, blocked, new_password(browser, "four words make one"), lambda: other.sign_in(page))
    assert signed_in.status == 400


def test_of_two_who_change_a_password_one_knew_the_current_one(house: House, browser: Browser, blocked: Any) -> None:
    house.add_user()
    browser.sign_in()
    other = Browser(house.url)
    other.sign_in()
    mine = new_password(browser, "four words make one")
    csrf = other.open("/account/security").field("csrf")
    fields = {"csrf": csrf, "current": "four words make one", "password": "theirs and not mine at all"}
    _, late = both(house, blocked, mine, lambda: other.send("/account/security/password", **fields))
    assert late.status == 400
    assert is_in_with(house, NEW)
