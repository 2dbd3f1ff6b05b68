"""POST /login/passkey: in by a passkey alone, whoever's it is (WebAuthn §7.2); it counts as both factors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import N_, _
from app.limits import PASSKEY_ADDRESS, hit
from app.protocol.params import Params
from app.tokens.secrets import unb64
from app.traces.recording import note
from app.users.login_page import login_page
from app.users.passkeys import ceremony, challenge, store
from app.users.passkeys.ceremony import NotProven
from app.users.sign_in import enter, welcome
from app.web import sessions
from app.web.http import client_address, form
from app.world import World

TOO_OLD = N_("This page was open for too long, or was used already. Try again.")
UNKNOWN = N_("This passkey is not known here. It may have been removed.")
COPIED = N_("This passkey seems to have been copied, so it was not accepted. Sign in another way and remove it.")


@dataclass(frozen=True, slots=True)
class Known:
    """A passkey of ours, with the proof that its owner holds it."""

    user_id: str
    credential_id: bytes
    proof: ceremony.Proof


async def sign_in(request: Request, world: World) -> Response:
    """A new session, and back to what was interrupted; or the page once more, with the reason."""
    fields, now = await form(request, world), world.now()
    secret = sessions.check_form(request, world, fields)
    address = client_address(request, world.settings.trusted_proxies)
    await hit(world.pool, PASSKEY_ADDRESS, address, now)
    try:
        known = await _known(request, world, fields, secret, now)
    except NotProven as refusal:
        return await _refused(request, world, fields, refusal)
    proof = known.proof
    async with world.db.begin() as db:
        used = await store.use(db, known.credential_id, proof.sign_count, proof.backed_up, now)
        entered = await enter(db, request, world, known.user_id, "passkey", now) if used else None
    if entered is None:
        return await _refused(request, world, fields, NotProven(COPIED, "its counter did not grow"), known.user_id)
    return welcome(world, entered, known.user_id, fields.get("req"), now)


async def _known(request: Request, world: World, fields: Params, secret: str, now: datetime) -> Known:
    """Raises NotProven."""
    answer = ceremony.parsed(fields.get("credential") or "")
    expected = await challenge.used(world, fields.get("challenge") or "", "sign in", secret, "", now)
    if expected is None:
        raise NotProven(TOO_OLD, "challenge too old or used")
    try:
        credential_id = unb64(str(answer.get("id")))
    except ValueError as fault:
        raise NotProven(ceremony.NO_ANSWER, "no credential id") from fault
    owned = await store.owned(world.pool, credential_id)
    if owned is None:
        raise NotProven(UNKNOWN, "unknown credential")
    user_id, public_key = owned
    proof = await ceremony.proof(answer, expected, world.settings, public_key)
    if proof.user_handle is None:  # §7.2 step 6: it may be left out only where the user was known before
        viewer = await sessions.viewer(request, world, now)
        if viewer is None or viewer.user_id != user_id:
            raise NotProven(ceremony.NOT_SOUND, "the passkey does not say whose it is")
    elif proof.user_handle != user_id.encode():
        raise NotProven(ceremony.NOT_SOUND, "the passkey says that it is somebody else's")
    return Known(user_id, credential_id, proof)


async def _refused(
    request: Request, world: World, fields: Params, refusal: NotProven, user_id: str | None = None
) -> Response:
    now, address = world.now(), client_address(request, world.settings.trusted_proxies)
    async with world.db.begin() as db:
        await audit.record(db, "passkey.refused", now, user_id=user_id, address=address, why=str(refusal))
    note(error="passkey_refused", description=refusal.sentence)
    return await login_page(request, world, fields.get("req"), now, error=_(refusal.sentence), status=400)
