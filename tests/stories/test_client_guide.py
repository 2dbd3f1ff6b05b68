"""Every request in docs/oauth-client-guide.md is made, in both languages, and answers as the guide says."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.actors import Browser
from tests.conftest import ROOT, House

GUIDES = [ROOT / "docs" / "oauth-client-guide.md", ROOT / "docs" / "oauth-client-guide.zh.md"]
FURTHER = [ROOT / "docs" / "openid-and-token-exchange.md"]


def blocks(guide: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL)


def answer_in_browser(browser: Browser, url: str) -> str:
    """What a person does with the printed address."""
    page = browser.open(url)
    if "/login" in page.url:
        page = browser.sign_in(page)
    if "/consent" in page.url:
        page = browser.decide(page)
    assert page.left_to is not None
    return page.left_to


def converse(command: list[str], browser: Browser, **environment: str) -> tuple[int, str]:
    """Runs the command; opens what it asks to be opened, and tells it where the browser ended up, in both ways it may listen."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, env={**os.environ, **environment}, **pipes) as process:  # type: ignore[call-overload]
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Open: "):
                answer = answer_in_browser(browser, line.removeprefix("Open: ").strip())
                process.stdin.write(answer + "\n")
                process.stdin.flush()
                with contextlib.suppress(httpx2.TransportError):
                    browser.http.get(answer)
        return process.wait(60), said


@pytest.mark.parametrize("guide", [*GUIDES, *FURTHER], ids=lambda path: path.name)
def test_every_request_of_the_guide_is_answered_as_it_says(house: House, browser: Browser, guide: Path) -> None:
    house.add_user()
    key = house.operator(
        "api-key", "add", "guide", "--user", "ada@example.com", "--scope", "read write api_keys", "--quiet"
    )
    written = blocks(guide, "sh")
    script = "set -eu -o pipefail\n" + "".join(f"echo; echo '== {n}'\n{block}" for n, block in enumerate(written))
    code, said = converse(["bash", "-c", script], browser, BASE=house.url, API_KEY=key.strip())
    assert code == 0, said
    parts = re.split(r"^== \d+$", said, flags=re.MULTILINE)[1:]
    assert len(parts) == len(written)
    promised = 0
    for block, part in zip(written, parts, strict=True):
        for words in re.findall(r"^# → (.+)$", block, re.MULTILINE):
            promised += 1
            assert words in part, f"the guide promises {words!r}:\n{block}\n{part}"
    assert promised >= (20 if guide in GUIDES else 10)


def test_both_languages_make_the_same_requests() -> None:
    english, chinese = GUIDES
    assert blocks(english, "sh") == blocks(chinese, "sh")
    assert blocks(english, "python") == blocks(chinese, "python")


def test_the_complete_client_is_complete(house: House, browser: Browser, tmp_path: Path) -> None:
    house.add_user()
    program = blocks(GUIDES[0], "python")[-1].replace("http://localhost:8000", house.url)
    (tmp_path / "client.py").write_text(program)
    code, said = converse([sys.executable, str(tmp_path / "client.py")], browser, BROWSER="true")
    assert code == 0, said
    assert "'via': 'authorization_code'" in said


def test_every_command_of_the_readme_that_can_run_here_runs(house: House) -> None:
    """The curl lines, with this server's address and this checkout's command."""
    house.add_user("you@example.com")
    readme = (ROOT / "README.md").read_text()
    block = next(
        block for block in re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL) if "KEY=" in block
    )
    script = "set -eu -o pipefail\n" + block.replace("http://localhost:8000", house.url).replace(
        ".venv/bin/gatehouse", f"{sys.executable} -m app"
    )
    environment = {
        "GATEHOUSE_DATABASE_URL": house.dsn,
        "GATEHOUSE_PUBLIC_URL": house.url,
        "GATEHOUSE_SECRET_KEY": house.settings.secret_key[0].get_secret_value(),
    }
    ran = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert '"via":"api_key"' in ran.stdout
    assert '"expiresIn":' in ran.stdout
