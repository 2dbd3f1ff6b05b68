"""The command line: `gatehouse up`, `serve`, and the operator's commands. Every fault is one sentence and exit 1 or 2."""

from __future__ import annotations

import sys

BRIDGE = ("connect", "login", "logout", "whoami")


def run() -> None:
    """The entry point of the console script. The bridge starts in a moment, since it needs nothing of the server."""
    from app.cli.console import Refused

    try:
        if sys.argv[1:2] and sys.argv[1] in BRIDGE:
            from app.cli.connect import app
        else:
            from app.cli.commands import app
        app()
    except Refused as refusal:
        from rich.console import Console

        Console(stderr=True, soft_wrap=True).print(f"gatehouse: {refusal}", markup=False, highlight=False)
        sys.exit(refusal.code)
