"""What people do with their account: take back what an app may do, make a key and use it, become the owner."""

from __future__ import annotations

import json
import subprocess

from playwright.sync_api import expect

from tests.browsers.pages import link
from tests.browsers.people import Person, connected
from tests.conftest import House

CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'


def curl(house: House, key: str) -> tuple[int, str]:
    """The status and body of a call with this key, as the README has it."""
    command = [
        "curl",
        "-s",
        "-w",
        "\n%{http_code}",
        f"{house.url}/mcp",
        "-H",
        f"Authorization: Bearer {key}",
        "-d",
        CALL,
    ]
    command += ["-H", "Content-Type: application/json", "-H", "Accept: application/json, text/event-stream"]
    body, _, status = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.rpartition("\n")
    return int(status), body


def test_a_revoked_app_is_out_at_once(person: Person, house: House) -> None:
    person.is_signed_in()
    app = connected(house)
    person.opens("/account")
    person.presses(person.page.get_by_role("button", name="Disconnect Quill"))
    expect(person.page.get_by_role("button", name="Disconnect Quill")).to_have_count(0)
    house.catch_up()
    assert app.call("whoami", app.tokens["access_token"]).status_code == 401


def test_a_key_is_made_used_with_curl_and_revoked(person: Person, house: House) -> None:
    person.is_signed_in().opens("/account/api-keys").sends("/account/api-keys", name="cron")
    key = person.page.locator("input[readonly]").input_value()
    status, body = curl(house, key)
    assert (status, json.loads(body)["result"]["structuredContent"]["via"]) == (200, "api_key")
    person.opens("/account/api-keys")
    assert key not in person.page.content()
    person.presses(person.page.get_by_role("link", name="Revoke cron"))
    assert curl(house, key)[0] == 200, "nothing ends before it is confirmed"
    person.presses(person.page.get_by_role("button", name="Revoke for good"))
    house.catch_up()
    assert curl(house, key)[0] == 401


def test_the_first_owner_comes_by_the_set_up_link(person: Person, house: House) -> None:
    """It works once, and whoever comes later is told so."""
    address = link(person, "setup")
    person.opens("/")
    expect(person.page.get_by_text("There is no owner yet")).to_be_visible()
    person.opens(address).sends("/setup", email="owner@example.com", name="Olga", password="four words make one")
    assert person.page.url.startswith(f"{house.url}/a")
    assert house.sql("SELECT email, is_admin FROM users") == [("owner@example.com", True)]
    person.opens(address)
    expect(person.page.get_by_role("heading", name="This link does not work any more")).to_be_visible()
