"""Every command in docs/machine-clients.md is run, and answers as the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, House
from tests.signers import Provider
from tests.stories.test_client_guide import blocks
from tests.websites import Website

ASKS = "The assertion of the provider for client_id "


@pytest.fixture
def trusting(house: House, dsn: str, authority: Path, website: Website) -> Iterator[tuple[House, Provider]]:
    provider = Provider(website)
    own = House(dsn, ca_file=authority, trusted_issuers=(provider.issuer,)).start()
    own.add_user()
    yield own, provider
    own.stop()


def test_every_command_of_the_page_answers_as_it_says(trusting: tuple[House, Provider], tmp_path: Path) -> None:
    house, provider = trusting
    written = "".join(blocks(ROOT / "docs" / "machine-clients.md", "sh"))
    expected = [line.removeprefix("# → ") for line in written.splitlines() if line.startswith("# → ")]
    gatehouse = f'gatehouse() {{ "{sys.executable}" -m app "$@"; }}\n'
    command = ["bash", "-c", "set -eu -o pipefail\n" + gatehouse + written]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    environment = {
        **os.environ,
        **house.environment(),
        "BASE": house.url,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }
    said = ""
    with subprocess.Popen(command, text=True, cwd=tmp_path, env=environment, **pipes) as process:  # type: ignore[call-overload]
        for line in process.stdout:
            said += line
            if line.startswith(ASKS):
                client_id = line.removeprefix(ASKS).strip().rstrip(":")
                process.stdin.write(provider.id_jag(client_id, house.url, house.clock()) + "\n")
                process.stdin.flush()
        assert process.wait(60) == 0, said
    assert len(expected) >= 10
    rest = said
    for words in expected:
        assert words in rest, f"{words!r} does not follow in:\n{said}"
        rest = rest.split(words, 1)[1]
