"""New people: by invitation, by signing up; a link, a name, a password, and on to what they came for."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from tests.actors import App, Browser, Page
from tests.conftest import House
from tests.mailbox import Mailboxes
from tests.stories.test_by_mail import ask, choose, from_login

NEW = "a new one, quite long"


@pytest.fixture
def visitor(mailing: House) -> Browser:
    return Browser(mailing.url)


def finish(browser: Browser, link: str, name: str = "Grace Hopper", password: str = NEW) -> Page:
    page = browser.open(link)
    path = link.removeprefix(browser.url).split("?")[0]
    return browser.send(path, csrf=page.field("csrf"), code=page.field("code"), name=name, password=password)


def test_whoever_signs_up_proves_their_address_first(mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    """And comes back to the app that sent them; the app is told that the address is theirs (OIDC Core §5.1)."""
    app = App(mailing.url)
    app.register()
    url = app.authorize_url(scope="openid email read")
    page = from_login(visitor, visitor.open(url), "/sign-up")
    assert "A letter is on its way to you" in ask(visitor, "/sign-up", "grace@example.com", page).text
    assert mailing.sql("SELECT count(*) FROM users") == [(0,)], "nothing but a letter so far"
    page = finish(visitor, mailboxes.one(mailing, "grace@example.com").link)
    assert "/consent" in page.url
    tokens = app.redeem(visitor.decide(page).answer["code"]).json()
    told = app.http.get(f"{mailing.url}/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json()
    assert (told["email"], told["email_verified"]) == ("grace@example.com", True)
    refreshed = app.refresh(tokens["refresh_token"]).json()
    assert claims(tokens["id_token"])["email_verified"] is True
    assert claims(refreshed["id_token"])["email_verified"] is True
    assert mailing.sql("SELECT name, is_admin FROM users") == [("Grace Hopper", False)]
    assert mailing.sql("SELECT detail ->> 'via' FROM audit_events WHERE event = 'user.created'") == [("sign-up",)]


def claims(token: str) -> dict[str, object]:
    import jwt

    found: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_an_address_with_an_account_is_told_so_by_mail(mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    mailing.add_user()
    assert "A letter is on its way to you" in ask(visitor, "/sign-up").text
    letter = mailboxes.one(mailing, "ada@example.com")
    assert "You have an account already" in letter.message["Subject"]
    assert letter.link == f"{mailing.url}/password/forgot"
    assert mailing.sql("SELECT count(*) FROM one_time_links") == [(0,)]


def test_an_account_made_meanwhile_is_not_made_again(mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    links = []
    for _ in range(2):
        ask(visitor, "/sign-up", "grace@example.com")
        links.append(mailboxes.one(mailing, "grace@example.com").link)
    assert finish(visitor, links[0]).url.endswith("/account")
    second = finish(visitor, links[1], "Somebody", "another quite long one")
    assert second.status == 409
    assert "has an account already" in second.text
    assert Browser(mailing.url).sign_in(email="grace@example.com", password=NEW).url.endswith("/account")
    assert mailing.sql("SELECT name FROM users") == [("Grace Hopper",)]


def test_a_sign_up_link_ends_after_a_day(mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    ask(visitor, "/sign-up", "grace@example.com")
    link = mailboxes.one(mailing, "grace@example.com").link
    mailing.turn_clock(hours=25)
    over = visitor.open(link)
    assert over.status == 410
    assert 'href="/sign-up"' in over.text


def test_what_was_typed_stays_and_the_reason_is_beside_the_field(
    mailing: House, visitor: Browser, mailboxes: Mailboxes
) -> None:
    ask(visitor, "/sign-up", "grace@example.com")
    link = mailboxes.one(mailing, "grace@example.com").link
    for password, reason in {
        "short": "at least 15 characters",
        "passwordpassword1": "first passwords that others would try",
        "grace.hopper.1906": "little more than your own name",
        "wrong wrong wrong": "Repeating something",
        "x" * 257: "at most 256 characters",
    }.items():
        page = finish(visitor, link, "Grace <Hopper>", password)
        assert page.status == 400
        assert reason in page.text
        assert 'value="Grace &lt;Hopper&gt;"' in page.text
        assert 'aria-describedby="password-fault rule" aria-invalid="true" autofocus' in page.text
        assert password not in page.text
    assert finish(visitor, link).url.endswith("/account")


def test_people_are_invited_by_mail(mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    said = mailing.operator("user", "invite", "Grace@Example.com", "--admin")
    assert "went to grace@example.com" in said
    assert "http" not in said, "whoever has the link has opened the mailbox"
    link = mailboxes.one(mailing, "grace@example.com").link
    assert "You are invited" in visitor.open(link).text
    assert finish(visitor, link).url.endswith("/account")
    assert mailing.sql("SELECT is_admin, email_verified_at IS NOT NULL FROM users") == [(True, True)]
    assert visitor.open(link).status == 410
    assert mailing.sql("SELECT count(*) FROM invitations") == [(0,)]
    events = mailing.sql("SELECT event FROM audit_events WHERE event LIKE 'invitation.%' ORDER BY id")
    assert events == [("invitation.made",), ("invitation.accepted",)]
    assert "has an account already" in mailing.operator("user", "invite", "grace@example.com", code=1)


def test_an_invitation_is_sent_again_taken_back_and_ends(
    mailing: House, visitor: Browser, mailboxes: Mailboxes
) -> None:
    """A second one ends the first; and after a week none works."""
    links = []
    for _ in range(2):
        mailing.operator("user", "invite", "grace@example.com")
        links.append(mailboxes.one(mailing, "grace@example.com").link)
    assert [visitor.open(link).status for link in links] == [410, 200]
    listed = json.loads(mailing.operator("user", "invitations", "--json"))
    assert [(each["email"], each["mailed"], each["admin"]) for each in listed] == [("grace@example.com", True, False)]
    mailing.operator("user", "uninvite", "grace@example.com")
    assert visitor.open(links[1]).status == 410
    assert "no open invitation" in mailing.operator("user", "uninvite", "grace@example.com", code=1)
    printed = mailing.operator("user", "invite", "grace@example.com", "--print-link").split()[-1]
    assert mailboxes.sent(mailing) == []
    mailing.turn_clock(days=6)
    assert visitor.open(printed).status == 200
    mailing.turn_clock(days=2)
    assert visitor.open(printed).status == 410


def test_a_letter_that_the_server_refuses_is_said(mailing: House, mailboxes: Mailboxes) -> None:
    mailboxes.refuse = ["550 no such mailbox"]
    said = mailing.operator("user", "invite", "grace@example.com", code=1)
    assert "no such mailbox" in said
    assert "--print-link" in said


@pytest.mark.parametrize("sign_up", ["closed", "invited"])
def test_whoever_is_not_invited_stays_outside(dsn: str, sign_up: str) -> None:
    """Without mail an invitation is a link that a person hands over, and proves no address; `closed` knows none."""
    house = House(dsn, sign_up=sign_up).start()
    try:
        for table in ("users", "invitations", "rate_counters"):
            house.sql(f"DELETE FROM {table}")
        browser = Browser(house.url)
        assert "/sign-up" not in browser.open("/login").text
        assert browser.open("/sign-up").status == 404
        assert browser.open("/sign-up/verify?code=gh_link_x").status == 410
        if sign_up == "closed":
            assert "sign-up is closed" in _invite(house, code=1)
            values = (
                "'inv_x', sha256('gh_link_x'), 'grace@example.com', false, false, NULL, now(), now() + interval '1 day'"
            )
            house.sql(f"INSERT INTO invitations VALUES ({values})")
            assert browser.open("/invitation?code=gh_link_x").status == 410
            return
        link = _invite(house).split()[-1]
        assert finish(browser, link).url.endswith("/account")
        assert house.sql("SELECT is_admin, email_verified_at FROM users") == [(False, None)]
    finally:
        house.stop()


def _invite(house: House, code: int = 0) -> str:
    return house.operator("user", "invite", "grace@example.com", code=code)


def test_a_link_that_a_person_handed_over_proves_no_address(house: House, browser: Browser) -> None:
    link = house.operator("user", "add", "grace@example.com").split()[-1]
    assert choose(browser, link).url.endswith("/account")
    assert house.sql("SELECT email_verified_at FROM users") == [(None,)]


def test_settings_know_no_other_word() -> None:
    from app.settings.read import SettingsError, load

    with pytest.raises(SettingsError, match="GATEHOUSE_SIGN_UP"):
        load(
            public_url="https://x.example",
            database_url=SecretStr("postgresql://x"),
            secret_key=(SecretStr("x" * 40),),
            sign_up="yes",
        )
