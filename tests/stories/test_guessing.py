"""Passwords guessed at from everywhere: strangers take turns, the owner's own devices do not notice (OWASP device cookies)."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from app.limits import LOGIN_STRANGERS, turn
from app.protocol.errors import TooManyRequests
from app.users.throttle import LONGEST_GAP, gap
from tests.actors import Browser, Page
from tests.conftest import House


def wrong(house: House, browser: Browser | None = None, email: str = "ada@example.com") -> Page:
    return (browser or Browser(house.url)).sign_in(email=email, password="wrong wrong wrong")


def test_the_owner_s_device_is_not_slowed_by_strangers(house: House) -> None:
    """Nobody is locked out by what others guess; a known device has a counter of its own."""
    house.add_user()
    own = Browser(house.url)
    page = own.sign_in()
    own.send("/logout", csrf=page.field("csrf"))
    for _ in range(9):
        refused = wrong(house)
    assert refused.status == 429
    assert Browser(house.url).sign_in().status == 429
    assert own.sign_in().url.endswith("/account")
    own.send("/logout", csrf=own.open("/account/security").field("csrf"))
    assert [wrong(house, own).status for _ in range(9)] == [400] * 8 + [429]
    assert own.sign_in().status == 429, "eight guesses in five minutes there too"


def test_a_device_is_known_to_its_own_account_only(house: House) -> None:
    """An attacker's own account makes their browser known to nobody else's."""
    house.add_user()
    house.add_user("mallory@example.com")
    attacker = Browser(house.url)
    page = attacker.sign_in(email="mallory@example.com")
    attacker.send("/logout", csrf=page.field("csrf"))
    assert [wrong(house).status for _ in range(8)] == [400] * 8
    assert wrong(house, attacker).status == 429
    assert attacker.sign_in(email="mallory@example.com").url.endswith("/account")


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
def test_strangers_wait_longer_and_longer(house: House, email: str) -> None:
    """With an account or without one: the wait tells nothing."""
    house.add_user()
    spans = []
    for _ in range(8):
        browser = Browser(house.url)
        page = browser.open("/login")
        began = time.monotonic()
        browser.sign_in(page, email=email, password="wrong wrong wrong")
        spans.append(time.monotonic() - began)
    assert (
        spans[7] > 0.4
    )  # a turn is so long after the one before it; what a slow computer took is not waited for again
    house.turn_clock(hours=2)
    began = time.monotonic()
    wrong(house, email=email)
    assert house.sql("SELECT hits FROM rate_counters WHERE key LIKE 'login-strangers:%'") == [(1,)]


def test_turns_are_apart_however_many_come_at_once(house: House) -> None:
    """One statement gives each its own moment; a line that is too long is not joined."""
    now = house.clock()

    def wait(who: str = "x", seconds: float = 1.0) -> float:
        given = turn(house.world.pool, LOGIN_STRANGERS, who, now, timedelta(seconds=seconds), timedelta(seconds=4))
        waited = house.wait_for(given)
        assert isinstance(waited, timedelta)
        return waited.total_seconds()

    assert [wait() for _ in range(5)] == [0.0, 1.0, 2.0, 3.0, 4.0]
    with pytest.raises(TooManyRequests) as refusal:
        wait()
    assert refusal.value.retry_after == 4
    assert wait("y") == 0.0, "another account has a line of its own"


def test_how_far_apart() -> None:
    assert [gap(over).total_seconds() for over in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert gap(10**9) == LONGEST_GAP
