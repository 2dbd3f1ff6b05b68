"""From gatehouse.toml to frozen values: everything is checked, and every fault reported together, with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from app.protocol.scope import ADMIN, API_KEYS, DEFAULT, IDENTITY, SCOPES, Scope
from app.resources import backends
from app.resources.lines import line_of, lines_of
from app.resources.model import CallRate, Resource, Rules, ToolRule
from app.resources.served import PATH, Resources
from app.resources.shapes import NAME, RATE, SCOPE, Fault, ResourceShape, ToolShape, shaped
from app.resources.shapes import Path as Keys
from app.settings.read import SettingsError

# The first segments of this server's own addresses.
RESERVED = frozenset(
    {
        "account",
        "admin",
        "agents",
        "api",
        "api-keys",
        "audit",
        "auth",
        "authorize",
        "callback",
        "connect",
        "consent",
        "device",
        "device_authorization",
        "docs",
        "forward-auth",
        "goodbye",
        "healthz",
        "internal",
        "introspect",
        "invitation",
        "login",
        "logout",
        "metrics",
        "openapi.json",
        "par",
        "password",
        "pay",
        "readyz",
        "receipt",
        "register",
        "revoke",
        "setup",
        "sign-up",
        "static",
        "token",
        "usage",
        "userinfo",
        "wallet",
        "work",
    }
)
WINDOWS = {word: timedelta(**{f"{word}s": 1}) for word in ("second", "minute", "hour")} | {"day": timedelta(days=1)}
OURS = (API_KEYS, ADMIN)  # of this server itself, at the default resource
TAKEN = frozenset({*OURS, "offline_access", *IDENTITY})


class ResourcesError(SettingsError):
    """Every fault of gatehouse.toml, a line each."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the file is and what its secrets are looked up in."""

    path: Path
    environment: Mapping[str, str] = field(repr=False)


def text_of(source: Source) -> str:
    """The file as it is at this moment. Raises ResourcesError."""
    try:
        return source.path.read_text("utf-8")
    except (OSError, ValueError) as fault:
        raise ResourcesError(f"{source.path} cannot be read: {getattr(fault, 'strerror', None) or fault}") from fault


def parsed(text: str, source: Source, issuer: str) -> Resources:
    """What this text, as the content of that file, says. Raises ResourcesError."""
    name = source.path.name
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        where = re.search(r" \(at line (\d+), column \d+\)$", str(fault))
        said = str(fault)[: where.start()] if where else str(fault)
        raise ResourcesError(f"{name}:{where[1] if where else 1}: {said}") from fault
    shapes, faults = shaped(document)
    resources = _resources(shapes, source, issuer, faults)
    if faults:
        lines = lines_of(text)
        placed = sorted({(line_of(lines, keys) or 1, f"{_dotted(keys)} {said}".strip()) for keys, said in faults})
        raise ResourcesError("\n".join(f"{name}:{line}: {said}" for line, said in placed))
    return Resources.of(issuer, resources)


def _dotted(keys: Keys) -> str:
    return ".".join(key if re.fullmatch(r"[\w-]+", key) else f'"{key}"' for key in keys)


def _resources(shapes: Mapping[str, ResourceShape], source: Source, issuer: str, faults: list[Fault]) -> list[Resource]:
    found: list[Resource] = []
    default = next((name for name, one in shapes.items() if one.path == PATH), next(iter(shapes), ""))
    for name, one in shapes.items():
        keys = ("resources", name)
        if not NAME.match(name):
            faults.append((keys, "must be named in small letters, digits and dashes"))
        if one.path in (other.path for other in found):
            faults.append(((*keys, "path"), f"is {one.path}, as that of another resource"))
        if one.path.split("/")[1] in RESERVED:
            faults.append(((*keys, "path"), f"is {one.path}, which this server needs itself"))
        faults += _faults_of_elsewhere((*keys, "elsewhere"), one, issuer, name == default, found)
        found.append(_resource(name, one, source, issuer, name == default, faults))
    faults += [
        (("resources", default, "scopes", word), "begins like a scope of another resource in an API key")
        for word in (shapes[default].scopes if shapes else ())
        if word.partition("/")[0] in shapes and "/" in word
    ]
    return found


