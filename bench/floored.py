"""The jobs of the floor: the same bytes as Gatehouse is sent, and rows of its own."""

from __future__ import annotations

import json
import secrets
from collections import deque

from bench import floor
from bench.jobs import (
    API_KEY,
    AUTHORIZE,
    CALL_RAW,
    CLIENT_CREDENTIALS,
    CODE_EXCHANGE,
    CODES_PER_SECOND,
    FLOOR,
    INTROSPECTION,
    JWKS,
    LEGACY,
    METADATA,
    REFRESH,
    REGISTRATION,
    Job,
    authorization,
    call,
    client_credentials,
    document,
    exchange,
    introspection,
    raw_token,
    registration,
    request,
    rotation,
    same,
)
from bench.load import Script, Task, drive
from bench.scene import CHALLENGE, Scene


async def floor_jobs(scene: Scene, floor_port: int, connections: int) -> list[Job]:
    port, codes, pool = scene.port, deque[str](), scene.world.pool
    chains = [secrets.token_urlsafe(32) for _ in range(connections)]
    services = [(scene.api_id, scene.api_secret), (scene.service_id, scene.service_secret)]
    await pool.executemany(
        "INSERT INTO floor.clients VALUES ($1, $2)", [(who, floor.digest(of)) for who, of in services]
    )
    await pool.execute("INSERT INTO floor.sessions VALUES ($1, $2)", floor.digest(scene.session), scene.user_id)
    await pool.execute("INSERT INTO floor.keys VALUES ($1, $2)", floor.digest(scene.api_key), scene.user_id)
    families = [(floor.digest(one), scene.client_id, scene.user_id) for one in chains]
    await pool.executemany("INSERT INTO floor.families VALUES ($1, $2, $3)", families)
    token = await _token(scene, floor_port)

    async def more_codes(seconds: float) -> None:
        codes.clear()
        codes.extend(secrets.token_urlsafe(32) for _ in range(int(seconds * CODES_PER_SECOND) * 2 + connections))
        rows = [(floor.digest(code), scene.client_id, scene.user_id, CHALLENGE) for code in codes]
        await pool.executemany(floor.ADD_CODE, rows)

    def still(name: str, path: str, marker: bytes) -> Job:
        return Job(name, same(request("GET", path, port), 200, marker), FLOOR)

    return [
        Job(CALL_RAW, same(call(port, raw_token(scene), LEGACY), 200, b'"structuredContent"'), FLOOR),
        still(METADATA, "/.well-known/oauth-authorization-server", b'"issuer"'),
        still(JWKS, "/.well-known/jwks.json", b'"keys"'),
        Job(REGISTRATION, registration(port), FLOOR),
        Job(AUTHORIZE, same(authorization(scene, scene.client_id), 302, b"code=gh_code_"), FLOOR),
        Job(CODE_EXCHANGE, exchange(scene, codes), FLOOR, prepare=more_codes),
        Job(REFRESH, rotation(scene, chains), FLOOR),
        Job(CLIENT_CREDENTIALS, same(client_credentials(scene), 200, b'"access_token"'), FLOOR),
        Job(INTROSPECTION, same(introspection(scene, token), 200, b'"active":true'), FLOOR),
        Job(API_KEY, same(document("/auth/token", port, {"apiKey": scene.api_key}), 200, b'"token"'), FLOOR),
    ]


async def _token(scene: Scene, port: int) -> str:
    """One that the floor has signed."""
    found: list[str] = []

    def script(slot: int) -> Script:
        body = yield document("/auth/token", port, {"apiKey": scene.api_key})
        found.append(json.loads(body)["token"])

    await drive(Task(script, 200, b'"token"'), port, seconds=5, most=1, connections=1)
    return found[0]
