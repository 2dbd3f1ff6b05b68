"""Where an operator's command works: the database of GATEHOUSE_DATABASE_URL, or the embedded one, running or started for the moment."""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from app import asking
from app.cli.console import Refused, warn
from app.clock import Clock
from app.db import embedded
from app.db.binaries import EmbeddedError
from app.db.directories import default_data_dir
from app.db.engine import engine, is_unavailable
from app.db.migrate import is_current, schema, upgrade
from app.resources.listed import FILE, listed, source_of
from app.resources.read import ResourcesError
from app.resources.served import Resources
from app.settings.read import Settings, SettingsError, load
from app.settings.shown import misspelt
from app.settings.variables import environment
from app.tokens.secrets import Unsealable
from app.world import World, world_of

T = TypeVar("T")
SECRET_FILE, URL_FILE = "secret-key", "public-url"
OTHER_KEY = (
    "The signing keys in this database were sealed with another GATEHOUSE_SECRET_KEY. "
    "Set the one it was started with first; a new one goes before it, separated by a comma. Is it lost for good? "
    "Then, with every replica stopped: gatehouse restore --mark-only (docs/operate.md: When the secret key is lost)."
)


def configured(**given: Any) -> Settings:
    """The settings; of a name that is no setting but looks like one a warning. Raises Refused with every fault of them."""
    warn(misspelt())
    try:
        return load(**given)
    except SettingsError as fault:
        raise Refused("the configuration has faults:\n  " + "\n  ".join(str(fault).splitlines()), 2) from None


def setting(name: str) -> str | None:
    """One setting before all of them can be checked, from the environment or .env; an empty one is none."""
    return environment().get(f"GATEHOUSE_{name}") or None


def data_dir(given: Path | None = None) -> Path:
    chosen = given or (Path(setting("DATA_DIR") or "") if setting("DATA_DIR") else default_data_dir())
    return chosen.expanduser().absolute()


def secret_key(folder: Path) -> str:
    """The master key of GATEHOUSE_SECRET_KEY, or the one in `folder`, made once with mode 0600."""
    given = setting("SECRET_KEY")
    if given:
        return given
    path = folder / SECRET_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    except OSError as fault:
        raise Refused(
            f"the secret key cannot be kept in {folder}: {fault.strerror}; set GATEHOUSE_SECRET_KEY"
        ) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return path.read_text().strip()


@contextmanager
def embedded_database(folder: Path) -> Iterator[str]:
    """The URL of the embedded database: the running one's, or of one that runs as long as this block. Whoever forgot to name
    theirs is told that they have got a new one."""
    try:
        running = embedded.running(folder)
        if running is not None:
            yield running.dsn
            return
        with embedded.hold(folder):
            is_new = not embedded.is_made(folder)
            try:
                dsn = embedded.start(folder).dsn
                if is_new:
                    warn(
                        [f"made a new database in {folder}; for a server with another, set its GATEHOUSE_DATABASE_URL"]
                    )
                yield dsn
            finally:
                embedded.stop(folder)
    except EmbeddedError as fault:
        raise Refused(str(fault)) from None


def operate(work: Callable[[World], Awaitable[T]], folder: Path | None = None) -> T:
    """Runs one operator's command against the database, and returns what it returns."""
    place = data_dir(folder)
    url = setting("DATABASE_URL")
    if url:
        return asyncio.run(_with_world(_settings(url, place), work))
    with embedded_database(place) as dsn:
        settings = _settings(dsn, place)
        migrate_if_needed(settings, allowed=True)
        return asyncio.run(_with_world(settings, work))


def _settings(url: str, place: Path) -> Settings:
    return configured(
        database_url=SecretStr(url), secret_key=secret_key(place), public_url=_public_url(place), data_dir=place
    )


def _public_url(place: Path) -> str:
    written = place / URL_FILE
    public_url = setting("PUBLIC_URL") or (written.read_text().strip() if written.is_file() else None)
    return public_url or f"http://localhost:{setting('PORT') or '8000'}"


async def _with_world(settings: Settings, work: Callable[[World], Awaitable[T]]) -> T:
    async with operating(settings) as world:
        return await work(world)


@asynccontextmanager
async def operating(settings: Settings) -> AsyncIterator[World]:
    """A World for one command. Raises Refused when the database is away, behind, or sealed with another key."""
    asking.acting(asking.OPERATOR, _operator())
    try:
        async with world_of(settings, Clock()) as world:
            async with world.db.connect() as db:
                if not await is_current(db):
                    raise Refused("the database needs migrations: run `gatehouse migrate`")
            yield world
    except Unsealable:
        raise Refused(OTHER_KEY) from None
    except ResourcesError as fault:
        raise _faulty(fault) from None
    except Exception as fault:
        raise told(fault) or fault from None


def _operator() -> str | None:
    """Who runs this command, as their computer calls them."""
    with suppress(Exception):  # in a container, users may have no name
        return getpass.getuser()
    return None


def migrate_if_needed(settings: Settings, *, allowed: bool) -> bool:
    """Brings the schema up to date where that is allowed; True when it did. Raises Refused."""
    try:
        current = asyncio.run(_is_current(settings))
        if not current and not allowed:
            raise Refused(
                "the database needs migrations: run `gatehouse migrate`, or set GATEHOUSE_AUTO_MIGRATE=true to apply them at start"
            )
        if not current:
            upgrade(settings.direct_dsn)
        return not current
    except Exception as fault:
        raise told(fault) or fault from None


async def _is_current(settings: Settings) -> bool:
    database = engine(settings.direct_dsn, 1)
    try:
        async with database.connect() as db:
            found = await schema(db)
    finally:
        await database.dispose()
    if found == "too new":
        raise Refused(
            "the database has been changed by a newer Gatehouse, which this one does not fit; install that one"
        )
    return found != "behind"


def told(fault: Exception) -> Refused | None:
    """What the operator is told of a database that does not answer; None for other faults, such as that whoever read our output
    has read enough (`| head`)."""
    if isinstance(fault, BrokenPipeError):
        return None
    if is_unavailable(fault) or _is_refused_login(fault):
        return Refused(f"the database cannot be reached: {_words(fault)}")
    return None


def _is_refused_login(fault: Exception) -> bool:
    """Wrong password, unknown database or user: asyncpg's own classes, bare or wrapped."""
    names = {type(f).__name__ for f in (fault, fault.__cause__, getattr(fault, "orig", None)) if f is not None}
    return bool(
        names
        & {"InvalidPasswordError", "InvalidCatalogNameError", "InvalidAuthorizationSpecificationError", "gaierror"}
    )


def _words(fault: BaseException) -> str:
    lines = str(getattr(fault, "orig", None) or fault).strip().splitlines()
    return lines[0].split(">: ")[-1] if lines else type(fault).__name__


def the_resources(file: Path | None = None) -> Resources:
    """As the server would serve them after its next start, from `file` or from where it would look. Raises Refused."""
    place = data_dir()
    issuer = _public_url(place)
    given = file or (Path(setting("RESOURCES_FILE") or "") if setting("RESOURCES_FILE") else None)
    try:
        return listed(source_of(given, place), issuer)
    except ResourcesError as fault:
        raise _faulty(fault) from None


def _faulty(fault: ResourcesError) -> Refused:
    return Refused("\n  ".join([f"{FILE} has faults:", *str(fault).splitlines()]), 2)
