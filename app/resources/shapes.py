"""gatehouse.toml as it may be written: every table and key, with its type, and the faults of what is otherwise."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Path = tuple[str, ...]
Fault = tuple[Path, str]

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}\Z")  # RFC 6749 §3.3
RATE = re.compile(r"\A([1-9][0-9]{0,6})/(second|minute|hour|day)\Z")
SEGMENT = r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
PATH = re.compile(rf"\A(?:/{SEGMENT}){{1,6}}\Z")
PROVIDER = re.compile(r"\A[a-z][a-z0-9-]{0,31}\Z")
UPSTREAM_SCOPE = re.compile(r"\A[\x21\x23-\x5b\x5d-\x7e]{1,200}\Z")  # RFC 6749 §3.3
CREDENTIALS = re.compile(r"\Aupstream:[a-z][a-z0-9-]{0,31}\Z")
TARGET = re.compile(r"\A[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")


def _short(key: str) -> BeforeValidator:
    """A single value in place of the table that has it under `key`."""
    return BeforeValidator(lambda value: value if isinstance(value, dict) else {key: value})


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_listed)]


class Shape(BaseModel):
    """A table with no other keys than these."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ScopeShape(Shape):
    words: str = Field(min_length=1, max_length=200)
    implies: Words = []
    sensitive: bool = False


class ToolShape(Shape):
    scope: Words = []
    allow: bool = True
    hidden: bool = False
    rate: str | None = Field(default=None, pattern=RATE)
    price: int = Field(default=0, ge=0, le=1_000_000_000)  # sats
    metered: bool = False


class SecretShape(Shape):
    """Named, not written."""

    env: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one(self) -> SecretShape:
        if (self.env is None) == (self.file is None):
            raise ValueError('must be { env = "NAME" } or { file = "/path" }')
        return self


class VariableShape(Shape):
    """Of a command's environment: a text, or a secret."""

    text: str | None = None
    env: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one(self) -> VariableShape:
        if [self.text, self.env, self.file].count(None) != 2:
            raise ValueError('must be a text, { env = "NAME" } or { file = "/path" }')
        return self


class SendShape(Shape):
    secret: SecretShape | None = None
    prefix: str = ""
    identity: Literal["header", "jwt"] | None = None
    audience: str | None = None
    lifetime: int = Field(60, ge=5, le=3600)
    upstream: str | None = Field(None, pattern=PROVIDER)
    scopes: list[Annotated[str, Field(pattern=UPSTREAM_SCOPE)]] = Field([], max_length=50)
    header: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,64}$")

    @model_validator(mode="after")
    def _one(self) -> SendShape:
        ways = (
            self.upstream is None and self.secret is not None and self.identity != "jwt",
            self.upstream is None and self.secret is None and self.identity == "jwt" and bool(self.audience),
            self.upstream is not None and self.secret is None and self.identity is None,
        )
        if not any(ways):
            raise ValueError(
                'must have a secret, or identity = "header" with a secret, or identity = "jwt" with an audience, '
                'or upstream = "provider"'
            )
        if self.scopes and self.upstream is None:
            raise ValueError("has scopes, which are only for upstream")
        return self


class ResourceShape(Shape):
    path: str = Field(pattern=PATH)
    title: str = Field(min_length=1, max_length=80)
    scopes: dict[str, Annotated[ScopeShape, _short("words")]] = {}
    default: Words = []
    needs: Words = []
    tools: dict[str, Annotated[ToolShape, _short("scope")]] = {}
    other_tools: Annotated[ToolShape, _short("scope")] = ToolShape()
    builtin: bool = False
    python: str | None = Field(None, pattern=TARGET)
    url: str | None = None
    command: list[str] | None = Field(None, min_length=1)
    elsewhere: str | None = None
    # of python
    inner_path: str | None = Field(None, pattern=r"^/")
    # of url
    send: SendShape | None = None
    credentials: str | None = Field(None, pattern=CREDENTIALS)
    ca_file: str | None = None
    largest: int = Field(8 * 1024 * 1024, ge=1024, le=1024**3)  # bytes
    silence: float = Field(300.0, gt=0, strict=False)  # seconds
    longest: float = Field(3600.0, gt=0, strict=False)  # seconds
    connections: int = Field(2000, ge=1, le=100_000)
    # of url and command, in seconds
    timeout: float = Field(30.0, gt=0, le=3600, strict=False)
    # of command
    env: dict[str, Annotated[VariableShape, _short("text")]] = {}
    cwd: str | None = None
    per_user: bool = False
    most: int = Field(20, ge=1, le=1000)
    idle: float = Field(600.0, ge=1, strict=False)


class FileShape(Shape):
    resources: dict[str, dict[str, Any]] = Field(min_length=1)


PLAIN = {
    "missing": "is missing",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
PATTERNS: Mapping[str, str] = {
    "path": "must be a path such as /github/mcp: no slash at the end, no segment that begins with a dot",
    "rate": "must be a rate such as 10/minute (second, minute, hour or day)",
    "python": "must be package.module:attribute",
    "header": "must be the name of a header",
    "upstream": "must be the name of a service, such as github",
    "credentials": 'must be "upstream:" and the name of a service, such as "upstream:github"',
    "inner_path": "must begin with a slash",
}


def shaped(document: Mapping[str, Any]) -> tuple[dict[str, ResourceShape], list[Fault]]:
    """The resources that have the right shape, and everything that is wrong with the others."""
    shapes: dict[str, ResourceShape] = {}
    try:
        written = FileShape.model_validate(document).resources
    except ValidationError as fault:
        return shapes, [_fault((), error) for error in fault.errors()]
    faults: list[Fault] = []
    for name, table in written.items():
        try:
            shapes[name] = ResourceShape.model_validate(table)
        except ValidationError as fault:
            faults += [_fault(("resources", name), error) for error in fault.errors()]
    return shapes, faults


def _fault(path: Path, error: Any) -> Fault:
    path = (*path, *(str(part) for part in error["loc"]))
    kind, name = error["type"], path[-1] if path else ""
    if kind == "extra_forbidden":
        return path, f"is not known here{_meant(path)}"
    if kind == "string_pattern_mismatch" and name in PATTERNS:
        return path, PATTERNS[name]
    return path, PLAIN.get(kind) or _lower(error["msg"].removeprefix("Value error, "))


def _lower(text: str) -> str:
    return text.replace("Input should be", "must be").replace("Input", "it")


def _meant(path: Path) -> str:
    depths: dict[int, Any] = {1: FileShape, 3: ResourceShape}
    inner = {"scopes": ScopeShape, "tools": ToolShape, "other_tools": ToolShape, "send": SendShape}
    shape: Any = depths.get(len(path)) or inner.get(path[2] if len(path) > 2 else "", Shape)
    near = difflib.get_close_matches(path[-1], list(shape.model_fields), 1)
    return f"; did you mean {near[0]}?" if near else ""
