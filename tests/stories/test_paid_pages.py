"""docs/paid-calls.md and docs/agents.md: every command is run, and answers as the page says; the facilitator's settings are ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.settings.paid import Facilitator
from tests.agents import project
from tests.conftest import ROOT, House, emptied
from tests.stories.test_client_guide import blocks

PAID, AGENTS = ROOT / "docs" / "paid-calls.md", ROOT / "docs" / "agents.md"


@pytest.fixture
def selling(dsn: str, tmp_path: Path) -> Iterator[House]:
    """With the prices of the page."""
    (tmp_path / "gatehouse.toml").write_text(blocks(PAID, "toml")[0])
    file = tmp_path / "gatehouse.toml"
    house = House(dsn, lightning_url=SecretStr("pretend:"), paid_scope=("read",), resources_file=file).start()
    yield emptied(house)
    house.stop()


def ran(house: House, folder: Path, written: str) -> str:
    command = f'set -eu -o pipefail\ngatehouse() {{ "{sys.executable}" -m app "$@"; }}\n{written}'
    environment = {**os.environ, **house.environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=folder, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_paid_calls_are_made_as_the_page_says(selling: House, tmp_path: Path) -> None:
    shell = blocks(PAID, "sh")
    assert "GATEHOUSE_PAID_SCOPE=read " in shell[0]
    written = "".join(shell[1:3]).replace("http://localhost:8000", selling.url)
    expected = [line.removeprefix("# → ") for line in written.splitlines() if line.startswith("# → ")]
    rest = ran(selling, tmp_path, written)
    for words in expected:
        assert words in rest, words
        rest = rest.split(words, 1)[1]


def test_the_facilitator_of_the_page_is_one() -> None:
    (given,) = re.findall(r"GATEHOUSE_FACILITATOR='(.*?)'", blocks(PAID, "sh")[3], re.DOTALL)
    assert Facilitator.model_validate_json(given).network == "eip155:8453"


def test_the_operators_commands_for_agents_run_as_they_are_written(selling: House, tmp_path: Path) -> None:
    selling.add_user()
    key = selling.operator("api-key", "add", "x", "--user", "ada@example.com", "--quiet").strip()
    [(key_id,)] = selling.sql("SELECT id FROM api_keys")
    assert key
    projects, agent, budgets = blocks(AGENTS, "sh")
    printed = ran(selling, tmp_path, projects + budgets.replace("key_…", str(key_id)))
    assert "la_pk_" in printed
    assert "500" in printed
    assert (tmp_path / "charges.csv").read_text().startswith("at,")
    robots = project(selling, "Others")
    for line in agent.replace("la_pk_…", robots).replace("http://localhost:8000", selling.url).splitlines():
        assert ran(selling, tmp_path, f"{line} < /dev/null") == ""
