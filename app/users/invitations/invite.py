"""Inviting people: by mail where there is mail, else by a link that a person hands over. For the command line and the admins alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app import audit
from app.language.catalogs import N_, spoken
from app.mail import Letter
from app.protocol.email import normal_email
from app.protocol.errors import InvalidRequest, NotFound
from app.tokens.secrets import LINK, fingerprint, new_id, new_secret
from app.users import letters
from app.users import store as users
from app.users.admins import store as admins
from app.users.invitations import store
from app.users.invitations.store import Invitation
from app.users.offers import has_own_ways
from app.world import World

LIFETIME = timedelta(days=7)
NO_ADMIN = N_("people sign in here by another service only: invite them as a user, and make them an admin afterwards")

NO_ADMIN_ANY_MORE = "nothing is served at this address"


@dataclass(frozen=True, slots=True)
class Made:
    """`link` is to be handed over; it is absent when `letter` brings it, to be sent by whoever made the invitation."""

    invitation: Invitation
    link: str | None
    letter: Letter | None


async def invite(
    world: World, typed: str, *, is_admin: bool = False, by: str | None = None, by_mail: bool = True
) -> Made:
    """`by` is the id of the admin who does it. An address that was invited before gets a new link, and the old one ends.

    Raises InvalidRequest: for what is no address, for one that has an account, where sign-up is closed, and for an admin
    where services are the only way in. NotFound for who is no admin any more.
    """
    email = normal_email(typed)
    if email is None:
        raise InvalidRequest("that does not look like an e-mail address")
    if world.settings.sign_up == "closed":
        raise InvalidRequest("sign-up is closed; set GATEHOUSE_SIGN_UP to invited, or add the account yourself")
    if is_admin and not has_own_ways(world):
        raise InvalidRequest(NO_ADMIN)
    now, code = world.now(), new_secret(LINK)
    mailed = by_mail and world.settings.can_mail
    wanted = Invitation(new_id("inv"), email, is_admin, mailed, by, now, now + LIFETIME)
    async with world.db.begin() as db:
        allowed = by is None or await admins.is_admin_still(db, by)
        taken = await users.by_email(db, email) is not None
        if allowed and not taken:
            made = await store.put(db, wanted, fingerprint(code))
            await audit.record(db, "invitation.made", now, email=email, admin=is_admin, mailed=mailed, by=by)
    if not allowed:
        raise NotFound(NO_ADMIN_ANY_MORE)
    if taken:
        raise InvalidRequest("this address has an account already")
    return _made(world, made, code)


async def send_again(world: World, identifier: str, *, by: str | None = None) -> Made:
    """A new link, good for a week; the one before ends. Raises NotFound, and InvalidRequest as `invite` does for an admin."""
    now, code, mailed = world.now(), new_secret(LINK), world.settings.can_mail
    async with world.db.begin() as db:
        made = None
        if by is None or await admins.is_admin_still(db, by):
            made = await store.renew(db, identifier, fingerprint(code), now, now + LIFETIME, mailed=mailed, by=by)
        is_closed = made is not None and made.is_admin and not has_own_ways(world)
        if is_closed:
            await db.rollback()
        elif made is not None:
            await audit.record(db, "invitation.sent_again", now, email=made.email, mailed=mailed, by=by)
    if is_closed:
        raise InvalidRequest(NO_ADMIN)
    if made is None:
        raise NotFound("there is no such invitation any more")
    return _made(world, made, code)


async def revoke(world: World, identifier: str, *, by: str | None = None) -> Invitation | None:
    """Takes it back; None when it was used or taken back already."""
    async with world.db.begin() as db:
        gone = await store.remove(db, identifier)
        if gone is not None:
            await audit.record(db, "invitation.revoked", world.now(), email=gone.email, by=by)
    return gone


def send(world: World, made: Made) -> None:
    """Posts the letter, if there is one, beside the answer."""
    letter = made.letter
    if letter is None:
        return

    async def errand() -> Letter | None:
        return letter

    world.post.soon(errand)


def _made(world: World, invitation: Invitation, code: str) -> Made:
    link = f"{world.settings.issuer}/invitation?code={code}"
    if not invitation.mailed:
        return Made(invitation, link, None)
    letter = letters.invitation(invitation.email, link, spoken.get(), has_own_ways=has_own_ways(world))
    return Made(invitation, None, letter)
