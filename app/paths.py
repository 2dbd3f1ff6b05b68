"""Where templates and migrations are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def shipped(folder: str) -> Path:
    """The folder `templates` or `migrations`."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


TEMPLATES = shipped("templates")
MIGRATIONS = shipped("migrations")
LOCALES = PACKAGE / "locales"
