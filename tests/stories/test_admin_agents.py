"""Admins and agents: projects made, paused, changed and removed; budgets given; what was spent, seen and taken away."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from tests.actors import http
from tests.admins import AdminBrowser, Api, admin_key, events
from tests.agents import Agent, agent, project
from tests.conftest import House

TERMS = {
    "allowance_sats": "500",
    "session_sats": "20",
    "max_calls_per_minute": "7",
    "bits_floor": "6",
    "bits_ceiling": "8",
}
PROJECTS = "/admin/projects"


@pytest.fixture
def ada(house: House) -> AdminBrowser:
    house.add_user(admin=True)
    return AdminBrowser(house)


@pytest.fixture
def api(house: House, ada: AdminBrowser) -> Api:
    return Api(house, admin_key(house))


def a_key(house: House) -> tuple[str, Agent]:
    """A new API key of Ada's: its id, and somebody who charges with it."""
    secret = house.operator("api-key", "add", "backup", "--user", "ada@example.com", "--quiet").strip()
    found = house.sql("SELECT id FROM api_keys ORDER BY created_at DESC LIMIT 1")
    return str(found[0][0]), Agent(house, "", jwt=secret)


def test_a_project_is_made_and_agents_come_with_its_key(house: House, ada: AdminBrowser) -> None:
    made = ada.press(PROJECTS, f"{PROJECTS}/add", name="Robots", scope="read", **TERMS)
    key = re.findall(r"la_pk_[0-9a-f]{24}", made.text)[0]
    assert "done=project-made" in made.url
    assert key in ada.open(PROJECTS).text
    robot = Agent(house, key)
    assert robot.work()["remainingBudgetSats"] == 500
    assert robot.start(forceLightning=True)["invoice"]["amountSats"] == 20
    again = ada.press(PROJECTS, f"{PROJECTS}/add", name="Robots", scope="read", **TERMS)
    assert again.status == 409
    assert 'value="500"' in again.text, "what was typed stays"
    assert ada.press(PROJECTS, f"{PROJECTS}/add", name="R2", scope="admin", **TERMS).status == 400
    for field, value in {
        "session_sats": "0",
        "bits_floor": "25",
        "allowance_sats": "-1",
        "max_calls_per_minute": "x",
    }.items():
        fields = TERMS | {field: value}
        assert ada.press(PROJECTS, f"{PROJECTS}/add", name="R2", scope="read", **fields).status == 400, field
    assert len(events(house, "project.created")) == 1


@pytest.mark.parametrize("path", [PROJECTS, "/admin/clients/new"])
def test_what_others_may_is_not_said_to_be_in_the_admins_name(ada: AdminBrowser, path: str) -> None:
    page = ada.open(path).text
    assert '<span>Change and delete things with the tools <code class="soft small">write</code>' in page
    assert "in your name" not in page


def test_a_project_is_paused_and_goes_on_with_what_it_had(house: House, ada: AdminBrowser) -> None:
    robot = agent(house, allowance_sats=50)
    robot.work()
    robot.charge(20)
    page = f"{PROJECTS}/{house.sql('SELECT id FROM agent_projects')[0][0]}"
    assert "done=paused" in ada.press(page, f"{page}/pause").url
    refused = robot.post("/api/mcp/start")
    assert (refused.status_code, refused.json()["error"]) == (403, "project_paused")
    assert robot.refresh().status_code == 400
    house.turn_clock(seconds=3)
    house.catch_up()
    assert robot.charge(1).status_code == 401
    assert ada.press(page, f"{page}/resume").status == 200
    robot.jwt = robot.refresh().json()["jwt"]
    assert robot.usage()["remainingBudgetSats"] == 30
    assert len(events(house, "project.paused")) == len(events(house, "project.resumed")) == 1


