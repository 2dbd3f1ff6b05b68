"""`gatehouse demo`: the whole conversation, register to revoke, against a server of its own, as an annotated transcript."""

from __future__ import annotations

from app.cli.console import say


def demo() -> None:
    say("later")
