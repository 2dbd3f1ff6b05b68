"""Links that go by mail, fifty times at once: one of them is used once, and what comes of it is there once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.actors import Browser
from tests.conftest import House
from tests.mailbox import Mailboxes
from tests.races.test_one_winner import RACERS, race
from tests.stories.test_by_mail import ask


def fifty(house: House, browser: Browser, link: str, **fields: str) -> list[httpx2.Response]:
    """The form behind the link, sent from fifty places with the cookies of one browser."""
    page, cookies = browser.open(link), dict(browser.http.cookies)
    path = link.split("?")[0]
    data = {"csrf": page.field("csrf"), "code": page.field("code"), **fields}

    def attempt(number: int, client: httpx2.Client) -> httpx2.Response:
        client.cookies.update(cookies)
        return client.post(path, data=data, headers={"X-Forwarded-For": f"203.0.113.{number}"})

    return race(house, attempt)


def one_won(responses: list[httpx2.Response]) -> bool:
    """Where passwords are hashed, fifty at once may be asked to come again."""
    found = statuses(responses)
    return found[303] == 1 and found[410] > 0 and set(found) <= {303, 410, 503}


def statuses(responses: list[httpx2.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


def test_one_sign_in_link_signs_in_once(mailing: House, mailboxes: Mailboxes) -> None:
    mailing.add_user()
    browser = Browser(mailing.url)
    ask(browser, "/login/link")
    responses = fifty(mailing, browser, mailboxes.one(mailing, "ada@example.com").link)
    assert statuses(responses) == {303: 1, 410: RACERS - 1}
    assert mailing.sql("SELECT count(*) FROM browser_sessions") == [(1,)]
    assert mailing.sql("SELECT count(*) FROM audit_events WHERE event = 'login'") == [(1,)]


def test_one_mailed_password_link_sets_one_password(mailing: House, mailboxes: Mailboxes) -> None:
    mailing.add_user()
    browser = Browser(mailing.url)
    ask(browser, "/password/forgot")
    link = mailboxes.one(mailing, "ada@example.com").link
    assert one_won(fifty(mailing, browser, link, password="four quite different words"))
    assert mailing.sql("SELECT count(*) FROM audit_events WHERE event = 'password.changed'") == [(1,)]


@pytest.mark.parametrize("way", ["invitation", "sign-up"])
def test_one_link_makes_one_account(mailing: House, mailboxes: Mailboxes, way: str) -> None:
    browser = Browser(mailing.url)
    if way == "invitation":
        mailing.operator("user", "invite", "grace@example.com")
    else:
        ask(browser, "/sign-up", "grace@example.com")
    link = mailboxes.one(mailing, "grace@example.com").link
    assert one_won(fifty(mailing, browser, link, name="Grace", password="four quite different words"))
    assert mailing.sql("SELECT count(*) FROM users") == [(1,)]


def test_two_links_to_one_address_make_one_account(mailing: House, mailboxes: Mailboxes) -> None:
    """Each is used once, and one of them comes too late for the account."""
    browser, links = Browser(mailing.url), []
    for _ in range(2):
        ask(browser, "/sign-up", "grace@example.com")
        links.append(mailboxes.one(mailing, "grace@example.com").link)

    def attempt(link: str) -> int:
        visitor = Browser(mailing.url)
        page = visitor.open(link)
        fields = {name: page.field(name) for name in ("csrf", "code")}
        return visitor.send("/sign-up/verify", name="", password="four quite different words", **fields).status

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(attempt, links)) == [200, 409]
    assert mailing.sql("SELECT count(*) FROM users") == [(1,)]


def test_one_address_is_changed_once(mailing: House, mailboxes: Mailboxes) -> None:
    mailing.add_user()
    browser = Browser(mailing.url)
    browser.sign_in()
    page = browser.open("/account/email")
    browser.send("/account/email", csrf=page.field("csrf"), email="countess@example.com")
    responses = fifty(mailing, browser, mailboxes.one(mailing, "countess@example.com").link)
    assert statuses(responses) == {303: 1, 410: RACERS - 1}
    assert mailing.sql("SELECT count(*) FROM audit_events WHERE event = 'email.changed'") == [(1,)]


def test_one_invitation_for_each_address(mailing: House) -> None:
    """Admins who invite the same person at once: one invitation, and its last link works."""
    from app.users.invitations.invite import invite

    async def all_at_once() -> set[str]:
        import asyncio

        made = await asyncio.gather(*(invite(mailing.world, "grace@example.com", by_mail=False) for _ in range(10)))
        return {each.invitation.id for each in made}

    assert len(mailing.wait_for(all_at_once())) == 1  # type: ignore[arg-type]
    assert mailing.sql("SELECT count(*) FROM invitations") == [(1,)]
