"""docs/resources.md: its server is served by its file, every command is run and answers as the page says, every setting is known."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.resources.read import RESERVED, Source, parsed
from app.resources.shapes import ResourceShape, ToolShape
from app.urls import patterns, url_table
from tests.conftest import ROOT, House, emptied
from tests.stories.test_client_guide import blocks

PAGE = ROOT / "docs" / "resources.md"


@pytest.fixture
def library(dsn: str, tmp_path: Path) -> Iterator[House]:
    """As the page says: the server and the file beside it."""
    (tmp_path / "library.py").write_text(blocks(PAGE, "python")[0])
    (tmp_path / "gatehouse.toml").write_text(blocks(PAGE, "toml")[0])
    house = House(dsn, resources_file=tmp_path / "gatehouse.toml").start()
    emptied(house)
    house.add_user()
    yield house
    house.stop()
    sys.modules.pop("library")
    sys.path.remove(str(tmp_path))


def test_every_command_of_the_page_answers_as_it_says(library: House, tmp_path: Path) -> None:
    written = "".join(blocks(PAGE, "sh"))
    expected = [line.removeprefix("# → ") for line in written.splitlines() if line.startswith("# → ")]
    command = f'set -eu -o pipefail\ngatehouse() {{ "{sys.executable}" -m app "$@"; }}\n{written}'
    environment = {**os.environ, **library.environment(), "BASE": library.url, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    rest = merged(ran)
    for words in expected:
        assert words in rest, f"{words!r} does not follow in:\n{said}"
        rest = rest.split(words, 1)[1]


def merged(ran: subprocess.CompletedProcess[str]) -> str:
    """What went to standard error where it was printed: before the first answer of the server."""
    at = ran.stdout.index('{"resource"')
    return ran.stdout[:at] + ran.stderr + ran.stdout[at:]


def test_the_other_backends_are_written_as_the_page_says(tmp_path: Path) -> None:
    text = blocks(PAGE, "toml")[1]
    environment = {"TRACKER_TOKEN": "x", "FILES_LICENCE": "y"}
    tracker, files = parsed(text, Source(tmp_path / "gatehouse.toml", environment), "https://mcp.example.com")
    assert (tracker.path, set(files.rules.baseline)) == ("/mcp", {"files"})
    others = re.findall(r"^# (send = .*?\})  +#|^# (send = .*\})", text, re.MULTILINE)
    assert len(others) == 3
    (tmp_path / "shared").write_text("a secret\n")
    for one in others:
        line = "".join(one).replace("/run/secrets/shared", str(tmp_path / "shared"))
        other = re.sub(r"^send = .*$", line, text, flags=re.MULTILINE)
        assert parsed(other, Source(tmp_path / "gatehouse.toml", environment), "https://mcp.example.com")


def test_the_example_of_the_readme_is_a_file_without_faults(tmp_path: Path) -> None:
    [text] = blocks(ROOT / "README.md", "toml")
    mine, notes, _ = parsed(text, Source(tmp_path / "gatehouse.toml", {}), "https://mcp.example.com")
    assert [one.path for one in (mine, notes)] == ["/mcp", "/notes/mcp"]
    assert set(notes.rules.tools["delete_note"].needs) == {"write"}


def test_the_page_has_every_key() -> None:
    keys = set(ResourceShape.model_fields) | set(ToolShape.model_fields)
    assert not {key for key in keys if f"`{key}" not in PAGE.read_text()}


def test_no_resource_can_have_an_address_of_ours(house: House) -> None:
    """What is new in the URL table is new in RESERVED."""
    ours = [*url_table(house.world, None), *(route.path for route in patterns(house.world, None))]  # type: ignore[arg-type]
    first = {path.split("/")[1] for path in [*ours, "/api-keys"]} - {"", ".well-known"}
    assert first <= RESERVED, first - RESERVED
