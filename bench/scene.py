"""What is in the database before the first request: a user, a client, a consent, a session, an API key, and codes by the thousand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from app.api_keys import keys
from app.clients import store as clients
from app.db.tables import browser_sessions
from app.oauth import store as oauth
from app.protocol import client_metadata
from app.protocol.pending import Pending
from app.protocol.redirect_uri import shown_host
from app.protocol.scope import DEFAULT
from app.settings.read import Settings, load
from app.tokens.secrets import CLIENT_SECRET, CODE, b64, fingerprint, new_id, new_secret
from app.users import accounts
from app.web import sessions
from app.world import World
from bench.servers import SECRET_KEY

DOCUMENT = "https://bench.example/client.json"  # never fetched: a fresh copy is there
REDIRECT_URI = "http://127.0.0.1:3030/callback"
VERIFIER = "v" * 64
CHALLENGE = b64(hashlib.sha256(VERIFIER.encode()).digest())
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Scene:
    """Who and what the requests name."""

    world: World
    port: int  # of the issuer
    user_id: str
    client_id: str
    session: str
    api_key: str
    api_id: str  # an API that asks /introspect
    api_secret: str
    service_id: str  # a program that asks for itself
    service_secret: str

    @property
    def cookie(self) -> str:
        return f"{sessions.cookie_name(self.world.settings)}={self.session}"


def settings(dsn: str, port: int) -> dict[str, str]:
    """Those of the server under test, as GATEHOUSE_ variables."""
    return {
        "public_url": f"http://localhost:{port}",
        "database_url": dsn,
        "secret_key": SECRET_KEY,
        "register_per_minute": "0",
        "max_unused_clients": "0",
        "trusted_proxies": "127.0.0.1/32",  # whoever signs in comes from an address of their own
    }


def own_settings(dsn: str, port: int) -> Settings:
    """The same for this process, which prepares rows."""
    return load(**{**settings(dsn, port), "pool_size": 2})


async def set_up(world: World, port: int) -> Scene:
    now = datetime.now(UTC)
    metadata = client_metadata.checked({"redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none"})
    session = sessions.new_cookie()
    await clients.keep_document(world.pool, DOCUMENT, metadata, now, now + A_DAY)
    async with world.db.begin() as db:
        user = await accounts.create(db, f"bench-{port}@example.com", "", None, now, is_admin=True)
        assert user is not None, "the database is not new"
        client_id = new_id("client")
        await clients.add_static(db, client_id, metadata, None, now)
        api_id, api_secret = new_id("client"), new_secret(CLIENT_SECRET)
        api = client_metadata.resource_server("API")
        await clients.add_static(db, api_id, api, fingerprint(api_secret), now, introspects=True)
        service_id, service_secret = new_id("client"), new_secret(CLIENT_SECRET)
        await clients.add_static(
            db,
            service_id,
            client_metadata.machine("Service", "read", None),
            fingerprint(service_secret),
            now,
            owner_id=user.id,
        )
        made = await keys.create(db, user.id, "bench", DEFAULT, None, now)
        assert made is not None, "it is the first"
        api_key = made[1]
        for asking in (client_id, DOCUMENT):
            await oauth.remember_consent(db, user.id, pending(asking, world, now), now)
        await db.execute(
            insert(browser_sessions).values(
                fingerprint=fingerprint(session),
                id=new_id("ses"),
                user_id=user.id,
                created_at=now,
                authenticated_at=now,
                last_seen_at=now,
                expires_at=now + A_DAY,
                user_agent="bench",
                address="127.0.0.1",
            )
        )
    await world.live.load_keys()
    services = (api_id, api_secret, service_id, service_secret)
    return Scene(world, port, user.id, client_id, session, api_key, *services)


def pending(client_id: str, world: World, now: datetime) -> Pending:
    return Pending(
        client_id=client_id,
        redirect_uri=REDIRECT_URI,
        scope=DEFAULT,
        resource=world.resources.default.audience,
        code_challenge=CHALLENGE,
        state=None,
        prompt=(),
        login_hint=None,
        max_age=None,
        started_at=now.timestamp(),
    )


async def new_codes(scene: Scene, count: int) -> list[str]:
    """Codes as /authorize would have stored them, in one transaction, good for a day."""
    now = datetime.now(UTC)
    asked = pending(scene.client_id, scene.world, now)
    made = [new_secret(CODE) for _ in range(count)]
    rest = (scene.client_id, scene.user_id, asked.redirect_uri, shown_host(asked.redirect_uri), CHALLENGE)
    asks = (list(asked.scope), asked.resource, now + A_DAY, None, now, None, None)
    rows = [(fingerprint(code), *rest, *asks) for code in made]
    await scene.world.pool.executemany(oauth.ADD_CODE, rows)
    return made
