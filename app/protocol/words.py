"""Words that people read, marked where they are written and translated where they are shown (app/language.py)."""

from __future__ import annotations


def N_(text: str) -> str:
    """The text itself; `make messages` collects it."""
    return text
