"""/admin/api/users: accounts as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Request

from app.admin.api.frame import After, Words, body, caller, plain, wish
from app.admin.api.models import Ended, Listed
from app.admin.api.people import AddedUser, PasswordLink, User, UserDetail
from app.admin.api.wishes import NewUser, UserChange
from app.admin.users import acts, store
from app.web import paging

routes = APIRouter(prefix="/users", tags=["Users"])
LEAN: dict[str, Any] = {"response_model_exclude_none": True}


@routes.get("", response_model=Listed[User], **LEAN)
async def list_users(
    request: Request, q: Words = None, kind: Literal["admins", "disabled"] | None = None, after: After = None
) -> Any:
    """Newest first. `q` is the beginning of an e-mail address or of a name."""
    at = paging.read(after)
    async with caller(request).world.db.connect() as db:
        rows = await store.page_of(db, plain(q), kind, at)
    return paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.id,)))


@routes.post("", status_code=201, response_model=AddedUser, openapi_extra=body(NewUser), **LEAN)
async def add_user(request: Request) -> Any:
    """A new account, and the link where its owner chooses a password."""
    by, new = caller(request), await wish(request, NewUser)
    made, link = await acts.add(by.world, by.user_id, new.email, new.name, by.now, is_admin=new.is_admin)
    return asdict(made) | {"password_link": link}


@routes.get("/{user_id}", response_model=UserDetail, **LEAN)
async def show_user(request: Request, user_id: str) -> Any:
    """One account and what hangs from it."""
    by = caller(request)
    person = await acts.known(by.world, plain(user_id) or "")
    async with by.world.db.connect() as db:
        return asdict(person) | asdict(await store.belongings(db, person.id, by.now))


@routes.patch("/{user_id}", response_model=User, openapi_extra=body(UserChange), **LEAN)
async def change_user(request: Request, user_id: str) -> Any:
    """Disable or enable; make or unmake an admin. What is so already is left so."""
    by, change = caller(request), await wish(request, UserChange)
    person = await acts.known(by.world, plain(user_id) or "")
    if change.is_admin is not None and change.is_admin != person.is_admin:
        await (acts.promote if change.is_admin else acts.demote)(by.world, person.id, by.now)
    if change.disabled is True and person.disabled_at is None:
        await acts.disable(by.world, by.user_id, person.id, by.now)
    if change.disabled is False and person.disabled_at is not None:
        await acts.enable(by.world, person.id, by.now)
    return await acts.known(by.world, person.id)


@routes.delete("/{user_id}", status_code=204)
async def delete_user(request: Request, user_id: str) -> None:
    """The account and everything of it, for good."""
    by = caller(request)
    await acts.delete(by.world, by.user_id, plain(user_id) or "", by.now)


@routes.post("/{user_id}/sign-out", status_code=204)
async def sign_out_user(request: Request, user_id: str) -> None:
    """Out of every browser; apps and keys stay."""
    by = caller(request)
    await acts.sign_out(by.world, plain(user_id) or "", by.now)


@routes.post("/{user_id}/reset-factors", status_code=204)
async def reset_user_factors(request: Request, user_id: str) -> None:
    """For somebody who lost their phone: passkeys and the second step go, the password stays."""
    by = caller(request)
    await acts.reset_factors(by.world, plain(user_id) or "", by.now)


@routes.post("/{user_id}/disconnect", response_model=Ended)
async def disconnect_user(request: Request, user_id: str) -> Any:
    """Ends every app that this user connected."""
    by = caller(request)
    return {"ended": await acts.disconnect(by.world, plain(user_id) or "", by.now)}


@routes.post("/{user_id}/password-link", status_code=201, response_model=PasswordLink)
async def give_password_link(request: Request, user_id: str) -> Any:
    """A link where this user chooses a new password, once, within a day."""
    by = caller(request)
    return {"password_link": await acts.password_link(by.world, by.user_id, plain(user_id) or "", by.now)}
