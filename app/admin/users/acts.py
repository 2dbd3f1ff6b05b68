"""What admins do to accounts, for the pages and the JSON API alike. Each deed and its line in the audit log are one transaction."""

from __future__ import annotations

import asyncio
from datetime import datetime

from app import audit
from app.admin.connections.acts import end_all
from app.admin.entry import nothing_here
from app.admin.users import store
from app.language.catalogs import N_
from app.protocol.email import normal_email
from app.protocol.errors import Conflict, InvalidRequest, NotFound
from app.tokens.store import revoke
from app.upstream.services import give_back
from app.upstream.vault import store as upstream
from app.users import accounts, factors, handed_out
from app.users.admins.store import is_admin_still
from app.users.remove import remove
from app.users.store import sign_out_everywhere
from app.world import World

LAST = N_("this is the last admin who can sign in; make somebody else an admin first")
YOURSELF = N_("you cannot do this to yourself; another admin can")


async def known(world: World, user_id: str) -> store.Person:
    """Raises NotFound."""
    async with world.db.connect() as db:
        found = await store.person(db, user_id)
    if found is None:
        raise NotFound(N_("there is no such account"))
    return found


async def add(
    world: World, by: str, email: str, name: str, now: datetime, *, is_admin: bool
) -> tuple[store.Person, str]:
    """A new account, and the link where its owner chooses a password. Raises InvalidRequest, Conflict, NotFound."""
    address = normal_email(email)
    if address is None:
        raise InvalidRequest(N_("that does not look like an e-mail address"))
    async with world.db.begin() as db:
        allowed = await is_admin_still(db, by)
        user = await accounts.create(db, address, name, None, now, is_admin=is_admin) if allowed else None
        code = await accounts.new_link(db, "password", user.id, now, by=by) if user else None
    if not allowed:
        raise nothing_here()
    if user is None or code is None:
        raise Conflict(N_("somebody with this e-mail address has an account already"))
    made = store.Person(user.id, user.email, user.name, user.is_admin, user.created_at, None)
    return made, _address(world, code)


async def password_link(world: World, by: str, user_id: str, now: datetime) -> str:
    """A link where this user chooses a new password, once, within a day; earlier ones end. Raises NotFound."""
    await known(world, user_id)
    async with world.db.begin() as db:
        allowed = await is_admin_still(db, by)
        code = await accounts.new_link(db, "password", user_id, now, by=by) if allowed else None
    if code is None:
        raise nothing_here()
    return _address(world, code)


def _address(world: World, code: str) -> str:
    return f"{world.settings.issuer}/password?code={code}"


async def disable(world: World, by: str, user_id: str, now: datetime) -> None:
    """Nobody signs in, refreshes or calls in this name any more. Raises NotFound, Conflict."""
    await _not_oneself(world, by, user_id)
    async with world.db.begin() as db:
        disabled = await store.disable(db, user_id, now)
        if disabled:
            await sign_out_everywhere(db, user_id)
            await handed_out.end(db, user_id, now)
            await revoke(db, [user_id], now, lifetime=world.token_lifetime, comes_back=True)
            await audit.record(db, "user.disabled", now, user_id=user_id)
    if not disabled:
        person = await known(world, user_id)
        raise Conflict(N_("the account is disabled already") if person.disabled_at else LAST)


async def enable(world: World, user_id: str, now: datetime) -> None:
    """What had been connected works again with a new access token. Raises NotFound, Conflict."""
    await known(world, user_id)
    async with world.db.begin() as db:
        enabled = await store.enable(db, user_id)
        if enabled:
            await audit.record(db, "user.enabled", now, user_id=user_id)
    if not enabled:
        raise Conflict(N_("the account is not disabled"))


async def promote(world: World, user_id: str, now: datetime) -> None:
    """Raises NotFound, Conflict."""
    person = await known(world, user_id)
    async with world.db.begin() as db:
        promoted = await store.promote(db, user_id)
        if promoted:
            await audit.record(db, "user.promoted", now, user_id=user_id)
    if not promoted:
        raise Conflict(N_("the account is disabled") if person.disabled_at else N_("they are an admin already"))


async def demote(world: World, user_id: str, now: datetime) -> None:
    """Oneself too, but not the last. From then on their tokens with the scope `admin` open nothing, nor does what they
    handed out. Raises NotFound, Conflict."""
    await known(world, user_id)
    async with world.db.begin() as db:
        demoted = await store.demote(db, user_id)
        if demoted:
            await handed_out.end(db, user_id, now, only_admins=True)
            await audit.record(db, "user.demoted", now, user_id=user_id)
    if not demoted:
        raise Conflict(LAST if (await known(world, user_id)).is_admin else N_("they are no admin"))


async def reset_factors(world: World, user_id: str, now: datetime) -> None:
    """For somebody who lost their phone: passkeys and the second step go, the password stays. Raises NotFound."""
    await known(world, user_id)
    async with world.db.begin() as db:
        await factors.reset(db, user_id, now)


async def sign_out(world: World, user_id: str, now: datetime) -> None:
    """Every browser; apps and keys stay. Raises NotFound."""
    await known(world, user_id)
    async with world.db.begin() as db:
        await sign_out_everywhere(db, user_id)
        await audit.record(db, "user.signed_out", now, user_id=user_id)


async def disconnect(world: World, user_id: str, now: datetime) -> int:
    """Ends every connected app of this user; how many there were. Raises NotFound."""
    await known(world, user_id)
    return await end_all(world, now, user_id=user_id)


async def delete(world: World, by: str, user_id: str, now: datetime) -> None:
    """The account and everything of it. Raises NotFound, Conflict."""
    await _not_oneself(world, by, user_id)
    async with world.db.begin() as db:
        services = await upstream.of_user(db, user_id)
        deleted = await remove(db, user_id, by, now, lifetime=world.token_lifetime)
    if not deleted:
        await known(world, user_id)
        raise Conflict(LAST)
    await asyncio.gather(*(give_back(world, service, now) for service in services))


async def _not_oneself(world: World, by: str, user_id: str) -> None:
    await known(world, user_id)
    if by == user_id:
        raise Conflict(YOURSELF)
