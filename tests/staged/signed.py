"""What is raced for, signed by whoever holds the key: what makes each good once is a `jti` (RFC 9449 §11.1, RFC 7523 §3)."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta

import asyncpg

from app.clients.assertion import JWT_BEARER
from app.tokens.dpop import WINDOW, thumbprint
from app.tokens.secrets import new_id
from tests.actors import DEVICE_CODE
from tests.signers import Signer
from tests.staged.proofs import CALLBACK, CLIENT, PUBLIC, Race, by_form, opened, somewhere


async def dpop_proofs(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """RFC 9449 §11.1: a request that was copied in flight. The refresh token would do for both; the proof does for one."""
    signer = Signer()
    public = {name: signer.jwk[name] for name in ("kty", "crv", "x", "y")}
    tokens = await opened(db, user_id, count, thumbprint(public))
    late = datetime.now(UTC) + WINDOW - timedelta(seconds=10)  # so that the last of a batch is in time as well
    said = {"htm": "POST", "htu": f"{PUBLIC}/token", "iat": int(late.timestamp())}
    form = {"grant_type": "refresh_token", "client_id": CLIENT}

    def proof() -> dict[str, str]:
        return {"DPoP": signer.sign(said | {"jti": secrets.token_hex(8)}, typ="dpop+jwt", jwk=public, kid=None)}

    return [by_form("proof", "/token", proof(), **form, refresh_token=token) for token in tokens]


async def assertions(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """RFC 7523 §3: who signed is the client, once. Each time that it is let in, a device gets a code."""
    signer, client_id, until = Signer(), new_id("client"), datetime.now(UTC) + timedelta(minutes=30)
    await db.execute(
        "INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method,"
        " metadata, created_at) VALUES ($1, 'static', 'Signs', $2, $3, 'private_key_jwt', $4, now())",
        client_id,
        [CALLBACK],
        [DEVICE_CODE],
        json.dumps({"jwks": {"keys": [signer.jwk]}}),
    )
    said = {"client_assertion_type": JWT_BEARER, "scope": "read"}
    made = [signer.assertion(client_id, PUBLIC, datetime.now(UTC), exp=int(until.timestamp())) for _ in range(count)]
    return [by_form("assertion", "/device_authorization", somewhere(), **said, client_assertion=one) for one in made]