def test_other_terms_count_for_sessions_that_begin_from_now_on(house: House, ada: AdminBrowser, api: Api) -> None:
    before, after = agent(house, allowance_sats=50), Agent(house, "")
    before.work()
    which = str(house.sql("SELECT id FROM agent_projects")[0][0])
    page = f"{PROJECTS}/{which}"
    assert ada.press(page, f"{page}/change", name="Others", scope="read", **TERMS).status == 200
    after.key = before.key
    assert after.work()["remainingBudgetSats"] == 500
    assert before.usage()["remainingBudgetSats"] == 50
    assert ada.press(page, f"{page}/change", name="Others", scope="read", **TERMS | {"session_sats": "0"}).status == 400
    told = api("PATCH", f"/projects/{which}", json={"session_sats": 33, "paused": True})
    assert (told["session_sats"], told["name"], "paused_at" in told) == (33, "Others", True)
    assert "paused_at" not in api("PATCH", f"/projects/{which}", json={"paused": False})
    house.operator("project", "change", "Others", "--price", "9", "--bits", "5-9")
    house.operator("project", "pause", "Others")
    assert "paused already" in house.operator("project", "pause", "Others", code=1)
    house.operator("project", "resume", "Others")
    assert (shown := api("GET", f"/projects/{which}"))["session_sats"] == 9
    assert (shown["bits_floor"], shown["bits_ceiling"]) == (5, 9)
    assert house.operator("project", "change", "Others", "--price", "0", code=2)
    assert len(events(house, "project.changed")) == 3


def test_a_removed_project_is_over_for_good(house: House, ada: AdminBrowser, api: Api) -> None:
    robot = agent(house)
    robot.work()
    which = str(house.sql("SELECT id FROM agent_projects")[0][0])
    page = f"{PROJECTS}/{which}"
    assert ada.press(page, f"{page}/remove").status == 409, "only with a tick"
    assert "done=project-removed" in ada.press(page, f"{page}/remove", sure="yes").url
    assert robot.post("/api/mcp/start").json()["error"] == "api_key_revoked"
    assert "/remove" not in ada.open(page).text
    assert robot.key in ada.open(f"{PROJECTS}?ended=yes").text
    assert robot.key not in ada.open(PROJECTS).text
    api("DELETE", f"/projects/{which}", 404)
    api("PATCH", f"/projects/{which}", 404, json={"paused": True, "name": "x"})
    api("GET", "/projects/nobody", 404)


def test_projects_by_json(house: House, api: Api) -> None:
    made = api("POST", "/projects", 201, json={"name": "Robots", "allowance_sats": 5})
    assert (made["allowance_sats"], made["session_sats"], made["scope"]) == (5, 50, ["read"])
    assert [row["id"] for row in api("GET", "/projects")["rows"]] == [made["id"]]
    api("POST", "/projects", 409, json={"name": "Robots"})
    for wrong in (
        {},
        {"name": ""},
        {"name": "x", "session_sats": 0},
        {"name": "x", "bits_floor": "18"},
        {"name": "x", "y": 1},
    ):
        api("POST", "/projects", 400, json=wrong)
    api("POST", "/projects", 400, json={"name": "x", "allowance_sats": 10**30})
    api("DELETE", f"/projects/{made['id']}", 204)


def test_names_that_nobody_has_are_nobodys(house: House, ada: AdminBrowser, api: Api) -> None:
    for name in ("nobody", "%00", "a%00b", "%ff", "x" * 3000):
        for path in (f"{PROJECTS}/{name}", f"/admin/budgets/{name}"):
            assert ada.open(path).status in (400, 404), path
        for path in (f"/projects/{name}", f"/budgets/{name}"):
            api("GET", path, 404)


def test_a_budget_is_given_changed_and_taken_away(house: House, ada: AdminBrowser, api: Api) -> None:
    name, member = a_key(house)
    page = f"/admin/budgets/{name}"
    assert member.charge(1).json()["error"] == "no_budget"
    assert page in ada.open("/admin/api-keys").text
    assert "done=budget-given" in ada.press(page, f"{page}/give", allowance_sats="10", max_calls_per_minute="").url
    assert member.charge(8).json()["status"] == "ok"
    assert ada.press(page, f"{page}/give", allowance_sats="x").status == 400
    told = api("PUT", f"/budgets/{name}", json={"allowance_sats": 20, "max_calls_per_minute": 5})
    assert (told["remaining_sats"], told["day_sats"], told["email"]) == (12, 8, "ada@example.com")
    for wrong in (
        {},
        {"allowance_sats": -1},
        {"allowance_sats": 1.5},
        {"allowance_sats": 1, "max_calls_per_minute": 0},
    ):
        api("PUT", f"/budgets/{name}", 400, json=wrong)
    assert [row["id"] for row in api("GET", "/budgets")["rows"]] == [name]
    assert "done=budget-removed" in ada.press(page, f"{page}/take-away").url
    assert member.charge(1).json()["reason"] == "session_ended"
    api("DELETE", f"/budgets/{name}", 404)
    assert api("GET", "/budgets")["rows"] == []
    house.operator("budget", "set", name, "--allowance", "20")
    house.operator("budget", "remove", name)
    assert "no API key" in house.operator("budget", "remove", name, code=1)
    assert len(events(house, "budget.set")) == 3
    assert [row[0] for row in events(house, "budget.removed")] == [house.sql("SELECT id FROM users")[0][0]] * 2


