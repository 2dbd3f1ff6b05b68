"""The operator's own name, logo and accent colour, the colour put right where it could not be read (WCAG 2.2 §1.4.3, §1.4.11)."""

from __future__ import annotations

import colorsys
import hashlib
import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

NAME = "Gatehouse"
LONGEST_NAME = 60  # characters
LARGEST_LOGO = 100 * 1024  # bytes
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
PNG = b"\x89PNG\r\n\x1a\n"
SVG = re.compile(rb"\A(\xef\xbb\xbf)?\s*(<\?xml[^>]*\?>|<!--.*?-->|<!DOCTYPE[^>\[]*>|\s)*<svg[\s>]", re.DOTALL)
ACCENT = re.compile(r"#[0-9a-fA-F]{6}\Z")
# An SVG is a document: opened by itself it shows its drawing and runs, loads and submits nothing.
LOGO_CSP = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

READABLE = 4.55  # of text on what is behind it, a little above AA's 4.5, for rounding
RGB = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Brand:
    """What pages and mails show. `logo` and `css` are absent where the house's own are used."""

    name: str = NAME
    logo: bytes | None = None
    logo_type: str = "image/svg+xml"
    logo_url: str = "/static/icon.svg"  # the version is added where it is shown
    css: str | None = None
    css_url: str | None = None


HOUSE = Brand()
shown: ContextVar[Brand] = ContextVar("brand", default=HOUSE)  # of the server that answers this request


@lru_cache(maxsize=8)
def brand(name: str, logo: Path | None, accent: str | None) -> Brand:
    """From the settings, which have been checked. Raises OSError when the file has gone since."""
    drawn = logo.read_bytes() if logo else None
    css = stylesheet(accent) if accent else None
    return Brand(
        name=name,
        logo=drawn,
        logo_type=TYPES[logo.suffix.lower()] if logo else HOUSE.logo_type,
        logo_url=f"/static/logo?v={_version(drawn)}" if drawn else HOUSE.logo_url,
        css=css,
        css_url=f"/static/brand.css?v={_version(css.encode())}" if css else None,
    )


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def name_fault(name: str) -> str | None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        return f"must have 1 to {LONGEST_NAME} visible characters"
    return None


def logo_fault(path: Path) -> str | None:
    """Why this file cannot be the logo, or None."""
    if path.suffix.lower() not in TYPES:
        return "must be a .svg or .png file"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_LOGO + 1)
    except OSError as fault:
        return f"cannot be read: {fault.strerror or fault}"
    if len(content) > LARGEST_LOGO:
        return f"must have at most {LARGEST_LOGO // 1024} KB"
    if not (content.startswith(PNG) if path.suffix.lower() == ".png" else SVG.match(content)):
        return f"is not a {path.suffix.lower()[1:].upper()} image"
    return None


# Colours ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of gatehouse.css that an accent stands on, and how much of it is in a tint."""

    ground: str
    card: str
    ink: str  # of text on the accent
    share: float
    lighter: bool  # which way a colour becomes readable


LIGHT = Theme(ground="#f5f2ea", card="#fffdf9", ink="#fffdf8", share=0.07, lighter=False)
DARK = Theme(ground="#111614", card="#19201d", ink="#0d1512", share=0.12, lighter=True)


@dataclass(frozen=True, slots=True)
class Accent:
    """The properties of gatehouse.css, as #rrggbb."""

    accent: str
    accent_ink: str
    accent_hover: str
    tint: str


def accent_of(wish: str, theme: Theme) -> Accent:
    """The colour itself where it can be read; else the nearest lightness of the same hue at which it can."""
    tint = mixed(theme.card, wish, theme.share)
    grounds = (theme.ground, theme.card, tint)
    accent = _readable(wish, grounds, theme)
    return Accent(accent, theme.ink, _hover(accent, grounds, theme), tint)


def stylesheet(wish: str) -> str:
    light, dark = (_properties(accent_of(wish, theme)) for theme in (LIGHT, DARK))
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def _properties(accent: Accent) -> str:
    return " ".join(f"--{name.replace('_', '-')}: {getattr(accent, name)};" for name in Accent.__slots__)


def contrast(one: str, other: str) -> float:
    """From 1 to 21 (WCAG 2.2 "contrast ratio")."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mixed(ground: str, colour: str, share: float) -> str:
    pairs = zip(_rgb(ground), _rgb(colour), strict=True)
    r, g, b = (below * (1 - share) + above * share for below, above in pairs)
    return _hex((r, g, b))


def _readable(colour: str, grounds: Iterable[str], theme: Theme) -> str:
    """In the dark on light, the other way round in the dark: towards black or white it can always be read at last."""
    while min(contrast(colour, ground) for ground in grounds) < READABLE:
        colour = _shifted(colour, 0.01 if theme.lighter else -0.01)
    return colour


def _hover(accent: str, grounds: Iterable[str], theme: Theme) -> str:
    """A step further away from the ground, or a step back as far as it stays readable: whichever is seen better."""
    away, back = ("#ffffff", "#000000") if theme.lighter else ("#000000", "#ffffff")
    steps = (mixed(accent, away, 0.28), _readable(mixed(accent, back, 0.2), grounds, theme))
    return max(steps, key=lambda step: contrast(step, accent))


def _shifted(colour: str, by: float) -> str:
    hue, lightness, saturation = colorsys.rgb_to_hls(*_rgb(colour))
    return _hex(colorsys.hls_to_rgb(hue, min(1.0, max(0.0, lightness + by)), saturation))


def _luminance(colour: str) -> float:
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _rgb(colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _rgb(colour: str) -> RGB:
    r, g, b = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return r, g, b


def _hex(colour: RGB) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)
