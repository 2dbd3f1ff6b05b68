"""The floor: the same jobs with nothing around them, raw ASGI + asyncpg, one SQL statement a job and a signature where the job has
one: `python -m bench.floor PORT`, with GATEHOUSE_DATABASE_URL. No checks, no limits, no audit: nobody should run this."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import jwt
import uvicorn
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import Receive, Scope, Send

from app.cli.running import OPTIONS
from bench.streams import ANSWER

TABLES = """
CREATE SCHEMA IF NOT EXISTS floor;
CREATE TABLE IF NOT EXISTS floor.clients (id text PRIMARY KEY, secret bytea, metadata jsonb NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS floor.sessions (secret bytea PRIMARY KEY, user_id text NOT NULL);
CREATE TABLE IF NOT EXISTS floor.codes (code bytea PRIMARY KEY, client_id text NOT NULL, user_id text NOT NULL, challenge text NOT NULL);
CREATE TABLE IF NOT EXISTS floor.families (token bytea PRIMARY KEY, client_id text NOT NULL, user_id text NOT NULL);
CREATE TABLE IF NOT EXISTS floor.keys (key bytea PRIMARY KEY, user_id text NOT NULL);
"""
ADD_CODE = "INSERT INTO floor.codes VALUES ($1, $2, $3, $4)"
AUTHORIZE = "INSERT INTO floor.codes SELECT $2, $3, user_id, $4 FROM floor.sessions WHERE secret = $1 RETURNING user_id"
REDEEM = """
WITH gone AS (DELETE FROM floor.codes WHERE code = $1 AND client_id = $2 AND challenge = $3 RETURNING client_id, user_id)
INSERT INTO floor.families SELECT $4, client_id, user_id FROM gone RETURNING user_id
"""
ROTATE = "UPDATE floor.families SET token = $2 WHERE token = $1 AND client_id = $3 RETURNING user_id"
CLIENT = "SELECT id FROM floor.clients WHERE id = $1 AND secret = $2"
KEY = "SELECT user_id FROM floor.keys WHERE key = $1"
REGISTER = "INSERT INTO floor.clients (id, metadata) VALUES ($1, $2)"

Answer = tuple[int, bytes, list[tuple[bytes, bytes]]]
PRIVATE = ec.generate_private_key(ec.SECP256R1())
JWK = jwt.get_algorithm_by_name("ES256").to_jwk(PRIVATE.public_key(), as_dict=True)
JWKS = json.dumps({"keys": [JWK] * 4}).encode()  # Gatehouse publishes four: two algorithms, the next key of each
METADATA = json.dumps(
    {"issuer": "http://127.0.0.1", **{f"endpoint_{n}": f"http://127.0.0.1/{n}" for n in range(40)}}
).encode()


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def signed(subject: str) -> str:
    now = int(time.time())
    claims = {
        "iss": "http://127.0.0.1",
        "sub": subject,
        "iat": now,
        "exp": now + 3600,
        "jti": secrets.token_urlsafe(16),
    }
    return jwt.encode(claims, PRIVATE, "ES256", {"typ": "at+jwt", "kid": "floor"})


class Floor:
    """The ASGI app."""

    def __init__(self, pool: Any) -> None:
        self._row: Callable[..., Awaitable[Any]] = pool.fetchrow
        self._doors: dict[str, Callable[[Scope, bytes], Awaitable[Answer]]] = {
            "/authorize": self.authorize,
            "/token": self.token,
            "/auth/token": self.key,
            "/register": self.register,
            "/introspect": self.introspect,
        }
        self._still = {
            "/mcp": ANSWER,
            "/.well-known/oauth-authorization-server": METADATA,
            "/.well-known/jwks.json": JWKS,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive()).get("body", b"") if scope["method"] == "POST" else b""
        still = self._still.get(scope["path"])
        if still is not None:
            status, body, headers = 200, still, list[tuple[bytes, bytes]]()
        else:
            status, body, headers = await self._doors[scope["path"]](scope, body)
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def authorize(self, scope: Scope, body: bytes) -> Answer:
        asked = dict(parse_qsl(scope["query_string"].decode()))
        cookie = next(value for name, value in scope["headers"] if name == b"cookie").decode().partition("=")[2]
        code = "gh_code_" + secrets.token_urlsafe(32)
        await self._row(AUTHORIZE, digest(cookie), digest(code), asked["client_id"], asked["code_challenge"])
        return 302, b"", [(b"location", f"{asked['redirect_uri']}?code={code}&state={asked['state']}".encode())]

    async def token(self, scope: Scope, body: bytes) -> Answer:
        asked, fresh = dict(parse_qsl(body.decode())), secrets.token_urlsafe(32)
        if asked["grant_type"] == "authorization_code":
            challenge = jwt.utils.base64url_encode(digest(asked["code_verifier"])).decode()
            row = await self._row(REDEEM, digest(asked["code"]), asked["client_id"], challenge, digest(fresh))
        elif asked["grant_type"] == "refresh_token":
            row = await self._row(ROTATE, digest(asked["refresh_token"]), digest(fresh), asked["client_id"])
        else:
            row = await self._row(CLIENT, asked["client_id"], digest(asked["client_secret"]))
        answer = {"access_token": signed(row[0]), "token_type": "Bearer", "expires_in": 3600, "refresh_token": fresh}
        return 200, json.dumps(answer).encode(), []

    async def key(self, scope: Scope, body: bytes) -> Answer:
        row = await self._row(KEY, digest(json.loads(body)["apiKey"]))
        return 200, json.dumps({"token": signed(row[0]), "expiresIn": 3600}).encode(), []

    async def register(self, scope: Scope, body: bytes) -> Answer:
        asked, identifier = json.loads(body), "client_" + secrets.token_hex(12)
        await self._row(REGISTER, identifier, json.dumps(asked))
        return 201, json.dumps({"client_id": identifier, **asked}).encode(), []

    async def introspect(self, scope: Scope, body: bytes) -> Answer:
        asked = dict(parse_qsl(body.decode()))
        await self._row(CLIENT, asked["client_id"], digest(asked["client_secret"]))
        claims = jwt.decode(asked["token"], PRIVATE.public_key(), ["ES256"])
        return 200, json.dumps({"active": True, **claims}, separators=(",", ":")).encode(), []


async def serve(port: int) -> None:
    async def kept(connection: Any) -> None:
        """As Gatehouse's pool, nothing is reset between two statements."""

    pool = await asyncpg.create_pool(os.environ["GATEHOUSE_DATABASE_URL"], min_size=8, max_size=8, reset=kept)
    await pool.execute(TABLES)
    gc.collect()
    gc.freeze()
    options = OPTIONS | {"lifespan": "off", "http": "httptools"}
    await uvicorn.Server(uvicorn.Config(Floor(pool), host="127.0.0.1", port=port, **options)).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