def _faults_of_elsewhere(
    keys: Keys, shape: ResourceShape, issuer: str, is_default: bool, others: list[Resource]
) -> Iterator[Fault]:
    audience = shape.elsewhere or f"{issuer}{shape.path}"
    if audience == issuer or any(one.audience == audience and one.path != shape.path for one in others):
        yield keys, f"is {audience}, as that of another resource"
    if shape.elsewhere is not None and is_default:  # its tokens would manage this server, and others see them
        yield keys, "must not be that of the default resource, which is the one at /mcp, else the first"


def _resource(
    name: str, shape: ResourceShape, source: Source, issuer: str, is_default: bool, faults: list[Fault]
) -> Resource:
    keys = ("resources", name)
    scopes = _scopes(keys, shape, is_default, faults)
    own = [word for word in scopes if word not in OURS]
    default = tuple(shape.default or own)
    needs = shape.needs or own[:1]
    for key, words in (("default", default), ("needs", needs)):
        faults += _unknown((*keys, key), words, scopes)
    others = shape.other_tools if "other_tools" in shape.model_fields_set else ToolShape(scope=own)
    tools = {tool: _rule((*keys, "tools", tool), one, scopes, faults) for tool, one in shape.tools.items()}
    if shape.builtin and "other_tools" not in shape.model_fields_set:
        others = ToolShape()  # these say themselves what they need
    rules = Rules(frozenset(needs), tools, _rule((*keys, "other_tools"), others, scopes, faults))
    backend = backends.of(keys, shape, source.path.parent, source.environment, faults)
    audience = shape.elsewhere or f"{issuer}{shape.path}"
    return Resource(name, shape.path, shape.title, audience, scopes, default, rules, backend)


def _scopes(keys: Keys, shape: ResourceShape, is_default: bool, faults: list[Fault]) -> dict[str, Scope]:
    """With everything that each implies, however far; and those of this server itself, at the default resource."""
    keys = (*keys, "scopes")
    for word, one in shape.scopes.items():
        if not SCOPE.match(word):
            faults.append(((*keys, word), "must be a word of letters, digits and signs"))
        if word in TAKEN:
            faults.append(((*keys, word), "has a meaning of its own here; choose another word"))
        faults += _unknown((*keys, word, "implies"), one.implies, shape.scopes)
    if not shape.scopes:
        return {word: SCOPES[word] for word in (*DEFAULT, *(OURS if is_default else ()))}
    if shape.builtin:
        faults += [
            (keys, f"must have {word}, which the built-in tools need")
            for word in ("read", "write")
            if word not in shape.scopes
        ]
    found = {
        word: Scope(word, one.words, _reach(word, shape) - {word}, one.sensitive) for word, one in shape.scopes.items()
    }
    return found | {word: SCOPES[word] for word in OURS} if is_default else found


def _reach(word: str, shape: ResourceShape) -> frozenset[str]:
    reached, left = set[str](), [word]
    while left:
        one = left.pop()
        if one in shape.scopes and one not in reached:
            reached.add(one)
            left += shape.scopes[one].implies
    return frozenset(reached)


def _unknown(keys: Keys, words: object, scopes: Mapping[str, object]) -> list[Fault]:
    assert isinstance(words, (list, tuple))
    known = ", ".join(scopes)
    return [(keys, f"has {word}, which is no scope here; they are {known}") for word in words if word not in scopes]


def _rule(keys: Keys, shape: ToolShape, scopes: Mapping[str, Scope], faults: list[Fault]) -> ToolRule:
    faults += _unknown((*keys, "scope"), shape.scope, scopes)
    match = RATE.match(shape.rate) if shape.rate else None
    rate = CallRate(int(match[1]), WINDOWS[match[2]]) if match else None
    return ToolRule(frozenset(shape.scope), shape.allow, shape.hidden, rate, shape.price, shape.metered)
