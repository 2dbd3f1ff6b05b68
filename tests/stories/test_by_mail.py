"""Links that go by mail: a forgotten password, a sign-in without one; and nothing tells who has an account (OWASP forgot password)."""

from __future__ import annotations

import re
import time

import pytest

from tests.actors import App, Browser, Page
from tests.conftest import House
from tests.mailbox import Mailboxes

NEW = "a new one, quite long"


@pytest.fixture
def ada(mailing: House) -> str:
    return mailing.add_user()


@pytest.fixture
def visitor(mailing: House) -> Browser:
    return Browser(mailing.url)


@pytest.fixture
def quill(mailing: House) -> App:
    app = App(mailing.url)
    app.register()
    return app


def ask(browser: Browser, path: str, email: str = "ada@example.com", page: Page | None = None) -> Page:
    page = page or browser.open(path)
    return browser.send(path, csrf=page.field("csrf"), req=page.field("req"), email=email)


def from_login(browser: Browser, login: Page, path: str) -> Page:
    """Follows a link of the sign-in page."""
    found = re.search(rf'href="({re.escape(path)}[^"]*)"', login.text)
    assert found, login.text
    return browser.open(found[1])


def choose(browser: Browser, link: str, password: str = NEW) -> Page:
    page = browser.open(link)
    return browser.send("/password", csrf=page.field("csrf"), code=page.field("code"), password=password)


def press(browser: Browser, link: str) -> Page:
    page = browser.open(link)
    return browser.send("/login/link/open", csrf=page.field("csrf"), code=page.field("code"))


