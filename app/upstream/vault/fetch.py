"""A user's token at a service, fresh: refreshed ahead of time, by one for all, outside of any transaction (RFC 6749 §6)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import quote

import structlog

from app.protocol.provider import Provider
from app.tokens.secrets import Unsealable, new_id
from app.upstream import talk
from app.upstream.answers import scope_of
from app.upstream.faults import Away, Refused
from app.upstream.vault import store, tokens
from app.upstream.vault.store import Account
from app.upstream.vault.tokens import Tokens
from app.world import World

AHEAD = timedelta(minutes=5)  # or a quarter of its life, whichever is shorter
LEASE = timedelta(seconds=30)  # longer than the service may take, so that nobody refreshes beside the holder
REST = timedelta(seconds=3)  # after an outage
SKEW = timedelta(seconds=5)
PATIENCE = 15.0  # seconds to wait for whoever refreshes
NONE, SCOPE, ENDED = "none", "scope", "ended"
# RFC 6749 §5.2: what says that the grant is gone. Other words are about us, and no user can mend them.
GONE = frozenset({"invalid_grant", "invalid_scope"})
UNDER_WAY: set[asyncio.Task[Fresh | None]] = set()  # the loop itself holds tasks only weakly
log = structlog.get_logger("gatehouse.upstream")


class NotOffered(Exception):
    """No service of this name can be connected here: no user can mend that, and waiting does not help."""


class NotConnected(Exception):
    """The user has no account at this service that would do. `why`: none at all; without a scope; ended there or here.

    `url` is where they connect it, and nothing in it is secret: whoever opens it connects an account of their own.
    """

    def __init__(self, title: str, why: str, url: str) -> None:
        said = {
            NONE: f"You have not connected an account at {title}.",
            SCOPE: f"Your connection to {title} does not allow this yet.",
            ENDED: f"Your connection to {title} has ended and has to be made again.",
        }
        super().__init__(f"{said[why]} To connect it, open {url} in a browser, then call again.")
        self.question = f"{said[why]} Open the address in your browser and connect it; then this works."
        self.title, self.why, self.url = title, why, url


@dataclass(frozen=True, slots=True, repr=False)
class Fresh:
    """A token that is good now, and the account it belongs to."""

    account: Account
    provider: Provider
    access_token: str


async def fresh(
    world: World, user_id: str, name: str, scope: tuple[str, ...] = (), *, unlike: int | None = None
) -> Fresh:
    """The user's token at the provider of this name, with at least these scopes. `unlike` is the generation of one that the
    service does not accept any more.

    Raises NotOffered, NotConnected, and Away when the service is needed and does not answer.
    """
    provider = await world.providers.named(name, world.now())
    if provider is None or provider.connect is None:
        raise NotOffered(f"No service called {name} can be connected on this server.")
    deadline = asyncio.get_running_loop().time() + PATIENCE
    pause = 0.05
    while True:
        now = world.now()
        account = await _usable(world, user_id, provider, scope)
        is_due = _is_due(account, now) or account.generation == unlike
        is_good = _is_good(account, now) and account.generation != unlike
        if not is_due:
            return _with_token(world, account, provider)
        if not account.refreshable:
            await _end(world, account, provider, "expired" if unlike is None else "refused by the service", scope, now)
        lease = new_id("lease")
        raw = await store.claim(world.pool, account, lease, now + LEASE, now)
        if raw is not None:
            turn = await _to_the_end(_refreshed(world, account, provider, lease, raw, is_good))
            if turn is None:
                continue  # disconnected, or connected anew, meanwhile
            return turn
        if is_good:
            return _with_token(world, account, provider)
        if account.lease is None and account.lease_until is not None and account.lease_until > now:
            raise Away(f"{provider.title} did not answer just now")
        if asyncio.get_running_loop().time() > deadline:
            raise Away(f"{provider.title} takes too long")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def where(world: World, provider: str, scope: tuple[str, ...] = ()) -> str:
    query = f"?scope={quote(' '.join(scope), safe='')}" if scope else ""
    return f"{world.settings.issuer}/connect/{provider}{query}"


async def _usable(world: World, user_id: str, provider: Provider, scope: tuple[str, ...]) -> Account:
    account = await store.find(world.pool, user_id, provider.name)
    url = where(world, provider.name, scope)
    if account is None:
        raise NotConnected(provider.title, NONE, url)
    if account.broken_at is not None or account.client_id != provider.client_id:
        raise NotConnected(provider.title, ENDED, url)
    if not set(scope) <= set(account.scope):
        raise NotConnected(provider.title, SCOPE, url)
    return account


def _is_due(account: Account, now: datetime) -> bool:
    if account.expires_at is None:
        return False
    ahead = min(AHEAD, (account.expires_at - account.refreshed_at) / 4)
    if not account.refreshable:
        ahead = SKEW
    return now >= account.expires_at - ahead


def _is_good(account: Account, now: datetime) -> bool:
    return account.expires_at is None or now < account.expires_at - SKEW


def _with_token(world: World, account: Account, provider: Provider) -> Fresh:
    try:
        held = tokens.opened(account, world.secrets.upstream_tokens)
    except Unsealable:
        log.error("upstream tokens sealed with another key", account=account.id)
        raise NotConnected(provider.title, ENDED, where(world, provider.name)) from None
    return Fresh(account, provider, held.access_token)


async def _to_the_end(refreshing: Coroutine[Any, Any, Fresh | None]) -> Fresh | None:
    """Whatever becomes of the call that needs it: the old refresh token may be used up there already."""
    task = asyncio.create_task(refreshing)
    UNDER_WAY.add(task)
    task.add_done_callback(_ended)
    return await asyncio.shield(task)


def _ended(task: asyncio.Task[Fresh | None]) -> None:
    UNDER_WAY.discard(task)
    if not task.cancelled():
        task.exception()  # whoever waited has heard of it; where nobody waits any more, nobody need


async def _refreshed(
    world: World, account: Account, provider: Provider, lease: str, raw: bytes, is_good: bool
) -> Fresh | None:
    """For whoever holds the lease: the new token; the one in hand when the service is away and that one is still good.
    None when the lease was lost. Raises NotConnected and Away."""
    way = provider.connect
    assert way is not None
    try:
        held = tokens.opened(account, world.secrets.upstream_tokens, raw)
        at = await talk.places(world, provider, way, world.now())
        answer = await talk.refresh(world, provider, way, at, held.refresh_token or "")
    except Unsealable:
        await _end(world, account, provider, "sealed with a key that is gone", (), world.now())
    except Refused as fault:
        if fault.error in GONE:
            await _end(world, account, provider, fault.why, (), world.now())
        log.error("upstream refuses this server", provider=provider.name, why=fault.why)
        away = Away(f"{provider.title} refuses this server: {fault.why}")
    except Away as fault:
        log.warning("upstream away", provider=provider.name, why=fault.why)
        away = fault
    else:
        return await _kept(world, account, provider, lease, held, answer)
    await store.let_go(world.pool, account, lease, world.now() + REST)
    if not is_good:
        raise away
    return Fresh(account, provider, held.access_token)


async def _kept(
    world: World, account: Account, provider: Provider, lease: str, held: Tokens, answer: dict[str, Any]
) -> Fresh | None:
    now, new = world.now(), tokens.of(answer, held)
    sealed = tokens.sealed(new, account, world.secrets.upstream_tokens)
    scope, ends = scope_of(answer, account.scope), tokens.expiry(answer, now)
    refreshable = new.refresh_token is not None
    if await store.refreshed(world.pool, account, lease, sealed, scope, refreshable, now, ends):
        after = replace(account, scope=scope, generation=account.generation + 1, refreshed_at=now, expires_at=ends)
        return Fresh(after, provider, new.access_token)
    way = provider.connect
    assert way is not None
    with suppress(Away):  # nobody has these any more
        await talk.revoke(world, provider, way, await talk.places(world, provider, way, now), new.told())
    return None


async def _end(
    world: World, account: Account, provider: Provider, because: str, scope: tuple[str, ...], now: datetime
) -> NoReturn:
    """Marked, recorded, and its user is asked again. Raises NotConnected."""
    await store.mark_broken(world.pool, account, because[:200], now)
    raise NotConnected(provider.title, ENDED, where(world, provider.name, scope))
