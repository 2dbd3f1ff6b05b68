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


class Rogue:
    """An admin about to lose that, who has handed out what would bring it back; and what came of it afterwards."""

    def __init__(self, house: House) -> None:
        house.add_user("mallory@example.com", admin=True)
        house.add_user("bob@example.com")
        self.house, browser = house, AdminBrowser(house, "mallory@example.com")
        [(self.id,)] = house.sql("SELECT id FROM users WHERE email = 'mallory@example.com'")
        [(bob,)] = house.sql("SELECT id FROM users WHERE email = 'bob@example.com'")
        self.admin = browser.once(PAGE, f"{PAGE}/add", "link", email="m2@example.com", by="link", admin="yes")
        self.colleague = browser.once(PAGE, f"{PAGE}/add", "link", email="carol@example.com", by="link")
        api = Api(house, admin_key(house, "mallory@example.com"))
        self.password = api("POST", f"/users/{bob}/password-link", 201)["password_link"]

    def what_works(self) -> list[bool]:
        links = (self.admin, self.colleague, self.password)
        return [Browser(self.house.url).open(link).status == 200 for link in links]


def test_what_an_admin_handed_out_ends_when_they_are_one_no_more(mailing: House, ada: AdminBrowser) -> None:
    """Else who was thrown out comes back within a week, as an admin or as somebody else."""
    rogue, api = Rogue(mailing), Api(mailing, admin_key(mailing))
    assert rogue.what_works() == [True, True, True]
    api("PATCH", f"/users/{rogue.id}", json={"is_admin": False})
    assert rogue.what_works() == [False, True, False], "a colleague may still come"
    [(_, _, said)] = events(mailing, "invitation.revoked")
    assert said == {"email": "m2@example.com"}
    api("PATCH", f"/users/{rogue.id}", json={"disabled": True})
    assert rogue.what_works() == [False, False, False]


@pytest.mark.parametrize("how", ["disabled", "deleted", "disabled by the operator", "deleted by themselves"])
def test_nothing_of_it_works_after_the_account_has_ended(mailing: House, ada: AdminBrowser, how: str) -> None:
    rogue, api = Rogue(mailing), Api(mailing, admin_key(mailing))
    if how == "disabled":
        api("PATCH", f"/users/{rogue.id}", json={"disabled": True})
    elif how == "deleted":
        api("DELETE", f"/users/{rogue.id}", 204)
    elif how == "disabled by the operator":
        mailing.operator("user", "disable", "mallory@example.com")
    else:
        leaving = AdminBrowser(mailing, "mallory@example.com")
        leaving.press("/account/delete", "/account/delete", email="mallory@example.com")
        assert mailing.sql("SELECT FROM users WHERE email = 'mallory@example.com'") == []
    assert rogue.what_works() == [False, False, False]
    assert len(events(mailing, "invitation.revoked")) == 2


def test_an_invitation_sent_again_is_that_of_who_sent_it(mailing: House, ada: AdminBrowser) -> None:
    """Its new link was shown to them and to nobody else."""
    rogue, api = Rogue(mailing), Api(mailing, admin_key(mailing))
    made = api("POST", "/invitations", 201, json={"email": "dan@example.com", "is_admin": True, "by_mail": False})
    theirs = Api(mailing, admin_key(mailing, "mallory@example.com"))
    theirs("POST", f"/invitations/{made['id']}/again", 201)
    api("PATCH", f"/users/{rogue.id}", json={"is_admin": False})
    assert [row["email"] for row in api("GET", "/invitations")["rows"]] == ["carol@example.com"]


def test_the_last_admin_who_cannot_go_keeps_what_they_handed_out(mailing: House, ada: AdminBrowser) -> None:
    link = ada.once(PAGE, f"{PAGE}/add", "link", email="carol@example.com", by="link", admin="yes")
    ada.press("/account/delete", "/account/delete", email="ada@example.com")
    assert Browser(mailing.url).open(link).status == 200
    assert events(mailing, "invitation.revoked") == []
