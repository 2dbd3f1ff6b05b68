"""What helps at the pages of admins and accounts: a way past the navigation, copying what is shown once, being told of what is new."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.actors import App
from tests.browsers.admin_pages import BOB, by_hand
from tests.browsers.conftest import Sits
from tests.browsers.people import Person
from tests.conftest import House


@pytest.mark.parametrize("path", ["/account", "/admin"])
def test_the_first_tab_leads_past_the_navigation(person: Person, path: str) -> None:
    """WCAG 2.4.1."""
    page = person.is_signed_in(admin=True).opens(path).page
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).not_to_be_in_viewport()
    page.keyboard.press("Tab")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#content').contains(document.activeElement)")


def copied(person: Person, name: str) -> None:
    """The button beside this field copies all of it."""
    field = person.page.locator(f"#{name}")
    button = person.page.locator(f"button[data-copies={name}]")
    button.click()
    expect(button).to_have_text("Copied")
    assert person.page.evaluate("navigator.clipboard.readText()") == field.input_value() != ""


def test_what_is_shown_once_can_be_copied(sits: Sits) -> None:
    person = sits(permissions=["clipboard-read", "clipboard-write"])
    person.is_signed_in(admin=True)
    by_hand(person)
    copied(person, "client_id")
    copied(person, "client_secret")
    person.opens("/admin/users").sends("/admin/users/add", email=BOB)
    copied(person, "link")
    person.presses(person.page.get_by_role("link", name=BOB))
    assert not person.page.locator("button.copy, script").count(), "no script where nothing is to be copied"
    person.presses(person.page.get_by_role("button", name="Make a link"))
    copied(person, "link")


def test_an_invitation_can_be_copied(sits: Sits, mailing: House) -> None:
    person = sits(mails=True, permissions=["clipboard-read", "clipboard-write"])
    person.is_signed_in(admin=True).opens("/admin/invitations").page.locator("[name=by]").check()
    person.sends("/admin/invitations/add", email=BOB)
    copied(person, "link")


def test_who_follows_is_told_that_there_is_something_new(person: Person, house: House) -> None:
    page = person.is_signed_in(admin=True).opens("/admin/attempts?follow=1").page
    news = page.locator("#news")
    looked = page.locator(".following time").text_content() or ""
    expect(page.locator(".following time")).not_to_have_text(looked)
    expect(news).to_have_text("")
    assert not page.locator("#live[aria-live], #live [aria-live]").count(), "else all of the list would be read out"
    App(house.url).http.post(f"{house.url}/register", json={"redirect_uris": ["http://app.example/cb"]})
    house.wait_for(house.world.traces.flush())
    expect(news).to_have_text("New attempts")
