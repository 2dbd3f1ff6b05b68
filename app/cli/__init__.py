"""The command line: `gatehouse up`, `serve`, and the operator's commands. Every fault is one sentence and exit 1 or 2."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from app.cli import (
    api_key,
    audit,
    client,
    config,
    connection,
    demo,
    doctor,
    identity,
    key,
    mail,
    migrate,
    resource,
    serve,
    token,
    trace,
    up,
    user,
)
from app.cli.console import Refused

app = typer.Typer(
    name="gatehouse",
    help="A front door for MCP servers: OAuth 2.1, API keys and a guarded /mcp.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for room in (user, api_key, client, connection, identity, key, mail, resource, audit):
    app.add_typer(room.commands)
app.command("up")(up.up)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("token")(token.token)
app.command("migrate")(migrate.migrate)
app.command("trace")(trace.trace)
app.command("doctor")(doctor.doctor)
app.add_typer(config.commands)


def run() -> None:
    """The entry point of the console script."""
    try:
        app()
    except Refused as refusal:
        Console(stderr=True, soft_wrap=True).print(f"gatehouse: {refusal}", markup=False, highlight=False)
        sys.exit(refusal.code)