def test_a_forgotten_password_is_chosen_anew(ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    """Every session ends, the link is used up, the address is proven, and its owner is told."""
    elsewhere = Browser(mailing.url)
    elsewhere.sign_in()
    asked = ask(visitor, "/password/forgot")
    assert asked.status == 200
    assert "If this address has an account" in asked.text
    letter = mailboxes.one(mailing, "ada@example.com")
    assert letter.link.startswith(f"{mailing.url}/password?code=gh_link_")
    done = choose(visitor, letter.link)
    assert done.url.endswith("/account")
    assert "/login" in elsewhere.open("/account").url
    assert visitor.open(letter.link).status == 410
    assert Browser(mailing.url).sign_in(password=NEW).url.endswith("/account")
    assert mailing.sql("SELECT email_verified_at IS NOT NULL FROM users") == [(True,)]
    notice = mailboxes.one(mailing, "ada@example.com")
    assert "Your password was changed" in notice.message["Subject"]


def test_a_new_password_leads_back_to_the_app(
    ada: str, mailing: House, visitor: Browser, quill: App, mailboxes: Mailboxes
) -> None:
    page = from_login(visitor, visitor.open(quill.authorize_url()), "/password/forgot")
    ask(visitor, "/password/forgot", page=page)
    page = choose(visitor, mailboxes.one(mailing, "ada@example.com").link)
    assert "/consent" in page.url
    assert quill.redeem(visitor.decide(page).answer["code"]).status_code == 200


def test_a_link_signs_in_and_leads_back_to_the_app(
    ada: str, mailing: House, visitor: Browser, quill: App, mailboxes: Mailboxes
) -> None:
    page = from_login(visitor, visitor.open(quill.authorize_url()), "/login/link")
    ask(visitor, "/login/link", page=page)
    letter = mailboxes.one(mailing, "ada@example.com")
    page = press(visitor, letter.link)
    assert "/consent" in page.url
    assert visitor.decide(page).answer["state"] == "xyz"
    assert mailing.sql("SELECT detail ->> 'method' FROM audit_events WHERE event = 'login'") == [("link",)]


def test_opening_a_link_uses_nothing_up(ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    """Mail scanners open every link, some of them in a browser of theirs."""
    ask(visitor, "/login/link")
    link = mailboxes.one(mailing, "ada@example.com").link
    for _ in range(3):
        assert "ada@example.com" in Browser(mailing.url).open(link).text
    assert press(visitor, link).url.endswith("/account")
    assert visitor.open(link).status == 410


def test_a_link_opened_in_another_browser_signs_in_there_and_no_more(
    ada: str, mailing: House, visitor: Browser, quill: App, mailboxes: Mailboxes
) -> None:
    """Whoever begins an authorization in somebody's name does not have it finished by them."""
    page = from_login(visitor, visitor.open(quill.authorize_url()), "/login/link")
    ask(visitor, "/login/link", page=page)
    link, phone = mailboxes.one(mailing, "ada@example.com").link, Browser(mailing.url)
    assert "in another browser" in phone.open(link).text
    assert press(phone, link).url.endswith("/account")
    assert "/login" in visitor.open("/account").url


def test_links_end(ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    """The sign-in link after 15 minutes, the one for a password after an hour; and the page offers a new one."""
    ask(visitor, "/login/link")
    sign_in = mailboxes.one(mailing, "ada@example.com").link
    ask(visitor, "/password/forgot")
    reset = mailboxes.one(mailing, "ada@example.com").link
    mailing.turn_clock(minutes=14)
    assert visitor.open(sign_in).status == 200
    mailing.turn_clock(minutes=2)
    over = visitor.open(sign_in)
    assert over.status == 410
    assert 'href="/login/link"' in over.text
    assert visitor.open(reset).status == 200
    mailing.turn_clock(minutes=50)
    over = visitor.open(reset)
    assert over.status == 410
    assert 'href="/password/forgot"' in over.text


def test_a_new_password_ends_all_links_on_their_way(
    ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes
) -> None:
    links = []
    for path in ("/login/link", "/password/forgot", "/password/forgot"):
        ask(visitor, path)
        links.append(mailboxes.one(mailing, "ada@example.com").link)
    assert [visitor.open(link).status for link in links] == [200, 200, 200], "asking again ends none of them"
    assert choose(visitor, links[-1]).url.endswith("/account")
    assert [visitor.open(link).status for link in links] == [410, 410, 410]


def test_a_link_is_for_the_mailbox_it_went_to(ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    ask(visitor, "/password/forgot")
    link = mailboxes.one(mailing, "ada@example.com").link
    mailing.sql("UPDATE users SET email = 'countess@example.com'")
    assert visitor.open(link).status == 410


def test_the_disabled_get_no_link_and_use_none(
    ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes
) -> None:
    ask(visitor, "/password/forgot")
    link = mailboxes.one(mailing, "ada@example.com").link
    mailing.operator("user", "disable", "ada@example.com")
    assert visitor.open(link).status == 410
    assert "If this address has an account" in ask(visitor, "/login/link").text
    assert mailboxes.sent(mailing) == []


@pytest.mark.parametrize("path", ["/password/forgot", "/login/link", "/sign-up"])
def test_the_answer_is_the_same_whoever_asks(ada: str, mailing: House, mailboxes: Mailboxes, path: str) -> None:
    """Status, words, headers and time; only the mailbox knows."""
    answers, times = {}, {}
    for email in ("ada@example.com", "nobody@example.com"):
        samples = []
        for _ in range(8):
            mailing.sql("DELETE FROM rate_counters")
            browser = Browser(mailing.url)
            page = browser.open(path)
            fields = {"csrf": page.field("csrf"), "req": "", "email": email}
            began = time.perf_counter()
            answer = browser.http.post(mailing.url + path, data=fields)
            samples.append(time.perf_counter() - began)
            mailboxes.sent(mailing)
        volatile = {"date", "x-request-id"}
        headers = {name: value for name, value in answer.headers.items() if name not in volatile}
        answers[email] = (answer.status_code, answer.text, headers)
        times[email] = min(samples)
    assert answers["ada@example.com"] == answers["nobody@example.com"]
    assert answers["ada@example.com"][0] == 303
    assert abs(times["ada@example.com"] - times["nobody@example.com"]) < 0.02


def test_letters_are_counted_by_mailbox_and_by_place(
    ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes
) -> None:
    """Five an hour to one mailbox, whether anybody has it or not; ten in ten minutes from one place."""
    statuses = [ask(visitor, "/password/forgot").status for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert len(mailboxes.sent(mailing)) == 5
    unknown = [ask(visitor, "/password/forgot", "nobody@example.com").status for _ in range(5)]
    assert unknown == [200] * 4 + [429]
    mailing.turn_clock(minutes=11)
    late = [ask(visitor, "/login/link", email) for email in ("ada@example.com", "nobody@example.com")]
    assert [page.status for page in late] == [429, 200], "one more in this hour, of the five to this mailbox"
    assert int(late[0].headers["retry-after"]) > 0
    assert 'value="ada@example.com"' in late[0].text
    assert "Try again in" in late[0].text


@pytest.mark.parametrize(
    "hostile",
    ["", "ada", "ada@", "ada@example.com\nBcc: eve@example.com", "a@b\r\n\r\nhello", "ada@example.com, eve@example.com",
     "<ada@example.com>", "ada@exa\u202emple.com", "ada@example.com\0", "x" * 300 + "@example.com"],
)  # fmt: skip
def test_what_is_no_address_gets_no_letter(
    mailing: House, visitor: Browser, mailboxes: Mailboxes, hostile: str
) -> None:
    page = ask(visitor, "/sign-up", hostile)
    assert page.status == 400
    assert mailboxes.sent(mailing) == []


def test_a_letter_is_text_and_html_in_the_language_of_who_gets_it(
    ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes
) -> None:
    ask(visitor, "/password/forgot")
    letter = mailboxes.one(mailing, "ada@example.com")
    assert letter.sender == "no-reply@example.com"
    assert str(letter.message["From"]) == "Gatehouse <no-reply@example.com>"
    assert letter.message["Date"]
    assert letter.message["Message-ID"].endswith("@example.com>")
    assert letter.message["Auto-Submitted"] == "auto-generated"
    assert letter.message["Content-Language"] == "en"
    assert letter.link in letter.part("html")
    assert "<img" not in letter.part("html"), "nothing tells who read it"
    assert set(re.findall(r"https?://[^\s\"<]+", letter.part("html"))) <= {letter.link, mailing.url}
    mailing.sql("UPDATE users SET language = 'zh-Hans'")
    ask(visitor, "/password/forgot")
    assert mailboxes.one(mailing, "ada@example.com").message["Content-Language"] == "zh-Hans"


def test_without_mail_the_page_says_who_can_help(house: House, browser: Browser) -> None:
    house.add_user()
    login = browser.open("/login")
    assert "/login/link" not in login.text
    assert "/sign-up" not in login.text
    page = from_login(browser, login, "/password/forgot")
    assert "the people who run it can hand you a link" in page.text
    assert '<form method="post" action="/password/forgot">' not in page.text
    for path in ("/login/link", "/sign-up"):
        assert browser.open(path).status == 404
        csrf = login.field("csrf")
        assert browser.send(path, csrf=csrf, email="ada@example.com").status == 404
    assert browser.send("/password/forgot", csrf=login.field("csrf"), email="ada@example.com").status == 200
    assert house.sql("SELECT count(*) FROM one_time_links") == [(0,)]


def test_forms_from_elsewhere_send_no_letter(ada: str, mailing: House, visitor: Browser, mailboxes: Mailboxes) -> None:
    page = visitor.open("/password/forgot")
    fields = {"csrf": page.field("csrf"), "email": "ada@example.com"}
    assert Browser(mailing.url).send("/password/forgot", **fields).status == 403
    assert visitor.send("/password/forgot", {"Origin": "https://evil.example"}, **fields).status == 403
    ask(visitor, "/login/link")
    link = mailboxes.one(mailing, "ada@example.com").link
    stranger = Browser(mailing.url)
    assert stranger.send("/login/link/open", csrf="x", code=link.split("code=")[1]).status == 403
    assert press(visitor, link).url.endswith("/account")
