"""What an authenticator answered, checked (WebAuthn §7.1 and §7.2) by py_webauthn: RP ID, origin, challenge, user verified, signature."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from app.language.catalogs import N_
from app.settings.read import Settings
from app.users.passkeys.options import ALGORITHMS, relying_party

NO_ANSWER = N_("Your browser's answer could not be read. Try again.")
NOT_SOUND = N_("This passkey's answer could not be verified. Try again, or sign in another way.")
TRANSPORT = re.compile(r"[a-z-]{1,20}\Z")


class NotProven(Exception):
    """`sentence` is for people; the text of the exception is why, for the audit log."""

    def __init__(self, sentence: str, why: str) -> None:
        super().__init__("".join(c for c in why[:200] if c.isprintable()))
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Made:
    """A new passkey, as its authenticator made it."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    backed_up: bool
    maker: str  # AAGUID


@dataclass(frozen=True, slots=True)
class Proof:
    """That the passkey's owner is there. `user_handle` is the user id that the authenticator keeps with it."""

    sign_count: int
    backed_up: bool
    user_handle: bytes | None


def parsed(credential: str) -> dict[str, Any]:
    """The browser's JSON. Raises NotProven."""
    try:
        answer = from_json(credential, allow_inf_nan=False)
    except ValueError as fault:
        raise NotProven(NO_ANSWER, "not JSON") from fault
    if not isinstance(answer, dict) or not isinstance(answer.get("response"), dict):
        raise NotProven(NO_ANSWER, "not a credential")
    return answer


async def made(answer: dict[str, Any], challenge: bytes, settings: Settings) -> Made:
    """The answer to `navigator.credentials.create`. Raises NotProven."""
    return await asyncio.to_thread(_made, answer, challenge, settings)


async def proof(answer: dict[str, Any], challenge: bytes, settings: Settings, public_key: bytes) -> Proof:
    """The answer to `navigator.credentials.get`; the caller looks at counter and user. Raises NotProven."""
    return await asyncio.to_thread(_proof, answer, challenge, settings, public_key)


def _made(answer: dict[str, Any], challenge: bytes, settings: Settings) -> Made:
    import webauthn  # 24 MiB, which servers without passkeys need not hold
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    try:
        _same_origin(answer)
        verified = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=relying_party(settings) or "",
            expected_origin=settings.issuer,
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(number) for number in ALGORITHMS],
        )
    except Exception as fault:  # the library's parsers raise whatever a hostile answer makes them stumble over
        raise NotProven(NOT_SOUND, f"{type(fault).__name__}: {fault}") from fault
    return Made(
        verified.credential_id,
        verified.credential_public_key,
        verified.sign_count,
        _transports(answer["response"].get("transports")),
        verified.credential_backed_up,
        verified.aaguid,
    )


def _proof(answer: dict[str, Any], challenge: bytes, settings: Settings, public_key: bytes) -> Proof:
    import webauthn
    from webauthn.helpers import base64url_to_bytes

    try:
        _same_origin(answer)
        verified = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=relying_party(settings) or "",
            expected_origin=settings.issuer,
            credential_public_key=public_key,
            credential_current_sign_count=0,  # compared by the statement that stores it, after the signature
            require_user_verification=True,
        )
        handle = answer["response"].get("userHandle")
        return Proof(
            verified.new_sign_count, verified.credential_backed_up, base64url_to_bytes(handle) if handle else None
        )
    except Exception as fault:  # as above
        raise NotProven(NOT_SOUND, f"{type(fault).__name__}: {fault}") from fault


def _same_origin(answer: dict[str, Any]) -> None:
    """§13.4.9: our pages are framed by nobody, so no ceremony of ours runs in a frame."""
    from webauthn.helpers import base64url_to_bytes, parse_client_data_json

    if parse_client_data_json(base64url_to_bytes(answer["response"]["clientDataJSON"])).cross_origin:
        raise ValueError("the ceremony ran inside another site's page")


def _transports(said: object) -> tuple[str, ...]:
    """How it may be reached, in the browser's words; hints only."""
    words = said if isinstance(said, list) else []
    return tuple(word for word in words[:8] if isinstance(word, str) and TRANSPORT.match(word))
