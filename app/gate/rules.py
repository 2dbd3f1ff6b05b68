"""What a call needs: the parsed JSON-RPC message decides, and exactly that is passed on (MCP authorization "Scope Challenge")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from app.resources.model import Rules, ToolRule

INVALID_REQUEST, INVALID_PARAMS, PARSE_ERROR = -32600, -32602, -32700


class Unreadable(Exception):
    """The body is no single JSON-RPC message; `code` is JSON-RPC's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Ruled(NamedTuple):
    """The one message of a body; `body` is how it is passed on: without a second key of the same name or another spelling of
    the method. `tool` is what it calls, if it calls one."""

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
        self._patterns = [(_pattern(name), _above(rules.baseline, rule)) for name, rule in rules.tools.items()]
        self._of = lru_cache(1024)(self._look_up)  # names are the callers' to make up
        self._known = {name: _above(rules.baseline, rule) for name, rule in rules.tools.items() if "*" not in name}
        self._known |= {name: _above(frozenset({scope}), self.of(name)) for name, scope in declared.items()}
        every = (*self._known.values(), *(rule for _, rule in self._patterns), self._others)
        self.hides = any(rule.hidden or not rule.allowed for rule in every)
        self.baseline = rules.baseline

    def of(self, tool: str) -> ToolRule:
        """With what every message needs."""
        return self._known.get(tool) or self._of(tool)

    def _look_up(self, tool: str) -> ToolRule:
        return next((rule for pattern, rule in self._patterns if pattern.fullmatch(tool)), self._others)

    def shows(self, tool: object, held: frozenset[str]) -> bool:
        """Whether a tool of this name is listed for a caller with these scopes."""
        if not isinstance(tool, str):
            return False
        rule = self.of(tool)
        return rule.allowed and not (rule.hidden and not rule.needs <= held)

    def ruled(self, body: bytes) -> Ruled:
        """Raises Unreadable for what two parsers may read in two ways."""
        try:
            message = from_json(body, allow_inf_nan=False)
        except ValueError as fault:
            raise Unreadable(PARSE_ERROR, "the body is not valid JSON") from fault
        if not isinstance(message, dict):
            batch = isinstance(message, list)
            raise Unreadable(
                INVALID_REQUEST, "batches are not supported" if batch else "the body is not a JSON-RPC message"
            )
        method = message.get("method")
        if method != "tools/call":
            if method is not None and not isinstance(method, str):  # a list of one text is that text to some languages
                raise Unreadable(INVALID_REQUEST, "the method is no text")
            return Ruled(message, to_json(message), self._any, None)
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        if not isinstance(name, str):
            raise Unreadable(INVALID_PARAMS, "a call names its tool in params.name")
        return Ruled(message, to_json(message), self.of(name), name)


def _above(needs: frozenset[str], rule: ToolRule) -> ToolRule:
    return replace(rule, needs=needs | rule.needs)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in name.split("*")), re.DOTALL)
