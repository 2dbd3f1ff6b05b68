"""Somebody known elsewhere comes in: to the account they linked, to one that they still have to prove, or to a new one (OIDC Core §5.7)."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.identities import store as identities
from app.language.catalogs import _
from app.protocol.provider import Provider
from app.tokens.secrets import fingerprint, new_secret
from app.upstream import flow, store
from app.upstream.flow import Flow
from app.upstream.refused import Stranger, Taken, Unverified
from app.upstream.who import Somebody
from app.users import accounts
from app.users import store as users
from app.users.invitations import store as invitations
from app.users.sign_in import first_factor_done
from app.web.flow import at_page, step
from app.web.pages import error_page
from app.world import World

METHOD = "provider"
CLAIM, CLAIM_LIFETIME, PROVE = "claim", timedelta(minutes=15), "/account/link"


async def finish(
    request: Request, world: World, provider: Provider, begun: Flow, person: Somebody, now: datetime
) -> Response:
    """Raises Unverified, Stranger and Taken: then nothing was linked, and nobody is signed in."""
    known = await identities.signs_in(world.pool, person.issuer, person.subject, provider.name, person.shown, now)
    if known is not None:
        if not known.enabled:
            raise Stranger("the account is disabled")
        return await first_factor_done(request, world, known.user_id, METHOD, begun.req, now)
    if not person.verified or person.email is None:
        raise Unverified("it does not say that the e-mail address is verified")
    async with world.db.connect() as db:
        owner = await users.by_email(db, person.email)
    if owner is not None:
        if owner.disabled_at is not None:
            raise Stranger("the account is disabled")
        return await _ask_for_proof(request, world, provider, begun, person, now)
    user_id = await _new_account(world, provider, person, now)
    return await first_factor_done(request, world, user_id, METHOD, begun.req, now)


async def _ask_for_proof(
    request: Request, world: World, provider: Provider, begun: Flow, person: Somebody, now: datetime
) -> Response:
    """An e-mail address may change hands, and may be verified elsewhere with less care: so whoever has it signs in to the
    account too, in the way they always did, and says that they belong together."""
    secret = flow.browser(request, world)
    assert secret is not None  # the flow was claimed by it
    packed = json.dumps({"person": asdict(person), "req": begun.req}).encode()
    key = fingerprint(new_secret(CLAIM))
    sealed = world.secrets.upstream_flow.seal(packed, CLAIM.encode() + key)
    await store.add_flow(world.pool, key, fingerprint(secret), CLAIM, sealed, now + CLAIM_LIFETIME)
    only = world.settings.sign_in == "providers"
    return error_page(
        _("An account here has the address {email}. Sign in to it as you always did, then the two are linked.").format(
            email=person.email
        ),
        status=409,
        heading=_("Is this account yours, too?"),
        next_step=_("Passwords do not work here any more: ask the people who run this server for a link.")
        if only
        else _("{title} alone does not open it: the address may have been somebody else's before.").format(
            title=provider.title
        ),
        link=None if only else step("/login", at_page(PROVE)),
        link_text=_("Sign in to it"),
    )


async def _new_account(world: World, provider: Provider, person: Somebody, now: datetime) -> str:
    """Its id. Raises Stranger where the policy of this server does not allow it, Taken when somebody was faster."""
    assert person.email is not None
    async with world.db.begin() as db:
        allowed = await _may_join(db, world, person.email, now)
        user = None
        if allowed:
            user = await accounts.create(
                db, person.email, person.name, None, now, is_admin=False, is_verified=True, via="provider"
            )
            linked = user is not None and await identities.link(
                db, person.issuer, person.subject, user.id, provider.name, person.shown, now
            )
            if user is not None and linked:
                await audit.record(
                    db, "identity.bound", now, user_id=user.id, issuer=person.issuer, subject=person.subject
                )
            else:
                user = None
                await db.rollback()
    if not allowed:
        raise Stranger("there is no account for it, and the sign-up policy allows none")
    if user is None:
        raise Taken("somebody made an account with it at the same time")
    return user.id


async def _may_join(db: AsyncConnection, world: World, email: str, now: datetime) -> bool:
    """As `GATEHOUSE_SIGN_UP` says: whoever was invited has shown that the mailbox is theirs. Admins are made by the link of
    their invitation alone, and the first account by the set-up link."""
    if world.settings.sign_up == "closed" or await users.is_empty(db):
        return False
    invitation = await invitations.by_email(db, email)
    if invitation is not None and invitation.expires_at > now and not invitation.is_admin:
        gone = await invitations.remove(db, invitation.id)
        if gone is not None:
            await audit.record(db, "invitation.accepted", now, email=email, by=gone.invited_by)
        return gone is not None
    return world.settings.sign_up == "open"
