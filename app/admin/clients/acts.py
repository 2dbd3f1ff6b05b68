"""What admins do to clients, for the pages and the JSON API alike. Each deed and its line in the audit log are one transaction."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime

from app import audit
from app.admin.clients import store
from app.admin.clients.store import App, Lifetimes
from app.admin.connections.acts import end_all
from app.clients.remove import remove
from app.clients.store import add_static
from app.language.catalogs import N_
from app.protocol.client_metadata import checked
from app.protocol.errors import Conflict, InvalidRequest, InvalidScope, NotFound
from app.protocol.scope import ADMIN, Scope
from app.settings.read import Settings
from app.tokens.secrets import CLIENT_SECRET, fingerprint, new_id, new_secret
from app.tokens.store import revoke
from app.world import World

LONGEST = 5 * 365 * 86400  # seconds
PLAIN = re.compile(r"(?!url-)[a-z0-9_-]{1,80}")


def slug(client_id: str) -> str:
    """The client_id as one word of a URL: a document's client has an address for its id."""
    return client_id if PLAIN.fullmatch(client_id) else "url-" + client_id.encode().hex()


def unslug(word: str) -> str:
    """The inverse. Raises NotFound."""
    if not word.startswith("url-"):
        return word
    try:
        client_id = bytes.fromhex(word.removeprefix("url-")).decode()
    except ValueError:
        client_id = "\0"
    if "\0" in client_id:
        raise NotFound(N_("there is no such app"))
    return client_id


async def known(world: World, client_id: str, now: datetime) -> App:
    """Raises NotFound."""
    async with world.db.connect() as db:
        found = await store.app_of(db, client_id, now)
    if found is None:
        raise NotFound(N_("there is no such app"))
    return found


def offered(world: World) -> dict[str, Scope]:
    """What a client may be given: those of other resources than the default after the resource's name."""
    return {name: scope for name, scope in world.resources.words.items() if name != ADMIN}


async def add(
    world: World, name: str, redirect_uris: list[str], scope: list[str], now: datetime, *, public: bool
) -> tuple[App, str | None]:
    """A client made by hand, and its secret unless it is a public one. Raises InvalidRedirectUri and its kin, InvalidScope."""
    words = offered(world)
    if not set(scope) <= words.keys():
        raise InvalidScope("unknown scope; the scopes are {scopes}", scopes=", ".join(words))
    if not name.strip():
        raise InvalidRequest(N_("give the app a name"))
    document: dict[str, object] = {"client_name": name, "redirect_uris": redirect_uris}
    document["token_endpoint_auth_method"] = "none" if public else "client_secret_basic"
    metadata = checked(document | ({"scope": " ".join(scope)} if scope else {}))
    secret = None if public else new_secret(CLIENT_SECRET)
    client_id = new_id("client")
    async with world.db.begin() as db:
        await add_static(db, client_id, metadata, fingerprint(secret) if secret else None, now)
        await audit.record(db, "client.registered", now, client_id=client_id, name=metadata["client_name"])
    return await known(world, client_id, now), secret


async def block(world: World, client_id: str, now: datetime) -> None:
    """It gets nothing any more, and what it has is void within a second; connections stay for later. Raises NotFound, Conflict."""
    await known(world, client_id, now)
    async with world.db.begin() as db:
        blocked = await store.block(db, client_id, now)
        if blocked:
            await revoke(db, [client_id], now, lifetime=world.token_lifetime, comes_back=True)
            await audit.record(db, "client.blocked", now, client_id=client_id)
    if not blocked:
        raise Conflict(N_("the app is blocked already"))


async def unblock(world: World, client_id: str, now: datetime) -> None:
    """With its refresh tokens it comes in again, unasked. Raises NotFound, Conflict."""
    await known(world, client_id, now)
    async with world.db.begin() as db:
        unblocked = await store.unblock(db, client_id)
        if unblocked:
            await audit.record(db, "client.unblocked", now, client_id=client_id)
    if not unblocked:
        raise Conflict(N_("the app is not blocked"))


async def set_lifetimes(world: World, client_id: str, lifetimes: Lifetimes, now: datetime) -> None:
    """Raises NotFound, InvalidRequest."""
    await known(world, client_id, now)
    _check(lifetimes, world.settings)
    async with world.db.begin() as db:
        if await store.set_lifetimes(db, client_id, lifetimes):
            await audit.record(db, "client.lifetimes", now, client_id=client_id, **asdict(lifetimes))


def _check(lifetimes: Lifetimes, settings: Settings) -> None:
    """An access token may not live longer than the settings say: revocations and retired keys are remembered for so long."""
    most = settings.access_token_lifetime
    if lifetimes.access_lifetime is not None and not 60 <= lifetimes.access_lifetime <= most:
        raise InvalidRequest("access tokens may live from 60 to {most} seconds", most=most)
    for seconds in (lifetimes.refresh_idle, lifetimes.refresh_absolute):
        if seconds is not None and not 300 <= seconds <= LONGEST:
            raise InvalidRequest("refresh tokens may live from 300 to {most} seconds", most=LONGEST)


async def rotate_secret(world: World, client_id: str, now: datetime) -> str:
    """The new secret; the old one ends at once. Raises NotFound, Conflict."""
    await known(world, client_id, now)
    secret = new_secret(CLIENT_SECRET)
    async with world.db.begin() as db:
        replaced = await store.set_secret(db, client_id, fingerprint(secret))
        if replaced:
            await audit.record(db, "client.secret_rotated", now, client_id=client_id)
    if not replaced:
        raise Conflict(N_("this app has no secret"))
    return secret


async def disconnect(world: World, client_id: str, now: datetime) -> int:
    """Ends everybody's connections with it; how many there were. Raises NotFound."""
    await known(world, client_id, now)
    return await end_all(world, now, client_id=client_id)


async def end(world: World, client_id: str, now: datetime) -> None:
    """It is served no more, for good. Raises NotFound."""
    async with world.db.begin() as db:
        ended = await remove(db, client_id, now, lifetime=world.token_lifetime)
    if not ended:
        raise NotFound(N_("there is no such app"))
