"""Nobody is left out: those without a mouse, without scripts, and those who read Chinese."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.actors import PASSWORD, App
from tests.browsers.conftest import Sits
from tests.browsers.people import ADA, Person
from tests.conftest import House

# The element that has the focus: its name, and whether a ring around it is to be seen.
FOCUS = """() => {
  const here = document.activeElement, style = getComputedStyle(here);
  return [here.name || here.textContent.trim(), here.value || "",
          style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && here.matches(":focus-visible")];
}"""


def tab(page: Page) -> str:
    """Goes on by one, and says to what."""
    page.keyboard.press("Tab")
    name, value, is_visible = page.evaluate(FOCUS)
    assert is_visible, f"nobody sees that the focus is on {name} {value}"
    return f"{name} {value}".strip()


def test_the_keyboard_is_enough(person: Person, app: App, house: House) -> None:
    """To sign in and to allow, with Tab and Enter; where one is can be seen, and goes from top to bottom."""
    app.redirect_uri = f"{house.url}/callback"  # the house itself stands in for the app
    app.register()
    person.opens(app.authorize_url())
    page = person.page
    expect(page.locator("[name=email]")).to_be_focused()
    page.keyboard.type(ADA)
    assert tab(page) == "password"
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/consent?*")
    seen = [tab(page) for _ in range(3)]
    assert seen == ["Gatehouse", "decision deny", "decision allow"]
    page.keyboard.press("Enter")
    page.wait_for_url("**/callback?code=*")


def test_the_first_fault_has_the_focus(person: Person, app: App) -> None:
    """So that a screen reader reads it, and the next key lands where it is mended."""
    person.opens("/login").signs_in(password="not the right one")
    described = "document.activeElement.getAttribute('aria-describedby')"
    fault = person.page.evaluate(described).split()[0]
    assert person.page.locator(f"#{fault}").inner_text().endswith(".")
    expect(person.page.locator("[name=email]")).to_have_value(ADA)
    expect(person.page.locator("[name=password]")).to_have_value("")


def test_no_script_is_needed(sits: Sits, app: App, house: House) -> None:
    app.redirect_uri = f"{house.url}/callback"
    app.register()
    person = sits(java_script_enabled=False)
    person.opens(app.authorize_url()).signs_in().decides("allow")
    code = person.is_sent_to(app.redirect_uri).split("code=")[1].split("&")[0]
    assert app.redeem(code).status_code == 200
    person.opens("/account/api-keys").sends("/account/api-keys", name="cron")
    assert app.call("whoami", person.page.locator("input[readonly]").input_value()).status_code == 200


def test_a_reader_of_chinese_is_answered_in_chinese(sits: Sits, app: App, house: House) -> None:
    """By Accept-Language; the way is the same."""
    app.redirect_uri = f"{house.url}/callback"
    app.register()
    person = sits(locale="zh-CN")
    person.opens(app.authorize_url())
    expect(person.page.locator("html")).to_have_attribute("lang", "zh-Hans")
    person.signs_in()
    expect(person.page.locator("html")).to_have_attribute("lang", "zh-Hans")
    person.decides("allow")
    assert re.search("code=gh_code_", person.is_sent_to(app.redirect_uri))
