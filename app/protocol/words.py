"""Words that people read, marked where they are written and translated where they are shown (app/language/catalogs.py)."""

from __future__ import annotations


class Worded(Exception):
    """A fault in words that a person may read. The values of `template` stay apart from it, so that pages can translate it."""

    def __init__(self, template: str, **values: object) -> None:
        self.template, self.values = template, values
        super().__init__(template.format(**values) if values else template)


def N_(text: str) -> str:
    """The text itself; `make messages` collects it."""
    return text
