"""People do in a browser what agents do by themselves: work, pay, and see what was spent; with the keyboard alone, too."""

from __future__ import annotations

import hashlib
import json
import re
import time

import pytest

from tests.actors import http
from tests.agents import Agent, project
from tests.browsers import agent_pages
from tests.browsers.conftest import Sits
from tests.browsers.people import Person

SOLVES = """async ([prefix, target, from]) => {
  const worker = new Worker("/static/work-solver.js");
  return await new Promise((resolve) => {
    worker.onmessage = ({data}) => { if (data.hash) { worker.terminate(); resolve(data); } };
    worker.postMessage({prefix, target, from});
  });
}"""


def done(person: Person) -> str:
    """What was handed over."""
    person.page.locator("#given").wait_for(state="visible", timeout=30_000)
    return person.page.locator("#result").input_value()


def test_from_a_new_project_to_what_was_spent(sits: Sits) -> None:
    """An admin makes a project, somebody works for it with the keyboard alone, spends, and the admin sees it."""
    admin, visitor = sits(), sits()
    agent_pages.made(admin)
    page = admin.page.url.partition("?")[0]
    visitor.opens(str(admin.page.locator("a[href^='/work?key=']").get_attribute("href")))
    visitor.page.keyboard.press("Tab")
    for _ in range(10):
        if visitor.page.evaluate("document.activeElement.id") == "start":
            break
        visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Enter")
    token = done(visitor)
    assert visitor.page.evaluate("document.activeElement.id") == "given-heading", "a screen reader goes on there"
    assert "10 minutes, with 500 sats" in visitor.page.locator("#took").inner_text()
    robot = Agent(visitor.house, "", jwt=token, refresh_token=visitor.page.locator("#refresh").input_value())
    assert robot.charge(7, toolName="whoami").json()["status"] == "ok"
    assert robot.refresh().status_code == 200
    admin.opens("/admin/spending")
    row = admin.page.locator("tr", has_text="Robots").inner_text().split()
    assert row == ["Robots", "0", "7", "1", "0", "0"]
    admin.presses(admin.page.get_by_role("link", name="Robots"))
    assert admin.page.url == page


def test_a_challenge_of_register_is_solved_by_pasting_it(person: Person) -> None:
    """What the page gives is taken by /register, in whichever form the challenge was pasted."""
    house = person.house
    house.add_user()
    metadata = {"redirect_uris": ["http://127.0.0.1/callback"], "client_name": "Quill"}
    house.world.settings.__dict__["register_work"] = 8
    try:
        refused = http().post(f"{house.url}/register", json=metadata)
        assert refused.status_code == 403, refused.text
        person.opens("/work").page.locator("#challenge").fill("{}")
        person.page.locator("#start").click()
        person.page.locator("#fault").wait_for(state="visible")
        assert "no challenge" in person.page.locator("#fault").inner_text()
        for text in (refused.text, json.dumps(refused.json()["powChallenge"])):
            person.page.locator("#challenge").fill(text)
            person.page.locator("#start").click()
            solved = json.loads(done(person))
            person.page.locator("#start").wait_for(state="visible")
        assert not person.page.locator("#fault").is_visible()
        assert http().post(f"{house.url}/register", json=metadata | solved).status_code == 201
    finally:
        house.world.settings.__dict__["register_work"] = 0


@pytest.mark.long  # now and then so much work is done in a moment
def test_work_is_cancelled_and_begun_again(person: Person) -> None:
    """Escape or the button: at once, every worker ends, nothing is sent."""
    person.house.add_user()
    key = project(person.house, "Heavy", bits_floor=24, bits_ceiling=24)
    person.opens(f"/work?key={key}")
    for way in ("button", "key"):
        person.page.locator("#start").click()
        person.page.locator("#told", has_text=" a second").wait_for(timeout=30_000)
        assert re.search(r"in one of a hundred more than", person.page.locator("#told").inner_text())
        assert person.page.evaluate("document.activeElement.id") == "cancel"
        assert len(person.page.workers) > 0
        person.page.locator("#cancel").click() if way == "button" else person.page.keyboard.press("Escape")
        person.page.locator("#fault").wait_for(state="visible")
        assert "Cancelled" in person.page.locator("#fault").inner_text()
        assert person.page.evaluate("document.activeElement.id") == "start"
        ends = time.monotonic() + 30
        while person.page.workers and time.monotonic() < ends:
            person.page.evaluate("document.title")  # lets the news of their end come in
        assert not person.page.workers
    assert not [url for url in person.watch.asked if url.endswith("/api/mcp/confirm")]


def test_the_solver_is_sha_256_for_every_length(person: Person) -> None:
    """Prefixes around the ends of blocks, nonces that grow a digit: each hash is what hashlib says."""
    person.opens("/work")
    target = "0fff" + "f" * 60
    for length in (0, 1, 44, 45, 46, 47, 48, 54, 55, 56, 60, 63, 64, 65, 119, 128, 200):
        for start in (0, 9, 98, 99_999, 10**12 - 1):
            prefix = "x" * length
            found = person.page.evaluate(SOLVES, [prefix, target, start])
            assert found["nonce"] >= start
            assert found["hash"] == hashlib.sha256(f"{prefix}{found['nonce']}".encode()).hexdigest(), (length, start)
            assert found["hash"] <= target
            earlier = (
                hashlib.sha256(f"{prefix}{nonce}".encode()).hexdigest() for nonce in range(start, found["nonce"])
            )
            assert all(hash_hex > target for hash_hex in earlier), "the first that fits"


def test_an_invoice_is_paid_elsewhere_and_the_page_sees_it(person: Person) -> None:
    """The QR code says what the text says; paid by another hand, the page hands over the token by itself, once."""
    agent_pages.invoice(person)
    bolt11 = person.page.locator("#invoice").input_value()
    assert person.page.locator("a[href^='lightning:']").get_attribute("href") == f"lightning:{bolt11}"
    assert str(person.page.locator("img.qr").get_attribute("src")).startswith("data:image/svg+xml")
    assert person.page.evaluate("document.querySelector('img.qr').naturalWidth") > 0
    paid = http().post(f"{person.house.url}/api/public/demo/pay", json={"invoice": bolt11})
    assert paid.status_code == 200
    robot = Agent(person.house, "", jwt=done(person))
    assert robot.usage()["remainingBudgetSats"] == 3
    person.page.reload()
    assert "its token was given" in person.page.locator("main").inner_text()


def test_without_a_script_an_invoice_is_paid_and_looked_after(sits: Sits) -> None:
    person = sits(java_script_enabled=False)
    agent_pages.invoice(person)
    form = person.page.locator("form[action='/pay/look']")
    person.presses(form.locator("button:not([formaction])"))
    assert "Not paid yet" in person.page.locator("main").inner_text()
    person.presses(person.page.locator("[formaction='/pay/pretend']"))
    person.house.turn_clock(seconds=2)  # the node is asked once a second
    person.presses(form.locator("button:not([formaction])"))
    robot = Agent(person.house, "", jwt=person.page.locator("#result").input_value())
    assert robot.usage()["remainingBudgetSats"] == 3
