"""`gatehouse demo` is a story of its own, and a smoke test of everything."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_demo_tells_the_whole_conversation() -> None:
    ran = subprocess.run([sys.executable, "-m", "app", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [line[0] for line in ran.stdout.splitlines() if line[:1].isdigit()] == list("12345678")
    assert "Hello from the demo" in ran.stdout
    assert 'error="invalid_token"' in ran.stdout
    assert "Done" in ran.stdout
