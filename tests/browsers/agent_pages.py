"""The pages about agents, work, budgets and what was spent. `pages.py` has all the others, and these."""

from __future__ import annotations

from tests.agents import Agent, project
from tests.browsers.people import ADA, LONG, Bring, Person, Place, connected

PROJECTS = "/admin/projects"
TERMS = {
    "allowance_sats": "500",
    "session_sats": "50",
    "max_calls_per_minute": "60",
    "bits_floor": "10",
    "bits_ceiling": "12",
}


def at(path: str) -> Bring:
    """Nothing has happened here yet."""
    return lambda person: person.is_signed_in(admin=True).opens(path)


def spent(person: Person) -> str:
    """Agents that work, pay, charge and are denied; a key with a budget that has spent some of it: the key's id."""
    house = person.house
    person.is_signed_in(admin=True)
    robot = Agent(house, project(house, "Robots that read the notes", allowance_sats=30))
    robot.work()
    for tool in ("whoami", "search_everything_that_there_is"):
        robot.charge(12, toolName=tool)
    robot.charge(12)
    payer = Agent(house, project(house, LONG))
    payer.start(forceLightning=True)
    house.sql("UPDATE payments SET settled_at = created_at")
    secret = house.operator("api-key", "add", "backup", "--user", ADA, "--scope", "read", "--quiet").strip()
    key = str(house.sql("SELECT id FROM api_keys ORDER BY created_at DESC LIMIT 1")[0][0])
    house.operator("budget", "set", key, "--allowance", "20")
    member = Agent(house, robot.key, jwt=secret)
    for _ in range(4):
        member.charge(7, toolName="whoami")
    return key


def after_spending(path: str) -> Bring:
    return lambda person: (spent(person), person.opens(path))


def paid_by_coins(person: Person) -> None:
    """One of each kind, with names as long as they come."""
    person.is_signed_in(admin=True)
    for number, columns in enumerate(
        (
            "NULL, 'not settled', NULL, 'invalid_exact_evm_nonce_already_used'",
            "'0x' || repeat('5b', 32), NULL, now(), NULL",
            "'0x' || repeat('6c', 32), 'call_0123456789abcdef', now(), NULL",
        )
    ):
        person.house.sql(
            "INSERT INTO settlements (fingerprint, network, asset, amount, payer, subject, sats, created_at, transaction, "
            f"claimed_by, settled_at, said) VALUES (sha256('{number}'), 'eip155:84532', '0x' || repeat('03', 20), '13661', "
            f"'0x' || repeat('9f', 20), '{person.house.url}/mcp whoami', 21, :now, {columns})",
            now=person.house.clock(),
        )
    person.opens("/admin/spending/settlements")


def settlements_waiting(person: Person) -> None:
    paid_by_coins(person)
    person.opens("/admin/spending")


def one_project(person: Person) -> None:
    person.is_signed_in(admin=True)
    project(person.house, "Robots")
    person.opens(PROJECTS).presses(person.page.get_by_role("link", name="Robots"))


def made(person: Person) -> None:
    at(PROJECTS)(person)
    person.sends(f"{PROJECTS}/add", name="Robots", **TERMS)


def not_made(person: Person) -> None:
    at(PROJECTS)(person)
    person.sends(f"{PROJECTS}/add", name="Robots", **TERMS | {"bits_floor": "30"})


def here(person: Person) -> str:
    return person.page.url.removeprefix(person.house.url).partition("?")[0]


def paused(person: Person) -> None:
    one_project(person)
    person.sends(f"{here(person)}/pause")


def changed_badly(person: Person) -> None:
    one_project(person)
    person.sends(f"{here(person)}/change", session_sats="0")


def removed(person: Person) -> None:
    one_project(person)
    person.page.locator("details:has([name=sure]) summary").click()
    person.page.locator("[name=sure]").check()
    person.sends(f"{here(person)}/remove")
    person.opens(f"{PROJECTS}?ended=yes").presses(person.page.get_by_role("link", name="Robots"))


def a_budget(person: Person) -> None:
    person.opens(f"/admin/budgets/{spent(person)}")


def no_budget(person: Person) -> None:
    person.is_signed_in(admin=True)
    connected(person.house, LONG)
    person.opens("/admin/connections").presses(person.page.locator("a[href^='/admin/budgets/']").first)


def a_bad_budget(person: Person) -> None:
    no_budget(person)
    person.sends(f"{here(person)}/give", allowance_sats="9999999999999999")


