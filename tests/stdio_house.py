"""A Gatehouse whose tools are a stdio server: a small script of a test, or anybody's program."""

from __future__ import annotations

import json
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.actors import http
from tests.conftest import House, emptied

# What every script may use. `ask` reads a message, `say` writes one; a script that reads to its end has answered all it was asked.
PREFACE = """
import json, os, signal, sys, threading, time
def say(message): sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n"); sys.stdout.flush()
def note(**params): say(params)
def result(asked, **value): say({"id": asked["id"], "result": value})
def text(asked, words): result(asked, content=[{"type": "text", "text": str(words)}])
CAN = {"tools": {"listChanged": True}, "logging": {}, "resources": {"subscribe": True}, "tasks": {}}
TOOLS = [{"name": "go", "inputSchema": {"type": "object"}}]
VERSION = "2025-11-25"
def call(asked, name, **arguments): text(asked, f"{name} {arguments}")
def heard(asked): pass
def serve():
    for line in sys.stdin:
        asked = json.loads(line)
        method, params = asked.get("method"), asked.get("params") or {}
        if method == "initialize":
            result(asked, protocolVersion=VERSION, capabilities=CAN, serverInfo={"name": "script", "version": "1"}, instructions="be kind")
        elif method == "ping": result(asked)
        elif method == "tools/list": result(asked, tools=TOOLS)
        elif method == "tools/call": call(asked, params["name"], **(params.get("arguments") or {}))
        elif "id" in asked and "method" in asked: say({"id": asked["id"], "error": {"code": -32601, "message": "unknown"}})
        else: heard(asked)
"""


def script(folder: Path, source: str) -> tuple[str, ...]:
    """The command that runs this Python source, which ends in `serve()`."""
    path = folder / "server.py"
    path.write_text(PREFACE + textwrap.dedent(source) + "\nserve()\n")
    return (sys.executable, "-I", "-S", str(path))


class Caller:
    """Somebody with an API key."""

    def __init__(self, house: House, email: str = "ada@example.com") -> None:
        house.add_user(email)
        key = house.operator("api-key", "add", "x", "--user", email, "--quiet").strip()
        self.url = f"{house.url}/mcp"
        self.headers = {"Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream"}
        self.http = http(headers=self.headers)

    def ask(
        self, method: str, identifier: Any = 1, headers: dict[str, str] | None = None, **params: Any
    ) -> httpx2.Response:
        message = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
        return self.http.post(self.url, json=message, headers=headers)

    def tell(self, method: str, **params: Any) -> httpx2.Response:
        return self.http.post(self.url, json={"jsonrpc": "2.0", "method": method, "params": params})

    def call(
        self, tool: str = "go", identifier: Any = 1, meta: dict[str, Any] | None = None, **arguments: Any
    ) -> httpx2.Response:
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        return self.ask("tools/call", identifier, **(params if meta is None else {**params, "_meta": meta}))

    def said(self, tool: str = "go", **arguments: Any) -> str:
        """The text of a result."""
        response = self.call(tool, **arguments)
        assert response.status_code == 200, response.text
        text: str = response.json()["result"]["content"][0]["text"]
        return text

    def modern(self, method: str, identifier: Any = 1, **params: Any) -> httpx2.Response:
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            **params.pop("_meta", {}),
        }
        headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
        return self.ask(method, identifier, headers, _meta=meta, **params)


@contextmanager
def speaking(dsn: str, command: tuple[str, ...], log_level: str = "error", **options: Any) -> Iterator[House]:
    """A house whose tools are this command's; `options` are keys of its resource in gatehouse.toml."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gatehouse.toml"
        keys = {"path": "/mcp", "title": "A stdio server", "command": list(command), **options}
        lines = [f"{name} = {_toml(value)}" for name, value in keys.items()]
        file.write_text("\n".join(["[resources.stdio]", *lines]))
        house = House(dsn, log_level=log_level, resources_file=file).start()
        try:
            yield emptied(house)
        finally:
            house.stop()


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    return json.dumps(value)
