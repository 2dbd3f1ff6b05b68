"""One protected MCP server as frozen values: where it is, what it grants, what its tools need, what stands behind it (RFC 9728 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import SecretStr

from app.protocol.scope import Scope


@dataclass(frozen=True, slots=True)
class Secret:
    """The same for every caller: `value` is the whole header, such as `Bearer …`."""

    value: SecretStr
    header: str = "Authorization"


@dataclass(frozen=True, slots=True)
class IdentityHeader:
    """Who calls, as JSON that the backend checks with a secret of its own and ours (HMAC-SHA-256)."""

    secret: SecretStr
    header: str = "X-Gatehouse-Identity"


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """Who calls, as a JWT for `audience` that the backend checks with our JWKS. Lifetime in seconds."""

    audience: str
    header: str = "Authorization"
    lifetime: int = 60


@dataclass(frozen=True, slots=True)
class Upstream:
    """The caller's own token of this provider, with at least these scopes, as the provider names them."""

    provider: str
    header: str = "Authorization"
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PythonBackend:
    """`target` is "package.module:attribute": an MCPServer, a FastMCP or any ASGI app, served in this process; `folder` is
    where it is looked for too, and `inner_path` what an ASGI app is to take for its path, where that is not the resource's."""

    target: str
    folder: str | None = None
    inner_path: str | None = None


@dataclass(frozen=True, slots=True)
class UrlBackend:
    """A remote streamable-HTTP server. `timeout` in seconds, until its answer begins, and until one that is not a stream
    ends; `ca_file` holds further authorities (PEM). `largest` is of an answer that is no stream, in bytes. The stream of a call
    may say nothing for `silence` seconds, and take `longest` in all. Each process opens at most `connections` to it."""

    url: str
    send: Secret | IdentityHeader | IdentityToken | Upstream | None = None
    timeout: float = 30.0
    ca_file: str | None = None
    largest: int = 8 * 1024 * 1024
    silence: float = 300.0
    longest: float = 3600.0
    connections: int = 2000


@dataclass(frozen=True, slots=True)
class CommandBackend:
    """A stdio server: one process for all, or `per_user` one each, at most `most` of them; seconds: `idle` until it is
    stopped, `timeout` until a call is given up."""

    command: tuple[str, ...]
    env: Mapping[str, SecretStr | str] = field(default_factory=dict)
    cwd: str | None = None
    per_user: bool = False
    most: int = 20
    idle: float = 600.0
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """No server of ours: others serve it at `url`, which is its audience, and check the tokens that are given for it here."""

    url: str


Backend = PythonBackend | UrlBackend | CommandBackend | Elsewhere


@dataclass(frozen=True, slots=True)
class CallRate:
    """At most `hits` calls in `window`, of one caller."""

    hits: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class ToolRule:
    """What a call of one tool needs. `allowed`: by anybody at all; what is not is never listed.
    `hidden`: nor is it to those whose scope does not suffice. `price` in sats, 0: none; where it is `metered`, the most that a call may
    cost, and the tool says afterwards what it did."""

    needs: frozenset[str] = frozenset()
    allowed: bool = True
    hidden: bool = False
    rate: CallRate | None = None
    price: int = 0
    metered: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """`baseline` is what every message needs. `tools` maps names, and patterns with `*`, to their rule: the name itself counts
    before the first pattern that fits, and `others` is the rule of the tools that neither does."""

    baseline: frozenset[str] = frozenset()
    tools: Mapping[str, ToolRule] = field(default_factory=dict)
    others: ToolRule = ToolRule()


@dataclass(frozen=True, slots=True)
class Resource:
    """`audience` is the URI that its tokens are for (RFC 8707); `default` what a request without scope asks for; `backend` None
    stands for the built-in tools."""

    name: str
    path: str
    title: str
    audience: str
    scopes: Mapping[str, Scope]
    default: tuple[str, ...]
    rules: Rules
    backend: Backend | None = None
