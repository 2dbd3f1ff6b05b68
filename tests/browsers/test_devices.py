"""A device without a browser, and a person who brings its code to this one (RFC 8628 §3.3)."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.actors import App, Device
from tests.browsers.chromium import PHONE
from tests.browsers.conftest import Sits
from tests.browsers.people import Person


def test_a_device_is_connected_from_a_phone(app: App, sits: Sits) -> None:
    """The address of the QR code, sign-in, the code compared, Allow; the keyboard is enough."""
    device = Device.of(app)
    person = sits(viewport=PHONE, has_touch=True, is_mobile=True)
    person.opens(device.complete).signs_in()
    page, code = person.page, person.page.locator("[name=user_code]")
    expect(code).to_be_focused()
    expect(code).to_have_value(device.user_code)
    code.fill("bbbb bbbb")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("No device waits")
    expect(code).to_be_focused()
    code.fill(device.user_code.lower())
    page.keyboard.press("Enter")
    expect(page.get_by_text(device.user_code)).to_be_visible()
    person.decides("allow")
    expect(page.get_by_role("heading", name="Your device is connected")).to_be_visible()
    assert device.poll().status_code == 200


def test_a_device_is_refused(app: App, person: Person) -> None:
    device = Device.of(app)
    person.opens(device.complete).signs_in().sends("/device").decides("deny")
    expect(person.page.get_by_role("heading", name="Your device was refused")).to_be_visible()
    assert device.word() == "access_denied"
