"""docs/settings.md has every setting, with its default and the meaning that `gatehouse config show` gives it."""

from __future__ import annotations

import re

from app.settings.read import Settings
from tests.conftest import ROOT

ROWS = {
    name: (default, meaning)
    for name, default, meaning in re.findall(
        r"^\| `GATEHOUSE_(\w+)` \| (.*?) \| (.*) \|$", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE
    )
}


def default_of(name: str) -> str:
    value = Settings.model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, (int, str)) and value != "" else ""


def test_every_setting_has_its_row() -> None:
    assert {name.lower() for name in ROWS} == set(Settings.model_fields)


def test_the_rows_say_what_the_program_says() -> None:
    for name, (default, meaning) in ROWS.items():
        field = Settings.model_fields[name.lower()]
        assert (default, meaning) == (default_of(name.lower()), field.description), name
