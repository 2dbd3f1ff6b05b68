"""Admins invite: by mail or by a link, again, and not after all; the same as JSON."""

from __future__ import annotations

import pytest

from tests.actors import Browser
from tests.admins import AdminBrowser, Api, admin_key, events
from tests.conftest import House
from tests.mailbox import Mailboxes
from tests.stories.test_joining import finish

PAGE = "/admin/invitations"


@pytest.fixture
def ada(mailing: House) -> AdminBrowser:
    mailing.add_user(admin=True)
    return AdminBrowser(mailing)


def test_a_letter_brings_the_link_and_nobody_else_sees_it(
    mailing: House, ada: AdminBrowser, mailboxes: Mailboxes
) -> None:
    page = ada.press(PAGE, f"{PAGE}/add", email="Carol@Example.com")
    assert "the letter is on its way" in page.text
    assert "carol@example.com" in page.text
    link = mailboxes.one(mailing, "carol@example.com").link
    assert link not in page.text
    assert finish(Browser(mailing.url), link).url.endswith("/account")
    assert "No invitation is open" in ada.open(PAGE).text
    [(_, _, made)] = events(mailing, "invitation.made")
    [(ada_id,)] = mailing.sql("SELECT id FROM users WHERE email = 'ada@example.com'")
    assert made == {"email": "carol@example.com", "admin": False, "mailed": True, "by": ada_id}


def test_without_a_letter_the_link_is_shown_once_and_may_make_an_admin(mailing: House, ada: AdminBrowser) -> None:
    link = ada.once(PAGE, f"{PAGE}/add", "link", email="carol@example.com", by="link", admin="yes")
    carol = Browser(mailing.url)
    finish(carol, link)
    assert carol.open("/admin").status == 200


def test_an_invitation_is_made_anew_or_taken_back(mailing: House, ada: AdminBrowser) -> None:
    first = ada.once(PAGE, f"{PAGE}/add", "link", email="carol@example.com", by="link")
    [(identifier,)] = mailing.sql("SELECT id FROM invitations")
    assert "on its way" in ada.press(PAGE, f"{PAGE}/again", id=str(identifier)).text
    assert Browser(mailing.url).open(first).status == 410, "the one before has ended"
    assert "Taken back" in ada.press(PAGE, f"{PAGE}/take-back", id=str(identifier)).text
    page = ada.open(PAGE)
    assert "No invitation is open" in page.text
    assert ada.send(f"{PAGE}/take-back", csrf=page.field("csrf"), id="inv_none").status == 200


@pytest.mark.parametrize("typed", ["no address", "ada@example.com", ""])
def test_a_bad_address_is_told_beside_the_field_and_kept(ada: AdminBrowser, typed: str) -> None:
    page = ada.press(PAGE, f"{PAGE}/add", email=typed, admin="yes")
    assert page.status == 400
    assert 'aria-invalid="true" aria-describedby="fault"' in page.text
    assert "checked" in page.text


def test_where_sign_up_is_closed_the_page_says_so(house: House) -> None:
    house.add_user(admin=True)
    page = AdminBrowser(house).open(PAGE)
    assert "Sign-up is closed" in page.text
    assert f"{PAGE}/add" not in page.text


def test_the_same_as_json(mailing: House, ada: AdminBrowser) -> None:
    api = Api(mailing, admin_key(mailing))
    made = api("POST", "/invitations", 201, json={"email": "carol@example.com", "by_mail": False})
    assert made["link"].startswith(f"{mailing.url}/invitation?code=")
    assert [row["email"] for row in api("GET", "/invitations")["rows"]] == ["carol@example.com"]
    assert "link" not in api("GET", "/invitations")["rows"][0]
    again = api("POST", f"/invitations/{made['id']}/again", 201)
    assert (again["mailed"], "link" in again) == (True, False)
    api("DELETE", f"/invitations/{made['id']}", 204)
    api("DELETE", f"/invitations/{made['id']}", 404)
    api("POST", "/invitations", 400, json={"email": "nobody"})
    api("POST", "/invitations", 400, json={"email": "carol@example.com", "link": "mine"})
