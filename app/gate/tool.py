"""How a tool is written: one decorated function in one file under `tools/`, given the caller and its arguments."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from app.db.engine import is_unavailable
from app.gate.services import away, told
from app.protocol.scope import SCOPES
from app.protocol.types import Principal
from app.upstream.faults import Away
from app.upstream.vault.borrowed import Borrowed, borrow
from app.upstream.vault.fetch import NotConnected, NotOffered
from app.world import World

Function = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the tool, and the world it may touch."""

    principal: Principal
    world: World

    async def upstream(self, name: str, *scope: str) -> Borrowed:
        """The caller's own account at this service, with at least these scopes, as the service names them.

        Raises NotOffered, NotConnected and Away. Let them through: the caller's client is told where to connect it, or to come again.
        """
        return await borrow(self.world, self.principal.subject, name, scope)


@dataclass(frozen=True, slots=True)
class Tool:
    """`scope` is what a token needs; the function's name, docstring and annotations are what clients see."""

    name: str
    scope: str
    function: Function


TOOLS: dict[str, Tool] = {}
log = structlog.get_logger("gatehouse.tools")


def tool(scope: str) -> Callable[[Function], Function]:
    """Makes `async def name(caller: Caller, …)` an MCP tool. Raises ValueError for an unknown scope or a name used twice."""

    def add(function: Function) -> Function:
        name = function.__name__
        if scope not in SCOPES or name in TOOLS:
            raise ValueError(f"tool {name}: unknown scope {scope}, or the name is taken")
        TOOLS[name] = Tool(name, scope, function)
        return function

    return add


def load_tools() -> dict[str, Tool]:
    """Imports every file under `tools/`, and returns what they declared."""
    package = importlib.import_module("app.gate.tools")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return TOOLS


def adapted(declared: Tool, world: World) -> Function:
    """The tool as the SDK calls it: a Context in place of the Caller. The scope is checked here once more."""

    @functools.wraps(declared.function)
    async def call(ctx: Context[Any, Any], **arguments: Any) -> Any:
        request = ctx.request_context.request
        principal = request.scope["state"]["principal"] if request is not None else None
        if principal is None or declared.scope not in principal.scope:
            raise PermissionError(f"{declared.name} needs the scope {declared.scope}")
        try:
            return await declared.function(Caller(principal, world), **arguments)
        except NotOffered as fault:
            raise ToolError(str(fault)) from fault
        except NotConnected as fault:
            return told(fault, ctx)
        except Away as fault:
            assert request is not None
            raise away(fault, request.scope["state"]) from fault
        except Exception as fault:
            if request is None or not is_unavailable(fault):
                raise
            # To the SDK it would be a fault of the tool, with a trace in the log and nothing for the caller to go by.
            log.warning("tool could not reach what it needs", tool=declared.name, error=type(fault).__name__)
            identifier = request.scope["state"]["request_id"]
            raise ToolError(
                f"the server cannot do this just now; try again in a moment (request {identifier})"
            ) from None

    signature = inspect.signature(declared.function, eval_str=True)
    _, *others = signature.parameters.values()
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Context)
    call.__signature__ = signature.replace(parameters=[context, *others])  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in [context, *others]} | {"return": signature.return_annotation}
    del call.__wrapped__
    return call
