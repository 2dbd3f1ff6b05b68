"""`gatehouse mail test`: one letter, sent as all others would be, and what the server said."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.console import Refused, say
from app.cli.operating import operate
from app.mail import Undelivered
from app.protocol.email import normal_email
from app.users import letters
from app.world import World

commands = typer.Typer(name="mail", help="The letters that people get.", no_args_is_help=True)


@commands.callback()
def _group() -> None:
    """The letters that people get."""


@commands.command("test")
def trial(to: Annotated[str, typer.Argument(metavar="EMAIL")]) -> None:
    """Send a trial letter, and say what the mail server says."""
    address = normal_email(to)
    if address is None:
        raise Refused(f"{to} is not an e-mail address", 2)

    async def work(world: World) -> str | None:
        if not world.settings.can_mail:
            return "GATEHOUSE_SMTP_URL is not set, so no mail is sent"
        try:
            await world.post.deliver(letters.trial(address))
        except Undelivered as fault:
            return f"the mail server did not take the letter: {fault} ({fault.why})"
        return None

    wrong = operate(work)
    if wrong:
        raise Refused(wrong)
    say(f"The mail server took a letter to {address}. Look into that mailbox.")
