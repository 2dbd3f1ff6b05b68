"""`gatehouse backup` and `gatehouse restore`: the database as one file that the secret key opens (docs/operate.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from app.backups.copies import NotDone, Restored, bring_back, mark, take
from app.cli.console import Refused, say
from app.cli.operating import (
    SECRET_FILE,
    configured,
    data_dir,
    embedded_database,
    migrate_if_needed,
    secret_key,
    setting,
    told,
)
from app.settings.read import Settings

T = TypeVar("T")


def backup(file: Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")]) -> None:
    """Write everything that the database holds to FILE, sealed with the secret key, while the server serves."""

    def work(settings: Settings) -> None:
        size = _done(take(settings, file, datetime.now(UTC)))
        say(f"Wrote {file} ({size / 1e6:.1f} MB, mode 0600). Only the secret key opens it, and it is not in it:")
        kept = "GATEHOUSE_SECRET_KEY" if setting("SECRET_KEY") else str(data_dir() / SECRET_FILE)
        say(f"keep a copy of {kept} somewhere else. gatehouse.toml and .env are yours to keep, too.")

    _with_database(work)


def restore(
    file: Annotated[Path | None, typer.Argument(help="What `gatehouse backup` wrote.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Delete what is in the database now.")] = False,
    mark_only: Annotated[
        bool, typer.Option("--mark-only", help="The database came back by other means; end what that may have revived.")
    ] = False,
) -> None:
    """Bring a backup back, with every replica stopped. Everybody signs in again; nothing used since can be used again."""
    if (file is None) is not mark_only:
        raise Refused("give the FILE of a backup, or --mark-only", 2)
    if not setting("SECRET_KEY") and not (data_dir() / SECRET_FILE).is_file():
        raise Refused(f"set GATEHOUSE_SECRET_KEY, or put the key of that server in {data_dir() / SECRET_FILE}, first")

    def work(settings: Settings) -> None:
        now = datetime.now(UTC)
        if file is None:
            migrate_if_needed(settings, allowed=True)
        back = _done(mark(settings, now) if file is None else bring_back(settings, file, now, replace=replace))
        migrate_if_needed(settings, allowed=True)
        _tell(back)

    _with_database(work)


def _tell(back: Restored) -> None:
    if back.about is not None:
        say(f"Restored what was there on {back.about.made_at.isoformat(sep=' ', timespec='seconds')}.")
    say(
        f"Everybody signs in again, and every app ({back.connections}) connects again; new signing keys come at the start."
    )
    say("Void: codes, links, invitations, recovery codes, remembered browsers, phones' codes for a minute.")
    say("As they were then: passwords, passkeys, API keys, apps, what was allowed. What was revoked, disabled or")
    say("deleted since is back: look through `gatehouse api-key list`, `gatehouse user list`, `gatehouse client list`.")


def _with_database(work: Any) -> None:
    """On GATEHOUSE_DATABASE_URL, or the embedded one, which runs at least as long."""
    place, url = data_dir(), setting("DATABASE_URL")
    public_url = setting("PUBLIC_URL") or "http://localhost:8000"
    given = {"public_url": public_url, "secret_key": secret_key(place), "data_dir": place}
    if url:
        work(configured(database_url=url, **given))
    else:
        with embedded_database(place) as dsn:
            work(configured(database_url=dsn, **given))


def _done(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except NotDone as fault:
        raise Refused(str(fault)) from None
    except Exception as fault:
        refused = told(fault)
        if refused is None:
            raise
        raise refused from None
