"""GET /account/services: the accounts that tools act at, and those to sign in with; disconnecting gives tokens back (RFC 7009 §2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.identities import store as identities
from app.language.catalogs import N_, _
from app.language.when import ago, day
from app.protocol.params import parse
from app.protocol.provider import Provider
from app.tokens.secrets import Unsealable
from app.upstream import talk
from app.upstream.faults import UpstreamFault
from app.upstream.refused import HERE
from app.upstream.vault import store, tokens
from app.upstream.vault.store import Account
from app.users.visits import sent, visit
from app.web.http import see_other
from app.web.pages import render
from app.world import World

DONE = {
    "connected": N_("Connected. Go back to your app and try again there."),
    "disconnected": N_("Disconnected, and the service was told."),
    "forgotten": N_("Forgotten here. The service could not be told: take it back there, too."),
    "linked": N_("From now on you can sign in with it."),
    "unlinked": N_("You cannot sign in with it any more."),
    "last-way": N_("It is the only way in that you have. Choose a password or link another account first."),
    "nothing": N_("Nothing to do: it had ended already."),
}
log = structlog.get_logger("gatehouse.upstream")


async def show(request: Request, world: World) -> Response:
    visitor = await visit(request, world, HERE)
    if isinstance(visitor, Response):
        return visitor
    now, user_id = visitor.now, visitor.viewer.user_id
    providers = await world.providers.all(now)
    async with world.db.connect() as db:
        accounts = await store.of_user(db, user_id)
        linked = await identities.linked(db, user_id)
    held = {account.provider for account in accounts}
    said = DONE.get(parse(request.scope["query_string"]).get("done") or "")
    return render(
        "account_services.html",
        csrf=visitor.csrf,
        viewer=visitor.viewer,
        done=_(said) if said else None,
        accounts=[_shown(account, providers.get(account.provider), now) for account in accounts],
        others=[one for one in providers.values() if one.connect is not None and one.name not in held],
        linked=[_linked(one, providers, now) for one in linked],
        linkable=[
            one
            for one in providers.values()
            if one.sign_in is not None and one.name not in {each.provider for each in linked}
        ],
    )


async def disconnect(request: Request, world: World) -> Response:
    """Out of the vault first: whatever the service says, no tool has it any more."""
    arrived = await sent(request, world, HERE, recent=False)
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    user_id, name = visitor.viewer.user_id, fields.required("provider")
    async with world.db.begin() as db:
        taken = await store.take(db, user_id, name)
        if taken:
            await audit.record(db, "upstream.disconnected", visitor.now, user_id=user_id, provider=name)
    if not taken:
        return see_other(f"{HERE}?done=nothing")
    told = await give_back(world, taken[0], visitor.now)
    return see_other(f"{HERE}?done={'disconnected' if told else 'forgotten'}")


async def give_back(world: World, account: Account, now: datetime) -> bool:
    """True when the service said that the grant is revoked there. Never raises what the service does."""
    provider = await world.providers.named(account.provider, now)
    if provider is None or provider.connect is None or provider.client_id != account.client_id:
        return False
    try:
        held = tokens.opened(account, world.secrets.upstream_tokens)
        at = await talk.places(world, provider, provider.connect, now)
        return await talk.revoke(world, provider, provider.connect, at, held.told())
    except (UpstreamFault, Unsealable, ValueError) as fault:
        log.warning("upstream tokens not given back", provider=account.provider, why=str(fault))
        return False


def _shown(account: Account, provider: Provider | None, now: datetime) -> dict[str, Any]:
    return {
        "provider": account.provider,
        "title": provider.title if provider else account.provider,
        "shown": account.shown or account.subject,
        "scope": account.scope,
        "since": day(account.created_at.date()),
        "refreshed": ago(account.refreshed_at, now),
        "state": _state(account, provider, now),
        "can_connect": provider is not None and provider.connect is not None,
    }


def _state(account: Account, provider: Provider | None, now: datetime) -> str:
    """gone: the operator has taken the service away; broken; resting: it did not answer lately; ended; well."""
    if provider is None or provider.connect is None:
        return "gone"
    if account.broken_at is not None or account.client_id != provider.client_id:
        return "broken"
    if account.lease is None and account.lease_until is not None and account.lease_until > now:
        return "resting"
    if account.expires_at is not None and account.expires_at <= now and not account.refreshable:
        return "broken"
    return "well"


def _linked(one: identities.Linked, providers: dict[str, Provider], now: datetime) -> dict[str, Any]:
    provider = providers.get(one.provider or "")
    return {
        "issuer": one.issuer,
        "subject": one.subject,
        "title": provider.title if provider else one.issuer,
        "shown": one.shown or one.subject,
        "since": day(one.signs_in_since.date()),
        "used": ago(one.last_used_at, now) if one.last_used_at else None,
    }
