"""The jobs: what each sends, to which server, and what it needs before a round begins."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlencode

from bench.dpop import Holder
from bench.load import Script, Task, drive
from bench.scene import CHALLENGE, DOCUMENT, REDIRECT_URI, VERIFIER, Scene, new_codes

GUARDED, UNGUARDED = "guarded", "unguarded"
CALL_LEGACY, CALL_MODERN = "tools/call, handshake era", "tools/call, 2026-07-28"
CALL_BOUND = "tools/call, 2026-07-28, with DPoP"
AUTHORIZE, AUTHORIZE_DOCUMENT = "authorize, remembered consent", "authorize, client by document (cached)"
CODE_EXCHANGE, REFRESH = "code exchange", "refresh rotation"
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
CODES_PER_SECOND = PROOFS_PER_SECOND = 4000  # prepared for each round; a server that is faster ends its round early


@dataclass(frozen=True, slots=True)
class Job:
    """A line of the table. `prepare` is not measured; it is told how long the round will be."""

    name: str
    task: Task
    server: str = GUARDED
    prepare: Callable[[float], Awaitable[None]] | None = None
    page: str = ""  # the path, where it is a page for people


def request(method: str, path: str, port: int, body: bytes = b"", **headers: str) -> bytes:
    """Bytes as a usual client sends them. `content_type` stands for Content-Type."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "User-Agent: bench"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def form(path: str, port: int, **fields: str) -> bytes:
    body = urlencode(fields).encode()
    return request("POST", path, port, body, content_type="application/x-www-form-urlencoded")


def document(path: str, port: int, value: object) -> bytes:
    return request("POST", path, port, json.dumps(value).encode(), content_type="application/json")


def same(sent: bytes, status: int, marker: bytes) -> Task:
    """One request, over and over."""

    def script(slot: int) -> Script:
        while True:
            yield sent

    return Task(script, status, marker)


def call(port: int, token: str | None, version: str, scheme: str = "Bearer", path: str = "/mcp") -> bytes:
    """tools/call of `whoami`: as the handshake era sends it, or with 2026-07-28's metadata and mirrored headers."""
    params: dict[str, object] = {"name": "whoami", "arguments": {}}
    headers = {"accept": "application/json, text/event-stream", "content_type": "application/json"}
    headers["mcp_protocol_version"] = version
    if version == MODERN:
        meta = {"protocolVersion": version, "clientCapabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        params["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()}
        headers |= {"mcp_method": "tools/call", "mcp_name": "whoami"}
    if token is not None:
        headers["authorization"] = f"{scheme} {token}"
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return request("POST", path, port, json.dumps(message).encode(), **headers)


def registration(port: int) -> Task:
    """A new name each time: identical public clients would be one."""
    numbers = count()

    def script(slot: int) -> Script:
        while True:
            metadata = {
                "redirect_uris": [REDIRECT_URI],
                "client_name": f"Bench {next(numbers)}",
                "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
            }
            yield document("/register", port, metadata)

    return Task(script, 201, b'"client_id"')


def exchange(scene: Scene, codes: deque[str]) -> Task:
    """Each code once, until there is none left."""

    def script(slot: int) -> Script:
        while codes:
            yield redemption(scene, codes.popleft())

    return Task(script, 200, b'"refresh_token"')


def redemption(scene: Scene, code: str) -> bytes:
    return form(
        "/token",
        scene.port,
        grant_type="authorization_code",
        code=code,
        redirect_uri=REDIRECT_URI,
        client_id=scene.client_id,
        code_verifier=VERIFIER,
    )


def rotation(scene: Scene, chains: list[str]) -> Task:
    """A chain for each connection: every answer's refresh token is the next request's."""

    def script(slot: int) -> Script:
        while True:
            fields = {"refresh_token": chains[slot], "client_id": scene.client_id}
            body = yield form("/token", scene.port, grant_type="refresh_token", **fields)
            chains[slot] = json.loads(body)["refresh_token"]

    return Task(script, 200, b'"refresh_token"')


def authorization(scene: Scene, client_id: str) -> bytes:
    query = urlencode(
        {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": REDIRECT_URI,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "xyz",
            "resource": scene.world.resources.default.audience,
        }
    )
    return request("GET", f"/authorize?{query}", scene.port, cookie=scene.cookie)


def introspection(scene: Scene, token: str) -> bytes:
    return form("/introspect", scene.port, token=token, client_id=scene.api_id, client_secret=scene.api_secret)


async def tokens(scene: Scene, how_many: int, holder: Holder | None = None) -> list[dict[str, str]]:
    """Answers of the token endpoint, each of a connection of its own; bound to a key, if there is a holder of one."""
    answers: list[dict[str, str]] = []
    codes = deque(await new_codes(scene, how_many))

    def script(slot: int) -> Script:
        while codes:
            asked = redemption(scene, codes.popleft())
            body = yield holder.proven(asked, holder.proof("/token")) if holder else asked
            answers.append(json.loads(body))

    await drive(Task(script, 200, b'"refresh_token"'), scene.port, seconds=30, most=how_many, connections=1)
    return answers


async def all_jobs(scene: Scene, unguarded_port: int, connections: int) -> list[Job]:
    """In the order of the table. Guarded and unguarded calls stand side by side, so that they are measured so too."""
    port, codes = scene.port, deque[str]()
    connected = await tokens(scene, connections)
    token, holder = connected[0]["access_token"], Holder(scene.world.settings.issuer)
    bound = (await tokens(scene, 1, holder))[0]["access_token"]

    async def more_proofs(seconds: float) -> None:
        holder.sign(int(seconds * PROOFS_PER_SECOND) + connections, bound)

    async def more_codes(seconds: float) -> None:
        codes.clear()
        codes.extend(await new_codes(scene, int(seconds * CODES_PER_SECOND) + connections))

    def calls(name: str, version: str) -> list[Job]:
        marker = b'"structuredContent"'
        guarded = same(call(port, token, version), 200, marker)
        unguarded = same(call(unguarded_port, token, version), 200, marker)  # the same bytes; nobody reads the token
        return [Job(name, guarded), Job(name, unguarded, UNGUARDED)]

    return [
        *calls(CALL_LEGACY, LEGACY),
        *calls(CALL_MODERN, MODERN),
        Job(CALL_BOUND, holder.calls(call(port, bound, MODERN, "DPoP")), prepare=more_proofs),
        Job("401 at /mcp", same(call(port, None, LEGACY), 401, b"resource_metadata")),
        Job("metadata", same(request("GET", "/.well-known/oauth-authorization-server", port), 200, b'"issuer"')),
        Job("JWKS", same(request("GET", "/.well-known/jwks.json", port), 200, b'"keys"')),
        Job("registration", registration(port)),
        Job(AUTHORIZE, same(authorization(scene, scene.client_id), 302, b"code=gh_code_")),
        Job(AUTHORIZE_DOCUMENT, same(authorization(scene, DOCUMENT), 302, b"code=gh_code_")),
        Job(CODE_EXCHANGE, exchange(scene, codes), prepare=more_codes),
        Job(REFRESH, rotation(scene, [answer["refresh_token"] for answer in connected])),
        Job("introspection", same(introspection(scene, token), 200, b'"active":true')),
        Job("API key at /auth/token", same(document("/auth/token", port, {"apiKey": scene.api_key}), 200, b'"token"')),
    ]
