"""Another e-mail address: proven by a link, told to the old one, and nobody's but the owner's to change (NIST SP 800-63B-4 §4.6)."""

from __future__ import annotations

import pytest

from tests.actors import Browser, Page
from tests.conftest import House
from tests.mailbox import Mailboxes


@pytest.fixture
def owner(mailing: House) -> Browser:
    """ada@example.com, who has just signed in."""
    mailing.add_user()
    browser = Browser(mailing.url)
    browser.sign_in()
    return browser


def ask(browser: Browser, email: str = "countess@example.com") -> Page:
    page = browser.open("/account/email")
    return browser.send("/account/email", csrf=page.field("csrf"), email=email)


def confirm(browser: Browser, link: str) -> Page:
    page = browser.open(link)
    return browser.send("/account/email/verify", csrf=page.field("csrf"), code=page.field("code"))


def test_an_address_changes_when_its_letter_is_opened(mailing: House, owner: Browser, mailboxes: Mailboxes) -> None:
    assert "A letter is on its way to the new address" in ask(owner).text
    link = mailboxes.one(mailing, "countess@example.com").link
    assert mailing.sql("SELECT email FROM users") == [("ada@example.com",)], "not before"
    page = confirm(owner, link)
    assert "This is your address from now on" in page.text
    assert mailing.sql("SELECT email, email_verified_at IS NOT NULL FROM users") == [("countess@example.com", True)]
    told = mailboxes.one(mailing, "ada@example.com")
    assert "from ada@example.com to countess@example.com" in told.text
    assert Browser(mailing.url).sign_in(email="countess@example.com").url.endswith("/account")
    assert owner.open(link).status == 410


def test_nobody_takes_over_an_address_by_its_owners_click(mailing: House, owner: Browser, mailboxes: Mailboxes) -> None:
    """Eve has ada's next address put on eve's own account: the link works only where eve is signed in."""
    mailing.add_user("eve@example.com")
    eve = Browser(mailing.url)
    eve.sign_in(email="eve@example.com")
    ask(eve)
    link = mailboxes.one(mailing, "countess@example.com").link
    assert owner.open(link).status == 403
    code = link.split("code=")[1]
    csrf = owner.open("/account/email").field("csrf")
    assert owner.send("/account/email/verify", csrf=csrf, code=code).status == 403
    assert Browser(mailing.url).open(link).status == 403
    assert mailing.sql("SELECT count(*) FROM users WHERE email = 'countess@example.com'") == [(0,)]
    assert "This is your address" in confirm(eve, link).text, "and is not used up by it"


def test_a_taken_address_is_told_to_its_owner_alone(mailing: House, owner: Browser, mailboxes: Mailboxes) -> None:
    mailing.add_user("countess@example.com")
    assert "A letter is on its way to the new address" in ask(owner).text
    assert "You have an account already" in mailboxes.one(mailing, "countess@example.com").message["Subject"]


def test_an_address_taken_meanwhile_stays_where_it_is(mailing: House, owner: Browser, mailboxes: Mailboxes) -> None:
    ask(owner)
    link = mailboxes.one(mailing, "countess@example.com").link
    mailing.add_user("countess@example.com")
    assert confirm(owner, link).status == 410
    assert mailing.sql("SELECT count(*) FROM users WHERE email = 'ada@example.com'") == [(1,)]


def test_it_needs_a_recent_sign_in(mailing: House, owner: Browser, mailboxes: Mailboxes) -> None:
    page = owner.open("/account/email")
    mailing.turn_clock(minutes=16)
    again = owner.send("/account/email", csrf=page.field("csrf"), email="countess@example.com")
    assert "/login" in again.url
    assert mailboxes.sent(mailing) == []
    assert owner.sign_in(again).url.endswith("/account/email"), "and back to the page"
    assert "/login" in Browser(mailing.url).open("/account/email").url


@pytest.mark.parametrize("typed", ["", "countess", "ada@example.com", "a@b\r\nBcc: c@d"])
def test_what_will_not_do_is_said_beside_the_field(
    mailing: House, owner: Browser, mailboxes: Mailboxes, typed: str
) -> None:
    page = ask(owner, typed)
    assert page.status == 400
    assert 'id="email-fault"' in page.text or "control characters" in page.text
    assert mailboxes.sent(mailing) == []


def test_letters_to_new_addresses_are_counted(mailing: House, owner: Browser) -> None:
    pages = [ask(owner, f"c{number}@example.com") for number in range(11)]
    assert [page.status for page in pages] == [200] * 10 + [429]
    assert 0 < int(pages[-1].headers["retry-after"]) <= 3600
    mailing.wait_for(mailing.world.traces.flush())
    assert mailing.sql("SELECT error FROM trace_steps WHERE status = 429") == [("too_many_requests",)]


def test_the_operator_changes_an_address(mailing: House, owner: Browser) -> None:
    mailing.sql("UPDATE users SET email_verified_at = now()")
    mailing.operator("user", "change-email", "ada@example.com", "Countess@example.com")
    assert mailing.sql("SELECT email, email_verified_at FROM users") == [("countess@example.com", None)]
    assert "no account" in mailing.operator("user", "change-email", "ada@example.com", "x@example.com", code=1)
    mailing.add_user("eve@example.com")
    said = mailing.operator("user", "change-email", "eve@example.com", "countess@example.com", code=1)
    assert "has an account already" in said


def test_without_mail_the_page_says_who_can_help(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    page = browser.open("/account/email")
    assert "can change the address for you" in page.text
    csrf = browser.open("/account").field("csrf")
    assert browser.send("/account/email", csrf=csrf, email="x@example.com").status == 200
    assert house.sql("SELECT count(*) FROM one_time_links") == [(0,)]
