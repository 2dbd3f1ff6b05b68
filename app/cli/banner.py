"""What `gatehouse up` prints once it serves: addresses, the set-up link, and lines to paste that work as they stand."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from app.cli.console import ourselves, say
from app.db.directories import default_data_dir
from app.landing import claude_code
from app.settings.read import Settings

CALL = (
    "curl -s {mcp} -H \"Authorization: Bearer $({ourselves} token{user} --quiet)\" -H 'Content-Type: application/json' "
    "-H 'Accept: application/json, text/event-stream' "
    '-d \'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"whoami","arguments":{{}}}}}}\''
)


@dataclass(frozen=True, slots=True)
class Started:
    """What there is to say; `link` is absent once somebody has an account."""

    settings: Settings
    database: str
    link: str | None
    people: int
    data_dir: Path


def announce(started: Started) -> None:
    """To standard output, once."""
    issuer, mcp = started.settings.issuer, f"{started.settings.issuer}/mcp"
    # Another terminal does not have this one's flags and environment.
    elsewhere = started.data_dir != default_data_dir()
    program = (f"GATEHOUSE_DATA_DIR={shlex.quote(str(started.data_dir))} " if elsewhere else "") + ourselves()
    user = "" if started.people < 2 else " --user E-MAIL"
    lines = [
        "",
        "Gatehouse is open.",
        "",
        f"  issuer     {issuer}",
        f"  MCP        {mcp}",
        f"  database   {started.database}",
        "",
    ]
    if started.link:
        lines += [
            "  1  Make yourself the owner (works once, within a day; this link is not shown in any log):",
            f"     {started.link}",
            "     or without a browser:",
            f"     {program} user add YOU@EXAMPLE.COM --admin",
            "",
        ]
    number = 2 if started.link else 1
    lines += [
        f"  {number}  Connect an app, for example Claude Code:",
        f"     {claude_code(mcp)}",
        "",
        f"  {number + 1}  Or try it by hand. Who guards this address?",
        f"     curl -si -X POST {mcp}",
        "     A tool, in your own name" + (" (once there is an owner):" if started.link else ":"),
        f"     {CALL.format(mcp=mcp, ourselves=program, user=user)}",
        "",
        "Ctrl-C stops it, the database too.",
        "",
    ]
    say("\n".join(lines))
