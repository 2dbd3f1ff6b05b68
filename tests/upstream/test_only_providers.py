"""Where services are the only way in, nobody makes an account past them: not by signing up, not by an invitation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from tests.actors import Browser, Page
from tests.admins import Api, admin_key
from tests.conftest import House, emptied
from tests.mailbox import Mailboxes
from tests.stories.test_by_mail import ask
from tests.upstreams import Upstream, house_with, signs_in

PASSWORD = "a new one, quite long"


@pytest.fixture(scope="module")
def served_by_others(dsn: str, service: Upstream, mailboxes: Mailboxes) -> Iterator[House]:
    """With mail, so that nothing but this setting keeps anybody out."""
    mail = {"smtp_url": SecretStr(f"smtp://localhost:{mailboxes.port}?tls=none"), "mail_from": "no-reply@example.com"}
    providers = {"acme": service.definition()}
    house = house_with(dsn, providers, sign_up="open", sign_in="providers", **mail).start()
    yield house
    house.stop()


@pytest.fixture
def house(house: House, mailing: House, served_by_others: House, acme: Upstream) -> House:
    """Another replica of it, `mailing`, has not heard of the setting yet: there everything is open."""
    acme.clock = lambda: served_by_others.clock().timestamp()
    emptied(served_by_others).add_user("owner@example.com", admin=True)
    return served_by_others


def people(house: House) -> list[tuple[object, ...]]:
    return house.sql("SELECT email, is_admin FROM users WHERE email <> 'owner@example.com'")


def accept(browser: Browser, path: str, code: str) -> Page:
    """The form is sent by somebody who has it from before, or wrote it themselves."""
    csrf = browser.open("/login").field("csrf")
    return browser.send(path, csrf=csrf, code=code, name="Mallory", password=PASSWORD)


def test_nobody_signs_up_by_mail(house: House, browser: Browser, mailboxes: Mailboxes) -> None:
    assert "/sign-up" not in browser.open("/login").text
    assert browser.open("/sign-up").status == 404
    csrf = browser.open("/login").field("csrf")
    assert browser.send("/sign-up", csrf=csrf, email="mallory@example.com").status == 404
    assert mailboxes.sent(house) == []


def test_a_sign_up_link_from_before_opens_nothing(
    house: House, mailing: House, browser: Browser, mailboxes: Mailboxes
) -> None:
    ask(Browser(mailing.url), "/sign-up", "mallory@example.com")
    code = mailboxes.one(mailing, "mallory@example.com").link.partition("?code=")[2]
    assert browser.open(f"/sign-up/verify?code={code}").status == 404
    assert accept(browser, "/sign-up/verify", code).status == 404
    assert people(house) == []


def test_an_invitation_leads_to_the_service(
    house: House, browser: Browser, acme: Upstream, mailboxes: Mailboxes
) -> None:
    """No password is chosen; whoever comes by the service with this address has accepted it."""
    Api(house, admin_key(house, "owner@example.com"))("POST", "/invitations", 201, json={"email": "ada@example.com"})
    letter = mailboxes.one(house, "ada@example.com")
    assert "password" not in letter.text
    link = letter.link.replace(str(house.settings.public_url), house.url)
    page = browser.open(link)
    assert (page.status, 'name="password"' in page.text) == (200, False)
    assert "ada@example.com" in page.text
    assert 'href="/login"' in page.text
    accept(browser, "/invitation", link.partition("?code=")[2])
    assert people(house) == []
    assert signs_in(browser).url.endswith("/account")
    assert people(house) == [("ada@example.com", False)]
    assert house.sql("SELECT detail ->> 'email' FROM audit_events WHERE event = 'invitation.accepted'") == [
        ("ada@example.com",)
    ]
    assert browser.open(link).status == 410


def test_an_invitation_makes_no_admin(house: House, mailing: House, browser: Browser) -> None:
    """Services vouch for no admin: it is not made, and one from before has ended."""
    key = admin_key(house, "owner@example.com")
    new = {"email": "ada@example.com", "is_admin": True, "by_mail": False}
    refused = Api(house, key)("POST", "/invitations", 400, json=new)
    assert "make them an admin" in refused["error_description"]
    made = Api(mailing, key)("POST", "/invitations", 201, json=new)
    code = made["link"].partition("?code=")[2]
    assert browser.open(f"/invitation?code={code}").status == 410
    assert accept(browser, "/invitation", code).status == 410
    assert people(house) == []
    again = Api(house, key)("POST", f"/invitations/{made['id']}/again", 400)
    assert "make them an admin" in again["error_description"]
