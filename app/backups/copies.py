"""A backup taken while everything serves, and brought back into a database that nobody uses; then nothing used since is good again."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app import __version__
from app.backups import sealed_file, store
from app.backups.programs import ProgramFault, Programs, programs
from app.backups.sealed_file import About, BadBackup
from app.db.engine import engine
from app.db.migrate import head, revision
from app.settings.read import Settings


class NotDone(Exception):
    """Why there is no backup, or why none was brought back: one sentence."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it. `about` is absent where the database was brought back by other means."""

    about: About | None
    connections: int


async def take(settings: Settings, to: Path, now: datetime) -> int:
    """Writes the file, whole or not at all, mode 0600; returns its size in bytes. Raises NotDone and the database's errors."""
    db = engine(settings.dsn, 1)
    try:
        async with db.connect() as asked:
            at, server = await revision(asked), (await store.target(asked)).major
    finally:
        await db.dispose()
    if at is None:
        raise NotDone("the database is empty")
    draft = to.with_name(f".{to.name}.part")
    try:
        dump = programs(server).dump(settings.dsn)
        with suppress(FileNotFoundError):
            draft.unlink()
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            sealed_file.write(file, About(now, at, __version__), dump, _keys(settings))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        os.link(draft, to)  # never over another backup
    except FileExistsError:
        raise NotDone(f"{to} exists already") from None
    except ProgramFault as fault:
        raise NotDone(str(fault)) from None
    except OSError as fault:
        raise NotDone(f"{to} cannot be written: {fault.strerror}") from None
    finally:
        with suppress(OSError):
            draft.unlink()
    return size


async def bring_back(settings: Settings, source: Path, now: datetime, *, replace: bool) -> Restored:
    """Raises NotDone, having changed nothing unless it says so, and the database's errors."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-restore-") as folder:  # mode 0700
        dump = Path(folder) / "dump"
        about = _opened(source, dump, _keys(settings))
        if about.revision > head():
            raise NotDone(f"the backup was made by a newer Gatehouse ({about.version}); restore it with that one")
        db = engine(settings.dsn, 1)
        try:
            async with db.connect() as asked:
                tools = _able((await store.target(asked)).major, dump)
            async with db.begin() as found:
                target = await store.target(found)
                fault = _fault(target, replace=replace)
                if fault is None and not target.is_empty:
                    await store.emptied(found)
            if fault is not None:
                raise NotDone(fault)
            try:
                tools.restore(dump, settings.dsn, without="alembic_version")
            except ProgramFault as broken:
                raise NotDone(f"the database is empty now: the backup could not be brought back: {broken}") from None
            async with db.begin() as back:
                ended = await store.void(back, now, about.made_at)
                await store.lay_down_revision(back, about.revision)
        finally:
            await db.dispose()
    return Restored(about, ended)


async def mark(settings: Settings, now: datetime) -> Restored:
    """For a database that came back by other means. Raises NotDone and the database's errors."""
    db = engine(settings.dsn, 1)
    try:
        async with db.begin() as back:
            target = await store.target(back)
            fault = _fault(target, replace=True)
            ended = 0 if fault else await store.void(back, now, None)
    finally:
        await db.dispose()
    if fault is not None:
        raise NotDone(fault)
    return Restored(None, ended)


def _able(server: int, dump: Path) -> Programs:
    """What will bring the dump back, asked before anything is deleted. Raises NotDone."""
    try:
        tools = programs(server)
        tools.contents(dump)
    except ProgramFault as fault:
        raise NotDone(f"nothing was changed: the backup cannot be brought back from here: {fault}") from None
    return tools


def _fault(target: store.Target, *, replace: bool) -> str | None:
    if target.others:
        return f"others are connected to the database ({target.others}): stop every replica first"
    if not target.is_empty and not replace:
        return "the database is not empty; --replace deletes what is in it"
    return None


def _opened(source: Path, dump: Path, keys: tuple[str, ...]) -> About:
    """The whole dump, checked to its last byte, before anything is changed. Raises NotDone."""
    try:
        with source.open("rb") as file, dump.open("wb") as plain:
            about, line = sealed_file.about(file)
            for part in sealed_file.opened(file, line, keys):
                plain.write(part)
    except BadBackup as fault:
        raise NotDone(f"{source} cannot be used: {fault}") from None
    except OSError as fault:
        raise NotDone(f"{source} cannot be read: {fault.strerror}") from None
    return about


def _keys(settings: Settings) -> tuple[str, ...]:
    return tuple(key.get_secret_value() for key in settings.secret_key)
