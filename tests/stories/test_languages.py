"""Pages in the reader's language: chosen by browser, app or profile, with not one sentence left in English."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from app.protocol.errors import InvalidClientDocument, InvalidRedirectUri
from tests.actors import App, Browser, Device, Page
from tests.conftest import House

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
# What stays as it is: names of apps, of this server, words of the protocol, and commands, which are in <code>.
NAMES = re.compile(
    r"Gatehouse|Quill|MCP Inspector|MCP OAuth2 API|Claude Code|Claude Desktop|Gemini CLI|VS Code|ChatGPT|"
    r"Settings → \w+( & \w+)?|Advanced settings|Developer mode|Create app|Add custom connector|Clear authentication|"
    r"Clear OAuth [Ss]tate|Connect my account|Use Dynamic Client Registration|Team|Enterprise"
)
SENTENCE = re.compile(r"[A-Za-z][a-z']+[ ,]+[A-Za-z]?[a-z']+")  # two English words in a row
SEEN = ("aria-label", "alt", "placeholder", "title")


class Texts(HTMLParser):
    """What a reader sees or is read, but for what others wrote (<bdi>) and what is typed (<code>)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("bdi", "code", "style", "script"):
            self._inside.append(tag)
        self.found += [value for name, value in attrs if name in SEEN and value]

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside and data.strip():
            self.found.append(data.strip())


def english(page: Page) -> list[str]:
    """The texts with English left in them."""
    reader = Texts()
    reader.feed(page.text)
    return [text for text in reader.found if SENTENCE.search(NAMES.sub("", text))]


def reader(house: House) -> Browser:
    return Browser(house.url, headers=CHINESE)


def consent(app: App, house: House) -> Page:
    browser = reader(house)
    return browser.sign_in(browser.open(app.authorize_url(scope="openid profile email read write api_keys")))


def consent_to_an_app_here(app: App, house: House) -> Page:
    app.register(redirect_uris=["quill://back"])
    app.redirect_uri = "quill://back"
    return consent(app, house)


def device(app: App, house: House) -> Page:
    browser = reader(house)
    browser.sign_in()
    return browser.open("/device")


def unknown_code(app: App, house: House) -> Page:
    page = device(app, house)
    browser = reader(house)
    browser.sign_in()
    page = browser.open("/device")
    return browser.send("/device", csrf=page.field("csrf"), user_code="BBBB-BBBB")


def device_consent(app: App, house: House) -> Page:
    browser = reader(house)
    browser.sign_in()
    return Device.of(app).entered(browser)


def decided(decision: str) -> Callable[[App, House], Page]:
    def decide(app: App, house: House) -> Page:
        browser = reader(house)
        browser.sign_in()
        return Device.of(app).decide(browser, decision)

    return decide


def fault_of_the_app(app: App, house: House) -> Page:
    app.register(redirect_uris=["https://quill.example/back"])
    return reader(house).open(app.authorize_url(redirect_uri="https://quill.example/back", code_challenge=None))


def removed_app(app: App, house: House) -> Page:
    house.sql("UPDATE clients SET revoked_at = '2026-11-01T00:00:00Z'")
    return reader(house).open(app.authorize_url())


PAGES: dict[str, Callable[[App, House], Page]] = {
    "consent": consent,
    "consent to an app here": consent_to_an_app_here,
    "device": device,
    "unknown code": unknown_code,
    "device's consent": device_consent,
    "device allowed": decided("allow"),
    "device refused": decided("deny"),
    "nothing here": lambda app, house: Browser(house.url, headers=CHINESE | {"Accept": "text/html"}).open("/nowhere"),
    "client_id missing": lambda app, house: reader(house).open("/authorize"),
    "expired page": lambda app, house: reader(house).open("/consent?req=x"),
    "foreign form": lambda app, house: reader(house).send("/consent", {"Origin": "https://evil.example"}, csrf="x"),
    "wrong redirect": lambda app, house: reader(house).open(app.authorize_url(redirect_uri="https://evil.example/")),
    "fault of the app": fault_of_the_app,
    "unknown app": lambda app, house: reader(house).open(app.authorize_url(client_id="client_gone")),
    "removed app": removed_app,
    "document that is none": lambda app, house: reader(house).open(app.authorize_url(client_id="https://x.example")),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_chinese_page_is_chinese_all_over(app: App, house: House, name: str) -> None:
    page = PAGES[name](app, house)
    assert '<html lang="zh-Hans">' in page.text
    assert re.search("[\u4e00-\u9fff]", page.text)
    assert english(page) == []


def test_the_test_sees_english(app: App, house: House) -> None:
    assert english(Browser(house.url).open("/authorize"))


def test_the_date_of_a_removal(app: App, house: House) -> None:
    assert '于<time datetime="2026-11-01T00:00:00Z">2026年11月1日</time>' in removed_app(app, house).text
    english_page = Browser(house.url).open(app.authorize_url()).text
    assert '<time datetime="2026-11-01T00:00:00Z">1 November 2026</time>' in english_page


def test_the_browser_says_which(house: House) -> None:
    for wish, language in {"": "en", "zh-CN": "zh-Hans", "zh-TW": "en", "en;q=0.1, zh;q=0.2": "zh-Hans"}.items():
        page = Browser(house.url, headers={"Accept-Language": wish}).open("/authorize")
        assert f'<html lang="{language}">' in page.text, wish


def test_the_app_says_which(app: App, house: House) -> None:
    """OIDC Core §3.1.2.1: `ui_locales` is the app's wish; it goes along through every step."""
    browser = Browser(house.url, headers={"Accept-Language": "en"})
    page = browser.open(app.authorize_url(ui_locales="fr-CA zh-CN en"))
    assert "/login" in page.url
    assert '<html lang="zh-Hans">' in page.text
    page = browser.sign_in(page)
    assert "/consent" in page.url
    assert '<html lang="zh-Hans">' in page.text
    assert '<html lang="en">' in browser.open("/account").text
    plain = Browser(house.url, headers={"Accept-Language": "en"}).open(app.authorize_url(ui_locales="fr"))
    assert '<html lang="en">' in plain.text, "a wish that cannot be met changes nothing"


def test_the_profile_has_the_last_word(app: App, house: House) -> None:
    house.sql("UPDATE users SET language = 'zh-Hans'")
    browser = Browser(house.url, headers={"Accept-Language": "en"})
    browser.sign_in()
    assert '<html lang="zh-Hans">' in browser.open("/device").text
    house.sql("UPDATE users SET language = 'en'")
    assert '<html lang="en">' in browser.open("/device").text
    house.sql("UPDATE users SET language = NULL")
    assert '<html lang="en">' in browser.open("/device").text


def test_programs_are_spoken_to_in_english(app: App, house: House) -> None:
    answer = app.http.post(f"{house.url}/token", data={"grant_type": "x"}, headers=CHINESE)
    assert answer.json()["error_description"].isascii()
    browser = reader(house)
    page = browser.sign_in(browser.open(app.authorize_url()))
    assert browser.decide(page, "deny").answer["error_description"] == "the user did not allow this"


def test_a_refusal_with_another_one_in_it() -> None:
    """What goes on the wire is English, with the values filled in; a brace that somebody sent is no template."""
    inner = InvalidRedirectUri("{uri} {why}; use https", uri="x{y}", why="has a fragment")
    outer = InvalidClientDocument("the app's document at {url} is not valid: {fault}", url="https://a/{b}", fault=inner)
    assert outer.description == "the app's document at https://a/{b} is not valid: x{y} has a fragment; use https"
    assert InvalidRedirectUri("{not a template}").description == "{not a template}"
