"""`gatehouse migrate`: the database schema, brought up to date."""

from __future__ import annotations

from app.cli.console import say
from app.cli.operating import configured, data_dir, embedded_database, migrate_if_needed, secret_key, setting
from app.db.migrate import head
from app.settings.read import Settings


def migrate() -> None:
    """Apply the migrations that the database of GATEHOUSE_DATABASE_URL, or the embedded one, does not have yet."""
    url = setting("DATABASE_URL")
    if url:
        _apply(_settings(url))
    else:
        with embedded_database(data_dir()) as dsn:
            _apply(_settings(dsn))


def _settings(url: str) -> Settings:
    public_url = setting("PUBLIC_URL") or "http://localhost:8000"
    return configured(database_url=url, public_url=public_url, secret_key=secret_key(data_dir()))


def _apply(settings: Settings) -> None:
    changed = migrate_if_needed(settings, allowed=True)
    say(f"Migrated to {head()}." if changed else f"Nothing to do: the database is at {head()}.")
