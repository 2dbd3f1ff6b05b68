"""The pages about services elsewhere, and how a person gets there. The services are made up: these pages ask none."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta

from app.tokens.secrets import fingerprint
from app.upstream import flow
from app.upstream import store as flows
from app.upstream.arrive import CLAIM
from app.upstream.vault import store, tokens
from app.upstream.who import Somebody
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


def waiting(person: Person, email: str = ADA) -> None:
    """Ada has come back from a service that knows her address, and has signed in to the account that has it."""
    offered(person).is_signed_in()
    house, secret, key = person.house, flow.new_browser(), fingerprint("claim")
    who = Somebody("acme", NOWHERE, "1", email, True, "Ada")
    packed = json.dumps({"person": asdict(who), "req": None}).encode()
    sealed = house.world.secrets.upstream_flow.seal(packed, CLAIM.encode() + key)
    until = house.world.now() + timedelta(minutes=15)
    house.wait_for(flows.add_flow(house.world.pool, key, fingerprint(secret), CLAIM, sealed, until))
    name = flow.cookie_name(house.world.settings)
    person.page.context.add_cookies([{"name": name, "value": secret, "url": house.url}])
    person.opens("/account/link")


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
    "connect": Place("/connect/{provider}", lambda person: offered(person).is_signed_in().opens("/connect/notes")),
    "connect for more": Place(
        "/connect/{provider}", lambda person: kept(person).opens("/connect/acme?scope=notes%3Awrite")
    ),
    "services for admins": Place(
        "/admin/providers", lambda person: offered(person).is_signed_in(admin=True).opens("/admin/providers")
    ),
    "link a service": Place("/account/link", waiting),
    "link a service, another address": Place("/account/link", lambda person: waiting(person, "other@example.com")),
    "nothing to link": Place("/account/link", lambda person: person.is_signed_in().opens("/account/link")),
    "back from a service, refused": Place("/callback/{provider}", refused),
}