def test_somebody_gives_up_their_own_budget_and_nobody_elses(house: House, ada: AdminBrowser) -> None:
    name, _ = a_key(house)
    house.operator("budget", "set", name, "--allowance", "10")
    house.add_user("bob@example.com")
    bob = AdminBrowser(house, "bob@example.com")
    csrf = bob.open("/account/spending").field("csrf")
    assert "done=nothing" in bob.send("/account/spending/give-up", csrf=csrf, id=name).url
    assert "done=budget-given-up" in ada.press("/account/spending", "/account/spending/give-up", id=name).url
    assert house.sql("SELECT ended_at IS NULL FROM budgets") == [(False,)]


def spent(house: House) -> tuple[str, Agent]:
    """38 sats of two projects and a key, 50 that came in, three denials, one refund."""
    robot = Agent(house, project(house, "Robots", allowance_sats=30))
    robot.work()
    robot.charge(12, toolName="whoami")
    robot.charge(12, toolName="=1+1")
    robot.charge(12)
    name, member = a_key(house)
    house.operator("budget", "set", name, "--allowance", "20", "--calls", "3")
    for _ in range(2):
        member.charge(7, toolName="whoami")
    member.charge(7)
    member.charge(1, toolName="lost", idempotencyKey="k")
    house.sql("UPDATE charges SET state = 'released', returned_sats = sats, sats = 0 WHERE tool = 'lost'")
    member.charge(1)
    robot.start(forceLightning=True)
    house.sql("UPDATE payments SET settled_at = created_at")
    return name, member


def test_the_books_say_who_spent_what_and_what_was_denied(house: House, ada: AdminBrowser, api: Api) -> None:
    spent(house)
    books = api("GET", "/spending")
    total = books["total"]
    assert (total["sats_in"], total["sats_spent"], total["calls"]) == (50, 38, 4)
    assert (total["refunds"], total["sats_refunded"]) == (1, 1)
    assert (total["denied_budget_exceeded"], total["denied_rate_limited"]) == (2, 1)
    assert {line.get("name", line["project"]): line["sats_spent"] for line in books["projects"]} == {
        "Robots": 24,
        "api_key": 14,
    }
    assert {line["tool"]: line["sats_spent"] for line in books["tools"]} == {"whoami": 26, "=1+1": 12, "": 0, "lost": 0}
    assert [line["sats_in"] for line in books["days"]] == [50]
    page = ada.open("/admin/spending").text
    assert all(words in page for words in ("Robots", "=1+1", "too little left 2", "too many calls a minute 1"))
    assert api("GET", "/spending?since=2020-01-01&until=2020-12-31")["days"] == []
    for bad in (
        "since=x",
        "since=2026-02-30",
        "since=2026-02-02&until=2026-02-01",
        "until=9999-12-31",
        "since=0001-01-01",
    ):
        api("GET", f"/spending?{bad}", 400)
        assert ada.open(f"/admin/spending?{bad}").status == 400


def test_numbers_stand_after_their_words(ada: AdminBrowser) -> None:
    """In the document as on the page: there a list of terms begins with one."""
    page = ada.open("/admin/spending").text
    assert '<dl class="numbers"><div><dt>sats came in</dt><dd>0</dd></div>' in page


