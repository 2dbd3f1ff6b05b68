"""The pages of admins. `pages.py` has all the others, and these."""

from __future__ import annotations

from tests import actors
from tests.actors import App
from tests.browsers.people import ADA, LONG, Bring, Person, Place, connected

BOB, CAROL = "bob@example.com", "carol.featherstonehaugh-cholmondeley@mail.example.com"
NEW = "/admin/clients/new"


def at(path: str) -> Bring:
    """Nothing has happened here yet."""
    return lambda person: person.is_signed_in(admin=True).opens(path)


def busy(person: Person) -> App:
    """A house that is lived in: people, apps, connections, keys, attempts that went well and that did not."""
    house = person.house
    person.is_signed_in(admin=True)
    for email in (BOB, CAROL):
        house.add_user(email)
    connected(house, LONG, CAROL)
    quill = connected(house, "Quill", BOB, scope="read write")
    house.sql("UPDATE users SET name = 'Bob', disabled_at = now() WHERE email = :email", email=BOB)
    by_hand(person)
    person.opens("/account/api-keys").sends("/account/api-keys", name="nightly backup of the notes in the cellar")
    actors.Browser(house.url).open(App(house.url, client_id="cli_unknown").authorize_url())
    lost = App(house.url)
    lost.register(client_name="Lost")
    actors.Browser(house.url).open(lost.authorize_url())
    house.turn_clock(minutes=10)
    house.wait_for(house.world.traces.flush())
    return quill


def by_hand(person: Person) -> None:
    person.opens(NEW).types(redirect_uris="https://notes.example/callback").sends(f"{NEW}/add", name="Notes")


def lived_in(path: str) -> Bring:
    return lambda person: (busy(person), person.opens(path))


def somebody(person: Person) -> None:
    busy(person)
    person.opens("/admin/users").presses(person.page.get_by_role("link", name=CAROL))


def disabled(person: Person) -> None:
    busy(person)
    person.opens("/admin/users").presses(person.page.get_by_role("link", name=BOB))


def oneself(person: Person) -> None:
    at("/admin/users")(person)
    person.presses(person.page.get_by_role("link", name=ADA))


def added(person: Person) -> None:
    at("/admin/users")(person)
    person.sends("/admin/users/add", email=BOB)


def not_added(person: Person) -> None:
    at("/admin/users")(person)
    person.sends("/admin/users/add", email=ADA)


def app(person: Person) -> None:
    person.opens(f"/admin/clients/{busy(person).client_id}")


def app_blocked(person: Person) -> None:
    app(person)
    path = person.page.url.removeprefix(person.house.url)
    person.sends(f"{path}/block")


def app_with_bad_lifetimes(person: Person) -> None:
    app(person)
    path = person.page.url.removeprefix(person.house.url)
    person.sends(f"{path}/lifetimes", access_lifetime="5")


def app_made(person: Person) -> None:
    person.is_signed_in(admin=True)
    by_hand(person)


def app_not_made(person: Person) -> None:
    at(NEW)(person)
    person.types(redirect_uris="http://notes.example/callback").sends(f"{NEW}/add", name="Notes")


def stale_keys(person: Person) -> None:
    busy(person)
    person.house.sql("UPDATE api_keys SET created_at = created_at - interval '91 days'")
    person.opens("/admin/api-keys?stale=yes")


def attempt(person: Person) -> None:
    lived_in("/admin/attempts")(person)
    person.presses(person.page.locator("#live h2 a").last)


ONE_USER, ONE_APP = "/admin/users/{user_id}", "/admin/clients/{client}"
PAGES = {
    f"admin: {name}": Place(path, bring)
    for name, path, bring in (
        ("overview", "/admin", at("/admin")),
        ("overview, lived in", "/admin", lived_in("/admin")),
        ("users", "/admin/users", lived_in("/admin/users")),
        ("users, nobody found", "/admin/users", at("/admin/users?q=nobody&kind=disabled")),
        ("user added", "/admin/users", added),
        ("user not added", "/admin/users/add", not_added),
        ("one user", ONE_USER, somebody),
        ("one user, disabled", ONE_USER, disabled),
        ("one user, oneself", ONE_USER, oneself),
        ("invitations, closed", "/admin/invitations", at("/admin/invitations")),
        ("apps", "/admin/clients", lived_in("/admin/clients")),
        ("apps, none", "/admin/clients", at("/admin/clients")),
        ("one app", ONE_APP, app),
        ("one app, blocked", ONE_APP, app_blocked),
        ("one app, bad lifetimes", ONE_APP + "/lifetimes", app_with_bad_lifetimes),
        ("app by hand", NEW, at(NEW)),
        ("app by hand, made", ONE_APP, app_made),
        ("app by hand, refused", f"{NEW}/add", app_not_made),
        ("connections", "/admin/connections", lived_in("/admin/connections")),
        ("connections, none", "/admin/connections", at("/admin/connections")),
        ("keys", "/admin/api-keys", lived_in("/admin/api-keys")),
        ("keys, stale", "/admin/api-keys", stale_keys),
        ("attempts", "/admin/attempts", lived_in("/admin/attempts")),
        ("attempts, followed", "/admin/attempts", at("/admin/attempts?follow=1")),
        ("one attempt", "/admin/attempts/{attempt}", attempt),
        ("signing keys", "/admin/signing-keys", at("/admin/signing-keys")),
        ("audit log", "/admin/audit", lived_in("/admin/audit")),
        ("audit log, bad day", "/admin/audit", at("/admin/audit?since=yesterday")),
        ("settings", "/admin/settings", at("/admin/settings")),
        ("the API", "/docs", at("/docs")),
    )
}
