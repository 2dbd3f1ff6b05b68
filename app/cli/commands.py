"""Every command of `gatehouse`."""

from __future__ import annotations

import typer

from app.cli import (
    agent,
    api_key,
    audit,
    backup,
    budget,
    client,
    config,
    connect,
    connection,
    demo,
    doctor,
    identity,
    key,
    mail,
    migrate,
    project,
    resource,
    seal,
    serve,
    settlement,
    token,
    trace,
    up,
    user,
)

app = typer.Typer(
    name="gatehouse",
    help="A front door for MCP servers: OAuth 2.1, API keys and a guarded /mcp.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for room in (
    user,
    api_key,
    client,
    connection,
    identity,
    key,
    mail,
    audit,
    resource,
    project,
    budget,
    settlement,
    seal,
):
    app.add_typer(room.commands)
app.command("up")(up.up)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("token")(token.token)
app.command("migrate")(migrate.migrate)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("trace")(trace.trace)
app.command("doctor")(doctor.doctor)
app.command("agent")(agent.agent)
app.add_typer(config.commands)
connect.added_to(app)
