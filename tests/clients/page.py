"""docs/clients.md, written from the files of the clients, the breakers and the reset steps: `python -m tests.clients`."""

from __future__ import annotations

from pathlib import Path

from app.clients.reset import known as steps
from app.clients.reset import reset
from tests.clients.breakers import BREAKERS
from tests.clients.data import Known, known, names

PAGE = Path(__file__).parent.parent.parent / "docs" / "clients.md"
MCP = "https://mcp.example.com/mcp"
SCOPES = {
    "{challenge}": "those of the 401",
    "{resource_scopes}": "those of the resource's metadata",
    "{server_scopes}": "all of the server's metadata",
}
HEAD = """\
<!-- Written by `python -m tests.clients` from tests/clients/*.json and app/clients/reset_steps.json; a test compares. -->

# Clients, how they come in, and how they come back

Every row is a file in `tests/clients/`, with the sources and the date of what it says, and with what in it is assumed.
`tests/clients/test_each_client.py` replays each against a real server over a real socket: discovery, document or
registration, sign-in and consent pages, token, `/mcp`, refresh, and a second sign-in from another port.

"""
BETWEEN = """
What in a row is not known but assumed, and where the rest is from:

"""
BREAK = """
## What shuts clients out elsewhere

| symptom | cause | reported in | held here by |
|---|---|---|---|
"""
RESET = f"""
## A client whose registration is gone

`/token` answers 401 `invalid_client`: Claude, the TypeScript SDK and others register anew on that. Those that open the
browser with the old client_id instead meet a page with the steps below for that very app, known by its redirect URI, by
the name that it had registered, or by its User-Agent, in this order; `gatehouse trace` tells the operator the same. NAME is what the
person called the server in the app; here its address is `{MCP}`.

"""


def page() -> str:
    found = sorted((known(name) for name in names()), key=lambda one: one.client.lower())
    text = (
        HEAD
        + "| client | comes by | at `/token` | redirect | asks for the scopes | `resource` | tolerated | tested |\n"
    )
    text += "|---|---|---|---|---|---|---|---|\n" + "".join(map(_row, found)) + BETWEEN
    text += "".join(map(_sources, found)) + BREAK
    text += "".join(f"| {what} | {cause} | {where} | `{test}` |\n" for what, cause, where, test in BREAKERS) + RESET
    for one in [*steps(MCP), reset([], None, "", MCP)]:
        text += f"### {one.client or 'Any other'}\n\n"
        text += "".join(f"{number}. {step}\n" for number, step in enumerate(one.steps, 1)) + "\n"
    return text.rstrip("\n") + "\n"


def _row(one: Known) -> str:
    ways = [f"document `{one.client_id}`"] if one.client_id else []
    methods = [f"{method} ({way})" if one.client_id else method for way, method in one.authenticates.items()]
    cells = [
        f"**{one.client}** ({one.as_of})",
        ", else ".join([*ways, "registration"]),
        ", ".join(methods),
        f"`{one.redirect_uri}`",
        _scopes(one),
        _resource(one),
        "; ".join(one.quirks),
        one.tested,
    ]
    return "| " + " | ".join(cells) + " |\n"


def _scopes(one: Known) -> str:
    first, again = one.authorize.get("scope"), one.again.get("scope")
    said = SCOPES.get(str(first), f"`{first}`")
    if again == first:
        return said
    return f"{said}; another time {f'`{again}`' if again else 'none'}"


def _resource(one: Known) -> str:
    asked = one.authorize.get("resource")
    return {None: "none", "{mcp}": "the address"}.get(asked, "as in the resource's metadata")


def _sources(one: Known) -> str:
    assumed = f" Assumed: {'; '.join(one.assumed)}." if one.assumed else " Nothing assumed."
    return f"* **{one.client}**: {'; '.join(one.sources)}.{assumed}\n"
