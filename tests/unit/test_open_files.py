"""How many files a server may have open, and so how many connections."""

from __future__ import annotations

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")
ASKED = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from app.cli.running import claimed
claimed("127.0.0.1", 0).close()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_a_server_takes_what_the_system_allows() -> None:
    """Else a shell's 1,024 would be the end of it, far from where its memory is full."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True).stdout
    most = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    assert shown.strip() == str((most, hard))
