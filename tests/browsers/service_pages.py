"""The pages about services elsewhere, and how a person gets there. The services are made up: these pages ask none."""

from __future__ import annotations

from datetime import timedelta

from app.upstream.vault import store, tokens
from tests.browsers.people import ADA, Person, Place
from tests.providers import configured

LONG = "The Notes and Calendar Service of " + "Westmoreland" * 2
NOWHERE = "https://service.example"


def offered(person: Person) -> Person:
    """Two services, one with a long name; nobody is sent to them."""
    plain = {
        "authorization_endpoint": f"{NOWHERE}/authorize",
        "token_endpoint": f"{NOWHERE}/token",
        "userinfo_endpoint": f"{NOWHERE}/userinfo",
        "client_id": "x",
        "client_secret": "y",
        "scopes": ["email"],
        "connect_scopes": ["notes:read", "https://service.example/scopes/calendar.events.readonly"],
    }
    configured(person.house, acme=plain | {"title": "Acme"}, notes=plain | {"title": LONG})
    return person


def kept(person: Person) -> Person:
    """Ada has connected both; one of them has ended."""
    offered(person).is_signed_in()
    house = person.house
    [(user_id,)] = house.sql("SELECT id FROM users")

    async def keep() -> None:
        now = house.world.now()
        for name in ("acme", "notes"):
            provider = await house.world.providers.named(name, now)
            assert provider is not None
            assert provider.connect is not None
            answer = {"access_token": "a", "refresh_token": "b", "expires_in": 3600}
            purpose = house.world.secrets.upstream_tokens
            account = tokens.account_of(
                provider, str(user_id), answer, provider.connect.scopes, now - timedelta(days=40), purpose
            )
            async with house.world.db.begin() as db:
                await store.keep(db, account)
        await store.mark_broken(house.world.pool, account, "invalid_grant", now)

    house.wait_for(keep())
    house.sql("UPDATE upstream_accounts SET shown = :email", email=ADA)
    house.sql(
        "INSERT INTO identities (issuer, subject, user_id, created_at, provider, shown, signs_in_since)"
        " SELECT :issuer, '1', id, now(), 'acme', email, now() FROM users",
        issuer=NOWHERE,
    )
    return person


def refused(person: Person) -> None:
    offered(person).house.add_user()
    person.opens("/callback/acme?state=x&code=y")


PAGES = {
    "sign-in with services": Place("/login", lambda person: (person.house.add_user(), offered(person).opens("/login"))),
    "services": Place("/account/services", lambda person: kept(person).opens("/account/services")),
    "services, none": Place("/account/services", lambda person: person.is_signed_in().opens("/account/services")),
    "services to connect": Place(
        "/account/services", lambda person: offered(person).is_signed_in().opens("/account/services")
    ),
    "connect": Place("/connect/notes", lambda person: offered(person).is_signed_in().opens("/connect/notes")),
    "connect for more": Place("/connect/acme", lambda person: kept(person).opens("/connect/acme?scope=notes%3Awrite")),
    "nothing to link": Place("/account/link", lambda person: person.is_signed_in().opens("/account/link")),
    "back from a service, refused": Place("/callback/acme", refused),
}