def a_receipt(person: Person) -> None:
    after_spending("/account/spending")(person)
    person.presses(person.page.locator("a[href^='/account/spending/receipt']").first)


def receipt_checked(person: Person) -> None:
    a_receipt(person)
    text = person.page.locator("#signed").input_value()
    person.opens("/receipt").sends("/receipt", receipt=text)


def receipt_forged(person: Person) -> None:
    person.house.add_user()
    person.opens("/receipt").sends("/receipt", receipt="not.a.receipt")


def at_work(person: Person) -> None:
    person.house.add_user()
    person.opens(f"/work?key={project(person.house, 'Robots')}")


def worked(person: Person) -> None:
    at_work(person)
    person.page.locator("#start").click()
    person.page.locator("#given").wait_for(state="visible")


def any_challenge(person: Person) -> None:
    person.house.add_user()
    person.opens("/work")


def work_for_nobody(person: Person) -> None:
    person.house.add_user()
    person.opens("/work?key=la_pk_000000000000000000000000")


def to_pay(person: Person) -> None:
    person.house.add_user()
    person.opens("/pay")


def invoice(person: Person) -> None:
    to_pay(person)
    person.sends("/pay")


def invoice_unpaid(person: Person) -> None:
    invoice(person)
    person.opens(f"{person.page.url}&looked=yes")


def invoice_paid(person: Person) -> None:
    invoice(person)
    person.page.locator("[formaction='/pay/pretend']").click()
    person.page.locator("#given").wait_for(state="visible", timeout=30_000)


def invoice_used(person: Person) -> None:
    invoice_paid(person)
    person.page.reload()


def invoice_over(person: Person) -> None:
    invoice(person)
    person.house.turn_clock(minutes=11)
    person.page.reload()


ONE, ONE_BUDGET = PROJECTS + "/{project}", "/admin/budgets/{budget}"
PAGES = {
    name: Place(path, bring)
    for name, path, bring in (
        ("admin: projects", PROJECTS, after_spending(PROJECTS)),
        ("admin: projects, none", PROJECTS, at(PROJECTS)),
        ("admin: project made", ONE, made),
        ("admin: project not made", f"{PROJECTS}/add", not_made),
        ("admin: one project", ONE, one_project),
        ("admin: one project, paused", ONE, paused),
        ("admin: one project, changed badly", ONE + "/change", changed_badly),
        ("admin: one project, removed", ONE, removed),
        ("admin: spending", "/admin/spending", after_spending("/admin/spending")),
        ("admin: spending, nothing", "/admin/spending", at("/admin/spending")),
        ("admin: spending, bad days", "/admin/spending", at("/admin/spending?since=yesterday")),
        ("admin: settlements", "/admin/spending/settlements", paid_by_coins),
        ("admin: settlements, none", "/admin/spending/settlements", at("/admin/spending/settlements")),
        ("admin: settlements, bad state", "/admin/spending/settlements", at("/admin/spending/settlements?state=x")),
        ("admin: settlements wait", "/admin/spending", settlements_waiting),
        ("admin: budgets", "/admin/budgets", after_spending("/admin/budgets")),
        ("admin: budgets, none", "/admin/budgets", at("/admin/budgets")),
        ("admin: one budget", ONE_BUDGET, a_budget),
        ("admin: one budget, none", ONE_BUDGET, no_budget),
        ("admin: one budget, refused", ONE_BUDGET + "/give", a_bad_budget),
        ("sats spent", "/account/spending", after_spending("/account/spending")),
        ("sats spent, none", "/account/spending", at("/account/spending")),
        ("a receipt", "/account/spending/receipt", a_receipt),
        ("receipt to check", "/receipt", at("/receipt")),
        ("receipt checked", "/receipt", receipt_checked),
        ("receipt forged", "/receipt", receipt_forged),
        ("work for a project", "/work", at_work),
        ("work done", "/work", worked),
        ("work on any challenge", "/work", any_challenge),
        ("work for nobody", "/work", work_for_nobody),
        ("payment, to begin", "/pay", to_pay),
        ("payment, open", "/pay", invoice),
        ("payment, not yet", "/pay", invoice_unpaid),
        ("payment, paid", "/pay", invoice_paid),
        ("payment, used", "/pay", invoice_used),
        ("payment, over", "/pay", invoice_over),
    )
}
