"""Every page, and how a person gets there. What is seen here is checked by all of this package: add a line for a new page."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from app.clients import store as clients
from app.clients.remove import remove
from app.protocol import client_metadata
from app.users import accounts
from tests import actors, factors
from tests.actors import App, Device
from tests.browsers import admin_pages, agent_pages, mail_pages, service_pages
from tests.browsers.people import ADA, LONG, Person, Place, connected

DOCUMENT = "https://notes.example/app.json"


def at(path: str) -> Place:
    """For anybody, once there is an owner."""

    def bring(person: Person) -> None:
        person.house.add_user()
        person.opens(path)

    return Place(path, bring)


def signed_in(path: str, *, admin: bool = False) -> Place:
    """For somebody who has an account and nothing else."""
    return Place(path, lambda person: person.is_signed_in(admin=admin).opens(path))


def without_owner(person: Person) -> None:
    person.opens("/")


def login_refused(person: Person) -> None:
    person.opens("/login").signs_in(password="not the right one at all")


def login_too_often(person: Person) -> None:
    login_refused(person)
    person.house.sql("UPDATE rate_counters SET hits = 1000")
    person.signs_in()


def an_app(person: Person, **metadata: object) -> App:
    app = App(person.house.url)
    app.register(**metadata)
    return app


def login_for_an_app(person: Person) -> None:
    person.opens(an_app(person, client_name=LONG).authorize_url())


def login_for_a_device(person: Person) -> None:
    person.opens(Device.of(App(person.house.url)).complete)


def consent_of_a_program(person: Person) -> None:
    app = an_app(person)
    person.is_signed_in().opens(app.authorize_url(scope="read write api_keys"))


def consent_of_a_web_app(person: Person) -> None:
    app = App(person.house.url, redirect_uri="https://a-rather-long-name.apps.example.com/callback")
    app.register(client_name=LONG)
    person.is_signed_in().opens(app.authorize_url(scope="read"))


def consent_of_an_app_scheme(person: Person) -> None:
    app = App(person.house.url, redirect_uri="cursor://anysphere.cursor-retrieval/oauth/callback")
    app.register(client_name="Cursor")
    person.is_signed_in().opens(app.authorize_url())


def consent_for_more(person: Person) -> None:
    person.is_signed_in()
    person.opens(connected(person.house, scope="read").authorize_url(scope="read write"))


def consent_of_a_document(person: Person) -> None:
    house, uri = person.house, "https://notes.example/callback"
    found = {
        "redirect_uris": [uri],
        "token_endpoint_auth_method": "none",
        "client_name": "Notes",
        "client_id": DOCUMENT,
    }
    now = house.world.now()
    kept = client_metadata.checked(found)
    house.wait_for(clients.keep_document(house.world.pool, DOCUMENT, kept, now, now + timedelta(days=1)))
    person.is_signed_in().opens(App(house.url, redirect_uri=uri, client_id=DOCUMENT).authorize_url())


def link(person: Person, purpose: str) -> str:
    house = person.house

    async def made() -> str:
        async with house.world.db.begin() as db:
            found = await accounts.new_link(db, purpose, user_id, house.world.now())
            return found

    user_id = None if purpose == "setup" else house.add_user()
    return f"/{purpose}?code={house.wait_for(made())}"


def setup(person: Person) -> None:
    person.opens(link(person, "setup"))


def setup_refused(person: Person) -> None:
    person.opens(link(person, "setup")).sends("/setup", email=ADA, name="Ada", password="aaaaaaaaaaaaaaaaaaa")


def password(person: Person) -> None:
    person.opens(link(person, "password"))


def password_refused(person: Person) -> None:
    person.opens(link(person, "password")).sends("/password", password="aaaaaaaaaaaaaaaaaaa")


def account_in_use(person: Person) -> None:
    person.is_signed_in()
    for name in ("Quill", LONG):
        connected(person.house, name)
    person.opens("/account")


def keys_in_use(person: Person) -> None:
    person.is_signed_in()
    for name in ("laptop", "nightly backup of the notes on the server in the cellar"):
        person.opens("/account/api-keys").sends("/account/api-keys", name=name)
    person.opens("/account/api-keys")


def new_key(person: Person) -> None:
    person.is_signed_in().opens("/account/api-keys").sends("/account/api-keys", name="laptop")


def key_refused(person: Person) -> None:
    person.is_signed_in().opens("/account/api-keys").page.locator("[name=scope]").first.uncheck()
    person.types(name="\u200b").sends("/account/api-keys")


def key_rotated(person: Person) -> None:
    new_key(person)
    person.opens("/account/api-keys").page.locator("a[href^='/account/api-keys/rotate']").first.click()
    person.page.wait_for_url("**/rotate?**")


def key_revoked(person: Person) -> None:
    new_key(person)
    person.opens("/account/api-keys").presses(person.page.get_by_role("main").locator("a.danger"))


def allowed(person: Person) -> None:
    person.is_signed_in()
    connected(person.house)
    person.opens("/account/allowed")


def second_step(person: Person) -> None:
    person.is_signed_in()
    visitor = actors.Browser(person.house.url)
    visitor.sign_in()
    factors.set_up(person.house, visitor)
    person.page.context.clear_cookies()
    person.opens("/login").signs_in()


def second_step_refused(person: Person) -> None:
    second_step(person)
    person.sends("/login/second", code="000000")


def totp_refused(person: Person) -> None:
    person.is_signed_in().opens(factors.TOTP).sends(factors.TOTP, code="000000")


def recovery_codes(person: Person) -> None:
    link = person.is_signed_in().opens(factors.TOTP).page.locator("a[href^='otpauth:']").get_attribute("href")
    key = parse_qs(urlsplit(link or "").query)["secret"][0]
    person.sends(factors.TOTP, code=factors.Phone(person.house, key, []).code())


def security_in_use(person: Person) -> None:
    recovery_codes(person)
    person.opens("/account/security")


def device_refused(person: Person) -> None:
    person.is_signed_in().opens("/device").sends("/device", user_code="BBBB-BBBB")


def device_consent(person: Person) -> None:
    device = Device.of(App(person.house.url))
    person.is_signed_in().opens(device.complete).sends("/device")


def device_allowed(person: Person) -> None:
    device_consent(person)
    person.decides("allow")


def device_denied(person: Person) -> None:
    device_consent(person)
    person.decides("deny")


def device_decided_before(person: Person) -> None:
    device_consent(person)
    person.house.sql("DELETE FROM device_codes")
    person.decides("allow")


def removed_app(person: Person) -> None:
    app = an_app(person, client_name="Claude Code")
    person.house.add_user()
    house = person.house

    async def removed() -> None:
        async with house.world.db.begin() as db:
            await remove(db, app.client_id, house.world.now(), lifetime=house.world.token_lifetime)

    house.wait_for(removed())
    person.opens(app.authorize_url())


def unknown_app(person: Person) -> None:
    person.house.add_user()
    person.opens(App(person.house.url, client_id="cli_unknown").authorize_url())


def wrong_redirect(person: Person) -> None:
    person.opens(an_app(person).authorize_url(redirect_uri="https://evil.example/"))


def refused_request(person: Person) -> None:
    app = App(person.house.url, redirect_uri="https://app.example.com/callback")
    app.register()
    person.opens(app.authorize_url(code_challenge=None))


def expired_sign_in(person: Person) -> None:
    person.opens(an_app(person).authorize_url())
    person.house.turn_clock(minutes=31)
    person.page.reload()


def stale_form(person: Person) -> None:
    person.is_signed_in().opens(an_app(person).authorize_url())
    person.page.context.clear_cookies()
    person.decides("allow")


PAGES = {
    "front page": at("/"),
    "front page without owner": Place("/", without_owner),
    "front page, signed in": signed_in("/"),
    "sign-in": at("/login"),
    "sign-in refused": Place("/login", login_refused),
    "sign-in too often": Place("/login", login_too_often),
    "sign-in for an app": Place("/login", login_for_an_app),
    "sign-in for a device": Place("/login", login_for_a_device),
    "consent for a program": Place("/consent", consent_of_a_program),
    "consent for a web app": Place("/consent", consent_of_a_web_app),
    "consent for an app scheme": Place("/consent", consent_of_an_app_scheme),
    "consent for more": Place("/consent", consent_for_more),
    "consent for a published client": Place("/consent", consent_of_a_document),
    "consent form gone stale": Place("/consent", stale_form),
    "set-up": Place("/setup", setup),
    "set-up refused": Place("/setup", setup_refused),
    "set-up link used": at("/setup"),
    "password": Place("/password", password),
    "password refused": Place("/password", password_refused),
    "account, new": signed_in("/account"),
    "account in use": Place("/account", account_in_use),
    "keys in use": Place("/account/api-keys", keys_in_use),
    "a new key": Place("/account/api-keys", new_key),
    "key refused": Place("/account/api-keys", key_refused),
    "key rotated": Place("/account/api-keys/rotate", key_rotated),
    "key to be revoked": Place("/account/api-keys/revoke", key_revoked),
    "allowed before": Place("/account/allowed", allowed),
    "browsers": signed_in("/account/sessions"),
    "usage": signed_in("/account/usage"),
    "profile": signed_in("/account/profile"),
    "leaving": signed_in("/account/delete"),
    "gone": at("/goodbye"),
    "another address": signed_in("/account/email"),
    "another address, old link": signed_in("/account/email/verify"),
    "security": signed_in("/account/security"),
    "codes from a phone": signed_in("/account/security/totp"),
    "passkeys": signed_in("/account/security/passkeys"),
    "codes from a phone, wrong": Place("/account/security/totp", totp_refused),
    "recovery codes": Place("/account/security/totp", recovery_codes),
    "security in use": Place("/account/security", security_in_use),
    "second step": Place("/login/second", second_step),
    "second step refused": Place("/login/second", second_step_refused),
    "password forgotten": at("/password/forgot"),
    "sign-in link": at("/login/link"),
    "sign-in link, old": at("/login/link/open"),
    "sign-up": at("/sign-up"),
    "sign-up, old link": at("/sign-up/verify"),
    "invitation, old": at("/invitation"),
    "device": signed_in("/device"),
    "device refused": Place("/device", device_refused),
    "device consent": Place("/device", device_consent),
    "device allowed": Place("/device/decision", device_allowed),
    "device denied": Place("/device/decision", device_denied),
    "device decided before": Place("/device/decision", device_decided_before),
    "app removed": Place("/authorize", removed_app),
    "app unknown": Place("/authorize", unknown_app),
    "app with another redirect": Place("/authorize", wrong_redirect),
    "app with a faulty request": Place("/authorize", refused_request),
    "sign-in that took too long": Place("/login", expired_sign_in),
    "nothing there": at("/nothing"),
    **mail_pages.PAGES,
    **admin_pages.PAGES,
    **service_pages.PAGES,
    **agent_pages.PAGES,
}
