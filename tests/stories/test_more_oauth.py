"""Every request in docs/more-oauth.md is made, and answers as the page says."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.actors import Browser
from tests.conftest import ROOT, House
from tests.stories.test_client_guide import answer_in_browser, blocks


def in_browser(browser: Browser, url: str) -> str:
    """What a person does with the printed address: allows the device, or the app."""
    if "/device" not in url:
        return answer_in_browser(browser, url)
    page = browser.sign_in(browser.open(url))
    code = url.split("user_code=")[1]
    page = browser.send("/device", csrf=page.field("csrf"), user_code=code)
    fields = {name: page.field(name) for name in ("csrf", "entered")}
    assert "is connected" in browser.send("/device/decision", decision="allow", **fields).text
    return ""


def test_every_request_of_the_page_is_answered_as_it_says(house: House, browser: Browser) -> None:
    house.add_user()
    written = "".join(blocks(ROOT / "docs" / "more-oauth.md", "sh"))
    expected = [line.removeprefix("# → ") for line in written.splitlines() if line.startswith("# → ")]
    command = ["bash", "-c", "set -eu -o pipefail\n" + written]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    said = ""
    with subprocess.Popen(
        command, text=True, env={**os.environ, "BASE": house.url, "PYTHON": sys.executable}, **pipes
    ) as process:  # type: ignore[call-overload]
        for line in process.stdout:
            said += line
            if line.startswith("Open: "):
                process.stdin.write(in_browser(browser, line.removeprefix("Open: ").strip()) + "\n")
                process.stdin.flush()
        assert process.wait(60) == 0, said
    assert len(expected) >= 10
    rest = said
    for words in expected:
        assert words in rest, f"{words!r} does not follow in:\n{said}"
        rest = rest.split(words, 1)[1]