def test_the_books_are_taken_away_and_no_spreadsheet_runs_them(house: House, ada: AdminBrowser, api: Api) -> None:
    spent(house)
    rows = list(csv.DictReader(io.StringIO(ada.open("/admin/spending/file?format=csv").text)))
    assert sum(int(row["sats_spent"]) for row in rows) == 38
    assert "'=1+1" in {row["tool"] for row in rows}
    answer = http().get(f"{house.url}/admin/api/spending/file", headers={"Authorization": f"Bearer {api.key}"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/jsonl"
    assert {line["tool"] for line in lines} == {"whoami", "=1+1", "", "lost"}
    assert sum(line["sats_in"] for line in lines) == 50
    assert ada.open("/admin/spending/file?format=exe").status == 400
    assert len(events(house, "spending.exported")) == 2


def test_whoever_paid_sees_it_and_shows_a_receipt_that_anybody_can_check(house: House, ada: AdminBrowser) -> None:
    name, _ = spent(house)
    page = ada.open("/account/spending")
    assert "spent 14 sats" in page.text
    assert "24" not in re.findall(r'class="number">(\d+)<', page.text), "what agents spent is not hers"
    charge = re.findall(r"receipt\?charge=(\d+)", page.text)
    assert len(charge) == 2, "what was given back has none"
    receipt = re.search(r'id="signed"[^>]*>([^<]+)<', ada.open(f"/account/spending/receipt?charge={charge[0]}").text)
    assert receipt
    claims = (
        http().post(f"{house.url}/receipt", data={"receipt": receipt[1]}, headers={"Accept": "application/json"}).json()
    )
    assert (claims["sats"], claims["tool"], claims["budget"], claims["iss"]) == (7, "whoami", name, house.url)
    altered = receipt[1][:-6] + ("AAAAAA" if receipt[1][-6:] != "AAAAAA" else "BBBBBB")
    robot = agent(house)
    robot.work()
    for wrong in (altered, robot.jwt, "", "x" * 5000, "a.b.c", "\u00e9.\u00e9.\u00e9"):
        assert http().post(f"{house.url}/receipt", data={"receipt": wrong}).status_code == 400, wrong[:20]
        told = http().post(f"{house.url}/receipt", data={"receipt": wrong}, headers={"Accept": "application/json"})
        assert (told.status_code, told.json()["error"]) == (400, "invalid_request")
    assert Agent(house, "", jwt=receipt[1]).charge(1).status_code == 401, "it opens no door"


def test_receipts_and_charges_are_nobody_elses(house: House, ada: AdminBrowser) -> None:
    spent(house)
    house.add_user("bob@example.com")
    bob = AdminBrowser(house, "bob@example.com")
    charge = re.findall(r"receipt\?charge=(\d+)", ada.open("/account/spending").text)[0]
    assert bob.open(f"/account/spending/receipt?charge={charge}").status == 404
    for odd in ("", "0", "99999999999999999999", "x", "%00"):
        assert ada.open(f"/account/spending/receipt?charge={odd}").status in (400, 404)
    mine = list(csv.DictReader(io.StringIO(ada.open("/account/spending/file").text)))
    assert [row["sats"] for row in mine] == ["7", "7", "0"]
    assert bob.open("/account/spending/file").text.count("\n") == 1
    assert len(ada.open("/account/spending/file?format=jsonl").text.splitlines()) == 3
    assert ada.open("/account/spending/file?format=exe").status == 400


def test_the_export_of_an_account_has_its_charges_and_they_go_with_it(house: House, ada: AdminBrowser) -> None:
    spent(house)
    document = json.loads(ada.press("/account/profile", "/account/export").text)
    assert [row["sats"] for row in document["charges"]] == [7, 7, 0]
    assert {row["reason"] for row in document["denials"]} == {"budget_exceeded", "rate_limited"}
    house.add_user("bob@example.com", admin=True)
    user = house.sql("SELECT id FROM users WHERE email = 'ada@example.com'")[0][0]
    Api(house, admin_key(house, "bob@example.com"))("DELETE", f"/users/{user}", 204)
    assert house.sql("SELECT count(*) FROM charges WHERE tool = 'whoami'") == [(1,)], "the agents' stays"
    assert {row[0] for row in house.sql("SELECT reason FROM charge_denials")} == {"budget_exceeded"}
