"""Whatever colour an operator wishes for, everything in it can be read (WCAG 2.2 §1.4.3), and what can be read already stays."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from app.settings.branding import (
    DARK,
    LARGEST_LOGO,
    LIGHT,
    Theme,
    accent_of,
    contrast,
    logo_fault,
    name_fault,
    stylesheet,
)

CSS = (Path(__file__).parent.parent.parent / "templates/gatehouse.css").read_text()
WISHES = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in product(range(0, 256, 51), repeat=3)]


def properties(theme: Theme) -> dict[str, str]:
    """What gatehouse.css says, light or dark."""
    light, dark = CSS.split("@media (prefers-color-scheme: dark)", 1)
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light if theme is LIGHT else dark.split("*, *::before")[0]))


def test_contrast_is_wcags() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_themes_are_those_of_the_stylesheet(theme: Theme) -> None:
    css = properties(theme)
    assert (theme.ground, theme.card, theme.ink) == (css["ground"], css["card"], css["accent-ink"])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("wish", WISHES)
def test_every_colour_can_be_read(wish: str, theme: Theme) -> None:
    css, made = properties(theme), accent_of(wish, theme)
    on_grounds = [(made.accent, ground) for ground in (theme.ground, theme.card, made.tint)]
    on_grounds += [(made.accent_hover, ground) for ground in (theme.ground, theme.card)]
    on_accent = [(made.accent_ink, made.accent), (made.accent_ink, made.accent_hover)]
    on_tint = [(css[name], made.tint) for name in ("ink", "soft")]
    for text, ground in (*on_grounds, *on_accent, *on_tint):
        assert contrast(text, ground) >= 4.5, (text, ground)
    assert contrast(made.accent, made.accent_hover) >= 1.1, "one sees where the pointer is"


@pytest.mark.parametrize("wish", ["#1f5c4d", "#0b57d0", "#7a1f5c"])
def test_what_can_be_read_stays_as_it_is(wish: str) -> None:
    assert accent_of(wish, LIGHT).accent == wish


def test_the_stylesheet_is_nothing_but_colours() -> None:
    value = r"--[a-z-]+: #[0-9a-f]{6};"
    root = rf":root {{ (?:{value} ?)+}}"
    assert re.fullmatch(rf"{root}\n@media \(prefers-color-scheme: dark\) {{ {root} }}\n", stylesheet("#ffd400"))


def test_logos(tmp_path: Path) -> None:
    files = {
        "good.svg": b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "good.png": b"\x89PNG\r\n\x1a\n" + b"x" * 10,
        "page.svg": b"<html><svg></svg></html>",
        "script.png": b"<script>alert(1)</script>",
        "huge.png": b"\x89PNG\r\n\x1a\n" + b"x" * LARGEST_LOGO,
        "photo.jpg": b"\xff\xd8",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert logo_fault(tmp_path / "good.svg") is None
    assert logo_fault(tmp_path / "good.png") is None
    assert logo_fault(tmp_path / "page.svg") == "is not a SVG image"
    assert logo_fault(tmp_path / "script.png") == "is not a PNG image"
    assert logo_fault(tmp_path / "huge.png") == "must have at most 100 KB"
    assert logo_fault(tmp_path / "photo.jpg") == "must be a .svg or .png file"
    assert "No such file" in str(logo_fault(tmp_path / "none.svg"))


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "two\nlines", "a\u202eb"])
def test_names_that_will_not_do(name: str) -> None:
    assert name_fault(name)
