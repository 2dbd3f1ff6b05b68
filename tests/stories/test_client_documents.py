"""Every command in docs/client-documents.md is run, by an author who publishes and an operator who looks, and the table is the data."""

from __future__ import annotations

import json
import re
import shutil
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from app.clients.pinned import PINNED, pinned
from app.protocol import client_document as documents
from app.settings.read import Settings
from tests.actors import Browser
from tests.conftest import ROOT, House
from tests.stories.test_client_guide import blocks, converse
from tests.stories.test_traces import traced
from tests.websites import Website

__all__ = ["traced"]  # a fixture
PAGE = ROOT / "docs" / "client-documents.md"


def publishes(website: Website, folder: Path, *names: str) -> None:
    """The web site shows what is in the folder, as a place for static files does."""
    for name in names:

        def answer(handler: BaseHTTPRequestHandler, path: Path = folder / name) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.end_headers()
            handler.wfile.write(path.read_bytes())

        website.answers(f"/{name}", answer)


def test_every_command_of_the_page_does_as_it_says(
    traced: House, browser: Browser, website: Website, authority: Path, tmp_path: Path
) -> None:
    publishes(website, tmp_path, "client.json", "signing.json")
    written = blocks(PAGE, "sh")
    run = f'(cd "{ROOT}" && "{sys.executable}" -m app "$@")'
    # Steps are written within a second or so: an operator who is faster looks twice.
    gatehouse = (
        f'gatehouse() {{ for _ in 1 2 3 4 5; do said=$( {run} ); [ "$said" = "[]" ] || break; done; echo "$said"; }}\n'
    )
    echoed = "".join(f"echo; echo '== {n}'\n{block}" for n, block in enumerate(written))
    script = f'set -eu -o pipefail\ncd "{tmp_path}"\n{gatehouse}{echoed}'
    environment = traced.environment() | {"BASE": traced.url, "SITE": website.url, "CURL_CA_BUNDLE": str(authority)}
    assert shutil.which("openssl")
    code, said = converse(["bash", "-c", script], browser, **environment)
    assert code == 0, said
    parts = re.split(r"^== \d+$", said, flags=re.MULTILINE)[1:]
    assert len(parts) == len(written) == 6
    promised = [(words, part) for block, part in zip(written, parts, strict=True) for words in PROMISE.findall(block)]
    assert len(promised) >= 10
    for words, part in promised:
        assert words in part, f"the page promises {words!r}:\n{part}"


PROMISE = re.compile(r"^# → (.+)$", re.MULTILINE)


def test_the_table_of_copies_is_what_is_shipped() -> None:
    rows = re.findall(r"^\| ([^|]+) \| `(https://[^`]+)` \| (\w+) \| ([\d-]+) \|$", PAGE.read_text(), re.MULTILINE)
    shipped = [(entry["document"], entry["as_of"]) for entry in json.loads(PINNED.read_text())["documents"]]
    assert sorted(rows) == sorted(
        (d["client_name"], d["client_id"], d["token_endpoint_auth_method"], as_of) for d, as_of in shipped
    )


def test_what_is_shipped_would_be_taken_if_it_were_fetched() -> None:
    for entry in json.loads(PINNED.read_text())["documents"]:
        url = entry["document"]["client_id"].replace("{id}", "a1B2-c3")
        copy = pinned(url)
        assert copy is not None
        assert copy.as_of == entry["as_of"]
        assert documents.checked_document(copy.document, url)["client_name"] == entry["document"]["client_name"]
        assert re.fullmatch(r"2026-\d\d(-\d\d)?", entry["as_of"])
        assert entry["source"]


def test_the_settings_of_the_page_are_settings() -> None:
    named = set(re.findall(r"^\| `GATEHOUSE_(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert len(named) == 4
    assert named <= {name.upper() for name in Settings.model_fields}
