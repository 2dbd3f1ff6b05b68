"""`python -m tests.catalog`: collects the words of pages, brings app/locales up to date, says what is missing (docs/translating.md)."""

from __future__ import annotations

import io
import sys
import tomllib
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
LOCALES = ROOT / "app/locales"
POT = LOCALES / "gatehouse.pot"
# Beside _() and its kin: words that are translated where they are shown, and what a page says with these errors.
SAID = """
InvalidRequest InvalidClientDocument AccessDenied TooManyRequests NotFound TemporarilyUnavailable BodyTooLarge BodyTooSlow
UnauthorizedClient UnsupportedResponseType RequestNotSupported RequestUriNotSupported InvalidScope InvalidTarget
LoginRequired ConsentRequired InvalidClientMetadata InvalidRedirectUri OAuthError Unfetchable NotNow
"""
KEYWORDS = {**DEFAULT_KEYWORDS, "N_": None, "Scope": (2,), **dict.fromkeys(SAID.split())}


def collected() -> Catalog:
    """Every message of the code and the templates that pyproject.toml names, sorted."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    methods = [(mapping["pattern"], mapping["method"]) for mapping in mappings]
    catalog = Catalog(fuzzy=False)
    for _, _, message, _, context in extract_from_dir(ROOT, method_map=methods, keywords=KEYWORDS):
        catalog.add(message, context=context)
    return catalog


def template(catalog: Catalog) -> bytes:
    """As gatehouse.pot has it."""
    out = io.BytesIO()
    write_po(out, catalog, no_location=True, omit_header=True, sort_output=True, width=0)
    return out.getvalue()


def translations() -> list[Path]:
    return sorted(LOCALES.glob("*/LC_MESSAGES/gatehouse.po"))


def translated(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name, domain="gatehouse")


def compiled(catalog: Catalog) -> bytes:
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def missing(catalog: Catalog) -> list[str]:
    """The messages without a translation."""
    found = []
    for message in catalog:
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.id and not all(strings):
            found.append(message.id if isinstance(message.id, str) else message.id[0])
    return found


def main() -> None:
    fresh = collected()
    POT.write_bytes(template(fresh))
    for path in translations():
        catalog = translated(path)
        catalog.update(fresh, no_fuzzy_matching=True, update_creation_date=False)
        with path.open("wb") as file:
            write_po(file, catalog, no_location=True, ignore_obsolete=True, sort_output=True, width=0)
        path.with_suffix(".mo").write_bytes(compiled(catalog))
        for message in missing(catalog):
            print(f"{path.relative_to(ROOT)}: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
