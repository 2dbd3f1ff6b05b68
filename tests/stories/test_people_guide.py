"""Every command in docs/people.md is run, against a real mail server, and answers as the page says."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, House
from tests.mailbox import Mailboxes
from tests.stories.test_client_guide import blocks


def test_every_command_of_the_page_answers_as_it_says(mailing: House, mailboxes: Mailboxes, tmp_path: Path) -> None:
    command = tmp_path / "gatehouse"
    command.write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m app "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    written = "".join(blocks(ROOT / "docs" / "people.md", "sh"))
    expected = [line.removeprefix("# → ") for line in written.splitlines() if line.startswith("# → ")]
    environment = mailing.environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "COLUMNS": "200"}
    script = "set -eu\n" + written
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(expected) >= 8
    rest = ran.stdout
    for words in expected:
        assert words in rest, f"{words!r} does not follow in:\n{ran.stdout}"
        rest = rest.split(words, 1)[1]
    arrived = [(letter.to, str(letter.message["Subject"])) for letter in mailboxes.sent(mailing)]
    assert arrived == [
        (["ada@example.com"], "Mail from Gatehouse works"),
        (["joan@example.com"], "You are invited"),
    ]
