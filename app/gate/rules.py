"""What a call needs: the parsed JSON-RPC message decides, and exactly that is passed on (MCP authorization "Scope Challenge")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from app.resources.model import Rules, ToolRule

INVALID_REQUEST, INVALID_PARAMS, PARSE_ERROR = -32600, -32602, -32700
LONGEST_NAME = 128  # characters of a tool's name (MCP 2025-11-25, server/tools "Tool Names")
MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "name", "arguments", "_meta"})


class Unreadable(Exception):
    """The body is no single JSON-RPC message that is sure to be read by its server as it was here. `code` is JSON-RPC's,
    `identifier` the message's, where it could be read."""

    def __init__(self, code: int, message: str, identifier: str | int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.identifier = identifier


class Ruled(NamedTuple):
    """The one message of a body; `body` is how it is passed on: without a second key of the same name or spelling. `tool` is what
    it calls, if it calls one."""

    message: dict[str, Any]
    body: bytes
    rule: ToolRule
    tool: str | None


class RuleBook:
    """The rules of one resource, made ready for every call."""

    def __init__(self, rules: Rules, declared: Mapping[str, str]) -> None:
        """`declared` maps the built-in tools to their scopes, which they need besides what the rules say."""
        self._others = _above(rules.baseline, rules.others)
        self._any = ToolRule(rules.baseline)
        self._patterns = [(name.split("*"), _above(rules.baseline, rule)) for name, rule in rules.tools.items()]
        self._of = lru_cache(1024)(self._look_up)  # names are the callers' to make up, and short
        self._known = {name: _above(rules.baseline, rule) for name, rule in rules.tools.items() if "*" not in name}
        self._known |= {name: _above(frozenset({scope}), self.of(name)) for name, scope in declared.items()}
        every = (*self._known.values(), *(rule for _, rule in self._patterns), self._others)
        self.hides = any(rule.hidden or not rule.allowed for rule in every)
        self.baseline = rules.baseline

    def of(self, tool: str) -> ToolRule:
        """With what every message needs; `tool` is a name that `is_name` takes."""
        return self._known.get(tool) or self._of(tool)

    def _look_up(self, tool: str) -> ToolRule:
        return next((rule for parts, rule in self._patterns if _fits(tool, parts)), self._others)

    def shows(self, tool: object, held: frozenset[str]) -> bool:
        """Whether a tool of this name is listed for a caller with these scopes."""
        if not isinstance(tool, str) or not is_name(tool):
            return False
        rule = self.of(tool)
        return rule.allowed and not (rule.hidden and not rule.needs <= held)

    def ruled(self, body: bytes) -> Ruled:
        """Raises Unreadable for what two parsers may read in two ways."""
        message = _read(body)
        method = message.get("method")
        try:
            _refuse_twins(message)
            if method != "tools/call":
                if method is not None and not isinstance(
                    method, str
                ):  # a list of one text is that text to some languages
                    raise Unreadable(INVALID_REQUEST, "the method is no text")
                return Ruled(message, _written(message), self._any, None)
            name = _tool_of(message)
            return Ruled(message, _written(message), self.of(name), name)
        except Unreadable as fault:
            sent = message.get("id")
            fault.identifier = sent if isinstance(sent, str) or type(sent) is int else None
            raise


def _read(body: bytes) -> dict[str, Any]:
    """Raises Unreadable."""
    try:
        message = from_json(body, allow_inf_nan=False)
    except ValueError as fault:  # says what and where, without a word of the body
        raise Unreadable(PARSE_ERROR, f"the body cannot be read as JSON: {fault}") from fault
    if isinstance(message, dict):
        return message
    is_batch = isinstance(message, list)
    raise Unreadable(INVALID_REQUEST, "batches are not supported" if is_batch else "the body is not a JSON-RPC message")


def _tool_of(message: dict[str, Any]) -> str:
    """The tool that is called. Raises Unreadable."""
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    if not isinstance(params, dict) or not isinstance(name, str):
        raise Unreadable(INVALID_PARAMS, "a call names its tool in params.name")
    if not is_name(name):
        raise Unreadable(INVALID_PARAMS, f"a tool's name has 1 to {LONGEST_NAME} visible characters")
    _refuse_twins(params)
    return name


def is_name(tool: str) -> bool:
    """Whether a tool may be called so. Names are the callers' to make up, and kept, counted, sold and matched against patterns;
    one with blanks around it could be one tool to us and another to its server."""
    return 0 < len(tool) <= LONGEST_NAME and tool.isprintable() and tool == tool.strip()


def _refuse_twins(members: Iterable[str]) -> None:
    """Raises Unreadable for a key that some languages take for another: Go whatever its case, with the last one counting, C as
    far as a NUL (CVE-2026-27896)."""
    if MEMBERS.issuperset(members):
        return
    for key in members:
        if key not in MEMBERS and key.partition("\0")[0].upper().casefold() in MEMBERS:
            raise Unreadable(INVALID_REQUEST, "a key of the message has another spelling than MCP's")


def _written(message: dict[str, Any]) -> bytes:
    """Raises Unreadable for a number that is beyond all that JSON can say."""
    body = to_json(message)
    if b"Infinity" in body:
        try:
            from_json(body, allow_inf_nan=False)
        except ValueError as fault:
            raise Unreadable(PARSE_ERROR, "a number in the body is too large") from fault
    return body


def _above(needs: frozenset[str], rule: ToolRule) -> ToolRule:
    return replace(rule, needs=needs | rule.needs)


def _fits(tool: str, parts: list[str]) -> bool:
    """Whether a tool is called as a pattern says, of which `parts` stand between the stars; in one walk, however many they are."""
    first, *between = parts
    if not between:
        return tool == first
    last = between.pop()
    if not tool.startswith(first) or not tool.endswith(last) or len(tool) < len(first) + len(last):
        return False
    at, end = len(first), len(tool) - len(last)
    for part in between:
        at = tool.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
